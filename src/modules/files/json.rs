//! Data as Python writes it: JSON for `copy` with `content`, `str` for a scalar.

use std::fmt::Write as _;

use crate::vars::Value;

/// `json.dumps`: a space behind commas and colons, nothing but ASCII.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// `str` of what is neither list nor mapping.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(s) => s.to_string(),
        Value::Bool(true) => "True".to_string(),
        Value::Bool(false) => "False".to_string(),
        other => text(other),
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Unknown(_) => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Value::Float(f) => {
            let _ = write!(out, "{f:?}");
        }
        Value::String(s) | Value::Secret(s) => string(s, out),
        Value::Template(t) => string(&t.text, out),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                string(&key.to_string(), out);
                out.push_str(": ");
                write(member, out);
            }
            out.push('}');
        }
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_python_does() {
        let value = Value::map([
            ("a", Value::list([Value::Int(1), Value::Float(2.0), Value::Null])),
            ("b", "ä😀\n\"".into()),
        ]);
        assert_eq!(
            text(&value),
            r#"{"a": [1, 2.0, null], "b": "\u00e4\ud83d\ude00\n\""}"#
        );
        assert_eq!(scalar(&Value::Bool(true)), "True");
    }
}
