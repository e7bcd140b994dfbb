//! Every case under `tests/cases`: a playbook run by us, with and without running ahead, twice each, and compared
//! with what `ansible-playbook` made of it (`record.py`).
//!
//! A case's first comment lines may hold settings: `# on: local` (the default: this machine), `# on: lab`,
//! `# on: debian`, `# on: rhel` (hosts of the lab; these say themselves, by `assert`, what must hold), and
//! `# again: changed` where a second run is expected to change something. `VMSTATION_CASE=file/touch` runs those
//! whose name holds that text.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

/// Return values that Ansible's own way of working brings along, or that say nothing about the host.
const NOT_OURS: &[&str] = &[
    "src",
    "module_args",
    "ansible_loop_var",
    "_ansible_no_log",
    "md5sum",
    "item",
];

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

struct Case {
    path: PathBuf,
    name: String,
    settings: BTreeMap<String, String>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let wanted = std::env::var("VMSTATION_CASE").unwrap_or_default();
    let mut all = Vec::new();
    for module in std::fs::read_dir(&root)
        .unwrap()
        .flatten()
        .filter(|e| e.path().is_dir())
    {
        for file in std::fs::read_dir(module.path()).unwrap().flatten() {
            let path = file.path();
            if path.extension().is_none_or(|e| e != "yml") {
                continue;
            }
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .display()
                .to_string();
            if !name.contains(&wanted) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let settings = text
                .lines()
                .take_while(|l| l.starts_with('#'))
                .filter_map(|l| l.trim_start_matches(['#', ' ']).split_once(':'))
                .map(|(k, v)| (k.trim().to_string(), v.trim().to_string()))
                .collect();
            all.push(Case { path, name, settings });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

impl Case {
    fn on(&self) -> &str {
        self.settings.get("on").map_or("local", String::as_str)
    }

    fn again_changes(&self) -> bool {
        self.settings.get("again").is_some_and(|v| v == "changed")
    }
}

/// One task's result, as far as it can be compared.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    host: String,
    name: String,
    changed: bool,
    failed: bool,
    skipped: bool,
    values: Map<String, Value>,
}

struct Ran {
    rc: i32,
    tasks: Vec<Seen>,
    text: String,
}

fn vmstation(args: &[&str], w: &Path, home: &Path) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(args)
        .current_dir(home)
        .env("ANSIBLE_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut tasks = Vec::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if event["event"] != "task_finished" {
            continue;
        }
        let status = event["status"].as_str().unwrap_or_default();
        let values = event["result"].as_object().cloned().unwrap_or_default();
        tasks.push(Seen {
            host: event["host"].as_str().unwrap_or_default().to_string(),
            name: event["task"].as_str().unwrap_or_default().to_string(),
            changed: values.get("changed") == Some(&Value::Bool(true)),
            failed: matches!(status, "failed" | "unreachable"),
            skipped: status == "skipped",
            values: match normal(Value::Object(values), &w.display().to_string()) {
                Value::Object(map) => map,
                _ => Map::new(),
            },
        });
    }
    Ran {
        rc: output.status.code().unwrap_or(-1),
        tasks,
        text: text + &String::from_utf8_lossy(&output.stderr),
    }
}

/// The scratch directory as `$W`.
fn normal(value: Value, w: &str) -> Value {
    match value {
        Value::String(s) => Value::String(s.replace(w, "$W").replace(CASES, "$CASES")),
        Value::Array(items) => Value::Array(items.into_iter().map(|v| normal(v, w)).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| {
                    let mut v = normal(v, w);
                    if let ("files", Value::Array(files)) = (k.as_str(), &mut v) {
                        // The order of a directory is the file system's.
                        files.sort_by_key(|file| file["path"].to_string());
                    }
                    (k.replace(w, "$W"), v)
                })
                .collect(),
        ),
        other => other,
    }
}

