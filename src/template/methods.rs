//! Python's methods of text, lists and mappings that the engine's own set lacks.

use minijinja::value::{Kwargs, Tuple, Value as Jinja, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::call::{Call, Function, complaint, run};
use super::filters::texts::{capitalized, centered, split_text};
use super::owned::{self, MUTATING};

const TEXT: &[(&str, Function)] = &[
    ("capitalize", |c| Ok(Jinja::from(capitalized(&c.string()?)))),
    ("casefold", |c| Ok(Jinja::from(c.string()?.to_lowercase()))),
    ("center", center),
    ("encode", encode),
    ("expandtabs", expandtabs),
    ("format", format),
    ("index", index),
    ("isidentifier", isidentifier),
    ("ljust", ljust),
    ("partition", partition),
    ("removeprefix", removeprefix),
    ("removesuffix", removesuffix),
    ("rindex", rindex),
    ("rjust", rjust),
    ("rpartition", rpartition),
    ("rsplit", rsplit),
    ("split", split),
    ("swapcase", swapcase),
    ("zfill", zfill),
];

const LISTS: &[(&str, Function)] = &[("copy", |c| c.value()), ("index", list_index)];

const MAPS: &[(&str, Function)] = &[("copy", |c| c.value())];

/// Every method that works, for "did you mean".
pub(super) const NAMES: [&str; 46] = [
    "capitalize",
    "casefold",
    "center",
    "copy",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "get",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "items",
    "join",
    "keys",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "values",
    "zfill",
];

/// The engine asks here for a method that the value itself does not have.
pub(super) fn call(state: &mut State, value: &Jinja, method: &str, args: &[Jinja]) -> Result<Jinja, Error> {
    let family = match value.kind() {
        ValueKind::String => TEXT,
        ValueKind::Seq | ValueKind::Iterable => LISTS,
        ValueKind::Map => MAPS,
        ValueKind::Bytes if method == "decode" => {
            let bytes = value.as_bytes().unwrap_or_default();
            return Ok(Jinja::from(String::from_utf8_lossy(bytes).into_owned()));
        }
        _ => &[],
    };
    if let Some((name, function)) = family.iter().find(|(name, _)| *name == method) {
        let (args, named): (&[Jinja], Kwargs) = from_args(args)?;
        let values: Vec<Jinja> = [value.clone()].into_iter().chain(args.iter().cloned()).collect();
        return run(state, name, &values, named, *function);
    }
    if let Some(done) = owned::call(value, method, args) {
        return done;
    }
    let container = matches!(value.kind(), ValueKind::Seq | ValueKind::Map);
    if container && MUTATING.contains(&method) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a template cannot change a value: no method named {method}"),
        ));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn pad(call: &Call) -> Result<(String, usize, char), Error> {
    let width = call.size(1, "width")?.unwrap_or(0);
    let fill = call.text(2, "fillchar")?.and_then(|f| f.chars().next());
    Ok((call.string()?, width, fill.unwrap_or(' ')))
}

fn missing(text: &str, width: usize, fill: char) -> String {
    let length = text.chars().count();
    fill.to_string().repeat(width.saturating_sub(length))
}

fn center(call: &mut Call) -> Result<Jinja, Error> {
    let (text, width, fill) = pad(call)?;
    Ok(Jinja::from(centered(&text, width, fill)))
}

fn ljust(call: &mut Call) -> Result<Jinja, Error> {
    let (text, width, fill) = pad(call)?;
    let more = missing(&text, width, fill);
    Ok(Jinja::from(text + &more))
}

fn rjust(call: &mut Call) -> Result<Jinja, Error> {
    let (text, width, fill) = pad(call)?;
    Ok(Jinja::from(missing(&text, width, fill) + &text))
}

fn zfill(call: &mut Call) -> Result<Jinja, Error> {
    let (text, width, _) = pad(call)?;
    let more = missing(&text, width, '0');
    Ok(Jinja::from(match text.strip_prefix(['-', '+']) {
        Some(digits) => format!("{}{more}{digits}", &text[..1]),
        None => more + &text,
    }))
}

fn encode(call: &mut Call) -> Result<Jinja, Error> {
    call.text(1, "encoding")?;
    call.text(2, "errors")?;
    Ok(Jinja::from_bytes(call.string()?.into_bytes()))
}

