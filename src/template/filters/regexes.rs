//! Regular expressions as Python's `re` has them, on an engine with look-around and back-references.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use fancy_regex::{Captures, Regex};
use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Tuple, Value as Jinja};

use crate::template::call::{Call, Function, complaint};
use crate::template::python;

pub const FILTERS: &[(&str, Function)] = &[
    ("regex_escape", escape),
    ("regex_findall", find_all),
    ("regex_replace", replace),
    ("regex_search", search),
];

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Python's flags, independent of one another"
)]
pub(in crate::template) struct Reading {
    pub ignore_case: bool,
    pub multiline: bool,
    pub dot_all: bool,
    /// Only at the beginning of the text.
    pub anchored: bool,
    /// To its end as well.
    pub full: bool,
}

impl Reading {
    pub fn of(call: &Call, first: usize) -> Result<Self, Error> {
        Ok(Self {
            ignore_case: call.flag(first, "ignorecase", false)?,
            multiline: call.flag(if first == 0 { 0 } else { first + 1 }, "multiline", false)?,
            ..Self::default()
        })
    }
}

type Known = IndexMap<(String, Reading), Arc<Regex>>;

/// Compiled patterns; a playbook has a handful.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
const KEPT: usize = 256;

pub(in crate::template) fn compile(pattern: &str, reading: Reading) -> Result<Arc<Regex>, Error> {
    let key = (pattern.to_string(), reading);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = known.get(&key) {
        return Ok(regex.clone());
    }
    let regex = Regex::new(&translate(pattern, reading))
        .map_err(|e| complaint(format!("`{pattern}` is not a regular expression: {}", why(&e))))?;
    let regex = Arc::new(regex);
    if known.len() >= KEPT {
        known.clear();
    }
    known.insert(key, regex.clone());
    Ok(regex)
}

/// What is wrong, without the position: that is one in the pattern as it was translated.
fn why(error: &fancy_regex::Error) -> String {
    let text = match error {
        fancy_regex::Error::ParseError(_, wrong) => wrong.to_string(),
        other => other.to_string(),
    };
    let last = text.lines().last().unwrap_or_default();
    let mut sentence = last.strip_prefix("error: ").unwrap_or(last).to_string();
    if let Some(first) = sentence.get_mut(0..1) {
        first.make_ascii_lowercase();
    }
    sentence
}

/// Python's spelling as ours: `\Z` is the very end, `$` may stand before a last line end.
fn translate(pattern: &str, reading: Reading) -> String {
    let mut flags = String::new();
    for (on, flag) in [
        (reading.ignore_case, 'i'),
        (reading.multiline, 'm'),
        (reading.dot_all, 's'),
    ] {
        if on {
            flags.push(flag);
        }
    }
    let body = ends(pattern, reading.multiline);
    let body = match (reading.anchored, reading.full) {
        (_, true) => format!("\\A(?:{body})\\z"),
        (true, _) => format!("\\A(?:{body})"),
        _ => body,
    };
    if flags.is_empty() {
        body
    } else {
        format!("(?{flags}){body}")
    }
}

fn ends(pattern: &str, multiline: bool) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    // Of the group we are in, the last, and of those around it: whether `$` is the end of any line there.
    let mut lines = vec![multiline];
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') if !class => out.push_str("\\z"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if class => out.push_str("\\["),
            '[' => {
                class = true;
                out.push('[');
                open_class(&mut chars, &mut out);
            }
            ']' => {
                class = false;
                out.push(']');
            }
            '(' if !class => {
                let around = lines.last().copied().unwrap_or(multiline);
                match inline_flags(chars.clone()) {
                    Some((is_on, true)) => lines.push(is_on.unwrap_or(around)),
                    // Until the end of the group around it.
                    Some((is_on, false)) => {
                        if let (Some(is_on), Some(last)) = (is_on, lines.last_mut()) {
                            *last = is_on;
                        }
                        lines.push(around);
                    }
                    None => lines.push(around),
                }
                out.push('(');
            }
            ')' if !class => {
                if lines.len() > 1 {
                    lines.pop();
                }
                out.push(')');
            }
            '$' if !class && lines.last() == Some(&false) => out.push_str("(?=\\n?\\z)"),
            c => out.push(c),
        }
    }
    out
}

/// Of a group that begins with flags (`(?m)`, `(?i-m:…)`) what they say of `m`, and whether they are for that group alone.
fn inline_flags(mut rest: std::iter::Peekable<std::str::Chars<'_>>) -> Option<(Option<bool>, bool)> {
    rest.next_if_eq(&'?')?;
    let (mut on, mut m) = (true, None);
    for c in rest {
        match c {
            '-' => on = false,
            'm' => m = Some(on),
            ')' => return Some((m, false)),
            ':' => return Some((m, true)),
            'a' | 'i' | 'L' | 's' | 'u' | 'x' => {}
            _ => return None,
        }
    }
    None
}

/// `[]a]` and `[^]a]` hold a bracket in Python.
fn open_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if chars.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
}

fn run<T>(result: Result<T, fancy_regex::Error>) -> Result<T, Error> {
    result.map_err(|e| complaint(format!("the regular expression gave up: {e}")))
}

