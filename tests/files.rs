//! The cases of the modules for files, driven one task after the other without an executor, and what such a
//! task costs in round trips.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map as Json, Value as Any, json};
use vmstation::host::direct::{Driven, drive};
use vmstation::host::{
    Connector, Door, FileSearch, Halt, Host, Local as Here, LocalAnswer, LocalFile, Machine, Remote, Task,
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

/// What came of one task, in the shape of a recording.
struct Ran {
    values: Json<String, Any>,
    trips: usize,
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
        values: values(driven),
        trips: machine.trips().len() - before,
        module: module.name,
    })
}

fn values(driven: Driven) -> Json<String, Any> {
    let changed = !driven.changes.is_empty();
    let (map, failed, changed) = match driven.outcome {
        Ok(outcome) => (outcome.values, outcome.failed, changed && !outcome.unchanged),
        Err(Halt::Failed(failure)) => {
            let mut map = failure.values;
            map.insert("msg".into(), failure.msg.into());
            (map, true, false)
        }
        Err(other) => panic!("{other:?}"),
    };
    let mut json = match serde_json::to_value(Value::from(map)) {
        Ok(Any::Object(json)) => json,
        other => panic!("{other:?}"),
    };
    if let Some(Any::Array(files)) = json.get_mut("files") {
        // The order of a directory is the file system's.
        files.sort_by_key(|file| file["path"].to_string());
    }
    json.insert("changed".into(), json!(changed));
    json.insert("failed".into(), json!(failed));
    json
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
    let wanted = std::env::var("CASE").unwrap_or_default();
    let mut cases = Vec::new();
    for module in MODULES {
        let Ok(entries) = std::fs::read_dir(root.join(module)) else {
            continue;
        };
        cases.extend(entries.filter_map(|e| {
            let path = e.ok()?.path();
            let recorded =
                path.extension().is_some_and(|e| e == "yml") && path.with_extension("json").exists();
            (recorded && path.to_string_lossy().contains(&wanted)).then_some(path)
        }));
    }
    cases.sort();
    cases
}

/// Replaces the scratch directory wherever it is named.
fn scratched(value: &Any, w: &str) -> Any {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    match value {
        Any::String(s) => Any::String(s.replace(w, "$W").replace(cases, "$CASES")),
        Any::Array(items) => items.iter().map(|i| scratched(i, w)).collect(),
        Any::Object(members) => Any::Object(
            members
                .iter()
                .map(|(k, v)| (k.replace(w, "$W"), scratched(v, w)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// What of a recording must be the same: every value it has, but for the sentences of a failure; `$ANY` stands
/// for what is different each time.
fn differences(recorded: &Any, ours: &Any, at: &str, out: &mut Vec<String>) {
    match (recorded, ours) {
        (Any::Object(recorded), Any::Object(ours)) => {
            for (name, value) in recorded {
                match ours.get(name) {
                    Some(our) => differences(value, our, &format!("{at}.{name}"), out),
                    None => out.push(format!("{at}.{name}: {value} is missing")),
                }
            }
        }
        (Any::Array(recorded), Any::Array(ours)) if recorded.len() == ours.len() => {
            for (i, (value, our)) in recorded.iter().zip(ours).enumerate() {
                differences(value, our, &format!("{at}[{i}]"), out);
            }
        }
        (Any::String(any), _) if any == "$ANY" => {}
        (recorded, ours) if recorded == ours => {}
        (recorded, ours) => out.push(format!("{at}: {recorded} was recorded, {ours} is ours")),
    }
}

fn find_task(recorded: &Any, run: usize, number: usize) -> Option<&Any> {
    recorded["runs"][run]["tasks"].get(number)
}

#[tokio::test]
async fn cases_come_out_as_recorded() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases() {
        let text = std::fs::read_to_string(&case).unwrap();
        if text.replace("{{ w }}", "").contains("{{") || text.contains(" vars:") {
            // Needs more than a path put in.
            continue;
        }
        let source = Source::new(case.clone(), text);
        let document = yaml::parse(&source).unwrap();
        let root = document.root.unwrap();
        let play = &root.as_list().unwrap()[0];
        let recorded: Any =
            serde_json::from_str(&std::fs::read_to_string(case.with_extension("json")).unwrap()).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let w = scratch.path().to_str().unwrap();
        let machine = machine();
        let name = format!(
            "{}/{}",
            case.parent().unwrap().file_name().unwrap().to_string_lossy(),
            case.file_stem().unwrap().to_string_lossy()
        );
        for again in 0..2 {
            for (number, task) in play.get("tasks").unwrap().as_list().unwrap().iter().enumerate() {
                let Some(ran) = run(&machine, &case, task, w).await else {
                    continue;
                };
                // The other modules only prepare.
                if !MODULES.contains(&ran.module) {
                    continue;
                }
                count += 1;
                let title = task.get("name").and_then(yaml::Node::text).unwrap_or_default();
                let ours = scratched(&Any::Object(ran.values), w);
                let Some(theirs) = find_task(&recorded, again, number) else {
                    wrong.push(format!("{name} run {} task {number} is not recorded", again + 1));
                    continue;
                };
                let mut expected = theirs["values"].clone();
                if theirs["failed"] == json!(true) {
                    expected.as_object_mut().unwrap().remove("msg");
                }
                if task.get("changed_when").is_none() {
                    expected["changed"] = theirs["changed"].clone();
                }
                expected["failed"] = theirs["failed"].clone();
                let mut out = Vec::new();
                differences(&expected, &ours, "", &mut out);
                for line in out {
                    wrong.push(format!(
                        "{name} run {} `{title}`{line}  [{} trips]",
                        again + 1,
                        ran.trips
                    ));
                }
            }
        }
    }
    eprintln!("{count} tasks");
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
