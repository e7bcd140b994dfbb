//! The examples in each module's manual page: every task in them names a module that is there and options that
//! it takes, with values that it can read.

use std::path::Path;

use vmstation::host::{Door, Host, Task};
use vmstation::modules::{Argument, Arguments, find};
use vmstation::source::Source;
use vmstation::vars::Value;
use vmstation::yaml::{self, Node};

/// Keywords of tasks that examples use.
const KEYWORDS: &[&str] = &[
    "args",
    "become",
    "check_mode",
    "delegate_to",
    "loop",
    "name",
    "notify",
    "register",
    "vars",
    "when",
];

/// The fenced examples of a file's module comment.
fn examples(text: &str) -> Vec<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let mut examples = Vec::new();
    let mut current: Option<String> = None;
    for line in lines {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match &mut current {
            None if line == "```yaml" => current = Some(String::new()),
            Some(_) if line == "```" => examples.extend(current.take()),
            Some(example) => {
                example.push_str(line);
                example.push('\n');
            }
            None => {}
        }
    }
    examples
}

fn argument(name: &str, value: &Node) -> Argument {
    Argument {
        name: name.into(),
        value: value.value(),
        name_span: None,
        value_span: Some(value.span.clone()),
    }
}

/// What is wrong with one task.
fn check(task: &Node) -> Result<(), String> {
    let pairs = task.as_map().ok_or("a task is a mapping")?;
    let is_keyword = |key: &Node| key.text().is_some_and(|name| KEYWORDS.contains(&name));
    let (key, body) = pairs
        .iter()
        .find(|(key, _)| !is_keyword(key))
        .ok_or("no module")?;
    let name = key.text().ok_or("a module's name is text")?;
    let entry = find(name).ok_or_else(|| format!("no module `{name}`"))?;
    let options = [Some(body), task.get("args")];
    let options = options.into_iter().flatten().filter_map(Node::as_map).flatten();
    let mut given: Vec<Argument> = options
        .filter_map(|(key, value)| Some(argument(key.text()?, value)))
        .collect();
    match (entry.free_form, body.text()) {
        (Some(free), Some(_)) => given.push(argument(free, body)),
        (None, Some(pairs)) => given.extend(pairs.split_whitespace().filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some(Argument {
                value: value.into(),
                ..argument(name, body)
            })
        })),
        _ => {}
    }
    // What a template gives is not known here: this reads as text, as a number and as a boolean.
    for argument in &mut given {
        if matches!(argument.value, Value::Template(_)) {
            argument.value = "1".into();
        }
    }
    let arguments = Arguments { given, span: None };
    let host = Host::new(Door::default(), std::sync::Arc::new(Task::default()));
    match (entry.start)(&arguments, host) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{}: {}", name, error.message)),
    }
}

#[test]
fn the_examples_of_manual_pages_are_tasks() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/modules");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(modules).unwrap().flatten() {
        let path = file.path();
        if path.is_dir() {
            continue;
        }
        for example in examples(&std::fs::read_to_string(&path).unwrap()) {
            let source = Source::new(path.display().to_string(), example.as_str());
            let tasks = yaml::parse(&source).unwrap().root;
            let Some(tasks) = tasks.as_ref().and_then(Node::as_list) else {
                wrong.push(format!("{}: an example is a list of tasks", path.display()));
                continue;
            };
            for task in tasks {
                count += 1;
                wrong.extend(check(task).err().map(|why| format!("{}: {why}", path.display())));
            }
        }
    }
    assert!(count > 30, "only {count} tasks were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