fn search(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    let pattern = call.needed_text(1, "pattern")?;
    let regex = compile(&pattern, Reading::of(call, 0)?)?;
    let groups = call.rest(2)?;
    let Some(found) = run(regex.captures(&text))? else {
        return Ok(Jinja::from(()));
    };
    if groups.is_empty() {
        return Ok(Jinja::from(found.get(0).map_or("", |m| m.as_str())));
    }
    let picked: Result<Vec<Jinja>, Error> = groups.iter().map(|g| group(&found, g)).collect();
    Ok(Jinja::from(picked?))
}

/// `\1` or `\g<name>`.
fn group(found: &Captures, wanted: &Jinja) -> Result<Jinja, Error> {
    let wanted = python::text(wanted)?;
    let named = wanted.strip_prefix("\\g<").and_then(|w| w.strip_suffix('>'));
    let number = |w: &str| w.parse::<usize>().ok();
    let hit = match (named, wanted.strip_prefix('\\').and_then(number)) {
        (Some(name), _) => match number(name) {
            Some(n) => found.get(n),
            None => found.name(name),
        },
        (None, Some(n)) => {
            if n >= found.len() {
                return Err(complaint(format!("the pattern has no group {n}")));
            }
            found.get(n)
        }
        (None, None) => {
            return Err(complaint(format!(
                "`{wanted}` names no group: write `\\\\1` or `\\\\g<name>`"
            )));
        }
    };
    Ok(hit.map_or_else(|| Jinja::from(()), |m| Jinja::from(m.as_str())))
}

fn find_all(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let pattern = call.needed_text(1, "regex")?;
    let reading = Reading {
        multiline: call.flag(2, "multiline", false)?,
        ignore_case: call.flag(3, "ignorecase", false)?,
        ..Reading::default()
    };
    let regex = compile(&pattern, reading)?;
    let mut hits = Vec::new();
    for found in regex.captures_iter(&text) {
        let found = run(found)?;
        let part = |i: usize| Jinja::from(found.get(i).map_or("", |m| m.as_str()));
        hits.push(match found.len() {
            1 => part(0),
            2 => part(1),
            n => Jinja::from(Tuple::from((1..n).map(part).collect::<Vec<_>>())),
        });
    }
    Ok(Jinja::from(hits))
}

fn replace(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let pattern = call.text(1, "pattern")?.unwrap_or_default();
    let with = call.text(2, "replacement")?.unwrap_or_default();
    let reading = Reading {
        ignore_case: call.flag(3, "ignorecase", false)?,
        multiline: call.flag(4, "multiline", false)?,
        ..Reading::default()
    };
    let limit = call.size(5, "count")?.unwrap_or(0);
    let mandatory = call.size(6, "mandatory_count")?.unwrap_or(0);
    let regex = compile(&pattern, reading)?;
    let mut out = String::with_capacity(text.len());
    let (mut at, mut count) = (0, 0);
    for found in regex.captures_iter(&text) {
        let found = run(found)?;
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[at..whole.start()]);
        expand(&with, &found, &mut out)?;
        at = whole.end();
        count += 1;
        if count == limit {
            break;
        }
    }
    out.push_str(&text[at..]);
    if count < mandatory {
        return Err(complaint(format!(
            "`{pattern}` was found {count} times, and {mandatory} are mandatory"
        )));
    }
    Ok(Jinja::from(out))
}

/// Puts groups and escapes of a replacement in place.
pub(in crate::template) fn expand(with: &str, found: &Captures, out: &mut String) -> Result<(), Error> {
    let mut rest = with;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = expand_one(rest, found, out)?;
    }
    out.push_str(rest);
    Ok(())
}

fn expand_one<'t>(rest: &'t str, found: &Captures, out: &mut String) -> Result<&'t str, Error> {
    if let Some(named) = rest.strip_prefix("g<") {
        let (name, after) = named
            .split_once('>')
            .ok_or_else(|| complaint("`\\g<` in a replacement is not closed"))?;
        let hit = match name.parse::<usize>() {
            Ok(number) => found.get(number),
            Err(_) => found.name(name),
        };
        out.push_str(hit.map_or("", |m| m.as_str()));
        return Ok(after);
    }
    let digits = rest.chars().take(2).take_while(char::is_ascii_digit).count();
    if digits > 0 && !rest.starts_with('0') {
        let number: usize = rest[..digits].parse().unwrap_or(0);
        if number >= found.len() {
            return Err(complaint(format!("the pattern has no group {number}")));
        }
        out.push_str(found.get(number).map_or("", |m| m.as_str()));
        return Ok(&rest[digits..]);
    }
    let Some(c) = rest.chars().next() else {
        return Err(complaint("a replacement ends with a single backslash"));
    };
    match c {
        'n' => out.push('\n'),
        't' => out.push('\t'),
        'r' => out.push('\r'),
        '\\' => out.push('\\'),
        c if c.is_ascii_alphabetic() => {
            return Err(complaint(format!("`\\{c}` means nothing in a replacement")));
        }
        c => {
            let _ = write!(out, "\\{c}");
        }
    }
    Ok(&rest[c.len_utf8()..])
}

fn escape(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let kind = call.text(1, "re_type")?.unwrap_or_else(|| "python".into());
    let special: &str = match kind.as_str() {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "[].^$*\\",
        other => {
            return Err(complaint(format!(
                "`re_type` is python or posix_basic, not `{other}`"
            )));
        }
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(Jinja::from(out))
}
