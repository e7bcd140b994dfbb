//! What a program said, as Ansible hands it on: decoded, its end stripped, in lines.

use std::fmt::Write;

use crate::vars::Value;

/// Without the line ends at its end.
pub fn stripped(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

/// Lines as Python's `splitlines` sees them.
pub fn lines(text: &str) -> Value {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends) {
        lines.push(Value::from(&rest[..at]));
        let tail = &rest[at..];
        let width = if tail.starts_with("\r\n") {
            2
        } else {
            tail.chars().next().map_or(1, char::len_utf8)
        };
        rest = &tail[width..];
    }
    if !rest.is_empty() {
        lines.push(Value::from(rest));
    }
    Value::list(lines)
}

/// A path as Python shows bytes: `b'x'`.
pub fn as_python_bytes(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = format!("b{quote}");
    for byte in text.bytes() {
        match byte {
            b'\\' => shown.push_str("\\\\"),
            b'\n' => shown.push_str("\\n"),
            b'\r' => shown.push_str("\\r"),
            b'\t' => shown.push_str("\\t"),
            b if char::from(b) == quote => shown.extend(['\\', quote]),
            0x20..=0x7e => shown.push(char::from(byte)),
            b => {
                let _ = write!(shown, "\\x{b:02x}");
            }
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_pythons() {
        let list = |items: &[&str]| Value::list(items.iter().map(|i| Value::from(*i)));
        assert_eq!(lines("a\nb\n"), list(&["a", "b"]));
        assert_eq!(lines("a\r\nb\rc\x0bd"), list(&["a", "b", "c", "d"]));
        assert_eq!(lines("\n\na"), list(&["", "", "a"]));
        assert_eq!(lines("a\u{2028}b"), list(&["a", "b"]));
        assert_eq!(lines(""), list(&[]));
    }

    #[test]
    fn bytes_are_pythons() {
        assert_eq!(as_python_bytes("/x"), "b'/x'");
        assert_eq!(as_python_bytes("it's"), "b\"it's\"");
        assert_eq!(as_python_bytes("ü"), r"b'\xc3\xbc'");
    }
}