/// What differs between a recorded value and ours, in words.
fn differences(path: &str, want: &Value, got: Option<&Value>, out: &mut Vec<String>) {
    match (want, got) {
        (Value::String(any), Some(_)) if any == "$ANY" => {}
        (Value::Object(want), Some(Value::Object(got))) => {
            for (name, value) in want {
                if NOT_OURS.contains(&name.as_str()) {
                    continue;
                }
                differences(&format!("{path}.{name}"), value, got.get(name), out);
            }
        }
        (Value::Array(want), Some(Value::Array(got))) if want.len() == got.len() => {
            for (n, (w, g)) in want.iter().zip(got).enumerate() {
                differences(&format!("{path}[{n}]"), w, Some(g), out);
            }
        }
        // How a failure is worded is ours.
        (Value::String(_), Some(Value::String(_))) if path.rsplit('.').next() == Some("msg") => {}
        (Value::String(want), Some(Value::String(got)))
            if want.contains("$ANY") && got.starts_with(want.split("$ANY").next().unwrap_or_default()) => {}
        (want, Some(got)) if want == got => {}
        // A single expression keeps its number a number, as ansible-core 2.19 does.
        (Value::String(want), Some(Value::Number(got))) if *want == got.to_string() => {}
        (want, Some(got)) => out.push(format!("{path}: Ansible has {want}, we have {got}")),
        (Value::Null, None) => {}
        (want, None) => out.push(format!("{path}: Ansible has {want}, we have nothing")),
    }
}

