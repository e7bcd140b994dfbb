//! What a run costs in round trips. The modules for files: their cases, driven one task after the other without an
//! executor, which would merge them. A whole run: on the lab's hosts, where nothing is to be done any more.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod hosts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts::Lab;

use vmstation::host::direct::{Driven, drive};
use vmstation::host::{
    Connector, Door, FileSearch, Host, Local as Here, LocalAnswer, LocalFile, Machine, Remote, Task,
};
use vmstation::modules::{Argument, Arguments, find};
use vmstation::source::Source;
use vmstation::transport::{Boxed, Local, Transport, TransportError};
use vmstation::vars::Value;
use vmstation::yaml;

const MODULES: &[&str] = &[
    "blockinfile",
    "copy",
    "file",
    "find",
    "lineinfile",
    "replace",
    "slurp",
    "stat",
    "tempfile",
    "template",
];

fn machine() -> Remote {
    let connector: Connector = Arc::new(|| -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
        Box::pin(async { Ok(Arc::new(Local::new()) as Arc<dyn Transport>) })
    });
    Remote::new("here", connector)
}

/// Files beside a case, as the executor finds them.
fn here(directory: &Path, request: Here) -> Result<LocalAnswer, String> {
    let found = |name: &str, room: &str| {
        let beside = directory.join(room).join(name);
        if beside.exists() {
            beside
        } else {
            directory.join(name)
        }
    };
    match request {
        Here::File { kind, name } => {
            let room = if kind == FileSearch::Templates {
                "templates"
            } else {
                "files"
            };
            local_file(&found(&name, room), None).map(LocalAnswer::File)
        }
        Here::Tree { name, .. } => {
            let root = found(&name, "files");
            let mut files = Vec::new();
            walk(&root, &root, &mut files)?;
            Ok(LocalAnswer::Tree(files))
        }
        Here::Template { name, .. } => std::fs::read_to_string(found(&name, "templates"))
            .map(LocalAnswer::Text)
            .map_err(|e| e.to_string()),
        other => Err(format!("not here: {other:?}")),
    }
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<LocalFile>) -> Result<(), String> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(|e| e.to_string())?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        files.push(local_file(&path, Some(root))?);
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, files)?;
        }
    }
    Ok(())
}

fn local_file(path: &Path, root: Option<&Path>) -> Result<LocalFile, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(LocalFile {
        path: root.map_or(path, |r| path.strip_prefix(r).unwrap()).to_path_buf(),
        bytes: metadata.is_file().then(|| std::fs::read(path).unwrap().into()),
        mode: metadata.permissions().mode() & 0o7777,
        link: std::fs::read_link(path).ok().map(|l| l.display().to_string()),
    })
}

/// What one task did.
struct Ran {
    trips: usize,
    /// Something was changed, or the task failed.
    altered: bool,
    module: &'static str,
}

async fn run(machine: &Remote, case: &Path, task: &yaml::Node, w: &str) -> Option<Ran> {
    let pairs = task.as_map()?;
    let (module, body) = pairs.iter().find_map(|(key, value)| {
        let name = key.text()?;
        find(name).map(|entry| (entry, value))
    })?;
    let put = |value: &Value| replaced(value, w);
    let given: Vec<Argument> = match body.as_map() {
        Some(options) => options
            .iter()
            .map(|(name, value)| Argument {
                name: name.text().unwrap().into(),
                value: put(&value.value()),
                name_span: Some(name.span.clone()),
                value_span: Some(value.span.clone()),
            })
            .collect(),
        None => vec![Argument {
            name: module.free_form?.into(),
            value: put(&body.value()),
            name_span: None,
            value_span: None,
        }],
    };
    let mut given = given;
    for (name, value) in task.get("args").and_then(yaml::Node::as_map).unwrap_or_default() {
        given.push(Argument {
            name: name.text().unwrap().into(),
            value: put(&value.value()),
            name_span: None,
            value_span: None,
        });
    }
    let arguments = Arguments { given, span: None };
    let door = Door::default();
    let host = Host::new(door.clone(), Arc::new(Task::default()));
    let before = machine.trips().len();
    let driven = match (module.start)(&arguments, host) {
        Ok(running) => {
            let directory = case.parent().unwrap();
            drive(running, &door, machine, false, |request| here(directory, request)).await
        }
        Err(wrong) => Driven {
            outcome: Err(vmstation::host::fail(wrong.message)),
            changes: Vec::new(),
        },
    };
    Some(Ran {
        trips: machine.trips().len() - before,
        altered: !driven.changes.is_empty() || driven.outcome.is_err(),
        module: module.name,
    })
}

fn replaced(value: &Value, w: &str) -> Value {
    match value {
        Value::Template(t) => Value::from(t.text.replace("{{ w }}", w)),
        Value::List(items) => Value::list(items.iter().map(|item| replaced(item, w))),
        Value::Map(members) => Value::map(members.iter().map(|(k, v)| (k.clone(), replaced(v, w)))),
        other => other.clone(),
    }
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases = Vec::new();
    for module in MODULES {
        let Ok(entries) = std::fs::read_dir(root.join(module)) else {
            continue;
        };
        cases.extend(entries.filter_map(|e| {
            let path = e.ok()?.path();
            let recorded =
                path.extension().is_some_and(|e| e == "yml") && path.with_extension("json").exists();
            recorded.then_some(path)
        }));
    }
    cases.sort();
    cases
}

