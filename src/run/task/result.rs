//! What an item and a task came to.

use std::sync::Arc;

use super::Effective;
use crate::host::{Change, Halt, Lost, Outcome};
use crate::playbook::{Action, Task, Written};
use crate::run::attempt::ItemRun;
use crate::run::scope::Lent;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::vars::{Map, Value};

/// What an item came to.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Ansible's result has each of them")]
pub(in crate::run) struct ItemResult {
    pub values: Map,
    pub changed: bool,
    pub failed: bool,
    pub skipped: bool,
    pub unreachable: bool,
    /// A dry run cannot know, and why.
    pub unknown: Option<Arc<str>>,
    pub facts: Map,
    pub set: Map,
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
    /// The whole diagnostic, for people.
    pub error: Option<String>,
    pub item: Option<Value>,
    pub label: Option<String>,
    pub milliseconds: u64,
}

/// What a task came to on a host.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct TaskResult {
    /// Another host ran it, for all.
    pub shared: bool,
    pub whole: ItemResult,
    pub items: Vec<ItemResult>,
    pub lent: Arc<Lent>,
    pub effective: Option<Arc<Effective>>,
}

impl TaskResult {
    /// Whether the task altered anything, whatever is reported.
    pub fn altered(&self) -> bool {
        !self.whole.changes.is_empty() || self.items.iter().any(|r| !r.changes.is_empty())
    }
}

impl ItemResult {
    pub(super) fn skipped(condition: &Written) -> Self {
        let shown = match &condition.value {
            Value::Bool(b) => Value::Bool(*b),
            other => plain_text(other).into(),
        };
        let mut values = Map::new();
        values.insert("skip_reason".into(), "Conditional result was False".into());
        values.insert("false_condition".into(), shown);
        let mut result = Self {
            values,
            skipped: true,
            ..Self::default()
        };
        result.note_flags();
        result
    }

    pub(in crate::run) fn error(diagnostic: &Diagnostic) -> Self {
        let mut result = Self {
            failed: true,
            error: Some(diagnostic.to_string()),
            ..Self::default()
        };
        result.values.insert("msg".into(), diagnostic.one_line().into());
        result.note_flags();
        result
    }

    /// An evaluation has failed that was to judge it.
    pub(super) fn fail(&mut self, diagnostic: &Diagnostic) {
        let error = Self::error(diagnostic);
        self.failed = true;
        self.values.extend(error.values);
        self.error = error.error;
    }

    pub(super) fn unknown(reason: Arc<str>) -> Self {
        let mut result = Self::default();
        for name in UNKNOWN_VALUES {
            result
                .values
                .insert((*name).into(), Value::Unknown(reason.clone()));
        }
        result
            .values
            .insert("changed".into(), Value::Unknown(reason.clone()));
        result.unknown = Some(reason);
        result
    }

    pub(super) fn of(outcome: Outcome, changes: Vec<crate::host::Change>, task: &Task) -> Self {
        let facts = outcome.facts.unwrap_or_default();
        let mut result = Self {
            changed: !changes.is_empty() && !outcome.unchanged,
            failed: outcome.failed,
            skipped: outcome.skipped,
            warnings: outcome.warnings,
            values: outcome.values,
            changes,
            ..Self::default()
        };
        if !facts.is_empty() {
            // A registered `setup` shows its facts under the names of their variables.
            let shown = if task.action.name() == "setup" {
                crate::facts::as_variables(&facts)
            } else {
                facts.clone()
            };
            result.values.insert("ansible_facts".into(), Value::from(shown));
        }
        if is_set_fact(task) {
            result.set = facts;
        } else {
            result.facts = facts;
        }
        result
    }

