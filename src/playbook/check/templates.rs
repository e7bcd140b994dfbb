//! The templates and expressions in a task's words.

use std::sync::Arc;

use crate::playbook::Written;
use crate::source::Span;
use crate::template::{Engine, Finding};
use crate::vars::{Template, Value};

/// Something that the template engine will be given.
pub(super) enum Text {
    Template(Arc<Template>),
    /// A bare expression: a condition, `debug: var`.
    Expression(Arc<str>, Span),
}

impl Text {
    pub fn findings(&self, engine: &Engine) -> Vec<Finding> {
        match self {
            Self::Template(template) => engine.check(template),
            Self::Expression(text, span) => engine.check_expression(text, Some(span)),
        }
    }
}

/// All templates in a value.
pub(super) fn templates(value: &Value) -> Vec<Text> {
    match value {
        Value::Template(template) => vec![Text::Template(template.clone())],
        Value::List(items) => items.iter().flat_map(templates).collect(),
        Value::Map(map) => map.values().flat_map(templates).collect(),
        _ => Vec::new(),
    }
}

/// A condition, or several of which all are asked unless one does not hold.
pub(super) fn conditions(value: &Value, span: &Span) -> Vec<Text> {
    match value {
        Value::Template(template) => vec![Text::Template(template.clone())],
        Value::String(text) if !text.trim().is_empty() => vec![Text::Expression(text.clone(), span.clone())],
        Value::List(items) => items.iter().flat_map(|item| conditions(item, span)).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn of(written: &Written) -> Vec<Text> {
    templates(&written.value)
}
