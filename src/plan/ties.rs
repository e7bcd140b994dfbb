//! What ties a task to other hosts: whatever it does that their tasks may wait for, and whatever it may wait for
//! itself, as far as its text shows.
//!
//! [`Ties::between`] is the one place that says what waits for what under `dag`: the graph draws it, the
//! executor keeps to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::graph::Why;
use crate::playbook::{Action, Sets, Task, Written};
use crate::vars::Value;

/// Stands for all facts.
const FACTS: &str = "ansible_facts";

/// The names that say who is still in: any earlier task of any host may alter them.
const STILL_IN: &[&str] = &["ansible_play_hosts", "ansible_play_batch", "play_hosts"];

/// What a task has to do with other hosts.
#[derive(Debug)]
pub struct Ties {
    pub task: Arc<Task>,
    pub target: Target,
    /// All hosts meet at it: it runs once for all of them, or its failure ends the work of all.
    pub meets: bool,
    /// A dynamic include: what it brings is not known before.
    pub opens: bool,
    /// It may set what it sets on other hosts than its own.
    pub sets_elsewhere: bool,
    register: Option<Arc<str>>,
    sets: Sets,
    text: String,
    looks: Looks,
}

/// The machine on which a task works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Own,
    Host(Arc<str>),
    /// What a template will say.
    Unknown,
}

/// Whose variables a task reads with `hostvars`.
#[derive(Debug, PartialEq, Eq)]
enum Looks {
    Nobody,
    At(BTreeSet<String>),
    Anybody,
}

/// A task on a host, and the machine on which it works there; `None`: not known.
pub struct Standing<'a> {
    pub ties: &'a Ties,
    pub host: &'a str,
    pub machine: Option<&'a str>,
}

impl Ties {
    pub fn of(task: &Arc<Task>) -> Self {
        let level = &task.level;
        let may_be = |written: Option<&Written>| written.is_some_and(|w| w.value.as_switch() != Some(false));
        let once = task.action.runs_once() || may_be(level.nearest(|k| k.run_once.as_ref()));
        let text = text(task);
        Self {
            task: task.clone(),
            target: target(task),
            meets: once || may_be(level.nearest(|k| k.any_errors_fatal.as_ref())),
            opens: matches!(task.action, Action::IncludeTasks(_) | Action::IncludeRole(_)),
            sets_elsewhere: once || may_be(level.nearest(|k| k.delegate_facts.as_ref())),
            register: task.register.clone(),
            sets: task.sets(),
            looks: looks(&text),
            text,
        }
    }

    /// The conditions that it evaluates.
    pub fn conditions(&self) -> Vec<&Written> {
        conditions(&self.task)
    }

    /// The templates that it renders.
    pub fn values(&self) -> Vec<&Value> {
        values(&self.task)
    }

    /// Whether it may set a name by which variables are read.
    pub fn may_set(&self, name: &str) -> bool {
        let failure = matches!(name, "ansible_failed_task" | "ansible_failed_result");
        failure
            || self.register.as_deref() == Some(name)
            || match &self.sets {
                Sets::Names(names) => names.iter().any(|own| **own == *name),
                Sets::Facts => name.starts_with("ansible_") || name == "services" || name == "packages",
                Sets::Anything => true,
                Sets::Nothing => false,
            }
    }

    /// Why a task waits for another that stands earlier, on another host, under `dag`.
    pub fn between(earlier: &Standing<'_>, later: &Standing<'_>) -> Vec<Why> {
        let mut all = Self::needed(earlier.ties, later.ties);
        if earlier.ties.meets || later.ties.meets {
            all.push(Why::RunOnce);
        }
        if earlier.ties.opens {
            all.push(Why::Include);
        }
        let apart = earlier.ties.target == Target::Own && later.ties.target == Target::Own;
        let same = match (earlier.machine, later.machine) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        if !apart && same {
            all.push(Why::Delegate);
        }
        all.extend(later.ties.reads(earlier));
        all
    }

    /// What is needed by name: that holds under every strategy.
    pub fn needed(earlier: &Self, later: &Self) -> Vec<Why> {
        let names = later.task.needs().filter_map(|w| w.value.as_str());
        let its = names.filter(|name| earlier.task.is_called(name));
        its.map(|name| Why::Needs(name.into())).collect()
    }

    /// Whether on no two hosts the one task can work on the other's machine, or read what the other sets.
    pub fn are_apart(earlier: &Self, later: &Self) -> bool {
        let own = earlier.target == Target::Own && later.target == Target::Own;
        let reads = later.looks != Looks::Nobody || earlier.sets_elsewhere || later.who_is_in().is_some();
        own && !reads
    }

