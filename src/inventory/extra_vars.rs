//! Variables from the command line: `-e name=value`, `-e '{json}'`, `-e @file`.

use std::sync::Arc;

use super::vars_files::mapping;
use crate::source::{Diagnostic, Source, Span, nearest_file, reason};
use crate::vars::{Map, Value};

/// What `-e` gave, later ones winning, and what there was to say.
pub fn extra_vars(args: &[String]) -> Result<(Map, Vec<Diagnostic>), Diagnostic> {
    let mut vars = Map::new();
    let mut warnings = Vec::new();
    for arg in args.iter().filter(|a| !a.is_empty()) {
        let (more, said) = one(arg)?;
        vars.extend(more);
        warnings.extend(said);
    }
    Ok((vars, warnings))
}

fn one(arg: &str) -> Result<(Map, Vec<Diagnostic>), Diagnostic> {
    if let Some(path) = arg.strip_prefix('@') {
        let base = std::env::current_dir().unwrap_or_default();
        let file = super::sources::absolute(path, &base);
        let text = std::fs::read_to_string(&file).map_err(|e| {
            let what = format!("cannot read the variables in `{path}`: {}", reason(&e));
            Diagnostic::error(what).did_you_mean(nearest_file(&file, path).as_deref())
        })?;
        return mapping(&Source::new(path, text));
    }
    if arg.starts_with(['/', '.']) {
        return Err(Diagnostic::error(format!("`-e {arg}` names a file")).help(format!("write `-e @{arg}`")));
    }
    let source = Source::new("-e", arg);
    if arg.starts_with(['{', '[']) {
        return mapping(&source);
    }
    Ok(pairs(&source))
}

/// `name=value name2='with spaces'`; values are text.
fn pairs(source: &Arc<Source>) -> (Map, Vec<Diagnostic>) {
    let mut vars = Map::new();
    let mut warnings = Vec::new();
    let mut raw: Vec<String> = Vec::new();
    for span in words(source) {
        let word = span.text();
        let Some(equals) = equals_sign(word) else {
            raw.push(word.to_string());
            let warning = Diagnostic::warning(format!("`{word}` is not `name=value`")).at(&span);
            warnings.push(
                warning.help("a value with spaces needs quotes within the argument: -e \"name='a b'\""),
            );
            continue;
        };
        let value = unquoted(unescaped(&word[equals + 1..]).trim()).to_string();
        let place = span.part(equals + 1, word.len());
        vars.insert(word[..equals].trim().into(), Value::written(&value, Some(&place)));
    }
    if !raw.is_empty() {
        vars.insert("_raw_params".into(), Value::from(raw.join(" ")));
    }
    (vars, warnings)
}

/// The first `=` that has something before it and no backslash.
fn equals_sign(word: &str) -> Option<usize> {
    word.match_indices('=')
        .map(|(i, _)| i)
        .find(|&i| i > 0 && !word[..i].ends_with('\\'))
}

/// Words keep their quotes; spaces in quotes and in templates do not separate.
fn words(source: &Arc<Source>) -> Vec<Span> {
    let text = &*source.text;
    let mut words = Vec::new();
    let mut start = None;
    let mut quote: Option<char> = None;
    let mut depth = 0_usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && quote.is_none() && depth == 0 {
            if let Some(start) = start.take() {
                words.push(Span::new(source, start, at));
            }
            previous = c;
            continue;
        }
        start.get_or_insert(at);
        match (c, previous, quote) {
            ('"' | '\'', p, None) if p != '\\' => quote = Some(c),
            (c, p, Some(q)) if c == q && p != '\\' => quote = None,
            ('{' | '%' | '#', '{', _) => depth += 1,
            ('}', '}' | '%' | '#', _) => depth = depth.saturating_sub(1),
            _ => {}
        }
        previous = c;
    }
    words.extend(start.map(|start| Span::new(source, start, text.len())));
    words
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|q| {
            let inner = text.strip_prefix(*q)?.strip_suffix(*q)?;
            (!inner.ends_with('\\')).then_some(inner)
        })
        .unwrap_or(text)
}

/// `\n`, `\t`, `\x41`, `\u00e4` and `\=` in a value; any other backslash stays.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let code = |digits: usize| {
            let number = u32::from_str_radix(rest.get(1..=digits)?, 16).ok()?;
            Some((char::from_u32(number)?, digits + 1))
        };
        let known = match rest.chars().next() {
            Some('n') => Some(('\n', 1)),
            Some('t') => Some(('\t', 1)),
            Some('r') => Some(('\r', 1)),
            Some('\\') => Some(('\\', 1)),
            Some('\'') => Some(('\'', 1)),
            Some('"') => Some(('"', 1)),
            Some('x') => code(2),
            Some('u') => code(4),
            Some('U') => code(8),
            _ => None,
        };
        match known {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
    out
}
