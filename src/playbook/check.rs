//! What is certainly wrong in a play before anything runs, and what only may be.
//!
//! A task that surely runs and whose failure nothing forgives is refused with the playbook. Where a condition,
//! a loop, a `rescue` or `ignore_errors` stands between, the same is a warning: Ansible would run it.

use super::{Block, Item, Play, Task, Written, action};
use crate::source::{Diagnostic, Severity};
use crate::vars::Value;

/// The first error of a play, and everything that is merely suspicious.
pub(super) fn play(play: &Play, warnings: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    keywords(play)?;
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

/// Values of a play's own keywords that no variable can change any more.
fn keywords(play: &Play) -> Result<(), Diagnostic> {
    let wrong = |written: &Written, wanted: &str| {
        Err(Diagnostic::error(format!(
            "{wanted}, not `{}`",
            written.span.text().trim_matches(['"', '\''])
        ))
        .at(&written.span))
    };
    let words: [(_, &[&str], _); 2] = [
        (
            &play.strategy,
            STRATEGIES,
            "the strategy is one of linear, free and host_pinned",
        ),
        (
            &play.order,
            ORDERS,
            "the order is one of inventory, reverse_inventory, sorted and reverse_sorted",
        ),
    ];
    for (written, known, wanted) in words {
        if let Some(written) = written
            && let Value::String(word) = &written.value
            && !known.contains(&word.strip_prefix("ansible.builtin.").unwrap_or(word))
        {
            return wrong(written, wanted);
        }
    }
    if let Some(written) = &play.serial
        && !is_serial(&written.value)
    {
        return wrong(
            written,
            "`serial` is a number of hosts, a percentage, or a list of those",
        );
    }
    if let Some(written) = &play.max_fail_percentage
        && let Value::String(text) = &written.value
        && text.trim().trim_end_matches('%').parse::<f64>().is_err()
    {
        return wrong(written, "`max_fail_percentage` is a number");
    }
    if let Some(written) = &play.gather_facts
        && let Value::String(word) = &written.value
        && !TRUTHS.contains(&word.to_ascii_lowercase().as_str())
    {
        return wrong(written, "`gather_facts` is yes or no");
    }
    Ok(())
}

const STRATEGIES: &[&str] = &["linear", "free", "host_pinned"];

const ORDERS: &[&str] = &["inventory", "reverse_inventory", "sorted", "reverse_sorted"];

/// Text that is taken for a truth value.
const TRUTHS: &[&str] = &[
    "yes", "no", "true", "false", "on", "off", "1", "0", "y", "n", "t", "f",
];

fn is_serial(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().trim_end_matches('%').trim().parse::<usize>().is_ok(),
        Value::List(sizes) => sizes.iter().all(is_serial),
        Value::Int(_) | Value::Template(_) | Value::Null => true,
        _ => false,
    }
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
