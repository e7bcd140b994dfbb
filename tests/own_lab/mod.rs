//! A lab of a test's own, ended also when the test fails, and what the program says of runs in it.

mod ran;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

pub use ran::Ran;

pub const NODES: [&str; 3] = ["masternode", "storagenodet3500", "homelab"];

pub struct Lab {
    pub name: String,
    /// Others are left up.
    pub is_ours: bool,
}

impl Lab {
    /// Several people may test on one machine. `options` are those of `lab up`.
    pub fn up(name: &str, options: &[&str]) -> Self {
        let lab = Self {
            name: format!("{name}{}", std::process::id()),
            is_ours: true,
        };
        lab.lab(&[&["up"], options].concat());
        lab
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command.args(["lab", "--name", &self.name]).args(words);
        command
    }

    pub fn lab(&self, words: &[&str]) -> String {
        said(&self.command(words).output().unwrap())
    }

    /// What a script prints on a host, as root; its last command must succeed.
    pub fn on(&self, host: &str, script: &str) -> String {
        said(&self.shell(host, "sh", script))
    }

    /// What a script prints on a host, as root; each of its commands must succeed.
    pub fn script(&self, host: &str, script: &str) -> String {
        said(&self.shell(host, "sh -eu", script))
    }

    fn shell(&self, host: &str, shell: &str, script: &str) -> Output {
        // RHEL's sudo leaves /usr/local out.
        let shell = format!("sudo env PATH=/usr/local/bin:/usr/local/sbin:$PATH {shell}");
        let mut shell = self
            .command(&["ssh", host, &shell])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        shell.wait_with_output().unwrap()
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        let lab = format!("--lab={}", self.name);
        let output = program().args(words).args([&lab, "--json"]).output().unwrap();
        Ran::new(
            output.status,
            &String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    pub fn changes_nothing(&self, playbook: &str) {
        self.run(&["run", playbook]).ok().changed_nothing();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = self.command(&["down"]).output();
        }
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// What a command printed that went well.
pub fn said(output: &Output) -> String {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout.trim_end().to_owned()
}
