//! Whether a run agrees with what was recorded of Ansible's (`record.py`).

use serde_json::Value;

use super::casebook::{Case, Ran, Seen, Wrong};

/// Return values that Ansible's own way of working brings along, or that say nothing about the host.
const NOT_OURS: &[&str] = &[
    "src",
    "module_args",
    "ansible_loop_var",
    "_ansible_no_log",
    "md5sum",
    "item",
];

/// What is known of how a case ends on one host.
pub enum Recorded {
    /// What `ansible-playbook` made of it, run after run.
    Runs(Value),
    /// We differ on purpose; its own `assert`s say what must hold.
    Ours,
}

impl Recorded {
    /// Here, or on a host of the lab.
    pub fn of(case: &Case, host: Option<&str>) -> Result<Self, String> {
        if case.setting("ours").is_some() {
            return Ok(Self::Ours);
        }
        let path = case.path.with_extension("json");
        let nothing = || format!("{}: nothing is recorded: run tests/cases/record.py", case.name);
        let text = std::fs::read_to_string(path).map_err(|_| nothing())?;
        let all: Value = serde_json::from_str(&text).unwrap();
        let one = match host {
            None => all["runs"].clone(),
            Some(host) => all["hosts"][family(host)].clone(),
        };
        if one.is_null() {
            return Err(nothing());
        }
        Ok(Self::Runs(one))
    }

    /// What differs in one run of the case; `place` says which.
    pub fn compare(&self, case: &Case, place: &str, run: usize, ran: &Ran, tasks: &[&Seen]) -> Vec<Wrong> {
        let name = &case.name;
        let want = match self {
            Self::Ours if ran.rc == 0 => return Vec::new(),
            Self::Ours => {
                let what = format!("{name}: exit {}: {}", ran.rc, ran.failures());
                return vec![Wrong::new(what, place)];
            }
            Self::Runs(runs) => runs[run]["tasks"].as_array().cloned().unwrap_or_default(),
        };
        if want.len() != tasks.len() {
            let names: Vec<_> = tasks.iter().map(|t| &t.name).collect();
            let (count, why) = (want.len(), ran.failures());
            let what = format!("{name}: Ansible ran {count} tasks, we ran {names:?}\n{why}");
            return vec![Wrong::new(what, place)];
        }
        let each = want.iter().zip(tasks);
        each.flat_map(|(want, got)| of_task(want, got).into_iter().map(move |d| (&want["name"], d)))
            .map(|(task, difference)| Wrong::new(format!("{name}: {task}: {difference}"), place))
            .collect()
    }
}

/// The host of its kind that Ansible was recorded on.
fn family(host: &str) -> &str {
    match host {
        "nopython" => "masternode",
        other => other,
    }
}

fn of_task(want: &Value, got: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    for (what, want, got_it) in [
        ("changed", &want["changed"], got.changed),
        ("failed", &want["failed"], got.failed),
        ("skipped", &want["skipped"], got.skipped),
    ] {
        if want.as_bool() != Some(got_it) {
            let msg = got.values.get("msg").map(|m| format!(" ({m})"));
            out.push(format!(
                "{what}: Ansible says {want}, we say {got_it}{}",
                msg.unwrap_or_default()
            ));
        }
    }
    // What a failure returns beside `msg` is the module's own affair, and of what has not been done nothing is
    // known but that it would be.
    if !got.failed && !got.is_dry() {
        let values = Value::Object(got.values.clone());
        differences("", &want["values"], Some(&values), &mut out);
        out.extend(of_diff(&want["diff"], &got.differences));
    }
    out
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

/// The texts before and after that Ansible showed, each of which we must show too.
fn of_diff(want: &Value, got: &Value) -> Vec<String> {
    let texts = |diff: &Value| (diff["before"].clone(), diff["after"].clone());
    let got: Vec<_> = got.as_array().into_iter().flatten().map(texts).collect();
    let want = want.as_array().into_iter().flatten().map(texts);
    want.filter(|shown| !got.contains(shown))
        .map(|shown| format!("diff: Ansible shows {shown:?}, we show {got:?}"))
        .collect()
}
