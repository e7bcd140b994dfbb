//! What is wrong with arguments, as the reading of a type comes upon it.

use std::fmt;

use serde::de;

/// What is wrong, and with which option.
#[derive(Debug)]
pub(super) struct Wrong {
    pub kind: Kind,
    pub option: Option<String>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Unknown {
        known: &'static [&'static str],
    },
    Missing(&'static str),
    /// Given by two of its names.
    Twice(&'static str),
    Choice {
        found: String,
        known: &'static [&'static str],
    },
    Value(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Value(text) => f.write_str(text),
            Kind::Unknown { .. } => f.write_str("unknown option"),
            Kind::Missing(option) => write!(f, "missing option `{option}`"),
            Kind::Twice(option) => write!(f, "`{option}` twice"),
            Kind::Choice { found, .. } => write!(f, "unknown choice `{found}`"),
        }
    }
}

impl std::error::Error for Wrong {}

impl From<Kind> for Wrong {
    fn from(kind: Kind) -> Self {
        Self { kind, option: None }
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Kind::Value(text.to_string()).into()
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self {
            kind: Kind::Unknown { known },
            option: Some(field.to_string()),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Kind::Missing(field).into()
    }

    fn duplicate_field(field: &'static str) -> Self {
        Kind::Twice(field).into()
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let found = variant.to_string();
        Kind::Choice { found, known }.into()
    }
}
