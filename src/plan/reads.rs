//! What names of other hosts a task reads, as far as its text shows.

use crate::playbook::{Action, Task, Written};
use crate::vars::Value;

/// Stands for all facts.
pub(super) const FACTS: &str = "ansible_facts";

/// Everything that a task writes in templates and conditions, as one text.
pub(super) fn text(task: &Task) -> String {
    let mut all = String::new();
    if let Action::Module { arguments, more, .. } = &task.action {
        for argument in arguments {
            put(&argument.value, &mut all);
        }
        if let Some(more) = more {
            put(&more.value, &mut all);
        }
    }
    for value in task.level.keywords.vars.values() {
        put(value, &mut all);
    }
    let conditions = task.level.conditions().into_iter().chain(&task.until);
    let judged = [&task.changed_when, &task.failed_when]
        .into_iter()
        .flatten()
        .flatten();
    let looped = task.looped.iter().map(|l| &l.items);
    let written: Vec<&Written> = conditions.chain(judged).chain(looped).collect();
    for each in written {
        put(&each.value, &mut all);
    }
    all
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
