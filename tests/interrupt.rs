//! Somebody stops a run: exit 130, and no process of ours stays on the hosts. Needs a lab of its own, made and
//! ended here: `VMSTATION_LAB=1`.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HOSTS: [&str; 3] = ["masternode", "storagenodet3500", "homelab"];

const SLEEPS: &str = "
- hosts: all:!nopython_nodes
  gather_facts: false
  tasks:
    - name: Begins
      command: sleep 98765
";

/// As root, with a child, and deaf to the signal that a terminal sends.
const IS_DEAF: &str = "
- hosts: all:!nopython_nodes
  gather_facts: false
  become: true
  tasks:
    - name: Begins
      shell: |
        trap '' INT
        sleep 98765 & sleep 98765
";

struct Lab(&'static str);

impl Lab {
    fn up(name: &'static str) -> Self {
        assert!(
            vmstation(&["lab", "--name", name, "up"])
                .status()
                .unwrap()
                .success()
        );
        Self(name)
    }

    fn ssh(&self, host: &str, command: &str) -> String {
        let output = vmstation(&["lab", "--name", self.0, "ssh", host, command])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = vmstation(&["lab", "--name", self.0, "down"]).status();
    }
}

fn vmstation(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
    command.args(words);
    command
}

fn run(lab: &Lab, directory: &Path) -> Child {
    let inside = format!("--lab={}", lab.0);
    let mut command = vmstation(&["run", &inside, "--json", "site.yml"]);
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the task works on as many hosts.
fn until_started(child: &mut Child, hosts: usize) {
    let mut seen = 0;
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        seen += usize::from(event["event"] == "task_started");
        if seen == hosts {
            // What the event announces has to get there.
            std::thread::sleep(Duration::from_millis(500));
            return;
        }
    }
    panic!("the task never began");
}

fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn is_stopped_by(lab: &Lab, playbook: &str, name: &str) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("site.yml"), playbook).unwrap();
    let mut child = run(lab, directory.path());
    until_started(&mut child, HOSTS.len());
    let begun = Instant::now();
    signal(&child, name);
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(130), "{name}");
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{name}: {:?}",
        begun.elapsed()
    );
    for host in HOSTS {
        let left = lab.ssh(host, "sleep 1; pgrep -af 98765 | grep -v pgrep");
        assert_eq!(left.trim(), "", "{name}: left on {host}");
    }
}

#[test]
fn a_stopped_run_leaves_nothing_running() {
    if std::env::var_os("VMSTATION_LAB").is_none() {
        return;
    }
    let lab = Lab::up("interrupt");
    for name in ["-INT", "-TERM", "-HUP"] {
        is_stopped_by(&lab, SLEEPS, name);
    }
    is_stopped_by(&lab, IS_DEAF, "-INT");
}
