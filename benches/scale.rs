//! What a task on a host costs us when there are many hosts: it must not grow with their number.
//!
//! `cargo bench --bench scale` runs thirty tasks without any work on 10, 100 and 1000 hosts, and draws the graph.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops where something is wrong, and tells people"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TASKS: u32 = 30;

fn main() {
    println!(
        "{:>6} hosts   µs for a task on a host   µs for a step of the graph",
        ""
    );
    for hosts in [10, 100, 1000] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), hosts);
        let steps = hosts * TASKS;
        let run = time(folder.path(), "run") / steps;
        let graph = time(folder.path(), "graph") / steps;
        println!(
            "{hosts:>12}   {:>23}   {:>26}",
            run.as_micros(),
            graph.as_micros()
        );
    }
}

fn write(folder: &Path, hosts: u32) {
    let inventory = format!("[all]\nhost[0001:{hosts:04}] ansible_connection=local\n");
    let mut playbook = String::from("- hosts: all\n  gather_facts: false\n  tasks:\n");
    for number in 0..TASKS {
        let _ = writeln!(
            playbook,
            "    - debug: msg=\"{number} {{{{ inventory_hostname }}}} of {{{{ groups.all | length }}}}\""
        );
    }
    std::fs::write(folder.join("hosts.ini"), inventory).unwrap();
    std::fs::write(folder.join("site.yml"), playbook).unwrap();
}

fn time(folder: &Path, what: &str) -> Duration {
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args([what, "-i", "hosts.ini", "site.yml"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    begun.elapsed()
}
