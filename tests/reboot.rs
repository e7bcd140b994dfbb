//! `reboot` on the lab's containers, which come back in seconds: that it restarts a host and waits for it, and what
//! it says of one that does not go down. `tests/smoke.rs` has it with real kernels.
//!
//! Needs root and the lab's tools, so it runs when `VMSTATION_LAB=1` is set, in a lab of its own.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::io::{self, Write as _};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

const REBOOT: &str = "tests/smoke/reboot.yml";
const WAIT: &str = "tests/reboot/wait.yml";
const TEST: &str = "tests/smoke/reboot-test.yml";

/// Ended also when the test fails.
struct Lab(String);

impl Lab {
    fn lab(&self, words: &[&str]) -> Output {
        program(&[&["lab", "--name", &self.0], words].concat())
    }

    fn run(&self, playbook: &str, variables: &str) -> (Option<i32>, Vec<Value>) {
        let lab = format!("--lab={}", self.0);
        let output = program(&["run", &lab, playbook, "--json", "-e", variables]);
        let events = String::from_utf8_lossy(&output.stdout);
        let events = events.lines().map(|line| serde_json::from_str(line).unwrap());
        (output.status.code(), events.collect())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.lab(&["down"]);
    }
}

fn program(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(words)
        .output()
        .unwrap()
}

/// The results of a task, by host.
fn results<'a>(events: &'a [Value], task: &str) -> Vec<(&'a str, &'a Value)> {
    events
        .iter()
        .filter(|event| event["event"] == "task_finished" && event["task"] == task)
        .map(|event| (event["host"].as_str().unwrap(), &event["result"]))
        .collect()
}

#[test]
fn a_host_goes_down_and_comes_back() {
    if std::env::var_os("VMSTATION_LAB").is_none_or(|value| value != "1") {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: set VMSTATION_LAB=1 to restart hosts of a lab (needs root)"
        );
        return;
    }
    let lab = Lab(format!("reboottest{}", std::process::id()));
    let up = lab.lab(&["up"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));

    let (exit, events) = lab.run(REBOOT, "nodes=all");
    let restarted = results(&events, "Restart");
    assert_eq!(exit, Some(0), "{restarted:#?}");
    assert_eq!(restarted.len(), 4);

    // A dry run would, and does not.
    let lab_option = format!("--lab={}", lab.0);
    let output = program(&["run", &lab_option, TEST, "--check"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Restart: restart the host"), "{said}");

    // One that does not go down, and a command that fails.
    let began = Instant::now();
    let (exit, events) = lab.run(REBOOT, "nodes=masternode limit=4 command=true");
    assert_eq!(exit, Some(3));
    let (_, result) = results(&events, "Restart")[0];
    assert_eq!(
        result["msg"],
        "Timed out waiting for last boot time check (timeout=4). \
         Last error message before the timeout exception - boot time has not changed"
    );
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
    let (exit, events) = lab.run(
        REBOOT,
        r#"{"nodes": "homelab", "command": "echo no >&2; exit 7"}"#,
    );
    assert_eq!(exit, Some(3));
    let (_, result) = results(&events, "Restart")[0];
    assert_eq!(result["msg"], "Reboot command failed. Error was: ', no'");
    assert_eq!(result["rebooted"], false);

    // It is there again when a command of one's own succeeds, and not before.
    let (exit, events) = lab.run(TEST, "{}");
    let restarted = results(&events, "Restart");
    assert_eq!(exit, Some(0), "{restarted:#?}");
    let (exit, events) = lab.run(TEST, "test=false limit=5");
    assert_eq!(exit, Some(3));
    let (_, result) = results(&events, "Restart")[0];
    let said = result["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for post-reboot test command (timeout=5)."),
        "{said}"
    );
    assert_eq!(result["rebooted"], true);

    // By a command of one's own, and then waiting; and one that is not there.
    let (exit, events) = lab.run(WAIT, "{}");
    let waited = results(&events, "Wait");
    assert_eq!(exit, Some(0), "{waited:#?}");
    assert_eq!(waited.len(), 2);
    let (exit, events) = lab.run(WAIT, "stop=true");
    assert_eq!(exit, Some(3));
    let (_, result) = results(&events, "Wait")[0];
    let said = result["msg"].as_str().unwrap();
    assert!(
        said.starts_with("timed out waiting for ping module test: "),
        "{said}"
    );
}
