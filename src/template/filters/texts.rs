//! Text: cutting, padding, quoting, commenting, wrapping.

use std::fmt::Write as _;

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use crate::template::call::{Call, Function, complaint, pairs};
use crate::template::evaluation::Absent;
use crate::template::python;
use crate::template::variables::root;

pub const FILTERS: &[(&str, Function)] = &[
    ("bool", boolean),
    ("capitalize", capitalize),
    ("center", center),
    ("comment", comment),
    ("d", default),
    ("default", default),
    ("e", escape),
    ("escape", escape),
    ("forceescape", escape),
    ("indent", indent),
    ("lower", lower),
    ("mandatory", mandatory),
    ("quote", quote),
    ("replace", replace),
    ("split", split),
    ("string", string),
    ("striptags", striptags),
    ("ternary", ternary),
    ("title", title),
    ("trim", trim),
    ("truncate", truncate),
    ("type_debug", type_debug),
    ("upper", upper),
    ("urlize", urlize),
    ("wordcount", wordcount),
    ("wordwrap", wordwrap),
    ("xmlattr", xmlattr),
];

fn string(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from_safe_string(call.subject()?))
}

fn upper(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(call.subject()?.to_uppercase()))
}

fn lower(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(call.subject()?.to_lowercase()))
}

pub(in crate::template) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first
            .to_uppercase()
            .chain(chars.flat_map(char::to_lowercase))
            .collect(),
        None => String::new(),
    }
}

fn capitalize(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(capitalized(&call.subject()?)))
}

/// A word begins after a blank, a hyphen or an opening bracket.
fn title(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let parts = text.split_inclusive(|c: char| c.is_whitespace() || "-([{<".contains(c));
    Ok(Jinja::from(parts.map(capitalized).collect::<String>()))
}

fn trim(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    Ok(Jinja::from(match call.text(1, "chars")? {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_string(),
        None => text.trim().to_string(),
    }))
}

fn replace(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let (old, new) = (call.needed_text(1, "old")?, call.needed_text(2, "new")?);
    Ok(Jinja::from(match call.size(3, "count")? {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    }))
}

fn split(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    let separator = call.text(1, "sep")?;
    let most = call.int(2, "maxsplit")?;
    Ok(Jinja::from(split_text(&text, separator.as_deref(), most)?))
}

/// `str.split`: by blanks where there is no separator.
pub(in crate::template) fn split_text(
    text: &str,
    separator: Option<&str>,
    most: Option<i64>,
) -> Result<Vec<String>, Error> {
    let most = most.and_then(|m| usize::try_from(m).ok());
    let Some(separator) = separator else {
        return Ok(split_blanks(text, most));
    };
    if separator.is_empty() {
        return Err(complaint("text cannot be split at nothing"));
    }
    let own = str::to_string;
    Ok(match most {
        Some(most) => text.splitn(most + 1, separator).map(own).collect(),
        None => text.split(separator).map(own).collect(),
    })
}

fn split_blanks(text: &str, most: Option<usize>) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if most.is_some_and(|m| parts.len() >= m) {
            parts.push(rest.to_string());
            return parts;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        parts.push(rest[..end].to_string());
        rest = rest[end..].trim_start();
    }
    parts
}

fn center(call: &mut Call) -> Result<Jinja, Error> {
    let width = call.size(1, "width")?.unwrap_or(80);
    Ok(Jinja::from(centered(&call.subject()?, width, ' ')))
}

/// `str.center`: an odd blank goes to the left where the width is odd.
pub(in crate::template) fn centered(text: &str, width: usize, fill: char) -> String {
    let length = text.chars().count();
    let pad = width.saturating_sub(length);
    let left = pad / 2 + (pad & width & 1);
    let fill = |n: usize| fill.to_string().repeat(n);
    format!("{}{text}{}", fill(left), fill(pad - left))
}

/// As a shell needs it.
pub(in crate::template) fn shell_quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn quote(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    if value.is_none() {
        return Ok(Jinja::from("''"));
    }
    Ok(Jinja::from(shell_quoted(&python::text(&value)?)))
}

fn truth(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true")
}

fn boolean(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    Ok(match value.kind() {
        ValueKind::None | ValueKind::Bool => value,
        ValueKind::String => Jinja::from(truth(value.as_str().unwrap_or_default())),
        _ => Jinja::from(value == Jinja::from(1)),
    })
}

