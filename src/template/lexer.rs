//! Cuts template text into tokens with their places, without judging it.
//!
//! The engine's parser reports errors; this only finds where strings, names and brackets are, so that
//! `rewrite` can translate Ansible's dialect and so that a diagnostic can point at one name.

/// What opens and closes the parts of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delimiters {
    pub block: (String, String),
    pub variable: (String, String),
    pub comment: (String, String),
}

impl Default for Delimiters {
    fn default() -> Self {
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        Self {
            block: pair("{%", "%}"),
            variable: pair("{{", "}}"),
            comment: pair("{#", "#}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text outside of all delimiters, comments and raw blocks included.
    Data,
    VariableStart,
    VariableEnd,
    BlockStart,
    BlockEnd,
    Name,
    Number,
    Text,
    /// One operator or bracket.
    Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

const LONG_SIGNS: [&str; 6] = ["//", "**", "==", "!=", ">=", "<="];

/// The tokens of a template.
pub(super) fn template(text: &str, delimiters: &Delimiters) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        delimiters,
        at: 0,
        tokens: Vec::new(),
    };
    while lexer.at < text.len() {
        lexer.outside();
    }
    lexer.tokens
}

/// The tokens of a bare expression.
pub(super) fn expression(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        delimiters: &Delimiters::default(),
        at: 0,
        tokens: Vec::new(),
    };
    while lexer.at < text.len() {
        lexer.inside_one();
    }
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    delimiters: &'t Delimiters,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let start = self.at;
        self.at = (start + length).min(self.text.len());
        self.tokens.push(Token {
            kind,
            start,
            end: self.at,
        });
    }

    /// Plain text up to the next delimiter, and what that delimiter opens.
    fn outside(&mut self) {
        let d = self.delimiters;
        let next = [&d.variable.0, &d.block.0, &d.comment.0]
            .into_iter()
            .filter_map(|open| self.rest().find(open.as_str()))
            .min();
        match next {
            None => return self.push(Kind::Data, self.rest().len()),
            Some(0) => {}
            Some(length) => self.push(Kind::Data, length),
        }
        if self.rest().starts_with(&d.comment.0) {
            let end = self.rest().find(&d.comment.1);
            let length = end.map_or(self.rest().len(), |e| e + d.comment.1.len());
            return self.push(Kind::Data, length);
        }
        if self.rest().starts_with(&d.block.0) {
            if let Some(length) = self.raw() {
                return self.push(Kind::Data, length);
            }
            self.push(Kind::BlockStart, d.block.0.len());
            return self.inside(&d.block.1, Kind::BlockEnd);
        }
        self.push(Kind::VariableStart, d.variable.0.len());
        self.inside(&d.variable.1, Kind::VariableEnd);
    }

    /// The length of a raw block that starts here.
    fn raw(&self) -> Option<usize> {
        let (open, close) = &self.delimiters.block;
        let head = self.tag(self.rest(), "raw")?;
        let mut at = head;
        loop {
            at += self.rest()[at..].find(open.as_str())?;
            if let Some(length) = self.tag(&self.rest()[at..], "endraw") {
                return Some(at + length);
            }
            at += close.len().min(open.len());
        }
    }

    /// The length of a block tag that holds this one word.
    fn tag(&self, text: &str, word: &str) -> Option<usize> {
        let (open, close) = &self.delimiters.block;
        let inner = text
            .strip_prefix(open.as_str())?
            .trim_start_matches(['-', '+'])
            .trim_start();
        let after = inner
            .strip_prefix(word)?
            .trim_start()
            .trim_start_matches(['-', '+']);
        let after = after.strip_prefix(close.as_str())?;
        Some(text.len() - after.len())
    }

    /// Tokens up to the closing delimiter, which counts only where no bracket is open.
    fn inside(&mut self, close: &str, end: Kind) {
        let mut depth = 0_usize;
        if self.rest().starts_with(['-', '+']) {
            self.at += 1;
        }
        while self.at < self.text.len() {
            let marked = self.rest().trim_start_matches(['-', '+']);
            let skipped = self.rest().len() - marked.len();
            if depth == 0 && skipped <= 1 && marked.starts_with(close) {
                return self.push(end, skipped + close.len());
            }
            match self.inside_one() {
                Some(b'(' | b'[' | b'{') => depth += 1,
                Some(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// One token of an expression; returns the bracket or operator it was.
    fn inside_one(&mut self) -> Option<u8> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            self.at += rest.len() - rest.trim_start().len();
            return None;
        }
        if first == '\'' || first == '"' {
            self.push(Kind::Text, string_length(rest, first));
            return None;
        }
        if first.is_ascii_digit() {
            let after_dot = self.tokens.last().is_some_and(|t| t.of(self.text) == ".");
            self.push(Kind::Number, number_length(rest, after_dot));
            return None;
        }
        if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            self.push(Kind::Name, end.unwrap_or(rest.len()));
            return None;
        }
        let long = LONG_SIGNS.iter().any(|s| rest.starts_with(s));
        self.push(Kind::Sign, if long { 2 } else { first.len_utf8() });
        u8::try_from(first).ok()
    }
}

fn string_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    rest.len()
}

fn number_length(rest: &str, after_dot: bool) -> usize {
    let digits = |s: &str| {
        s.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(s.len())
    };
    let whole = digits(rest);
    let fraction = rest[whole..].strip_prefix('.');
    match fraction {
        Some(f) if !after_dot && f.starts_with(|c: char| c.is_ascii_digit()) => {
            whole + 1 + exponent(f, digits(f))
        }
        _ => exponent(rest, whole),
    }
}

/// `1e-5`: the sign belongs to the number.
fn exponent(rest: &str, length: usize) -> usize {
    let signed = rest[length..].starts_with(['-', '+'])
        && rest[..length].ends_with(['e', 'E'])
        && !rest.starts_with("0x");
    if !signed {
        return length;
    }
    let digits = rest[length + 1..]
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len() - length - 1);
    if digits == 0 { length } else { length + 1 + digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        template(text, &Delimiters::default())
            .iter()
            .map(|t| t.of(text))
            .collect()
    }

    #[test]
    fn brackets_hide_the_closing_delimiter() {
        assert_eq!(
            words("a {{ {'x': {'y': 1}} }}b"),
            [
                "a ", "{{", "{", "'x'", ":", "{", "'y'", ":", "1", "}", "}", "}}", "b"
            ]
        );
    }

    #[test]
    fn raw_blocks_and_comments_are_data() {
        assert_eq!(
            words("{% raw %}{{ x }}{% endraw %}{# {{ y }} #}z"),
            ["{% raw %}{{ x }}{% endraw %}", "{# {{ y }} #}", "z"]
        );
    }

    #[test]
    fn a_dot_after_a_number_key_is_a_step() {
        assert_eq!(words("{{ l.0.x }}"), ["{{", "l", ".", "0", ".", "x", "}}"]);
        assert_eq!(words("{{ 1.5e-3 -}}"), ["{{", "1.5e-3", "-}}"]);
    }
}
