//! `vmstation graph` of every `tests/graph/*.yml` in each format, compared with the file beside it.
//! `VMSTATION_RECORD=1` writes those anew.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graph")
}

fn playbooks() -> Vec<String> {
    let names = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names
        .filter(|n| n != "hosts.yml" && Path::new(n).extension().is_some_and(|e| e == "yml"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn graph(playbook: &str, format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["graph", "-i", "hosts.yml", "--format", format, playbook])
        .current_dir(folder())
        .env_remove("ANSIBLE_CONFIG")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn graphs_are_as_recorded() {
    for playbook in playbooks() {
        for (format, extension) in [("text", "txt"), ("dot", "dot"), ("mermaid", "mmd")] {
            let shown = graph(&playbook, format);
            let expected = folder().join(&playbook).with_extension(extension);
            if std::env::var_os("VMSTATION_RECORD").is_some() {
                std::fs::write(&expected, &shown).unwrap();
            }
            assert_eq!(
                shown,
                std::fs::read_to_string(&expected).unwrap(),
                "{}",
                expected.display()
            );
        }
    }
}

/// Lock-step through one node for each task, not an edge from each host to each.
#[test]
fn a_graph_grows_with_hosts_and_tasks_not_with_their_squares() {
    let directory = tempfile::tempdir().unwrap();
    let hosts: Vec<String> = (0..100).map(|n| format!("h{n}")).collect();
    let task = "    - command: x\n";
    let playbook = directory.path().join("p.yml");
    std::fs::write(
        &playbook,
        format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n{}",
            task.repeat(10)
        ),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["graph", "-i", &hosts.join(",")])
        .arg(&playbook)
        .current_dir(directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.ends_with("1000 steps; edges: 1800 barrier, 900 order\n"),
        "{text}"
    );
}