fn compare(case: &Case, run: usize, recorded: &Value, ran: &Ran, out: &mut Vec<String>) {
    let want = recorded["runs"][run]["tasks"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if want.len() != ran.tasks.len() {
        let names: Vec<_> = ran.tasks.iter().map(|t| &t.name).collect();
        out.push(format!(
            "{}: run {run}: Ansible ran {} tasks, we ran {names:?}\n{}",
            case.name,
            want.len(),
            ran.text
        ));
        return;
    }
    for (want, got) in want.iter().zip(&ran.tasks) {
        let at = format!("{} (run {run}), task {}", case.name, want["name"]);
        for (what, want, got) in [
            ("changed", &want["changed"], got.changed),
            ("failed", &want["failed"], got.failed),
            ("skipped", &want["skipped"], got.skipped),
        ] {
            if want.as_bool() != Some(got) {
                let msg = got_message(&ran.tasks, &ran.text);
                out.push(format!("{at}: {what}: Ansible says {want}, we say {got}{msg}"));
            }
        }
        if got.failed {
            // What a failure returns beside `msg` is the module's own affair.
            continue;
        }
        let mut values = Vec::new();
        differences(
            "",
            &want["values"],
            Some(&Value::Object(got.values.clone())),
            &mut values,
        );
        out.extend(values.into_iter().map(|d| format!("{at}: {d}")));
    }
}

fn got_message(tasks: &[Seen], _: &str) -> String {
    let failed = tasks.iter().filter(|t| t.failed);
    let messages = failed.filter_map(|t| t.values.get("msg")?.as_str());
    messages.flat_map(|m| ["\n      (", m, ")"]).collect()
}

#[test]
fn cases_on_this_machine_agree_with_ansible() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases().iter().filter(|c| c.on() == "local") {
        let recorded = std::fs::read_to_string(case.path.with_extension("json"));
        let Ok(recorded) = recorded else {
            wrong.push(format!(
                "{}: nothing is recorded: run tests/cases/record.py",
                case.name
            ));
            continue;
        };
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        count += 1;
        let mut pair: Vec<Vec<Ran>> = Vec::new();
        for ahead in [true, false] {
            let w = tempfile::Builder::new().prefix("case.").tempdir().unwrap();
            let home = tempfile::tempdir().unwrap();
            let extra = format!(
                r#"{{"w": "{}", "ansible_connection": "local"}}"#,
                w.path().display()
            );
            let path = case.path.display().to_string();
            let mut args = vec!["run", "--json", "-i", "localhost,", "-e", &extra, &path];
            if !ahead {
                args.push("--no-run-ahead");
            }
            let mut runs = Vec::new();
            for run in 0..2 {
                let ran = vmstation(&args, w.path(), home.path());
                compare(case, run, &recorded, &ran, &mut wrong);
                runs.push(ran);
            }
            if !case.again_changes() && runs[1].tasks.iter().any(|t| t.changed) {
                wrong.push(format!("{}: the second run changed something", case.name));
            }
            pair.push(runs);
        }
        for (run, (ahead, one_by_one)) in pair[0].iter().zip(&pair[1]).enumerate() {
            if steady(ahead) != steady(one_by_one) {
                wrong.push(format!(
                    "{} (run {run}): with and without running ahead differ",
                    case.name
                ));
            }
        }
    }
    eprintln!("{count} cases on this machine");
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A task's host, name, and whether it changed something, failed, was skipped.
type Steady = (String, String, bool, bool, bool);

/// What two runs of the same case must have in common.
fn steady(ran: &Ran) -> (i32, Vec<Steady>) {
    let tasks = ran
        .tasks
        .iter()
        .map(|t| (t.host.clone(), t.name.clone(), t.changed, t.failed, t.skipped));
    (ran.rc, tasks.collect())
}

/// Cases that need machines of their own. They carry their expectations in `assert` tasks and clean up after
/// themselves.
#[test]
fn cases_on_the_lab_hold_their_assertions() {
    if std::env::var_os("VMSTATION_LAB").is_none() {
        eprintln!("SKIPPED: set VMSTATION_LAB=1 to run the cases that need the lab's hosts");
        return;
    }
    let lab = std::env::var("VMSTATION_LAB_NAME").unwrap_or_else(|_| "lab".to_string());
    let lab = format!("--lab={lab}");
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases().iter().filter(|c| c.on() != "local") {
        let limit = match case.on() {
            "debian" => "masternode,storagenodet3500,nopython",
            "rhel" => "homelab",
            "lab" => "all",
            other => panic!("{}: `on: {other}` is no place", case.name),
        };
        count += 1;
        let home = tempfile::tempdir().unwrap();
        let path = case.path.display().to_string();
        for ahead in [true, false] {
            let w = format!("/var/tmp/case-{}-{ahead}", case.name.replace('/', "-"));
            let extra = format!(r#"{{"w": "{w}"}}"#);
            let prepare = home.path().join("prepare.yml");
            std::fs::write(
                &prepare,
                "- hosts: all\n  gather_facts: false\n  become: true\n  tasks:\n    - command: rm -rf {{ w }}\n    - command: mkdir -p {{ w }}\n",
            )
            .unwrap();
            let prepare = prepare.display().to_string();
            let mut args = vec!["run", "--json", &lab, "-b", "--limit", limit, "-e", &extra];
            if !ahead {
                args.push("--no-run-ahead");
            }
            let made = vmstation(&[&args[..], &[&prepare]].concat(), Path::new(&w), home.path());
            assert_eq!(made.rc, 0, "{}", made.text);
            for run in 0..2 {
                let ran = vmstation(&[&args[..], &[&path]].concat(), Path::new(&w), home.path());
                if ran.rc != 0 {
                    let last = got_message(&ran.tasks, "");
                    let failed: Vec<_> = ran
                        .tasks
                        .iter()
                        .filter(|t| t.failed)
                        .map(|t| format!("{}: {}", t.host, t.name))
                        .collect();
                    let note = if failed.is_empty() {
                        ran.text.clone()
                    } else {
                        format!("{failed:?}{last}")
                    };
                    wrong.push(format!(
                        "{} (run {run}, ahead {ahead}): exit {}: {note}",
                        case.name, ran.rc
                    ));
                }
                let changed: Vec<_> = ran
                    .tasks
                    .iter()
                    .filter(|t| t.changed)
                    .map(|t| format!("{}: {}", t.host, t.name))
                    .collect();
                if run == 1 && !case.again_changes() && !changed.is_empty() {
                    wrong.push(format!(
                        "{} (ahead {ahead}): the second run changed {changed:?}",
                        case.name
                    ));
                }
            }
            std::fs::write(home.path().join("clean.yml"), "- hosts: all\n  gather_facts: false\n  become: true\n  tasks:\n    - command: rm -rf {{ w }}\n").unwrap();
            let clean = home.path().join("clean.yml").display().to_string();
            vmstation(&[&args[..], &[&clean]].concat(), Path::new(&w), home.path());
        }
    }
    eprintln!("{count} cases on the lab");
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
