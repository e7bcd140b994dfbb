//! The values of an INI inventory: Python literals, and text where the text is none.
//!
//! `10` is a number, `1.29` a float, `True` a boolean, `true` text, `[1, 2]` and `1, 2` are lists,
//! `10.244.0.0/16` is text.

use crate::source::Span;
use crate::vars::{Key, Map, Value};

/// Deeper nesting than this is left as text.
const MAX_DEPTH: usize = 50;

pub(super) fn value(text: &str, span: &Span) -> Value {
    literal(text).unwrap_or_else(|| Value::written(text, Some(span)))
}

fn literal(text: &str) -> Option<Value> {
    let mut reader = Reader {
        rest: text.trim_start_matches([' ', '\t']),
        depth: 0,
    };
    let value = reader.items_or_one()?;
    reader.space();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    /// White space and a comment.
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('#') {
            self.rest = self.rest.find('\n').map_or("", |i| &self.rest[i..]).trim_start();
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// At the top and within parentheses commas make a tuple.
    fn items_or_one(&mut self) -> Option<Value> {
        let first = self.one()?;
        if !self.eat(",") {
            return Some(first);
        }
        let mut items = vec![first];
        loop {
            self.space();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                return Some(Value::list(items));
            }
            items.push(self.one()?);
            if !self.eat(",") {
                return Some(Value::list(items));
            }
        }
    }

    fn one(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.space();
        let value = match self.rest.chars().next()? {
            '(' => self.parenthesised(),
            '[' => self.list(),
            '{' => self.braced(),
            c if c.is_ascii_digit() || matches!(c, '.' | '+' | '-') => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn parenthesised(&mut self) -> Option<Value> {
        self.eat("(");
        if self.eat(")") {
            return Some(Value::list([]));
        }
        let value = self.items_or_one()?;
        self.eat(")").then_some(value)
    }

    fn list(&mut self) -> Option<Value> {
        self.eat("[");
        let mut items = Vec::new();
        while !self.eat("]") {
            items.push(self.one()?);
            if !self.eat(",") {
                return self.eat("]").then(|| Value::list(items));
            }
        }
        Some(Value::list(items))
    }

    /// A dictionary, or a set, which becomes a list.
    fn braced(&mut self) -> Option<Value> {
        self.eat("{");
        if self.eat("}") {
            return Some(Value::from(Map::new()));
        }
        let first = self.one()?;
        if self.eat(":") {
            return self.dictionary(&first);
        }
        let mut items = vec![first];
        while self.eat(",") && !self.rest.trim_start().starts_with('}') {
            items.push(self.one()?);
        }
        // Lists and dictionaries cannot be in a set: `{{ 1 }}` is a template.
        let fine = items.iter().all(|i| !matches!(i, Value::List(_) | Value::Map(_)));
        (self.eat("}") && fine).then(|| Value::list(items))
    }

    fn dictionary(&mut self, first: &Value) -> Option<Value> {
        let mut map = Map::new();
        let value = self.one()?;
        map.insert(key(first)?, value);
        while self.eat(",") && !self.rest.trim_start().starts_with('}') {
            let name = key(&self.one()?)?;
            if !self.eat(":") {
                return None;
            }
            let value = self.one()?;
            map.insert(name, value);
        }
        self.eat("}").then(|| Value::from(map))
    }

    fn word(&mut self) -> Option<Value> {
        for (word, value) in [
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
            ("None", Value::Null),
        ] {
            if let Some(rest) = self.rest.strip_prefix(word)
                && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                self.rest = rest;
                return Some(value);
            }
        }
        let mut text = self.string()?;
        // Strings side by side are one.
        loop {
            self.space();
            match self.string() {
                Some(more) => text.push_str(&more),
                None => return Some(Value::written(&text, None)),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let open = self.rest.find(['"', '\''])?;
        let prefix = self.rest[..open].to_ascii_lowercase();
        let raw = match prefix.as_str() {
            "" | "u" | "b" => false,
            "r" | "br" | "rb" => true,
            _ => return None,
        };
        let body = &self.rest[open..];
        let quote = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|q| body.starts_with(*q))?;
        let (text, rest) = string_body(&body[quote.len()..], quote, raw)?;
        self.rest = rest;
        Some(text)
    }

    fn number(&mut self) -> Option<Value> {
        let negative = match self.rest.as_bytes() {
            [b'-', ..] => Some(true),
            [b'+', ..] => Some(false),
            _ => None,
        };
        if negative.is_some() {
            self.rest = self.rest[1..].trim_start();
        }
        let length = number_length(self.rest);
        let (digits, rest) = self.rest.split_at(length);
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return None;
        }
        self.rest = rest;
        let value = unsigned(digits)?;
        Some(match (negative, value) {
            (Some(true), Value::Int(i)) => Value::Int(-i),
            (Some(true), Value::Float(f)) => Value::Float(-f),
            (_, value) => value,
        })
    }
}

fn key(value: &Value) -> Option<Key> {
    match value {
        Value::String(s) => Some(Key::String(s.clone())),
        Value::Template(t) => Some(Key::String(t.text.clone())),
        Value::Int(i) => Some(Key::Int(*i)),
        Value::Bool(b) => Some(Key::Bool(*b)),
        Value::Null => Some(Key::Null),
        _ => None,
    }
}

/// The text up to the closing quote, and what follows it.
fn string_body<'a>(body: &'a str, quote: &str, raw: bool) -> Option<(String, &'a str)> {
    let mut text = String::new();
    let mut rest = body;
    loop {
        if let Some(after) = rest.strip_prefix(quote) {
            return Some((text, after));
        }
        let mut chars = rest.chars();
        let c = chars.next()?;
        rest = chars.as_str();
        if c == '\n' && quote.len() == 1 {
            return None;
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        if raw {
            text.push('\\');
            text.push(chars.next()?);
            rest = chars.as_str();
            continue;
        }
        rest = escape(rest, &mut text)?;
    }
}

/// What follows a backslash; an escape that Python does not know stays as it is.
fn escape<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let mut chars = rest.chars();
    let c = chars.next()?;
    let after = chars.as_str();
    let simple = match c {
        '\n' => return Some(after),
        '\\' | '\'' | '"' => c,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => return code(after, 2, text),
        'u' => return code(after, 4, text),
        'U' => return code(after, 8, text),
        '0'..='7' => return octal(rest, text),
        _ => {
            text.push('\\');
            c
        }
    };
    text.push(simple);
    Some(after)
}