/// The chosen value may be undefined: only what is used has to exist.
fn ternary(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    if value.is_none()
        && let Some(none) = call.given(3, "none_val")?.filter(|v| !v.is_none())
    {
        return Ok(none);
    }
    let (yes, no) = if call.count() > 1 {
        (call.any(1), None)
    } else {
        (call.needed(1, "true_val")?, None::<Jinja>)
    };
    if value.is_true() {
        return Ok(yes);
    }
    match no {
        Some(no) => Ok(no),
        None if call.count() > 2 => Ok(call.any(2)),
        None => call.needed(2, "false_val"),
    }
}

fn mandatory(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.any(0);
    let message = call.text(1, "msg")?;
    if !value.is_undefined() {
        return Ok(value);
    }
    let root = root(call.state)?;
    let missing = root.evaluation.missing(root.evaluation.frame());
    let name = missing.into_iter().find_map(|m| match m.what {
        Absent::Name(name) => Some(format!(" `{name}`")),
        Absent::Member { .. } => None,
    });
    let name = name.unwrap_or_default();
    Err(complaint(message.unwrap_or_else(|| {
        format!("the mandatory variable{name} is not defined")
    })))
}

/// What is undefined may pass here, and with `boolean` what is empty is replaced too.
fn default(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.any(0);
    let boolean = call.flag(2, "boolean", false)?;
    if !value.is_undefined() && (!boolean || value.is_true()) {
        return Ok(value);
    }
    let instead = call.any(1);
    if value.is_undefined() {
        let later = usize::from(call.count() > 1 && instead.is_undefined());
        root(call.state)?.evaluation.forgive(later);
    }
    if call.count() > 1 {
        return Ok(instead);
    }
    Ok(call.given(0, "default_value")?.unwrap_or_else(|| Jinja::from("")))
}

