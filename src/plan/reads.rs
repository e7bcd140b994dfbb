//! What names of other hosts a task reads, as far as its text shows.

use crate::playbook::{Action, Task, Written};
use crate::vars::Value;

/// Stands for all facts.
pub(super) const FACTS: &str = "ansible_facts";

/// Everything that a task writes in templates and conditions, as one text.
pub(super) fn text(task: &Task) -> String {
    let mut all = String::new();
    if let Action::Module { arguments, more, .. } = &task.action {
        arguments.iter().for_each(|a| put(&a.value, &mut all));
        more.iter().for_each(|w| put(&w.value, &mut all));
    }
    task.level.keywords.vars.values().for_each(|v| put(v, &mut all));
    let conditions = task.level.conditions().into_iter().chain(&task.until);
    let judged = [&task.changed_when, &task.failed_when]
        .into_iter()
        .flatten()
        .flatten();
    let looped = task.looped.iter().map(|l| &l.items);
    let written: Vec<&Written> = conditions.chain(judged).chain(looped).collect();
    written.iter().for_each(|w| put(&w.value, &mut all));
    all
}

fn put(value: &Value, all: &mut String) {
    match value {
        Value::String(text) => all.push_str(text),
        Value::Template(template) => all.push_str(&template.text),
        Value::List(items) => items.iter().for_each(|v| put(v, all)),
        Value::Map(map) => map.values().for_each(|v| put(v, all)),
        _ => {}
    }
    all.push('\n');
}

/// Whether a name stands there as a word of its own.
pub(super) fn has_name(text: &str, name: &str) -> bool {
    if name == FACTS {
        return text.contains("ansible_");
    }
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == name)
}

/// Whether a host is named there in quotes.
pub(super) fn names_host(text: &str, host: &str) -> bool {
    ['\'', '"']
        .iter()
        .any(|q| text.contains(&format!("{q}{host}{q}")))
}
