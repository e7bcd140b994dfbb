//! What a task does: a module with its arguments, or one of the few things that are no modules.
//!
//! - [`read`]: which of them a task names; [`arguments`]: a module's options; [`free_form`]: text behind its
//!   name.
//! - [`includes`]: files of tasks and roles; [`meta`].

mod arguments;
mod free_form;
mod includes;
mod meta;
mod read;

pub use includes::{IncludeRole, IncludeTasks};
pub(super) use includes::{role_name, unknown_role_option};
pub use meta::Meta;
pub(super) use read::{Found, is_action, is_missing, read, unknown_module};

use std::sync::Arc;

use super::Sets;
use super::keywords::Written;
use super::loader::Signature;
use crate::source::Span;
use crate::vars::{Map, Value};

#[expect(
    clippy::large_enum_variant,
    reason = "one for each task, nearly all of them the large one"
)]
#[derive(Debug)]
pub enum Action {
    Module {
        signature: Signature,
        arguments: Vec<WrittenArgument>,
        /// `args: "{{ mapping }}"`: further arguments, known when it runs.
        more: Option<Written>,
        span: Span,
    },
    Meta(Meta),
    IncludeTasks(IncludeTasks),
    IncludeRole(IncludeRole),
}

/// One option as the task writes it.
#[derive(Debug, Clone)]
pub struct WrittenArgument {
    pub name: Arc<str>,
    pub value: Value,
    pub name_span: Span,
    pub value_span: Span,
}

impl Action {
    pub fn name(&self) -> &str {
        match self {
            Self::Module { signature, .. } => signature.name,
            Self::Meta(_) => "meta",
            Self::IncludeTasks(_) => "include_tasks",
            Self::IncludeRole(_) => "include_role",
        }
    }

    /// Where the value of an option stands.
    pub fn argument(&self, name: &str) -> Option<&Span> {
        let Self::Module { arguments, .. } = self else {
            return None;
        };
        let found = arguments.iter().find(|a| &*a.name == name)?;
        Some(&found.value_span)
    }

    /// The arguments by name, templates and all.
    pub fn written_arguments(&self) -> Map {
        let one = |name: &str, written: &Written| Map::from_iter([(name.into(), written.value.clone())]);
        match self {
            Self::Module { arguments, .. } => arguments
                .iter()
                .map(|a| (a.name.clone().into(), a.value.clone()))
                .collect(),
            Self::IncludeTasks(include) => one("_raw_params", &include.file),
            Self::IncludeRole(include) => one("name", &include.name),
            Self::Meta(_) => Map::new(),
        }
    }

    /// The arguments as they are written, in one short line.
    pub(super) fn arguments_in_short(&self) -> Option<String> {
        const LONGEST: usize = 70;
        let text = match self {
            // What it says follows anyway.
            Self::Module { signature, .. } if signature.name == "debug" => return None,
            Self::Module {
                signature, arguments, ..
            } => in_short(arguments, signature.free_form),
            Self::IncludeTasks(include) => written_text(&include.file.value),
            Self::IncludeRole(include) => written_text(&include.name.value),
            Self::Meta(_) => return None,
        };
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return None;
        }
        if line.chars().count() <= LONGEST {
            return Some(line);
        }
        Some(line.chars().take(LONGEST).chain(['…']).collect())
    }

    /// Whether it runs once for all hosts by its nature.
    pub fn runs_once(&self) -> bool {
        match self {
            Self::Module { signature, .. } => signature.once,
            // These are about the play: the first host decides.
            Self::Meta(meta) => matches!(
                meta,
                Meta::EndPlay
                    | Meta::EndBatch
                    | Meta::ClearFacts
                    | Meta::ClearHostErrors
                    | Meta::RefreshInventory
            ),
            Self::IncludeTasks(_) | Self::IncludeRole(_) => false,
        }
    }

    pub(super) fn sets(&self) -> Sets {
        match self {
            Self::Module {
                signature,
                arguments,
                more,
                ..
            } if signature.name == "set_fact" => {
                if more.is_some() || arguments.iter().any(|a| Value::is_template(&a.name)) {
                    return Sets::Anything;
                }
                Sets::Names(arguments.iter().map(|a| a.name.clone()).collect())
            }
            Self::Module { signature, .. } if signature.facts => Sets::Facts,
            Self::Module { .. } | Self::Meta(_) | Self::IncludeTasks(_) => Sets::Nothing,
            Self::IncludeRole(_) => Sets::Anything,
        }
    }
}

/// A free form stands for itself, other options behind their names.
fn in_short(arguments: &[WrittenArgument], free_form: Option<&str>) -> String {
    let words = arguments.iter().map(|a| match &*a.name {
        name if Some(name) == free_form => written_text(&a.value),
        name => format!("{name}={}", written_text(&a.value)),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn written_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Template(template) => template.text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}
