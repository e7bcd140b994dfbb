//! One error or warning: what was found, what was wanted, where, and a way out.

use std::fmt::{self, Write as _};

use super::Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// A sentence for a person, with the place it speaks of.
///
/// The message is lower case, has no full stop, and names things in backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    pub span: Option<Span>,
    /// Further sentences in order, some with a place of their own ("first set here").
    pub notes: Vec<(String, Option<Span>)>,
    /// What the reader can do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            message,
            span: None,
            notes: Vec::new(),
            help: None,
        }
    }

    #[must_use]
    pub fn at(mut self, span: &Span) -> Self {
        self.span = Some(span.clone());
        self
    }

    /// Gives a place only where there is none yet: the innermost place is the smallest.
    #[must_use]
    pub fn within(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push((text.into(), None));
        self
    }

    #[must_use]
    pub fn note_at(mut self, text: impl Into<String>, span: &Span) -> Self {
        self.notes.push((text.into(), Some(span.clone())));
        self
    }

    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// "did you mean `x`?", where there is an `x`.
    #[must_use]
    pub fn did_you_mean(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The message alone, for places that hold one line.
    pub fn one_line(&self) -> String {
        match &self.span {
            Some(span) => format!("{} ({span})", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}", self.message)?;
        if let Some(span) = &self.span {
            write!(f, "\n{}", excerpt(span))?;
        }
        for (text, span) in &self.notes {
            write!(f, "\nnote: {text}")?;
            if let Some(span) = span {
                write!(f, "\n{}", excerpt(span))?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// The line with its number and a caret under the span:
///
/// ```text
///   --> site.yml:3:7
///    |
///  3 |     sttate: present
///    |     ^^^^^^
/// ```
fn excerpt(span: &Span) -> String {
    let (line, column) = span.source.line_column(span.start);
    let text = span.source.line(line);
    let shown: String = text.replace('\t', " ");
    let width = line.to_string().len();
    let room = text.chars().count().saturating_sub(column - 1);
    let carets = span
        .text()
        .lines()
        .next()
        .map_or(1, |l| l.chars().count())
        .clamp(1, room.max(1));
    let mut out = String::new();
    let _ = writeln!(out, "{:width$}--> {span}", "");
    let _ = writeln!(out, "{:width$} |", "");
    let _ = writeln!(out, "{line} | {shown}");
    let _ = write!(
        out,
        "{:width$} | {}{}",
        "",
        " ".repeat(column - 1),
        "^".repeat(carets)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    #[test]
    fn shows_the_line_and_a_caret_under_the_smallest_wrong_thing() {
        let source = Source::new("site.yml", "- hosts: all\n  taskz: []\n");
        let at = source.text.find("taskz").unwrap();
        let text = Diagnostic::error("unknown keyword `taskz` in a play")
            .at(&Span::new(&source, at, at + 5))
            .did_you_mean(Some("tasks"))
            .to_string();
        assert_eq!(
            text,
            "error: unknown keyword `taskz` in a play\n --> site.yml:2:3\n  |\n2 |   taskz: []\n  |   ^^^^^\nhelp: did you mean `tasks`?"
        );
    }
}
