//! Text behind a module's name: free text with a few options in it, or `option=value` pairs.

use super::WrittenArgument;
use crate::playbook::loader::Signature;
use crate::source::Diagnostic;
use crate::vars::Value;
use crate::yaml::Node;

/// Text behind the module's name: the free text of `command` and its kin, `k=v` pairs for the others.
pub(super) fn free_form(
    value: &Node,
    signature: &Signature,
    arguments: &mut Vec<WrittenArgument>,
) -> Result<(), Diagnostic> {
    let text = value.text().unwrap_or_default();
    let mut push = |name: &str, text: &str| {
        let value_text = Value::written(text, Some(&value.span));
        arguments.push(WrittenArgument {
            name: name.into(),
            value: value_text,
            name_span: value.span.clone(),
            value_span: value.span.clone(),
        });
    };
    let words = words(text);
    let Some(raw) = signature.free_form else {
        for word in &words {
            let decoded = without_escapes(&word.text);
            let Some((name, value_text)) = decoded.split_once('=') else {
                return Err(Diagnostic::error(format!(
                    "`{}` takes `option=value`, but `{}` has no `=`",
                    signature.name, word.text
                ))
                .at(&value.span)
                .help(format!(
                    "write the options below `{}:` as a mapping",
                    signature.name
                )));
            };
            push(name, unquoted(value_text));
        }
        return Ok(());
    };
    // Only the module's own options are taken out of the text; every other byte stays.
    let options = signature.options.unwrap_or_default();
    let is_option = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.starts_with('_') && FREE_FORM_OPTIONS.contains(&name) && options.contains(&name)
        })
    };
    let mut rest = String::with_capacity(text.len());
    let mut end = 0;
    for word in &words {
        if is_option(&word.text) {
            rest.push_str(&text[end..word.start]);
            end = word.end;
            if let Some((name, value_text)) = without_escapes(&word.text).split_once('=') {
                push(name, unquoted(value_text));
            }
        }
    }
    rest.push_str(&text[end..]);
    // A block's last newline is part of the text, unless an option was the last thing in it.
    let rest = match rest.trim() {
        text if end == 0 && rest.ends_with('\n') => format!("{text}\n"),
        text => text.to_string(),
    };
    if signature.name == "raw" {
        push(raw, &rest);
    } else {
        push(raw, &without_lone_backslashes(&rest));
    }
    Ok(())
}

/// A backslash between blanks is dropped outside of quotes and templates, and with it the end of its line:
/// lines are joined before the shell sees them. A backslash that ends a word is the shell's own.
fn without_lone_backslashes(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let (mut quote, mut depth, mut continued) = (None, 0_usize, false);
    for (number, line) in text.split('\n').enumerate() {
        match (number, continued) {
            (0, _) => {}
            (_, false) => joined.push('\n'),
            (_, true) if !line.starts_with(' ') => joined.push(' '),
            (_, true) => {}
        }
        continued = false;
        for (place, piece) in line.split(' ').enumerate() {
            if piece == "\\" && quote.is_none() && depth == 0 {
                continued = true;
                continue;
            }
            if place > 0 {
                joined.push(' ');
            }
            joined.push_str(piece);
            (quote, depth) = state_behind(piece, quote, depth);
        }
    }
    joined
}

/// Whether text behind this piece is quoted, and how deep in templates it is.
fn state_behind(piece: &str, mut quote: Option<u8>, mut depth: usize) -> (Option<u8>, usize) {
    let bytes = piece.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let escaped = i > 0 && bytes[i - 1] == b'\\';
        match (quote, byte) {
            (None, b'"' | b'\'') if !escaped => quote = Some(*byte),
            (Some(q), b) if q == *b && !escaped => quote = None,
            _ => {}
        }
        match bytes.get(i..i + 2) {
            Some(b"{{" | b"{%" | b"{#") => depth += 1,
            Some(b"}}" | b"%}" | b"#}") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (quote, depth)
}

/// The options that Ansible takes out of free text.
const FREE_FORM_OPTIONS: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
    "warn",
    "argv",
    "expand_argument_vars",
];

