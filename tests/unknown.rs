//! A dry run says what it cannot know, and because of what: every playbook of `tests/unknown`, with and without
//! running ahead, beside the lines at its end.
//!
//! A line of `# expected:` is a task, how it ended, and the start of what is said about it; `(x)` behind the task
//! is an item of a loop; warnings stand where they come. `VMSTATION_CASE=loop` runs those whose name holds that.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::{Path, PathBuf};
use std::process::Command;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/unknown");

/// What a run says, a line for each thing.
fn said(playbook: &Path, arguments: &[&str]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .current_dir(home.path())
        .env("ANSIBLE_CONFIG", "/dev/null")
        .env("ANSIBLE_GATHERING", "explicit")
        .args(["run", "--json", "-i", "one,", "-e", "ansible_connection=local"])
        .args(["-e", &format!("w={}", home.path().display())])
        .args(arguments)
        .arg(playbook)
        .output()
        .unwrap();
    let hide = |text: &str| {
        text.replace(&home.path().display().to_string(), "$W")
            .replace(&format!("{CASES}/"), "")
    };
    let events = hide(&String::from_utf8_lossy(&output.stdout));
    let mut lines: Vec<String> = events.lines().filter_map(line).collect();
    lines.push(format!("exit {}", output.status.code().unwrap_or(-1)));
    lines
}

/// An event as the cases write it.
fn line(event: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_string();
    let subject = match text("event").as_str() {
        "task_finished" => text("task"),
        "item_finished" => format!("{} ({})", text("task"), text("item")),
        "warning" => return Some(format!("warning: {}", text("text"))),
        _ => return None,
    };
    let said = text("error");
    let said = said.strip_prefix("unknown: ").unwrap_or(&said);
    let shown = if text("action") == "debug" && text("status") == "ok" {
        event["result"]["msg"].to_string()
    } else {
        said.lines().next().unwrap_or_default().to_string()
    };
    Some(format!("{subject}: {}: {shown}", text("status")))
}

fn check(playbook: &Path, arguments: &[&str]) -> Result<(), String> {
    let text = std::fs::read_to_string(playbook).unwrap();
    let (_, expected) = text.split_once("# expected:\n").unwrap();
    let expected: Vec<&str> = expected
        .lines()
        .map(|l| l.trim_start_matches('#').trim())
        .collect();
    let found = said(playbook, arguments);
    let matches = |(n, want): (usize, &&str)| found.get(n).is_some_and(|got| got.trim() == *want);
    if expected.len() == found.len() && expected.iter().enumerate().all(matches) {
        return Ok(());
    }
    Err(format!(
        "{} {arguments:?}:\nexpected\n  {}\nfound\n  {}",
        playbook.display(),
        expected.join("\n  "),
        found.join("\n  ")
    ))
}

fn cases() -> Vec<PathBuf> {
    let wanted = std::env::var("VMSTATION_CASE").unwrap_or_default();
    let files = std::fs::read_dir(CASES).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = files
        .filter(|p| p.extension().is_some_and(|e| e == "yml"))
        .filter(|p| p.file_name().unwrap().to_string_lossy().contains(&wanted))
        .filter(|p| !p.to_string_lossy().contains("included"))
        .collect();
    all.sort();
    all
}

#[test]
fn what_a_dry_run_cannot_know_is_said_with_its_reason() {
    let cases = cases();
    assert!(!cases.is_empty(), "no case has that name");
    let wrong: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            [
                check(case, &["--check"]),
                check(case, &["--check", "--no-run-ahead"]),
            ]
        })
        .filter_map(Result::err)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same playbooks, run in earnest, know everything.
#[test]
fn a_real_run_knows_everything() {
    for case in cases() {
        let said = said(&case, &[]);
        assert!(
            !said
                .iter()
                .any(|l| l.contains(": unknown:") || l.starts_with("warning")),
            "{}: {said:#?}",
            case.display()
        );
    }
}
