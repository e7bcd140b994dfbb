//! What an item and a task came to.

use std::sync::Arc;

use super::Effective;
use crate::host::{Change, Halt, Lost, Outcome};
use crate::playbook::{Action, Sets, Task, Written};
use crate::run::attempt::ItemRun;
use crate::run::scope::Lent;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::vars::{Key, Map, Value};

/// What an item came to.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Ansible's result has each of them")]
pub(in crate::run) struct ItemResult {
    pub values: Map,
    pub changed: bool,
    pub failed: bool,
    /// Its tries ran out, but `failed_when` says that it is no failure: its return values say `failed` all the same.
    pub ran_out: bool,
    pub skipped: bool,
    pub unreachable: bool,
    /// A dry run cannot know, and why.
    pub unknown: Option<Arc<str>>,
    /// What is unknown does not count as changed in any case: `changed_when` says so.
    pub never_changed: bool,
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
    /// `no_log`.
    pub hidden: bool,
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

    /// A dry run cannot know whether the task would run, or with what; nor what it would set.
    pub(super) fn unknown(reason: &Arc<str>, task: &Task) -> Self {
        let mut result = Self {
            unknown: Some(format!("because of {reason}").into()),
            ..Self::default()
        };
        let looped = task.looped.as_ref().map(|_| "results".into());
        let names = ["changed", "failed", "skipped"].map(Key::from);
        for name in names.into_iter().chain(looped).chain([Key::Rest]) {
            result.values.insert(name, Value::Unknown(reason.clone()));
        }
        if let Sets::Names(names) = task.sets() {
            for name in names {
                result.set.insert(name.into(), Value::Unknown(reason.clone()));
            }
        }
        result
    }

    /// A command of the user's, in a dry run: it counts as skipped, as in Ansible; what it would say is unknown.
    fn not_run(what: &str, task: &Task) -> Self {
        let mut result = Self {
            unknown: Some(format!("`{what}` did not run").into()),
            skipped: true,
            ..Self::default()
        };
        result.values.insert(Key::Rest, Value::Unknown(origin(task)));
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
        // `set_fact` alone takes what is unknown.
        let unknown = facts.values().find_map(Value::unknown);
        result.unknown = unknown.map(|reason| format!("because of {reason}").into());
        if is_set_fact(task) {
            result.set = facts;
        } else {
            result.facts = facts;
        }
        result
    }

