//! Text that is data: what ansible-core 2.18 does with a result that starts like a list or a mapping.
//!
//! It reads such a text as a Python literal, with JSON's `true`, `false` and `null` known too. Text that is
//! not one stays text.

use indexmap::IndexMap;
use minijinja::value::{Tuple, Value as Jinja};

/// The data that the text is, if it is.
pub(super) fn data(text: &str) -> Option<Jinja> {
    match text {
        "True" => return Some(Jinja::from(true)),
        "False" => return Some(Jinja::from(false)),
        _ => {}
    }
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.value()?;
    reader.blank();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

/// Deeper than anyone's data; keeps the stack small.
const DEPTH: usize = 200;

impl Reader<'_> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, word: &str) -> bool {
        self.blank();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Jinja> {
        self.blank();
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let value = match self.rest.chars().next()? {
            '{' => self.map(),
            '[' => self.list(),
            '(' => self.tuple(),
            '\'' | '"' => self.string(),
            c if c.is_ascii_digit() || c == '-' || c == '+' || c == '.' => self.number(),
            c if c.is_alphabetic() => self.word(),
            _ => None,
        };
        self.depth -= 1;
        value
    }

    fn items(&mut self, close: &str) -> Option<(Vec<Jinja>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        while !self.eat(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value()?);
            comma = self.eat(",");
        }
        Some((items, comma))
    }

    fn list(&mut self) -> Option<Jinja> {
        self.eat("[");
        Some(Jinja::from(self.items("]")?.0))
    }

    fn tuple(&mut self) -> Option<Jinja> {
        self.eat("(");
        let (items, comma) = self.items(")")?;
        if items.len() == 1 && !comma {
            return items.into_iter().next();
        }
        Some(Jinja::from(Tuple::from(items)))
    }

    fn map(&mut self) -> Option<Jinja> {
        self.eat("{");
        let mut map = IndexMap::new();
        let mut comma = true;
        while !self.eat("}") {
            if !comma {
                return None;
            }
            let key = self.value()?;
            if !self.eat(":") {
                return None;
            }
            map.insert(key, self.value()?);
            comma = self.eat(",");
        }
        Some(Jinja::from_pairs(map))
    }

    fn word(&mut self) -> Option<Jinja> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = match word {
            "True" | "true" => Jinja::from(true),
            "False" | "false" => Jinja::from(false),
            "None" | "null" => Jinja::from(()),
            _ => return None,
        };
        self.rest = rest;
        Some(value)
    }

    fn number(&mut self) -> Option<Jinja> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        let plain = word.replace('_', "");
        let digits = plain.trim_start_matches(['-', '+']);
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        if let Ok(int) = plain.parse::<i128>() {
            return Some(match i64::try_from(int) {
                Ok(small) => Jinja::from(small),
                Err(_) => Jinja::from(int),
            });
        }
        if let Some(hex) = digits.strip_prefix("0x") {
            return i64::from_str_radix(hex, 16).ok().map(Jinja::from);
        }
        let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        plain.parse::<f64>().ok().filter(|_| numeric).map(Jinja::from)
    }

    fn string(&mut self) -> Option<Jinja> {
        let mut text = String::new();
        loop {
            self.one_string(&mut text)?;
            self.blank();
            if !self.rest.starts_with(['\'', '"']) {
                return Some(Jinja::from(text));
            }
        }
    }

    fn one_string(&mut self, out: &mut String) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let inner = &self.rest[1..];
        let mut escaped = false;
        for (i, c) in inner.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\n' => return None,
                c if c == quote => {
                    out.push_str(&super::escapes::unescape(&inner[..i]));
                    self.rest = &inner[i + 1..];
                    return Some(());
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::python::repr;

    fn read(text: &str) -> Option<String> {
        data(text).map(|v| repr(&v).unwrap())
    }

    #[test]
    fn literals_are_data_and_the_rest_is_not() {
        assert_eq!(read("[1, 'a', true, None]").unwrap(), "[1, 'a', True, None]");
        assert_eq!(read(r#"{"a": {"b": [1.5]}}"#).unwrap(), "{'a': {'b': [1.5]}}");
        assert_eq!(read("{}").unwrap(), "{}");
        assert_eq!(read("[1, 2,]").unwrap(), "[1, 2]");
        for text in ["[all]", "{{", "[1] x", "true", "5", "[01]", "[1 2]", "{'a'}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
