//! `reboot` on the lab's containers, which come back in seconds: that it restarts a host and waits for it, and what
//! it says of one that does not go down. `tests/smoke` has it with real kernels.
//!
//! Needs root and the lab's tools, so it runs when `VMSTATION_LAB=1` is set, in a lab of its own.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[expect(dead_code, reason = "what other tests use")]
mod own_lab;

use std::io::{self, Write as _};
use std::time::Instant;

use own_lab::{Lab, Ran};
use serde_json::Value;

const REBOOT: &str = "tests/smoke/reboot.yml";
const WAIT: &str = "tests/reboot/wait.yml";
const TEST: &str = "tests/smoke/reboot-test.yml";

fn run(lab: &Lab, playbook: &str, variables: &str) -> Ran {
    lab.run(&["run", playbook, "-e", variables])
}

/// The results of a task.
fn results<'a>(ran: &'a Ran, task: &str) -> Vec<&'a Value> {
    ran.endings()
        .filter(|(_, its_task, _)| *its_task == task)
        .map(|(.., ending)| &ending["result"])
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
    let lab = Lab::up("reboottest", &[]);

    let ran = run(&lab, REBOOT, "nodes=all").ok();
    assert_eq!(results(&ran, "Restart").len(), 4);

    // A dry run would, and does not; not even what it would be asked is asked. What it returns is known.
    let asked = "boot='touch /var/tmp/asked; cat /proc/sys/kernel/random/boot_id'";
    let before = lab.on("masternode", "cat /proc/sys/kernel/random/boot_id");
    let dry = lab.run(&["run", TEST, "--check", "-e", asked]).ok();
    let result = results(&dry, "Restart")[0];
    assert_eq!(
        (&result["rebooted"], &result["elapsed"]),
        (&true.into(), &0.into()),
        "{result}"
    );
    let was_asked = "if [ -e /var/tmp/asked ]; then echo asked; fi";
    assert_eq!(lab.on("masternode", was_asked), "");
    assert_eq!(
        lab.on("masternode", "cat /proc/sys/kernel/random/boot_id"),
        before
    );
    let dry = lab.run(&["run", TEST, "--check"]).ok();
    assert_eq!(dry.changed(), [("masternode", "Restart")]);
    let plan = own_lab::program()
        .args(["run", TEST, "--check", &format!("--lab={}", lab.name)])
        .output()
        .unwrap();
    let said = own_lab::said(&plan);
    assert!(said.contains("Restart: restart the host"), "{said}");

    // One that does not go down, and a command that fails.
    let began = Instant::now();
    let ran = run(&lab, REBOOT, "nodes=masternode limit=4 command=true").ends_with(3);
    assert_eq!(
        results(&ran, "Restart")[0]["msg"],
        "Timed out waiting for last boot time check (timeout=4). \
         Last error message before the timeout exception - boot time has not changed"
    );
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
    let variables = r#"{"nodes": "homelab", "command": "echo no >&2; exit 7"}"#;
    let ran = run(&lab, REBOOT, variables).ends_with(3);
    let result = results(&ran, "Restart")[0];
    assert_eq!(result["msg"], "Reboot command failed. Error was: ', no'");
    assert_eq!(result["rebooted"], false);

    // What tells one boot from another, in words of one's own; what cannot be asked or found ends it before.
    let ran = run(&lab, TEST, "limit=4 boot='echo same' command='/bin/true'").ends_with(3);
    let said = results(&ran, "Restart")[0]["msg"].as_str().unwrap();
    assert!(said.ends_with("boot time has not changed"), "{said}");
    let ran = run(&lab, TEST, "boot='echo out; exit 3'").ends_with(3);
    assert_eq!(
        results(&ran, "Restart")[0]["msg"],
        "reboot: failed to get host boot time info, rc: 3, stdout: out, stderr: "
    );
    for (variables, program) in [
        (r#"{"paths": ["/nowhere"]}"#, "shutdown"),
        (
            r#"{"paths": "/nowhere", "command": "systemctl reboot"}"#,
            "systemctl",
        ),
    ] {
        let ran = run(&lab, TEST, variables).ends_with(3);
        assert_eq!(
            results(&ran, "Restart")[0]["msg"],
            format!("Unable to find command \"{program}\" in search paths: ['/nowhere']")
        );
    }
    let ran = run(&lab, TEST, "ansible_connection=local").ends_with(3);
    let result = results(&ran, "Restart")[0];
    assert_eq!(
        result["msg"],
        "Running reboot with local connection would reboot the control node."
    );
    assert_eq!(result["rebooted"], false);
    assert_eq!(
        lab.on("masternode", "cat /proc/sys/kernel/random/boot_id"),
        before
    );

    // It is there again when a command of one's own succeeds, and not before.
    run(&lab, TEST, "{}").ok();
    let ran = run(&lab, TEST, "test=false limit=5").ends_with(3);
    let result = results(&ran, "Restart")[0];
    let said = result["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for post-reboot test command (timeout=5)."),
        "{said}"
    );
    assert_eq!(result["rebooted"], true);

    // By a command of one's own, and then waiting; and one that is not there.
    let ran = run(&lab, WAIT, "{}").ok();
    assert_eq!(results(&ran, "Wait").len(), 2);
    let ran = run(&lab, WAIT, "stop=true").ends_with(3);
    let said = results(&ran, "Wait")[0]["msg"].as_str().unwrap();
    assert!(
        said.starts_with("timed out waiting for ping module test: "),
        "{said}"
    );
}