pub(super) struct Word {
    pub text: String,
    pub start: usize,
    pub end: usize,
}

/// Splits at white space outside of quotes and templates, keeping quotes.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut quote, mut depth, mut start) = (None, 0_usize, None);
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let pair = bytes.get(i..i + 2).unwrap_or_default();
        let step = match (quote, pair) {
            (_, b"{{" | b"{%" | b"{#") => {
                depth += 1;
                2
            }
            (_, b"}}" | b"%}" | b"#}") if depth > 0 => {
                depth -= 1;
                2
            }
            (_, [b'\\', _]) => 2,
            _ => 1,
        };
        if depth == 0 && step == 1 {
            match (quote, bytes[i]) {
                (None, b'"' | b'\'') => quote = Some(bytes[i]),
                (Some(q), b) if q == b => quote = None,
                _ => {}
            }
        }
        let space = bytes[i].is_ascii_whitespace() && quote.is_none() && depth == 0;
        match (space, start) {
            (false, None) => start = Some(i),
            (true, Some(s)) => {
                words.push(Word {
                    text: text[s..i].to_string(),
                    start: s,
                    end: i,
                });
                start = None;
            }
            _ => {}
        }
        i += step;
    }
    if let Some(s) = start {
        words.push(Word {
            text: text[s..].to_string(),
            start: s,
            end: text.len(),
        });
    }
    words
}

/// In `option=value` a backslash means what it means in Python's strings, before any template is read: `line="a\tb"`
/// holds a tab, and `'\\d'` is `'\d'`.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let (meant, length) = escaped(behind).unwrap_or(('\\', 0));
        out.push(meant);
        rest = &behind[length..];
    }
    out.push_str(rest);
    out
}

/// The character that stands behind a backslash, and how many bytes it took; `None`: that is no escape.
fn escaped(behind: &str) -> Option<(char, usize)> {
    let first = behind.chars().next()?;
    let single = match first {
        '\\' | '\'' | '"' => first,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' | 'u' | 'U' => {
            let digits = match first {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let code = u32::from_str_radix(behind.get(1..=digits)?, 16).ok()?;
            return Some((char::from_u32(code)?, digits + 1));
        }
        _ => return None,
    };
    Some((single, 1))
}

pub(super) fn unquoted(text: &str) -> &str {
    for q in ['"', '\''] {
        if text.len() >= 2 && text.starts_with(q) && text.ends_with(q) {
            return &text[1..text.len() - 1];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_of_options_are_pythons() {
        assert_eq!(without_escapes(r#"line="a\tb\n""#), "line=\"a\tb\n\"");
        assert_eq!(
            without_escapes(r"x={{ y | regex_replace('\\d', '') }}"),
            r"x={{ y | regex_replace('\d', '') }}"
        );
        assert_eq!(without_escapes(r"regexp=^\s+\.\="), r"regexp=^\s+\.\=");
        assert_eq!(without_escapes(r"x=\x41\u00e4\xzz\"), "x=Aä\\xzz\\");
    }

    #[test]
    fn lines_are_joined_where_a_backslash_stands_alone() {
        assert_eq!(without_lone_backslashes("echo a \\ b"), "echo a b");
        assert_eq!(without_lone_backslashes("echo a \\\n  b\n"), "echo a  b\n");
        assert_eq!(without_lone_backslashes("echo a \\\nb"), "echo a b");
        assert_eq!(without_lone_backslashes("a\\\nb"), "a\\\nb");
        assert_eq!(without_lone_backslashes("echo 'a \\\n b'"), "echo 'a \\\n b'");
        assert_eq!(without_lone_backslashes("a\n  b\n"), "a\n  b\n");
    }
}