fn code<'a>(rest: &'a str, digits: usize, text: &mut String) -> Option<&'a str> {
    let number = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
    text.push(char::from_u32(number)?);
    rest.get(digits..)
}

fn octal<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let length = rest
        .bytes()
        .take(3)
        .take_while(|b| matches!(b, b'0'..=b'7'))
        .count();
    text.push(char::from_u32(u32::from_str_radix(&rest[..length], 8).ok()?)?);
    rest.get(length..)
}

/// How far the characters of a number go, the sign of an exponent included.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let prefixed = bytes.len() > 1 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic();
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let exponent_sign =
            matches!(b, b'+' | b'-') && !prefixed && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
        if !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.') || exponent_sign) {
            break;
        }
        at += 1;
    }
    at
}

fn unsigned(text: &str) -> Option<Value> {
    let lower = text.to_ascii_lowercase();
    if !separators_are_fine(&lower) {
        return None;
    }
    let bare = lower.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = bare.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(Value::Int);
        }
    }
    if bare.bytes().all(|b| b.is_ascii_digit()) {
        // `007` is refused by Python, `000` is not.
        let padded = bare.len() > 1 && bare.starts_with('0') && bare.bytes().any(|b| b != b'0');
        if bare.is_empty() || padded {
            return None;
        }
        return bare
            .parse()
            .map(Value::Int)
            .ok()
            .or_else(|| bare.parse().ok().map(Value::Float));
    }
    let numeral = bare
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    let digits =
        bare.bytes().any(|b| b.is_ascii_digit()) && !bare.starts_with('e') && !bare.starts_with(".e");
    if !numeral || !digits {
        return None;
    }
    bare.parse().ok().map(Value::Float)
}

/// Underscores stand singly between digits, or after a prefix such as `0x`.
fn separators_are_fine(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|&i| bytes[i] == b'_').all(|i| {
        let before = i.checked_sub(1).and_then(|i| bytes.get(i));
        let prefix = i == 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'o' | b'b');
        let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
        (digit(before) || prefix) && digit(bytes.get(i + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        literal(text).map_or_else(|| "text".to_string(), |v| serde_json::to_string(&v).unwrap())
    }

    #[test]
    fn python_literals() {
        for (text, want) in [
            ("10", "10"),
            ("1.29", "1.29"),
            ("-5", "-5"),
            ("- 5", "-5"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("000", "0"),
            ("True", "true"),
            ("None", "null"),
            ("'a' 'b'", r#""ab""#),
            (r"'a\x41\n\q'", r#""aA\n\\q""#),
            ("r'\\n'", r#""\\n""#),
            ("[1, 'a', None]", r#"[1,"a",null]"#),
            ("80,443", "[80,443]"),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("()", "[]"),
            ("{'a': 1, 2: [3,],}", r#"{"a":1,"2":[3]}"#),
            ("{}", "{}"),
            ("5 # five", "5"),
            ("'x' # quoted", r#""x""#),
        ] {
            assert_eq!(json(text), want, "{text}");
        }
    }

    #[test]
    fn everything_else_is_text() {
        for text in [
            "",
            "true",
            "yes",
            "Truely",
            "0755",
            "10.244.0.0/16",
            "1.2.3",
            "2024-01-31",
            "a,b",
            "[a, b]",
            "'open",
            "x # no comment",
            "1__0",
            "1_",
            "12a",
            "--5",
            "{{ x }}",
            "1-2",
            "e5",
            "~/.ssh/id_k3s",
            "1e5x",
            "'a' b",
        ] {
            assert_eq!(json(text), "text", "{text}");
        }
    }
}
