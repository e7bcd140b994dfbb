//! Backslashes in string literals, as Python reads them.

use std::fmt::Write as _;

/// A literal that the engine reads as this text.
pub(super) fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('\'');
    for c in value.chars() {
        if c == '\'' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// Python's escapes; an unknown one stays as it is.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = one_escape(rest, &mut out);
    }
    out.push_str(rest);
    out
}

fn one_escape<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let Some(c) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    let simple = match c {
        '\\' | '\'' | '"' => Some(c),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'v' => Some('\x0b'),
        _ => None,
    };
    if let Some(simple) = simple {
        out.push(simple);
        return &rest[1..];
    }
    let coded = match c {
        '\n' => return &rest[1..],
        'x' => code(&rest[1..], 16, 2, 2).map(|(v, n)| (v, n + 1)),
        'u' => code(&rest[1..], 16, 4, 4).map(|(v, n)| (v, n + 1)),
        'U' => code(&rest[1..], 16, 8, 8).map(|(v, n)| (v, n + 1)),
        '0'..='7' => code(rest, 8, 1, 3),
        _ => None,
    };
    if let Some((value, length)) = coded {
        out.push(value);
        return &rest[length..];
    }
    let _ = write!(out, "\\{c}");
    &rest[c.len_utf8()..]
}

/// A character written as digits, and how many bytes they took.
fn code(text: &str, base: u32, least: usize, most: usize) -> Option<(char, usize)> {
    let digits = text.chars().take(most).take_while(|c| c.is_digit(base)).count();
    if digits < least {
        return None;
    }
    let value = u32::from_str_radix(&text[..digits], base).ok()?;
    Some((char::from_u32(value)?, digits))
}
