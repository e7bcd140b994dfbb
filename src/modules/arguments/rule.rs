//! What may not stand together among a module's options, and what must be there: by names alone, so that it is
//! known before any template is.

use super::Argument;
use crate::source::{Diagnostic, Span};

/// Names are the options' own, not their aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// At most one of these.
    Exclusive(&'static [&'static str]),
    /// At least one of these.
    OneOf(&'static [&'static str]),
    /// The first makes no sense without the second.
    Needs(&'static str, &'static str),
}

/// An option under its own name.
pub(super) struct Named<'a> {
    pub name: &'a str,
    pub argument: &'a Argument,
    /// Whether it is given for certain: a template may come to `omit`.
    pub certain: bool,
}

/// All that is given.
pub(super) struct All<'a> {
    pub module: &'a str,
    pub span: Option<&'a Span>,
    pub named: Vec<Named<'a>>,
    /// Further options may come.
    pub more: bool,
}

impl All<'_> {
    pub fn obey(&self, rule: &Rule) -> Result<(), Diagnostic> {
        match rule {
            Rule::Exclusive(names) => self.exclusive(names),
            Rule::OneOf(names) => self.one_of(names),
            Rule::Needs(first, second) => self.needs(first, second),
        }
    }

    fn exclusive(&self, names: &[&str]) -> Result<(), Diagnostic> {
        let mut found = self
            .named
            .iter()
            .filter(|n| n.certain && names.contains(&n.name))
            .map(|n| n.argument);
        let (Some(first), Some(second)) = (found.next(), found.next()) else {
            return Ok(());
        };
        let error = Diagnostic::error(format!(
            "`{}` takes `{}` or `{}`, not both",
            self.module, first.name, second.name
        ));
        let error = self.at(error, second.name_span.as_ref());
        Err(match &first.name_span {
            // Text with `k=v` in it is one place for all.
            Some(span) if Some(span) != second.name_span.as_ref() => {
                error.note_at(format!("`{}` is here", first.name), span)
            }
            _ => error,
        })
    }

    fn one_of(&self, names: &[&str]) -> Result<(), Diagnostic> {
        if self.more || self.named.iter().any(|n| names.contains(&n.name)) {
            return Ok(());
        }
        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        let (last, before) = names.split_last().map_or(("", &[][..]), |(l, b)| (l.as_str(), b));
        let names = if before.is_empty() {
            last.to_string()
        } else {
            format!("{} or {last}", before.join(", "))
        };
        Err(self.at(
            Diagnostic::error(format!("`{}` needs {names}", self.module)),
            None,
        ))
    }

    fn needs(&self, first: &str, second: &str) -> Result<(), Diagnostic> {
        let Some(given) = self.named.iter().find(|n| n.certain && n.name == first) else {
            return Ok(());
        };
        if self.more || self.named.iter().any(|n| n.name == second) {
            return Ok(());
        }
        let error = Diagnostic::error(format!(
            "`{}` of `{}` needs the option `{second}`",
            given.argument.name, self.module
        ));
        Err(self.at(error, given.argument.name_span.as_ref()))
    }

    fn at(&self, error: Diagnostic, span: Option<&Span>) -> Diagnostic {
        match span.or(self.span) {
            Some(span) => error.at(span),
            None => error,
        }
    }
}