/// What costs more than one round trip although nothing is to be done, and why.
const DEAR: &[(&str, &str)] = &[
    // A `$` in a path is looked up in the host's environment first.
    ("copy/content", "unicode"),
    ("file/directory", "unusual"),
    ("file/link", "unusual"),
    ("find/names", "unusual"),
    ("stat/unusual_names", "content"),
    ("stat/unusual_names", "directory"),
    ("stat/unusual_names", "of it"),
    // Where a link leads is asked only once there is one.
    ("file/directory_over", "through the link"),
    ("file/file", "through the link"),
    // The name in a directory is asked about only once there is one.
    ("file/hard", "by its name"),
    // A walk over a tree waits for the task's turn.
    ("copy/remote_tree", "whole"),
    ("copy/remote_tree", "what is in it"),
    ("copy/remote_tree", "with an owner"),
    ("file/recurse_again", "a directory that is not there"),
    ("file/recurse_again", "once more"),
    ("find/content", "anywhere"),
    ("find/content", "at the beginning of a line"),
    ("find/content", "nowhere"),
    ("find/content", "with a class"),
    ("find/names", "with checksums"),
];

#[tokio::test]
async fn what_is_in_order_costs_one_round_trip() {
    let mut dear = Vec::new();
    let mut count = 0;
    for case in cases() {
        let text = std::fs::read_to_string(&case).unwrap();
        if text.replace("{{ w }}", "").contains("{{") || text.contains(" vars:") {
            // Needs more than a path put in.
            continue;
        }
        let document = yaml::parse(&Source::new(case.clone(), text)).unwrap();
        let root = document.root.unwrap();
        let tasks = root.as_list().unwrap()[0].get("tasks").unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let w = scratch.path().to_str().unwrap();
        let machine = machine();
        for again in [false, true] {
            for task in tasks.as_list().unwrap() {
                let Some(ran) = run(&machine, &case, task, w).await else {
                    continue;
                };
                if !again || ran.altered || !MODULES.contains(&ran.module) {
                    continue;
                }
                count += 1;
                if ran.trips != 1 {
                    dear.push((
                        name_of(&case),
                        task.get("name").unwrap().text().unwrap().to_string(),
                    ));
                }
            }
        }
    }
    dear.sort();
    let mut known: Vec<_> = DEAR
        .iter()
        .map(|(c, t)| ((*c).to_string(), (*t).to_string()))
        .collect();
    known.sort();
    assert!(count > 100, "{count} tasks only");
    assert_eq!(dear, known);
}

fn name_of(case: &Path) -> String {
    let module = case.parent().unwrap().file_name().unwrap();
    format!(
        "{}/{}",
        module.to_string_lossy(),
        case.file_stem().unwrap().to_string_lossy()
    )
}

/// Facts, questions that depend on nothing but them, a result that others wait for, a command that always runs.
const RUN: &str = "
- hosts: masternode:homelab
  become: true
  tasks:
    - file:
        path: /run/round-trips
        state: directory
    - copy:
        content: '{{ ansible_distribution }}'
        dest: /run/round-trips/{{ item }}
      loop: [one, two, three]
    - stat:
        path: /run/round-trips/one
      register: one
    - file:
        path: /run/round-trips/four
        state: '{{ one.stat.exists | ternary(\"touch\", \"absent\") }}'
        access_time: preserve
        modification_time: preserve
    - command: test -e /run/round-trips/four
";

#[test]
fn a_host_with_nothing_to_be_done() {
    let Some(lab) = Lab::enter() else { return };
    std::fs::write(lab.folder.path().join("site.yml"), RUN).unwrap();
    assert_eq!(lab.run(&["site.yml"]).exit, 0);
    let again = lab.run(&["--trips", "site.yml"]);
    assert_eq!(again.exit, 0, "{}", again.text);
    let trips = |host: &str| -> Vec<String> {
        let lines = again.text.lines().filter(|line| line.contains(" ms  "));
        lines
            .filter(|line| line.starts_with(host))
            .filter_map(|line| Some(line.split_once(" ms  ")?.1.to_owned()))
            .collect()
    };
    // Behind the facts: all questions, those that wait for a result, the command.
    let costs = |host: &str, opening: &[&str]| {
        let trips = trips(host);
        assert_eq!(trips[..opening.len()], *opening, "{}", again.text);
        assert_eq!(trips.len(), opening.len() + 3, "{}", again.text);
        assert_eq!(trips[trips.len() - 1], "test -e /run/round-trips/four");
    };
    costs("masternode", &["connect", "open a shell, facts"]);
    // sudo would write what goes with the opening into the log.
    costs("homelab", &["connect", "open a shell as root", "facts"]);
}