fn expandtabs(call: &mut Call) -> Result<Jinja, Error> {
    let size = call.size(1, "tabsize")?.unwrap_or(8);
    let mut out = String::new();
    let mut column = 0;
    for c in call.string()?.chars() {
        match c {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(Jinja::from(out))
}

/// A position in characters, as Python counts.
fn position(text: &str, at: Option<usize>) -> Result<Jinja, Error> {
    match at {
        Some(at) => Ok(Jinja::from(text[..at].chars().count())),
        None => Err(complaint("substring not found")),
    }
}

fn index(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    position(&text, text.find(&call.needed_text(1, "sub")?))
}

fn rindex(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    position(&text, text.rfind(&call.needed_text(1, "sub")?))
}

fn isidentifier(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    let fine = text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let first = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    Ok(Jinja::from(fine && first))
}

fn three(parts: [&str; 3]) -> Jinja {
    Jinja::from(Tuple::from(parts.map(Jinja::from)))
}

fn partition(call: &mut Call) -> Result<Jinja, Error> {
    let (text, at) = (call.string()?, call.needed_text(1, "sep")?);
    Ok(match text.split_once(&at) {
        Some((a, b)) => three([a, &at, b]),
        None => three([&text, "", ""]),
    })
}

fn rpartition(call: &mut Call) -> Result<Jinja, Error> {
    let (text, at) = (call.string()?, call.needed_text(1, "sep")?);
    Ok(match text.rsplit_once(&at) {
        Some((a, b)) => three([a, &at, b]),
        None => three(["", "", &text]),
    })
}

fn removeprefix(call: &mut Call) -> Result<Jinja, Error> {
    let (text, part) = (call.string()?, call.needed_text(1, "prefix")?);
    Ok(Jinja::from(text.strip_prefix(&part).unwrap_or(&text)))
}

fn removesuffix(call: &mut Call) -> Result<Jinja, Error> {
    let (text, part) = (call.string()?, call.needed_text(1, "suffix")?);
    Ok(Jinja::from(text.strip_suffix(&part).unwrap_or(&text)))
}

fn split(call: &mut Call) -> Result<Jinja, Error> {
    let separator = call.text(1, "sep")?;
    let most = call.int(2, "maxsplit")?;
    Ok(Jinja::from(split_text(
        &call.string()?,
        separator.as_deref(),
        most,
    )?))
}

fn rsplit(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    let separator = call.text(1, "sep")?;
    let most = call.int(2, "maxsplit")?.and_then(|m| usize::try_from(m).ok());
    let (Some(separator), Some(most)) = (&separator, most) else {
        let parts = match most {
            None => split_text(&text, separator.as_deref(), None)?,
            Some(most) => rsplit_blanks(&text, most),
        };
        return Ok(Jinja::from(parts));
    };
    let mut parts: Vec<String> = text.rsplitn(most + 1, separator).map(str::to_string).collect();
    parts.reverse();
    Ok(Jinja::from(parts))
}

fn rsplit_blanks(text: &str, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() && parts.len() < most {
        let start = rest.rfind(char::is_whitespace).map_or(0, |i| i + 1);
        let start = if rest.is_char_boundary(start) { start } else { 0 };
        parts.push(rest[start..].to_string());
        rest = rest[..start].trim_end();
    }
    if !rest.is_empty() {
        parts.push(rest.to_string());
    }
    parts.reverse();
    parts
}

fn swapcase(call: &mut Call) -> Result<Jinja, Error> {
    let swap = |c: char| -> String {
        if c.is_uppercase() {
            c.to_lowercase().collect()
        } else {
            c.to_uppercase().collect()
        }
    };
    Ok(Jinja::from(call.string()?.chars().map(swap).collect::<String>()))
}

/// Names in `{name}` may come as arguments by name, which the engine's own method does not take.
fn format(call: &mut Call) -> Result<Jinja, Error> {
    let (text, values) = (call.value()?, call.rest(1)?);
    let named = call.named()?;
    let mut pattern = text.as_str().unwrap_or_default().to_string();
    let mut args = values;
    for (name, value) in named {
        let place = args.len();
        for after in ['}', ':', '!', '[', '.'] {
            pattern = pattern.replace(&format!("{{{name}{after}"), &format!("{{{place}{after}"));
        }
        args.push(value);
    }
    minijinja_contrib::pycompat::unknown_method_callback(call.state, &Jinja::from(pattern), "format", &args)
}

fn list_index(call: &mut Call) -> Result<Jinja, Error> {
    let wanted = call.at(1)?;
    let found = call.items()?.iter().position(|x| *x == wanted);
    found
        .map(Jinja::from)
        .ok_or_else(|| complaint(format!("{wanted} is not in the list")))
}
