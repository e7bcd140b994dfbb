//! A lab of a test's own, ended also when the test fails, and what the program says of runs in it.

mod ran;

use std::io::{Read, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use ran::Ran;

pub const NODES: [&str; 3] = ["masternode", "storagenodet3500", "homelab"];

/// How long a program may take of which nothing else is said: what hangs must not keep a test from its end.
pub const LIMIT: Duration = Duration::from_secs(20 * 60);

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
        said(&ended(&mut self.command(words)))
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
        end_within(LIMIT, shell)
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        let lab = format!("--lab={}", self.name);
        let output = ended(program().args(words).args([&lab, "--json"]));
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
        if !self.is_ours {
            return;
        }
        let down = self.command(&["down"]).output().unwrap();
        // In the middle of another failure it can only be told.
        if thread::panicking() && !down.status.success() {
            let _ = writeln!(std::io::stderr(), "lab {}: down: {down:?}", self.name);
        } else {
            said(&down);
        }
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// How a command ended, and what it said.
pub fn ended(command: &mut Command) -> Output {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    end_within(LIMIT, command.spawn().unwrap())
}

/// The same of one that runs; one that takes too long is killed, and the test fails.
pub fn end_within(limit: Duration, child: Child) -> Output {
    ended_within(limit, child).unwrap_or_else(|| panic!("a program had not ended after {limit:?}"))
}

/// Nothing where it takes too long; it is killed then.
pub fn ended_within(limit: Duration, mut child: Child) -> Option<Output> {
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let said = |reader: JoinHandle<Vec<u8>>| reader.join().unwrap();
    Some(Output {
        status,
        stdout: said(stdout),
        stderr: said(stderr),
    })
}

fn read(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut said);
        }
        said
    })
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