    fn who_is_in(&self) -> Option<&'static str> {
        STILL_IN.iter().copied().find(|name| has_name(&self.text, name))
    }

    fn reads(&self, earlier: &Standing<'_>) -> Vec<Why> {
        let mut all = Vec::new();
        if let Some(name) = self.who_is_in() {
            all.push(Why::Reads(name.into()));
        }
        let ties = earlier.ties;
        let seen = match &self.looks {
            Looks::Nobody => false,
            Looks::Anybody => true,
            Looks::At(hosts) => {
                hosts.contains(earlier.host) || earlier.machine.is_none_or(|m| hosts.contains(m))
            }
        };
        if !seen && !ties.sets_elsewhere {
            return all;
        }
        let mut names: Vec<Arc<str>> = ties.register.iter().cloned().collect();
        match &ties.sets {
            Sets::Names(own) => names.extend(own.iter().cloned()),
            Sets::Facts => names.push(FACTS.into()),
            Sets::Nothing | Sets::Anything => {}
        }
        names.retain(|name| has_name(&self.text, name));
        all.extend(names.into_iter().map(Why::Reads));
        all
    }
}

fn target(task: &Task) -> Target {
    match task.level.nearest(|k| k.delegate_to.as_ref()).map(|w| &w.value) {
        None => Target::Own,
        Some(Value::String(host)) => Target::Host(host.clone()),
        Some(_) => Target::Unknown,
    }
}

/// Whose names stand behind `hostvars`.
fn looks(text: &str) -> Looks {
    let mut hosts = BTreeSet::new();
    for (at, word) in text.match_indices("hostvars") {
        let behind = &text[at + word.len()..];
        let Some(quoted) = behind.trim_start().strip_prefix('[').map(str::trim_start) else {
            return Looks::Anybody;
        };
        let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let name = quote.and_then(|q| quoted[1..].split_once(q));
        match name {
            // Inside of a longer expression, it is no name by itself.
            Some((name, rest)) if rest.trim_start().starts_with(']') => hosts.insert(name.to_string()),
            _ => return Looks::Anybody,
        };
    }
    if hosts.is_empty() {
        Looks::Nobody
    } else {
        Looks::At(hosts)
    }
}

/// Everything that a task writes in templates and conditions, as one text.
fn text(task: &Task) -> String {
    let mut all = String::new();
    for written in conditions(task) {
        put(&written.value, &mut all);
    }
    for value in values(task) {
        put(value, &mut all);
    }
    all
}

fn conditions(task: &Task) -> Vec<&Written> {
    let judged = [&task.changed_when, &task.failed_when];
    let judged = judged.into_iter().flatten().flatten();
    let conditions = task.level.conditions().into_iter().chain(&task.until);
    conditions.chain(judged).collect()
}

fn values(task: &Task) -> Vec<&Value> {
    let mut all: Vec<&Value> = Vec::new();
    if let Action::Module { arguments, more, .. } = &task.action {
        all.extend(arguments.iter().map(|argument| &argument.value));
        all.extend(more.iter().map(|more| &more.value));
    }
    all.extend(task.level.keywords.vars.values());
    all.extend(in_force(task).map(|written| &written.value));
    all.extend(task.looped.iter().map(|looped| &looped.items.value));
    all
}

/// The keywords that are rendered when the task runs.
fn in_force(task: &Task) -> impl Iterator<Item = &Written> {
    let level = &task.level;
    let one = [
        level.nearest(|k| k.run_once.as_ref()),
        level.nearest(|k| k.delegate_to.as_ref()),
        level.nearest(|k| k.ignore_errors.as_ref()),
        level.nearest(|k| k.throttle.as_ref()),
        level.nearest(|k| k.r#become.as_ref()),
        level.nearest(|k| k.become_user.as_ref()),
        task.retries.as_ref(),
        task.delay.as_ref(),
        task.name.as_ref(),
    ];
    let notified = level.chain().flat_map(|l| &l.keywords.notify);
    let included = match &task.action {
        Action::IncludeTasks(include) => Some(&include.file),
        Action::IncludeRole(include) => Some(&include.name),
        Action::Module { .. } | Action::Meta(_) => None,
    };
    one.into_iter()
        .flatten()
        .chain(level.environments())
        .chain(notified)
        .chain(&task.notify)
        .chain(included)
}

fn put(value: &Value, all: &mut String) {
    match value {
        Value::String(text) => all.push_str(text),
        Value::Template(template) => all.push_str(&template.text),
        Value::List(items) => {
            for item in items.iter() {
                put(item, all);
            }
        }
        Value::Map(map) => {
            for item in map.values() {
                put(item, all);
            }
        }
        _ => {}
    }
    all.push('\n');
}

/// Whether a name stands there as a word of its own.
fn has_name(text: &str, name: &str) -> bool {
    if name == FACTS {
        return text.contains("ansible_");
    }
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == name)
}
