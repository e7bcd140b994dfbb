//! What is certainly wrong in a play before anything runs, and what only may be.
//!
//! A task that surely runs and whose failure nothing forgives is refused with the playbook. Where a condition,
//! a loop, a `rescue` or `ignore_errors` stands between, the same is a warning: Ansible would run it.

use super::{Block, Item, Play, Task, action};
use crate::source::{Diagnostic, Severity};

/// The first error of a play, and everything that is merely suspicious.
pub(super) fn play(play: &Play, warnings: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    let conditional = !play.level.conditions().is_empty();
    for list in [&play.pre_tasks, &play.tasks, &play.post_tasks] {
        items(list, conditional, warnings)?;
    }
    for role in &play.roles {
        items(&role.tasks, conditional, warnings)?;
    }
    // A handler may never be notified.
    items(&play.handlers, true, warnings)
}

fn items(list: &[Item], forgiven: bool, warnings: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    for item in list {
        match item {
            Item::Task(t) => task(t, forgiven, warnings)?,
            Item::Block(b) => block(b, forgiven, warnings)?,
        }
    }
    Ok(())
}

fn block(block: &Block, forgiven: bool, warnings: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    items(&block.body, forgiven || !block.rescue.is_empty(), warnings)?;
    // It is only reached after a failure.
    items(&block.rescue, true, warnings)?;
    items(&block.always, forgiven, warnings)
}

fn task(task: &Task, forgiven: bool, warnings: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    let Some(mut wrong) = action::unknown_option(&task.action) else {
        return Ok(());
    };
    let level = &task.level;
    let forgiven = forgiven
        || task.looped.is_some()
        || task.failed_when.is_some()
        || !level.conditions().is_empty()
        || !level.tags().is_empty()
        || level.nearest(|k| k.ignore_errors.as_ref()).is_some();
    if !forgiven {
        return Err(wrong);
    }
    wrong.severity = Severity::Warning;
    warnings.push(wrong);
    Ok(())
}
