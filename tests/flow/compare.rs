//! What `ansible-playbook` did beside what we did.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// One result of a task on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Result {
    pub task: String,
    pub host: String,
    pub status: String,
    pub values: Value,
}

/// What `record.py` kept.
pub struct Recorded {
    exit: i64,
    results: Vec<Result>,
    end: Map<String, Value>,
}

/// One run of ours.
pub struct Ran {
    exit: i64,
    results: Vec<Result>,
    end: Map<String, Value>,
    /// For people.
    pub said: String,
}

const COUNTS: &[&str] = &[
    "ok",
    "changed",
    "unreachable",
    "failed",
    "skipped",
    "rescued",
    "ignored",
];

/// Of a failure only what a playbook may build on is compared; how it is worded is ours.
const OF_A_FAILURE: &[&str] = &["rc", "attempts", "failed_when_result", "results"];

impl Recorded {
    pub fn read(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let results = json["results"].as_array().unwrap().iter().map(|row| Result {
            task: text(&row[0]),
            host: text(&row[1]),
            status: text(&row[2]),
            values: row[3].clone(),
        });
        Self {
            exit: json["exit"].as_i64().unwrap(),
            // Whether a `meta` did something is no result of ours.
            results: results.filter(|r| r.task != "meta").collect(),
            end: json["end"].as_object().unwrap().clone(),
        }
    }
}

impl Ran {
    pub fn read(exit: i32, stdout: &str, stderr: &str) -> Self {
        let mut ran = Self {
            exit: exit.into(),
            results: Vec::new(),
            end: Map::new(),
            said: stderr.to_string(),
        };
        for line in stdout.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            match text("event") {
                // `run_once` on a host that did not run it.
                "task_finished" if event["shared"] == true => {}
                "task_finished" => {
                    let role = event["role"]
                        .as_str()
                        .map(|r| format!("{r} : "))
                        .unwrap_or_default();
                    let status = match text("status") {
                        "failed" if event["ignored"] == true => "ignored",
                        status => status,
                    };
                    if let Some(error) = event["error"].as_str() {
                        writeln!(ran.said, "{}: {error}", text("host")).unwrap();
                    }
                    ran.results.push(Result {
                        task: role + text("task"),
                        host: text("host").to_string(),
                        status: status.to_string(),
                        values: event["result"].clone(),
                    });
                }
                "warning" => writeln!(ran.said, "{}", text("text")).unwrap(),
                "host_lost" => {
                    writeln!(ran.said, "{} is lost: {}", text("host"), text("reason")).unwrap();
                }
                "run_finished" => {
                    for host in event["hosts"].as_array().unwrap() {
                        ran.end
                            .insert(host["host"].as_str().unwrap().to_string(), host.clone());
                    }
                }
                _ => {}
            }
        }
        ran
    }
}

/// What Ansible's exit status is among ours.
fn exit_of(ansible: i64, ran_something: bool) -> i64 {
    match ansible {
        0 => 0,
        2 => 3,
        // A host that could not be reached; without any task, what was wrong before the first one.
        4 if ran_something => 4,
        _ => 1,
    }
}

/// What differs from the recording, each in a sentence.
pub fn differences(want: &Recorded, got: &Ran, by_host: bool) -> Vec<String> {
    let mut found = Vec::new();
    let exit = exit_of(want.exit, !want.results.is_empty());
    if exit != got.exit {
        found.push(format!(
            "exit: Ansible's {} is our {exit}, but we ended with {}",
            want.exit, got.exit
        ));
    }
    for host in hosts(&want.results, &got.results) {
        host_differs(&host, &want.results, &got.results, &mut found);
    }
    if !by_host && names(&want.results) != names(&got.results) {
        found.push(format!(
            "order over hosts: Ansible ran {:?}, we ran {:?}",
            names(&want.results),
            names(&got.results)
        ));
    }
    for host in want
        .end
        .keys()
        .chain(got.end.keys().filter(|h| !want.end.contains_key(*h)))
    {
        for name in COUNTS {
            let (want, got) = (count(&want.end, host, name), count(&got.end, host, name));
            if want != got {
                found.push(format!(
                    "end: {host}: {name}: Ansible counts {want}, we count {got}"
                ));
            }
        }
    }
    found
}

/// What differs between two runs of ours.
pub fn between(a: &Ran, b: &Ran, by_host: bool) -> Option<String> {
    if a.exit != b.exit {
        return Some(format!("exit {} and {}", a.exit, b.exit));
    }
    for host in hosts(&a.results, &b.results) {
        let of = |results: &[Result]| -> Vec<(String, String)> {
            let own = results.iter().filter(|r| r.host == host);
            own.map(|r| (r.task.clone(), r.status.clone())).collect()
        };
        if of(&a.results) != of(&b.results) {
            return Some(format!("{host}: {:?} and {:?}", of(&a.results), of(&b.results)));
        }
    }
    (!by_host && names(&a.results) != names(&b.results))
        .then(|| format!("order: {:?} and {:?}", names(&a.results), names(&b.results)))
}

fn hosts(a: &[Result], b: &[Result]) -> Vec<String> {
    let mut all: Vec<String> = a.iter().chain(b).map(|r| r.host.clone()).collect();
    all.sort();
    all.dedup();
    all
}

/// The tasks in order, each once for all the hosts that came to it one behind another.
fn names(results: &[Result]) -> Vec<&str> {
    let mut all: Vec<&str> = results.iter().map(|r| r.task.as_str()).collect();
    all.dedup();
    all
}

fn count(end: &Map<String, Value>, host: &str, name: &str) -> i64 {
    end.get(host).and_then(|c| c[name].as_i64()).unwrap_or(0)
}

fn host_differs(host: &str, want: &[Result], got: &[Result], found: &mut Vec<String>) {
    let of = |results: &[Result]| -> Vec<Result> {
        let own = results.iter().filter(|r| r.host == host);
        own.cloned().collect()
    };
    let (want, got) = (of(want), of(got));
    let short =
        |all: &[Result]| -> Vec<String> { all.iter().map(|r| format!("{} {}", r.task, r.status)).collect() };
    if short(&want) != short(&got) {
        found.push(format!(
            "{host}: Ansible ran {:?}, we ran {:?}",
            short(&want),
            short(&got)
        ));
        return;
    }
    for (want, got) in want.iter().zip(&got) {
        let at = format!("{host}: {}", want.task);
        let failed = matches!(want.status.as_str(), "failed" | "ignored" | "unreachable");
        value_differs(&at, failed, &want.values, Some(&got.values), found);
    }
}

fn value_differs(at: &str, failed: bool, want: &Value, got: Option<&Value>, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Some(Value::Object(got))) => {
            let failed = failed || want.get("failed") == Some(&Value::Bool(true));
            let compared = |name: &str| !failed || OF_A_FAILURE.contains(&name);
            for (name, value) in want.iter().filter(|(name, _)| compared(name)) {
                value_differs(&format!("{at}.{name}"), failed, value, got.get(name), found);
            }
        }
        (Value::Array(want), Some(Value::Array(got))) if want.len() == got.len() => {
            for (n, (want, got)) in want.iter().zip(got).enumerate() {
                value_differs(&format!("{at}[{n}]"), false, want, Some(got), found);
            }
        }
        // A single expression keeps its number a number, as ansible-core 2.19 does.
        (Value::String(want), Some(Value::Number(got))) if *want == got.to_string() => {}
        (want, Some(got)) if want == got => {}
        (want, Some(got)) => found.push(format!("{at}: Ansible has {want}, we have {got}")),
        (want, None) => found.push(format!("{at}: Ansible has {want}, we have nothing")),
    }
}
