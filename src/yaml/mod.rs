//! YAML as Ansible reads it: version 1.1, with the place of every node.
//!
//! `yes` is a boolean, `0644` is octal, `12:30` is a number in base 60, a duplicate key is a warning and the
//! last one wins, `<<` merges. The events come from `granit-parser`; the tree, the resolution of plain scalars
//! and the places are ours.

mod reader;
mod scalar;

use std::sync::Arc;

pub use reader::{Document, parse, parse_many};
pub use scalar::boolean;

use crate::source::Span;
use crate::vars::{Key, Map, Value};

/// A value in a YAML text, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Text that resolves to something else than a string: null, a boolean, a number.
    Plain {
        text: Arc<str>,
        value: Value,
    },
    String(Arc<str>),
    /// `!unsafe`: text that is never a template.
    Unsafe(Arc<str>),
    List(Arc<Vec<Node>>),
    /// In the order of the file, merge keys already merged, each key once.
    Map(Arc<Vec<(Node, Node)>>),
}

impl Node {
    /// Text as it stands in the file, for scalars: `0644` stays `0644`.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Plain { text, .. } => Some(text),
            Kind::String(text) | Kind::Unsafe(text) => Some(text),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(
            self.kind,
            Kind::Plain {
                value: Value::Null,
                ..
            }
        )
    }

    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// A member of a map.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let (_, value) = self.as_map()?.iter().find(|(k, _)| k.text() == Some(name))?;
        Some(value)
    }

    /// What this is, for messages: "a list", "a mapping", "a string".
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Plain { value, .. } => match value {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                _ => "a number",
            },
            Kind::String(_) | Kind::Unsafe(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The value, templates unrendered and with their places.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Plain { value, .. } => value.clone(),
            Kind::String(text) => Value::written(text, Some(&self.span)),
            Kind::Unsafe(text) => Value::String(text.clone()),
            Kind::List(items) => Value::list(items.iter().map(Node::value)),
            Kind::Map(pairs) => Value::from(pairs.iter().map(|(k, v)| (k.key(), v.value())).collect::<Map>()),
        }
    }

    /// This scalar as a key of a map.
    pub fn key(&self) -> Key {
        match &self.kind {
            Kind::Plain { value, text } => match value {
                Value::Int(i) => Key::Int(*i),
                Value::Bool(b) => Key::Bool(*b),
                Value::Null => Key::Null,
                _ => Key::String(text.clone()),
            },
            Kind::String(text) | Kind::Unsafe(text) => Key::String(text.clone()),
            // The reader refuses such keys.
            Kind::List(_) | Kind::Map(_) => Key::Null,
        }
    }
}
