//! Where names come from, and what can become of a template.

use std::fmt::Debug;
use std::sync::Arc;

use crate::source::Diagnostic;
use crate::vars::Value;

/// The names that a template can see on one host, for one task.
///
/// Lookup goes by name, at the moment of use: that is what makes variables lazy, and what lets the executor
/// know which names a task has touched.
pub trait Scope: Send + Sync + Debug {
    /// The variable as it was written; templates inside it are rendered by the engine in this same scope.
    fn get(&self, name: &str) -> Found;

    /// All names, for `vars`, for "did you mean", for `lookup('varnames')`.
    fn names(&self) -> Vec<Arc<str>>;
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Found {
    Value(Value),
    /// `hostvars`: scopes by host name, opened on access.
    Hosts(Arc<dyn Hosts>),
    /// Earlier tasks may still set it; who touches it must wait. Holds what is waited for, for people.
    Pending(Arc<str>),
    /// What was to be read for it cannot be read.
    Failed(Box<Diagnostic>),
    Undefined,
}

/// `hostvars`.
pub trait Hosts: Send + Sync + Debug {
    fn get(&self, host: &str) -> Option<Arc<dyn Scope>>;
    fn names(&self) -> Vec<Arc<str>>;
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplateError {
    /// A name was touched that earlier tasks may still set: come back when it is known.
    Pending(Arc<str>),
    /// Something outside was touched (a lookup, the clock, chance) although the task's turn has not come.
    AtTurn,
    /// A dry run: the result depends on what is not known, for this reason.
    Unknown(Arc<str>),
    /// A name or member does not exist.
    Undefined(Box<Diagnostic>),
    /// Anything else: syntax, a filter's complaint, a recursive variable.
    Failed(Box<Diagnostic>),
}
