//! Files, places in them, and the sentences that point at those places.
//!
//! Every text that a person wrote (playbook, inventory, variables, template) is a [`Source`]; every node,
//! template and option made from it keeps a [`Span`], so that whatever goes wrong later can be shown with a
//! caret under the smallest wrong thing.

mod diagnostic;
mod nearest;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use diagnostic::{Diagnostic, Severity};
pub use nearest::{nearest, nearest_file};

/// A text with the name under which a person knows it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The path as it is shown, relative to the working directory where that is shorter.
    pub path: PathBuf,
    /// The whole text, byte-order mark included.
    pub text: Arc<str>,
}

impl Source {
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Arc<Self> {
        Arc::new(Self {
            path: path.into(),
            text: text.into(),
        })
    }

    /// Reads a file as UTF-8.
    pub fn read(path: &Path) -> Result<Arc<Self>, Diagnostic> {
        let path = path.strip_prefix(".").unwrap_or(path);
        let bytes = std::fs::read(path)
            .map_err(|e| Diagnostic::error(format!("cannot read `{}`: {}", path.display(), reason(&e))))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Diagnostic::error(format!(
                "`{}` is not UTF-8 text: byte {at} cannot be read",
                path.display()
            ))
        })?;
        if text.starts_with("$ANSIBLE_VAULT;") {
            return Err(Diagnostic::error(format!(
                "`{}` is vault-encrypted, which cannot be read yet",
                path.display()
            ))
            .help("decrypt it with `ansible-vault decrypt`, or give its variables with `-e`"));
        }
        Ok(Self::new(path, text))
    }

    /// Line and column, both from 1; columns count characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        (line, before[start..].chars().count() + 1)
    }

    /// The text of a line, counted from 1, without its line end.
    pub fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number.saturating_sub(1)).unwrap_or("")
    }

    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// An I/O error as a person says it: without the "(os error 2)".
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut sentence = text[..end].to_string();
    if let Some(first) = sentence.get_mut(0..1) {
        first.make_ascii_lowercase();
    }
    sentence
}

/// A stretch of bytes in a [`Source`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Span {
    pub source: Arc<Source>,
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(source: &Arc<Source>, start: usize, end: usize) -> Self {
        Self {
            source: source.clone(),
            start,
            end: end.max(start),
        }
    }

    pub fn text(&self) -> &str {
        self.source.text.get(self.start..self.end).unwrap_or_default()
    }

    /// A part of this span; offsets count from its start.
    #[must_use]
    pub fn part(&self, start: usize, end: usize) -> Self {
        Self::new(&self.source, self.start + start, self.start + end)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.line_column(self.start);
        write!(f, "{}:{line}:{column}", self.source.path.display())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let source = Source::new("a.yml", "x: 1\nä: ü\n");
        let at = source.text.find('ü').unwrap();
        assert_eq!(source.line_column(at), (2, 4));
        assert_eq!(Span::new(&source, at, at + 2).to_string(), "a.yml:2:4");
    }
}
