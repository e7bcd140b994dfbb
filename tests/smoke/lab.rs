//! The virtual machines, and what is kept of the runs on them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::own_lab::{self, NODES, Ran, program};

pub struct Lab {
    lab: own_lab::Lab,
    pub artefacts: PathBuf,
}

impl Deref for Lab {
    type Target = own_lab::Lab;

    fn deref(&self) -> &Self::Target {
        &self.lab
    }
}

impl Lab {
    /// `existing`: machines that are up already.
    pub fn new(existing: Option<String>, artefacts: PathBuf) -> Self {
        let is_ours = existing.is_none();
        let name = existing.unwrap_or_else(|| format!("smoke{}", std::process::id()));
        Self {
            lab: own_lab::Lab { name, is_ours },
            artefacts,
        }
    }

    /// Starts the program; what it says goes to the artefacts, under this name.
    pub fn start(&self, name: &str, words: &[&str]) -> Running {
        let file = |extension: &str| self.artefacts.join(format!("{name}.{extension}"));
        let child = program()
            .args(words)
            .arg(format!("--lab={}", self.name))
            .arg("--json")
            .arg("--junit")
            .arg(file("xml"))
            .stdout(File::create(file("jsonl")).unwrap())
            .stderr(File::create(file("log")).unwrap())
            .spawn()
            .unwrap();
        Running {
            child,
            events: file("jsonl"),
            log: file("log"),
        }
    }

    /// Hides that of any lab: here what is said is kept.
    pub fn run(&self, name: &str, words: &[&str]) -> Ran {
        self.start(name, words).end()
    }

    pub fn monitor(&self, host: &str, command: &str) {
        let path = format!("/run/vmstation/{}/hosts/{host}/monitor", self.name);
        let mut monitor = UnixStream::connect(path).unwrap();
        monitor.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        read_to_prompt(&mut monitor);
        writeln!(monitor, "{command}").unwrap();
        read_to_prompt(&mut monitor);
    }

    pub fn boot_id(&self, host: &str) -> String {
        self.on(host, "cat /proc/sys/kernel/random/boot_id")
    }

    /// Waits until somebody can log in again.
    pub fn wait_for(&self, host: &str) {
        let end = Instant::now() + Duration::from_secs(300);
        while !self
            .command(&["ssh", host, "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            assert!(Instant::now() < end, "{host} does not answer");
            sleep(Duration::from_secs(2));
        }
    }

    pub fn keep_consoles(&self, when: &str) {
        for host in NODES {
            let console = format!("/run/vmstation/{}/hosts/{host}/console.log", self.name);
            let _ = fs::copy(console, self.artefacts.join(format!("console-{host}{when}.log")));
        }
    }
}

fn read_to_prompt(monitor: &mut UnixStream) {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while !said.ends_with(b"(qemu) ") {
        match monitor.read(&mut piece) {
            Ok(count) if count > 0 => said.extend_from_slice(&piece[..count]),
            _ => panic!("the monitor says {:?}", String::from_utf8_lossy(&said)),
        }
    }
}

/// Those that are there so far.
fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    // The last line may be in the middle of being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub struct Running {
    child: Child,
    events: PathBuf,
    log: PathBuf,
}

impl Running {
    /// Waits until the task works on the host.
    pub fn wait_for(&self, host: &str, task: &str) {
        let started = |event: &Value| {
            event["event"] == "task_started" && event["host"] == host && event["task"] == task
        };
        let end = Instant::now() + Duration::from_secs(120);
        while !events(&self.events).iter().any(started) {
            assert!(Instant::now() < end, "`{task}` does not start on {host}");
            sleep(Duration::from_millis(100));
        }
    }

    pub fn end(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        let text = |path| fs::read_to_string(path).unwrap();
        Ran::new(status, &text(&self.events), text(&self.log))
    }
}
