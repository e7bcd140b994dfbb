//! The manual of every module, its `//!`, holds examples that are read as a playbook, with options that the
//! module takes.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmstation::cli::Modules;
use vmstation::host::{Door, Host, Task as HostTask};
use vmstation::modules::{self, Argument, Arguments, Entry};
use vmstation::playbook::{Action, Item, Level, Loader, Play, Written, each_task};
use vmstation::source::Diagnostic;
use vmstation::vars::Value;

fn manual(entry: &Entry) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/modules");
    let file = root.join(format!("{}.rs", entry.name));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no {}", file.display()));
    let lines = text.lines().map_while(|l| l.strip_prefix("//!"));
    lines
        .map(|l| l.strip_prefix(' ').unwrap_or(l))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What stands between ```` ```yaml ```` and ```` ``` ````.
fn examples(manual: &str) -> Vec<String> {
    let parts = manual.split("```yaml\n").skip(1);
    parts
        .map(|p| p.split("```").next().unwrap().to_string())
        .collect()
}

/// The example's tasks in a play; a handler for each name that it notifies.
fn load(entry: &Entry, example: &str, directory: &Path) -> Result<Vec<Arc<Play>>, Diagnostic> {
    let lines: Vec<&str> = example.lines().collect();
    let indented = format!("    {}\n", lines.join("\n    "));
    let path = directory.join(format!("{}.yml", entry.name));
    std::fs::write(&path, format!("- hosts: all\n  tasks:\n{indented}")).unwrap();
    let render = |written: &Written, _: &Arc<Level>| Err(Diagnostic::error("a template").at(&written.span));
    let mut loader = Loader {
        catalogue: &Modules,
        roles_path: Vec::new(),
        project: PathBuf::from(directory),
        render: &render,
        warnings: Vec::new(),
        imported: Vec::new(),
        read: Vec::new(),
    };
    let plays = loader.playbook(&path)?.plays;
    assert!(
        loader.warnings.is_empty(),
        "{}: {:?}",
        entry.name,
        loader.warnings
    );
    Ok(plays)
}

#[test]
fn every_example_is_a_playbook_that_its_module_takes() {
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for entry in modules::ALL {
        let examples = examples(&manual(entry));
        if examples.is_empty() {
            wrong.push(format!("{}: no example in its manual", entry.name));
        }
        for example in examples {
            match load(entry, &example, directory.path()) {
                Ok(plays) => wrong.extend(plays.iter().flat_map(|p| refused(entry, &p.tasks))),
                Err(error) => wrong.push(format!("{}: {error}", entry.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What the modules say of the options in a list of tasks; the module of the manual must be among them.
fn refused(entry: &Entry, items: &[Item]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut shown = false;
    each_task(items, &mut |task| {
        let Action::Module {
            signature, arguments, ..
        } = &task.action
        else {
            return;
        };
        shown |= signature.name == entry.name;
        let given = arguments.iter().map(|a| Argument {
            name: a.name.clone(),
            value: text(&a.value),
            name_span: Some(a.name_span.clone()),
            value_span: Some(a.value_span.clone()),
        });
        let arguments = Arguments {
            given: given.collect(),
            span: None,
        };
        let host = Host::new(Door::default(), Arc::new(HostTask::default()));
        let module = modules::find(signature.name).unwrap();
        if let Err(error) = (module.start)(&arguments, host) {
            wrong.push(format!("{}: {error}", entry.name));
        }
    });
    if !shown {
        wrong.push(format!("{}: no example uses it", entry.name));
    }
    wrong
}

/// A template as the text it would give: something.
fn text(value: &Value) -> Value {
    match value {
        Value::Template(template) => Value::String(template.text.clone()),
        Value::List(items) => Value::list(items.iter().map(text)),
        Value::Map(map) => Value::map(map.iter().map(|(k, v)| (k.clone(), text(v)))),
        other => other.clone(),
    }
}
