//! Values of a play's own keywords that no variable can change any more.

use crate::playbook::{Play, Written, each_task};
use crate::source::Diagnostic;
use crate::vars::Value;

/// Values of a play's own keywords that no variable can change any more.
pub(super) fn keywords(play: &Play) -> Result<(), Diagnostic> {
    let wrong = |written: &Written, wanted: &str| {
        Err(Diagnostic::error(format!(
            "{wanted}, not `{}`",
            written.span.text().trim_matches(['"', '\''])
        ))
        .at(&written.span))
    };
    if let Some(written) = &play.strategy
        && let Value::String(word) = &written.value
        && !STRATEGIES.contains(&strategy_name(word))
    {
        return wrong(
            written,
            "the strategy is one of linear, free, host_pinned and dag",
        );
    }
    if let Some(written) = &play.order
        && let Value::String(word) = &written.value
        && !ORDERS.contains(&&**word)
    {
        return wrong(
            written,
            "the order is one of inventory, reverse_inventory, sorted and reverse_sorted",
        );
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

/// A strategy's name as it is known here. Mitogen's are Ansible's, over another connection.
pub fn strategy_name(name: &str) -> &str {
    let short = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    short.strip_prefix("mitogen_").unwrap_or(short)
}

const STRATEGIES: &[&str] = &["linear", "free", "host_pinned", "dag"];

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

fn goes_freely(play: &Play) -> bool {
    let name = play.strategy.as_ref().and_then(|w| w.value.as_str());
    name.is_some_and(|name| matches!(strategy_name(name), "free" | "host_pinned"))
}

/// `run_once` where hosts do not meet: as in Ansible every host runs the task.
pub(super) fn once_for_each(play: &Play, warnings: &mut Vec<Diagnostic>) {
    if !goes_freely(play) {
        return;
    }
    let mut found: Vec<&Written> = Vec::new();
    for list in play.lists().chain([play.handlers.as_slice()]) {
        each_task(list, &mut |task| {
            let written = task.level.nearest(|k| k.run_once.as_ref());
            found.extend(written.filter(|w| w.value.as_switch() != Some(false)));
        });
    }
    found.dedup_by_key(|w| &w.span);
    warnings.extend(found.into_iter().map(|written| {
        Diagnostic::warning(
            "`run_once` has no effect where every host goes at its own pace: each runs the task",
        )
        .at(&written.span)
    }));
}