fn indent(call: &mut Call) -> Result<Jinja, Error> {
    let width = call.given(1, "width")?.unwrap_or_else(|| Jinja::from(4));
    let (first, blank) = (call.flag(2, "first", false)?, call.flag(3, "blank", false)?);
    let pad = match width.as_str() {
        Some(text) => text.to_string(),
        None => " ".repeat(width.as_usize().unwrap_or(0)),
    };
    let text = call.subject()?;
    let mut out = String::new();
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let padded = if i == 0 { first } else { blank || !line.is_empty() };
        if padded {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(Jinja::from(out))
}

#[expect(clippy::unnecessary_wraps, reason = "all filters have this form")]
fn type_debug(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.any(0);
    Ok(Jinja::from(match value.kind() {
        ValueKind::Undefined => "AnsibleUndefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        ValueKind::Map => "dict",
        _ => "function",
    }))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

fn escape(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(escaped(&call.subject()?)))
}

fn xmlattr(call: &mut Call) -> Result<Jinja, Error> {
    let autospace = call.flag(1, "autospace", true)?;
    let value = call.value()?;
    if value.kind() != ValueKind::Map {
        return Err(call.wants("a mapping", &value));
    }
    let mut parts = Vec::new();
    for (key, value) in pairs(&value)? {
        if !value.is_none() {
            let (key, value) = (python::text(&key)?, python::text(&value)?);
            parts.push(format!("{}=\"{}\"", escaped(&key), escaped(&value)));
        }
    }
    let joined = parts.join(" ");
    let space = if autospace && !joined.is_empty() { " " } else { "" };
    Ok(Jinja::from(format!("{space}{joined}")))
}

fn striptags(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let close = if rest[open..].starts_with("<!--") {
            rest[open..].find("-->").map(|c| c + 3)
        } else {
            rest[open..].find('>').map(|c| c + 1)
        };
        let Some(close) = close else { break };
        rest = &rest[open + close..];
    }
    out.push_str(rest);
    Ok(Jinja::from(out.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn urlize(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let link = |word: &str| {
        let bare = word.trim_end_matches(['.', ',', ')']);
        let known = bare.starts_with("http://") || bare.starts_with("https://");
        if !known {
            return escaped(word);
        }
        let url = escaped(bare);
        format!(
            "<a href=\"{url}\" rel=\"noopener\">{url}</a>{}",
            &word[bare.len()..]
        )
    };
    let parts = text.split(' ').map(link).collect::<Vec<_>>();
    Ok(Jinja::from(parts.join(" ")))
}

fn wordcount(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    Ok(Jinja::from(words.filter(|w| !w.is_empty()).count()))
}

fn truncate(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let length = call.size(1, "length")?.unwrap_or(255);
    let kill = call.flag(2, "killwords", false)?;
    let end = call.text(3, "end")?.unwrap_or_else(|| "...".into());
    let leeway = call.size(4, "leeway")?.unwrap_or(5);
    let end_length = end.chars().count();
    if length < end_length {
        return Err(complaint(format!(
            "`truncate` cannot cut to {length}: its end is {end_length} long"
        )));
    }
    if text.chars().count() <= length + leeway {
        return Ok(Jinja::from(text));
    }
    let cut: String = text.chars().take(length - end_length).collect();
    let kept = if kill {
        &cut
    } else {
        cut.rsplit_once(' ').map_or(cut.as_str(), |c| c.0)
    };
    Ok(Jinja::from(format!("{kept}{end}")))
}

/// Lines of at most so many characters; words longer than that are cut.
pub(in crate::template) fn wrapped(text: &str, width: usize, cut: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        let blank = word.trim().is_empty();
        let fits = line.chars().count() + word.chars().count() <= width;
        if fits {
            if !(blank && line.is_empty() && !lines.is_empty()) {
                line.push_str(&word);
            }
            continue;
        }
        if blank {
            continue;
        }
        let mut word = word;
        if cut && word.chars().count() > width {
            let room = width.saturating_sub(line.chars().count());
            let taken: String = word.chars().take(room).collect();
            line.push_str(&taken);
            word = word.chars().skip(room).collect();
            while word.chars().count() > width {
                push_line(&mut lines, &mut line);
                line = word.chars().take(width).collect();
                word = word.chars().skip(width).collect();
            }
        }
        push_line(&mut lines, &mut line);
        line = word;
    }
    push_line(&mut lines, &mut line);
    lines
}

fn push_line(lines: &mut Vec<String>, line: &mut String) {
    let done = std::mem::take(line);
    let done = done.trim_end();
    if !done.is_empty() {
        lines.push(done.to_string());
    }
}

/// Words and the blanks between them; a hyphen inside a word ends a piece.
fn words(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut blank_before = None;
    for c in text.chars() {
        let blank = c.is_whitespace();
        let broken = pieces.last().is_some_and(|p: &String| {
            p.ends_with('-') && p.chars().rev().nth(1).is_some_and(char::is_alphanumeric) && c.is_alphabetic()
        });
        if blank_before != Some(blank) || broken {
            pieces.push(String::new());
        }
        blank_before = Some(blank);
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}

fn wordwrap(call: &mut Call) -> Result<Jinja, Error> {
    let width = call.size(1, "width")?.unwrap_or(79);
    let cut = call.flag(2, "break_long_words", true)?;
    let between = call.text(3, "wrapstring")?.unwrap_or_else(|| "\n".into());
    let text = call.subject()?;
    let lines = text.lines().map(|l| wrapped(l, width, cut).join(&between));
    Ok(Jinja::from(lines.collect::<Vec<_>>().join(&between)))
}

/// Marks of a comment: before the first line, before each, after the last.
struct Comment {
    beginning: String,
    decoration: String,
    end: String,
}

fn comment(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let style = call.text(1, "style")?.unwrap_or_else(|| "plain".into());
    let marks = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(complaint(format!("unknown comment style `{other}`"))),
    };
    let given = |name: &str, default: &str| {
        Ok::<_, Error>(call.text(0, name)?.unwrap_or_else(|| default.to_string()))
    };
    let marks = Comment {
        beginning: given("beginning", marks.0)?,
        decoration: given("decoration", marks.1)?,
        end: given("end", marks.2)?,
    };
    let newline = given("newline", "\n")?;
    let plain = marks.decoration.trim_end().to_string();
    let (prefix, postfix) = (given("prefix", &plain)?, given("postfix", &plain)?);
    let before = call.size(0, "prefix_count")?.unwrap_or(1);
    let after = call.size(0, "postfix_count")?.unwrap_or(1);
    let mut out = String::new();
    if !marks.beginning.is_empty() {
        let _ = write!(out, "{}{newline}", marks.beginning);
    }
    for _ in 0..before {
        if !prefix.is_empty() {
            let _ = write!(out, "{prefix}{newline}");
        }
    }
    for (i, line) in text.split(&newline).enumerate() {
        if i > 0 {
            out.push_str(&newline);
        }
        out.push_str(format!("{}{line}", marks.decoration).trim_end());
    }
    for _ in 0..after {
        if !postfix.is_empty() {
            let _ = write!(out, "{newline}{postfix}");
        }
    }
    if !marks.end.is_empty() {
        let _ = write!(out, "{newline}{}", marks.end);
    }
    Ok(Jinja::from(out))
}