    pub(super) fn halted(halt: Halt, changes: Vec<crate::host::Change>) -> Self {
        let mut result = Self {
            changed: !changes.is_empty(),
            changes,
            ..Self::default()
        };
        match halt {
            Halt::Failed(failure) => {
                result.failed = true;
                // As Ansible: a module that failed does not say "changed"; what it did is in `changes`.
                result.changed = false;
                result.values = failure.values;
                result.values.insert("msg".into(), failure.msg.into());
            }
            Halt::Lost(lost) => {
                let help = match &lost {
                    Lost::Transport(e) | Lost::During(e) => e.help.clone(),
                    Lost::Become { help, .. } => help.clone(),
                };
                result.failed = true;
                result.unreachable = !matches!(lost, Lost::Become { .. });
                let message = lost.to_string();
                result.error = Some(match help {
                    Some(help) => format!("error: {message}\nhelp: {help}"),
                    None => format!("error: {message}"),
                });
                result.values.insert("msg".into(), message.into());
            }
            Halt::WouldChange(change) => {
                result.changed = true;
                result.changes.push(change);
            }
            Halt::NotRun(what) => {
                let reason: Arc<str> = format!("`{what}` did not run").into();
                let mut unknown = Self::unknown(reason);
                unknown.values.insert("changed".into(), false.into());
                unknown.values.insert("skipped".into(), true.into());
                unknown.values.insert("failed".into(), false.into());
                return unknown;
            }
            Halt::Unknown(reason) => return Self::unknown(reason),
            Halt::Interrupted => {
                result.failed = true;
                result.values.insert("msg".into(), "interrupted".into());
            }
        }
        result
    }

    /// The result of a loop from those of its items.
    pub(super) fn of_loop(items: &[Self], runs: &[ItemRun]) -> Self {
        let mut result = Self {
            changed: items.iter().any(|r| r.changed),
            failed: items.iter().any(|r| r.failed),
            skipped: items.iter().all(|r| r.skipped),
            unreachable: items.iter().any(|r| r.unreachable),
            unknown: items.iter().find_map(|r| r.unknown.clone()),
            error: items.iter().find_map(|r| r.error.clone()),
            ..Self::default()
        };
        for item in items {
            result.set.extend(item.set.clone());
            result.facts.extend(item.facts.clone());
        }
        let results = items.iter().zip(runs).map(|(item, run)| {
            let mut values = item.values.clone();
            for (name, value) in &run.locals {
                values.entry(name.clone()).or_insert_with(|| value.clone());
            }
            Value::from(values)
        });
        result.values.insert("results".into(), Value::list(results));
        let msg = match (result.failed, items.is_empty(), result.skipped) {
            (true, ..) => "One or more items failed",
            (_, true, _) => "No items in the list",
            (_, _, true) => "All items skipped",
            _ => "All items completed",
        };
        result.values.insert("msg".into(), msg.into());
        if items.is_empty() {
            result
                .values
                .insert("skipped_reason".into(), "No items in the list".into());
        }
        result.note_flags();
        result
    }

    /// `changed`, `failed`, `skipped` among the return values.
    pub(super) fn note_flags(&mut self) {
        if self.unknown.is_some() {
            return;
        }
        self.values.insert("changed".into(), self.changed.into());
        self.values.insert("failed".into(), self.failed.into());
        if self.skipped {
            self.values.insert("skipped".into(), true.into());
        }
        if self.unreachable {
            self.values.insert("unreachable".into(), true.into());
        }
    }
}

/// What a return value of a command is called that did not run in a dry run.
const UNKNOWN_VALUES: &[&str] = &[
    "rc",
    "stdout",
    "stderr",
    "stdout_lines",
    "stderr_lines",
    "start",
    "end",
    "delta",
];

/// What a task sets when it is committed.
pub(super) fn lent_of(task: &Task, whole: &ItemResult) -> Lent {
    let mut lent = Lent {
        set: whole.set.clone(),
        facts: whole.facts.clone(),
    };
    if let Some(register) = &task.register {
        lent.set
            .insert(register.clone().into(), Value::from(whole.values.clone()));
    }
    lent
}

pub(super) fn is_set_fact(task: &Task) -> bool {
    matches!(&task.action, Action::Module { signature, .. } if signature.name == "set_fact")
}