    pub(super) fn halted(halt: Halt, changes: Vec<crate::host::Change>, task: &Task) -> Self {
        let mut result = Self {
            changed: !changes.is_empty(),
            changes,
            ..Self::default()
        };
        match halt {
            Halt::Failed(failure) => {
                result.failed = true;
                // As Ansible: a module that failed seldom says "changed"; what it did is in `changes`.
                result.changed = failure.values.get("changed") == Some(&Value::Bool(true));
                result.values = failure.values;
                result.values.insert("msg".into(), failure.msg.into());
            }
            Halt::Lost(lost) => {
                let help = match &lost {
                    Lost::Transport(e) | Lost::During(e) => e.help.clone(),
                    Lost::Become { help, .. } => help.clone(),
                };
                // As Ansible: who cannot be reached has neither failed nor changed anything.
                result.unreachable = !matches!(lost, Lost::Become { .. });
                result.failed = !result.unreachable;
                result.changed = false;
                if result.failed {
                    // Whoever could not become another has done nothing as that other.
                    result.changes.clear();
                }
                let message = lost.to_string();
                result.error = Some(match help {
                    Some(help) => format!("error: {message}\nhelp: {help}"),
                    None => format!("error: {message}"),
                });
                result.values.insert("msg".into(), message.into());
            }
            Halt::WouldChange(change) => {
                result.changed = true;
                result.values.clone_from(&change.known);
                result.changes.push(change);
                result.values.insert(Key::Rest, Value::Unknown(origin(task)));
            }
            Halt::NotRun(what) => return Self::not_run(&what, task),
            Halt::Unknown(reason) => return Self::unknown(&reason, task),
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
            ran_out: items.iter().any(|r| r.ran_out),
            skipped: items.iter().all(|r| r.skipped),
            unreachable: items.iter().any(|r| r.unreachable),
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
        let (name, said) = match (result.failed || result.ran_out, items.is_empty(), result.skipped) {
            (true, ..) => ("msg", "One or more items failed"),
            (_, true, _) => ("skipped_reason", "No items in the list"),
            (_, _, true) => ("msg", "All items skipped"),
            _ => ("msg", "All items completed"),
        };
        result.values.insert(name.into(), said.into());
        result.values.insert("skipped".into(), result.skipped.into());
        result.doubt(items);
        result.note_flags();
        result
    }

    /// Where it comes from that a dry run cannot know whether this would change anything.
    pub(super) fn may_have_changed(&self) -> Option<&Arc<str>> {
        if self.unknown.is_none() || self.never_changed || self.failed {
            return None;
        }
        self.values.values().find_map(Value::unknown)
    }

    /// `changed_when` or `failed_when` depends on what is not known.
    pub(super) fn doubt_flag(&mut self, name: &str, reason: &Arc<str>) {
        self.changed &= name != "changed";
        self.failed &= name != "failed";
        self.unknown = Some(format!("because of {reason}").into());
        self.values.insert(name.into(), Value::Unknown(reason.clone()));
    }

    /// What is unknown of a loop because it is of some items. One that would change decides for all.
    fn doubt(&mut self, items: &[Self]) {
        if !self.changed && !self.failed {
            self.unknown = items.iter().find_map(|r| r.unknown.clone());
            self.never_changed = items.iter().all(|r| r.unknown.is_none() || r.never_changed);
        }
        let some = |name: &str| items.iter().find_map(|r| r.values.get(name)?.unknown());
        for (name, decided) in [
            ("changed", self.changed),
            ("failed", self.failed),
            (
                "skipped",
                items
                    .iter()
                    .any(|r| !r.skipped && r.values.get("skipped").is_none()),
            ),
        ] {
            if let Some(reason) = some(name).filter(|_| !decided) {
                self.values.insert(name.into(), Value::Unknown(reason.clone()));
            }
        }
    }

    /// `changed`, `failed`, `skipped` among the return values, as far as they are known.
    pub(super) fn note_flags(&mut self) {
        let failed = self.failed || self.ran_out;
        for (name, flag) in [("changed", self.changed), ("failed", failed)] {
            if flag || !matches!(self.values.get(name), Some(Value::Unknown(_))) {
                self.values.insert(name.into(), flag.into());
            }
        }
        if self.skipped {
            self.values.insert("skipped".into(), true.into());
        }
        if self.unreachable {
            self.values.insert("unreachable".into(), true.into());
            if !self.failed {
                self.values.shift_remove("failed");
            }
        }
    }
}

/// What an unknown value comes from: "`kernel` (read the kernel, site.yml:4:7)".
fn origin(task: &Task) -> Arc<str> {
    let title = task.title();
    match &task.register {
        Some(register) => format!("`{register}` ({title}, {})", task.span),
        None => format!("`{title}` ({})", task.span),
    }
    .into()
}

/// What a task sets when it is committed; `hidden` by `no_log`, its texts are secret from here on.
pub(super) fn lent_of(task: &Task, whole: &ItemResult, hidden: bool) -> Lent {
    let secret = |(key, value): (Key, Value)| (key, value.into_secret());
    let mut lent = Lent {
        set: whole.set.clone(),
        facts: whole.facts.clone(),
    };
    if hidden {
        lent.set = lent.set.into_iter().map(secret).collect();
    }
    if let Some(register) = &task.register {
        let mut values = whole.values.clone();
        if hidden {
            values = hide(&values);
        }
        lent.set.insert(register.clone().into(), Value::from(values));
    }
    lent
}

/// Return values that say how a thing is kept, and never what it is.
const NEVER_SECRET: &[&str] = &[
    "ansible_loop_var",
    "delta",
    "end",
    "gid",
    "group",
    "mode",
    "owner",
    "size",
    "start",
    "state",
    "uid",
];

/// The return values of a task under `no_log`, as later tasks get them.
pub(super) fn hide(values: &Map) -> Map {
    let hidden = |(key, value): (&Key, &Value)| {
        let value = match (key.as_str(), value) {
            (Some(name), value) if NEVER_SECRET.contains(&name) => value.clone(),
            (Some("results"), Value::List(items)) => Value::list(items.iter().map(|item| match item {
                Value::Map(item) => Value::from(hide(item)),
                other => other.clone().into_secret(),
            })),
            (_, value) => value.clone().into_secret(),
        };
        (key.clone(), value)
    };
    values.iter().map(hidden).collect()
}

pub(super) fn is_set_fact(task: &Task) -> bool {
    matches!(&task.action, Action::Module { signature, .. } if signature.name == "set_fact")
}
