//! The order of tasks over hosts and what they come to: every playbook of `tests/flow/*/`, run by us with and
//! without running ahead, beside what `ansible-playbook` made of it (`record.py`).
//!
//! Compared: for each host the sequence of tasks with status and values, the order of tasks over all hosts, the
//! counts at the end, the meaning of the exit status. `VMSTATION_CASE=handlers/order` runs those whose name holds
//! that text. What the first comment lines of a case mean: `tests/flow/case.rs`.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "flow/case.rs"]
mod case;
#[expect(dead_code, reason = "only where the lab is")]
mod hosts;

use std::path::Path;
use std::sync::Mutex;

use case::Case;
use case::compare::{self, Ran, Recorded};
use hosts::Lab;

/// Without those that `VMSTATION_CASE` does not want.
fn cases() -> Vec<Case> {
    let wanted = std::env::var("VMSTATION_CASE").unwrap_or_default();
    let flow = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flow");
    let inside = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<Case> = inside(&flow)
        .filter(|path| path.is_dir())
        .flat_map(|folder| inside(&folder))
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .map(Case::read)
        .filter(|case| case.name.contains(&wanted))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!all.is_empty(), "no case has that name");
    all
}

fn nothing_is_wrong(mut wrong: Vec<String>) {
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} are not as they should be:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn playbooks_flow_as_ansibles_do() {
    let cases = cases();
    let queue = Mutex::new(cases.iter().filter(|case| !case.on_lab));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().next() else {
                        return;
                    };
                    let found = case.check("");
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    nothing_is_wrong(wrong.into_inner().unwrap());
}

#[test]
fn projects_on_the_lab_flow_as_ansibles_do() {
    let Some(lab) = Lab::enter() else { return };
    let cases = cases();
    let cases = cases.iter().filter(|case| case.on_lab);
    nothing_is_wrong(cases.flat_map(|case| case.check(&lab.name)).collect());
}

#[test]
fn what_differs_is_found() {
    let recorded = |exit: u8, row: &str| {
        let end = r#"{"h": {"ok": 1}}"#;
        Recorded::read(&format!(
            r#"{{"exit": {exit}, "results": [{row}], "end": {end}}}"#
        ))
    };
    let event = |name: &str, rest: &str| format!("{{\"event\": \"{name}\", {rest}}}");
    let task = r#""task": "t", "host": "h", "status": "ok", "result": {"msg": 1, "x": 2}"#;
    let end = r#""hosts": [{"host": "h", "ok": 1}]"#;
    let ours = format!(
        "{}\n{}\n",
        event("task_finished", task),
        event("run_finished", end)
    );
    let ran = Ran::read(0, &ours, "");
    let found = |exit: u8, row: &str| compare::differences(&recorded(exit, row), &ran, false);
    assert!(found(0, r#"["t", "h", "ok", {"msg": 1}]"#).is_empty());
    assert!(found(0, r#"["t", "h", "ok", {"msg": "1"}]"#).is_empty());
    for (exit, row) in [
        (2, r#"["t", "h", "ok", {"msg": 1}]"#),
        (0, r#"["t", "h", "ok", {"msg": 2}]"#),
        (0, r#"["t", "h", "ok", {"rc": 0}]"#),
        (0, r#"["t", "h", "changed", {"msg": 1}]"#),
        (0, r#"["u", "h", "ok", {"msg": 1}]"#),
        (0, r#"["t", "i", "ok", {"msg": 1}]"#),
        (0, ""),
    ] {
        assert!(!found(exit, row).is_empty(), "{exit} {row}");
    }
}
