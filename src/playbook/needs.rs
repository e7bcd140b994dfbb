//! `needs`: tasks and roles that must have ended, on every host where they are to run, before this begins.
//!
//! A name is a task's, `role : task`, or a role's, which stands for all tasks of the role and of the roles that
//! it depends on. What is needed stands before what needs it, so that no circle can be written.

use std::sync::Arc;

use super::keywords::{Level, Written};
use super::{Item, Play, Task, each_task};
use crate::source::{Diagnostic, nearest};
use crate::vars::Value;
use crate::yaml::Node;

/// How `needs` may call a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    ByItself,
    ByRole,
}

impl Task {
    /// Whether this is what a name in `needs` stands for.
    pub fn is_called(&self, name: &str) -> bool {
        called(self, name).is_some()
    }

    /// The names that it needs, its own and those of the blocks and imports around it.
    pub fn needs(&self) -> impl Iterator<Item = &Written> {
        self.level.chain().flat_map(|level| &level.keywords.needs)
    }
}

fn called(task: &Task, name: &str) -> Option<Called> {
    let by_role = roles(task).any(|role| role == name);
    if by_role {
        return Some(Called::ByRole);
    }
    let title = written_name(task)?;
    let with_role = || {
        name.split_once(" : ")
            .map(|(role, rest)| (role.trim(), rest.trim()))
    };
    let is_it = title == name
        || with_role().is_some_and(|(role, rest)| rest == title && roles(task).any(|own| own == role));
    is_it.then_some(Called::ByItself)
}

/// The roles that a task belongs to, innermost first.
fn roles(task: &Task) -> impl Iterator<Item = &str> {
    task.level
        .chain()
        .filter_map(|level| Some(&*level.role.as_ref()?.name))
}

/// A name that nothing can change any more.
fn written_name(task: &Task) -> Option<&str> {
    match &task.name.as_ref()?.value {
        Value::String(name) => Some(name),
        _ => None,
    }
}

/// The names that `needs:` lists.
pub(super) fn read(node: &Node) -> Result<Vec<Written>, Diagnostic> {
    let names = Written::list(node);
    for written in &names {
        let why = match &written.value {
            Value::String(_) => continue,
            Value::Template(_) => "`needs` names a task or a role as it is written, not by a template",
            _ => "`needs` is the name of a task or role, or a list of those",
        };
        return Err(Diagnostic::error(why).at(&written.span));
    }
    Ok(names)
}

/// Refuses what a play's tasks cannot need.
pub(super) fn check(play: &Play) -> Result<(), Diagnostic> {
    if let Some(written) = play.level.keywords.needs.first() {
        return Err(Diagnostic::error("a play has no `needs`")
            .at(&written.span)
            .help("it begins when the play before it has ended; write `needs` at tasks and blocks"));
    }
    let mut handlers = Vec::new();
    each_task(&play.handlers, &mut |task| handlers.push(task));
    if let Some(written) = handlers.iter().find_map(|h| h.level.keywords.needs.first()) {
        return Err(Diagnostic::error("a handler has no `needs`")
            .at(&written.span)
            .help("it runs when it is notified, behind everything that stands before the flush"));
    }
    let mut all = Vec::new();
    for list in play.lists() {
        each_task(list, &mut |task| all.push(task));
    }
    let handlers: Vec<&str> = handlers.iter().filter_map(|h| written_name(h)).collect();
    tasks(&all, &handlers)
}

/// The same of what an include brings, behind all that stands before it.
pub fn check_included(before: &[Arc<Task>], items: &[Item]) -> Result<(), Diagnostic> {
    let mut all: Vec<&Arc<Task>> = before.iter().collect();
    each_task(items, &mut |task| all.push(task));
    tasks(&all, &[])
}

fn tasks(all: &[&Arc<Task>], handlers: &[&str]) -> Result<(), Diagnostic> {
    let mut seen: Vec<*const Level> = Vec::new();
    for (number, task) in all.iter().enumerate() {
        let needing = task.level.chain().filter(|l| !l.keywords.needs.is_empty());
        for level in needing {
            // Its first task is where it begins.
            if seen.contains(&Arc::as_ptr(level)) {
                continue;
            }
            seen.push(Arc::as_ptr(level));
            for written in &level.keywords.needs {
                one(written, level, number, all, handlers).map_err(|d| d.within(&written.span))?;
            }
        }
    }
    Ok(())
}

/// `number`: where what needs it begins.
fn one(
    written: &Written,
    level: &Arc<Level>,
    number: usize,
    all: &[&Arc<Task>],
    handlers: &[&str],
) -> Result<(), Diagnostic> {
    let name = written.value.as_str().unwrap_or_default();
    let found: Vec<(usize, Called)> = (0..all.len())
        .filter_map(|n| Some((n, called(all[n], name)?)))
        .collect();
    if found.is_empty() {
        return Err(missing(name, all, handlers));
    }
    if let Some(error) = ambiguous(name, &found, all) {
        return Err(error);
    }
    let within = |n: usize| all[n].level.chain().any(|l| Arc::ptr_eq(l, level));
    if found.iter().any(|(n, _)| within(*n)) {
        return Err(Diagnostic::error(format!("`{name}` is part of what needs it")));
    }
    if let Some((later, _)) = found.iter().find(|(n, _)| *n >= number) {
        return Err(Diagnostic::error(format!(
            "`{name}` stands behind what needs it: neither could begin"
        ))
        .note(format!("it is at {}", all[*later].span))
        .help("what is needed stands before"));
    }
    Ok(())
}

fn missing(name: &str, all: &[&Arc<Task>], handlers: &[&str]) -> Diagnostic {
    let error = Diagnostic::error(format!("there is no task or role `{name}` in this play"));
    if handlers.contains(&name) {
        return error.help("a handler has that name: what notifies it can be needed");
    }
    let names = all
        .iter()
        .flat_map(|t| written_name(t).into_iter().chain(roles(t)));
    error.did_you_mean(nearest(name, names))
}

/// A task's name that others have too, or a role. A task that is written once and used twice is one.
fn ambiguous(name: &str, found: &[(usize, Called)], all: &[&Arc<Task>]) -> Option<Diagnostic> {
    let mut spans = Vec::new();
    for (n, _) in found.iter().filter(|(_, called)| *called == Called::ByItself) {
        if !spans.contains(&&all[*n].span) {
            spans.push(&all[*n].span);
        }
    }
    let role = found.iter().any(|(_, called)| *called == Called::ByRole);
    let what = match (spans.len(), role) {
        (0, _) | (1, false) => return None,
        (_, true) => "a role and of a task",
        (_, false) => "several tasks",
    };
    let places: Vec<String> = spans.iter().map(ToString::to_string).collect();
    let error = Diagnostic::error(format!("`{name}` is the name of {what}"))
        .note(format!("at {}", places.join(", ")));
    let first = found
        .iter()
        .find(|(n, called)| *called == Called::ByItself && all[*n].role().is_some());
    Some(match first.and_then(|(n, _)| all[*n].role()) {
        Some(own) if !name.contains(" : ") => error.help(format!("write `{} : {name}`", own.name)),
        _ => error.help("give them names of their own"),
    })
}
