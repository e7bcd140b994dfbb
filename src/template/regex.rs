//! Python's regular expressions for the modules that take them: one reading of them for the whole program.

use std::sync::Arc;

use fancy_regex::{Captures, Regex};

use super::filters::regexes::{Reading, compile, expand};

/// A pattern as Python reads it.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Regex>);

/// How a pattern is read, and which part of a text it is to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `re.search`.
    Search,
    /// `re.match`.
    Match,
    /// `re.search` with `MULTILINE`.
    Lines,
    /// `re.search` with `DOTALL`.
    Across,
}

impl Pattern {
    pub fn new(pattern: &str, way: Way) -> Result<Self, String> {
        let reading = Reading {
            anchored: way == Way::Match,
            multiline: way == Way::Lines,
            dot_all: way == Way::Across,
            ..Reading::default()
        };
        compile(pattern, reading).map(Self).map_err(|e| sentence(&e))
    }

    pub fn is_match(&self, text: &str) -> Result<bool, String> {
        self.0.is_match(text).map_err(|e| gave_up(&e))
    }

    pub fn captures<'t>(&self, text: &'t str) -> Result<Option<Captures<'t>>, String> {
        self.0.captures(text).map_err(|e| gave_up(&e))
    }

    /// Replaces every match; says how many there were.
    pub fn replace_all(&self, text: &str, with: &str) -> Result<(String, usize), String> {
        let mut out = String::with_capacity(text.len());
        let (mut at, mut count) = (0, 0);
        for found in self.0.captures_iter(text) {
            let found = found.map_err(|e| gave_up(&e))?;
            let Some(whole) = found.get(0) else { continue };
            out.push_str(&text[at..whole.start()]);
            out.push_str(&expanded(with, &found)?);
            at = whole.end();
            count += 1;
        }
        out.push_str(&text[at..]);
        Ok((out, count))
    }
}

/// A replacement with its groups (`\1`, `\g<name>`) and escapes in place.
pub fn expanded(with: &str, found: &Captures) -> Result<String, String> {
    let mut out = String::new();
    expand(with, found, &mut out).map_err(|e| sentence(&e))?;
    Ok(out)
}

fn gave_up(error: &fancy_regex::Error) -> String {
    format!("the regular expression gave up: {error}")
}

fn sentence(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.to_string(), str::to_string)
}
