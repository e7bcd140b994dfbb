//! Looking at templates without running them: syntax, unknown filters and tests, the names they use.

use minijinja::Error;

use super::engine::Engine;
use super::environment::{environment, filter_names, test_names};
use super::failure::unknown;
use super::lexer::{Delimiters, Token};
use super::places::place;
use super::rewrite::{self, Backslashes, Rewritten};
use crate::source::{Diagnostic, Span};
use crate::vars::Template;

/// Something wrong in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub diagnostic: Diagnostic,
    /// Whether the template cannot be evaluated at all; else a part that is perhaps never reached is wrong.
    pub certain: bool,
}

impl Engine {
    /// What is wrong in a template, with the exact place.
    pub fn check(&self, template: &Template) -> Vec<Finding> {
        let delimiters = Delimiters::default();
        let rewritten = rewrite::template(&template.text, &delimiters, Backslashes::Literal, true);
        let error = environment().template_from_str(&rewritten.text).err();
        findings(&template.text, template.span.as_ref(), &rewritten, error.as_ref())
    }

    /// The same for a bare expression: a condition, `debug: var`.
    pub fn check_expression(&self, text: &str, span: Option<&Span>) -> Vec<Finding> {
        let rewritten = rewrite::expression(text, Backslashes::Escapes, true);
        let error = environment()
            .compile_expression_owned(rewritten.text.clone())
            .err();
        findings(text, span, &rewritten, error.as_ref())
    }

    /// The variables that a template uses, with their paths (`a.b`), sorted. Only for diagnostics: what a
    /// template really touches is known when it runs.
    pub fn names(&self, template: &Template) -> Vec<String> {
        let delimiters = Delimiters::default();
        let plain = rewrite::template(&template.text, &delimiters, Backslashes::Literal, false);
        let parsed = environment().template_from_str(&plain.text);
        sorted(parsed.map(|t| t.undeclared_variables(true)))
    }

    /// The same for a bare expression.
    pub fn expression_names(&self, text: &str) -> Vec<String> {
        let plain = rewrite::expression(text, Backslashes::Escapes, false);
        let parsed = environment().compile_expression_owned(plain.text);
        sorted(parsed.map(|e| e.undeclared_variables(true)))
    }
}

fn sorted(names: Result<std::collections::HashSet<String>, Error>) -> Vec<String> {
    let mut names: Vec<String> = names.unwrap_or_default().into_iter().collect();
    names.sort();
    names
}

fn findings(text: &str, span: Option<&Span>, rewritten: &Rewritten, error: Option<&Error>) -> Vec<Finding> {
    if let Some(error) = error {
        let message = error.detail().unwrap_or("it cannot be read");
        let diagnostic = Diagnostic::error(format!("syntax error in a template: {message}"));
        let range = error.range().map(|r| rewritten.written_range(r));
        let diagnostic = match (span, range) {
            (Some(span), Some(range)) => diagnostic.at(&place(span, text, range)),
            (Some(span), None) => diagnostic.at(span),
            (None, _) => diagnostic,
        };
        return vec![Finding {
            diagnostic,
            certain: true,
        }];
    }
    let at = |diagnostic: Diagnostic, start: usize, end: usize| match span {
        Some(span) => diagnostic.at(&place(span, text, start..end)),
        None => diagnostic,
    };
    let mut found = Vec::new();
    let mut look = |tokens: &[Token], quoted: bool, what: &str, known: &[&str], certain: bool| {
        for token in tokens {
            let edge = usize::from(quoted);
            let (start, end) = (token.start + edge, token.end.saturating_sub(edge));
            let name = text.get(start..end).unwrap_or_default();
            let own = ["ansible.builtin.", "ansible.legacy."];
            let short = own.iter().find_map(|o| name.strip_prefix(o)).unwrap_or(name);
            let lookup = what == "lookup" && Engine::lookup(name).is_some();
            if !lookup && known.binary_search(&short).is_err() {
                let diagnostic = at(unknown(what, name, known), start, end);
                found.push(Finding { diagnostic, certain });
            }
        }
    };
    // Jinja looks for these when it compiles, in parts that are never reached as well.
    look(&rewritten.filters, false, "filter", filter_names(), true);
    look(&rewritten.tests, false, "test", test_names(), true);
    // These for the first item of a list that may have none.
    look(&rewritten.named_filters, true, "filter", filter_names(), false);
    look(&rewritten.named_tests, true, "test", test_names(), false);
    let always = !rewritten.branches;
    look(&rewritten.lookups, true, "lookup", Engine::lookups(), always);
    found
}
