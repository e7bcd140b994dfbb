//! The virtual machines, and what is kept of the runs on them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::own_lab::{self, LIMIT, NODES, Ran, ended_within, program};

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
    /// `existing`: machines that are up already; `name`: what those of our own are called, by whoever ends them when
    /// we cannot.
    pub fn new(existing: Option<String>, name: Option<String>, artefacts: PathBuf) -> Self {
        let is_ours = existing.is_none();
        let name = existing.or(name);
        let name = name.unwrap_or_else(|| format!("smoke{}", std::process::id()));
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
        self.try_monitor(host, command).unwrap();
    }

    fn try_monitor(&self, host: &str, command: &str) -> io::Result<()> {
        let mut monitor = UnixStream::connect(self.file(host, "monitor"))?;
        monitor.set_read_timeout(Some(Duration::from_secs(5)))?;
        read_to_prompt(&mut monitor)?;
        writeln!(monitor, "{command}")?;
        read_to_prompt(&mut monitor)
    }

    /// Until the result is dropped; also where the test fails meanwhile.
    pub fn while_monitor<'a>(&'a self, host: &'a str, command: &str, after: &'a str) -> Undo<'a> {
        self.monitor(host, command);
        Undo {
            lab: self,
            host,
            command: after,
        }
    }

    /// What the lab keeps of a host.
    fn file(&self, host: &str, name: &str) -> PathBuf {
        Path::new("/run/vmstation")
            .join(&self.name)
            .join("hosts")
            .join(host)
            .join(name)
    }

    /// What the host has written to its console so far.
    pub fn console(&self, host: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.file(host, "console.log")).unwrap()).into_owned()
    }

    pub fn boot_id(&self, host: &str) -> String {
        self.on(host, "cat /proc/sys/kernel/random/boot_id")
    }

    /// Waits until somebody can log in again.
    pub fn wait_for(&self, host: &str) {
        let end = Instant::now() + Duration::from_secs(300);
        while !self.can(host, "true") {
            assert!(Instant::now() < end, "{host} does not answer");
            sleep(Duration::from_secs(2));
        }
    }

    /// Whether a command ends well on a host; a host that does not answer in time cannot.
    fn can(&self, host: &str, command: &str) -> bool {
        let mut command = self.command(&["ssh", host, command]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        ended_within(Duration::from_secs(20), command.unwrap()).is_some_and(|output| output.status.success())
    }

    /// What the machines and QEMU have written so far.
    pub fn keep_consoles(&self, when: &str) {
        for host in NODES {
            for kind in ["console", "qemu"] {
                let from = self.file(host, &format!("{kind}.log"));
                let _ = fs::copy(from, self.artefacts.join(format!("{kind}-{host}{when}.log")));
            }
        }
    }

    /// What the hosts have written down since their boot, of those that answer.
    pub fn keep_journals(&self, when: &str) {
        for host in NODES {
            let mut command = self.command(&["ssh", host, "sudo journalctl -b --no-pager"]);
            let command = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let Some(output) = ended_within(Duration::from_secs(40), command.unwrap()) else {
                continue;
            };
            if output.status.success() {
                let file = self.artefacts.join(format!("journal-{host}-{when}.log"));
                let _ = fs::write(file, output.stdout);
            }
        }
    }
}

/// Takes back what was said to a monitor.
pub struct Undo<'a> {
    lab: &'a Lab,
    host: &'a str,
    command: &'a str,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.lab.try_monitor(self.host, self.command) {
            let _ = writeln!(io::stderr(), "{}: {}: {error}", self.host, self.command);
        }
    }
}

fn read_to_prompt(monitor: &mut UnixStream) -> io::Result<()> {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while !said.ends_with(b"(qemu) ") {
        match monitor.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => said.extend_from_slice(&piece[..count]),
        }
    }
    Ok(())
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
    pub fn wait_for(&mut self, host: &str, task: &str) {
        let started = |event: &Value| {
            event["event"] == "task_started" && event["host"] == host && event["task"] == task
        };
        let end = Instant::now() + Duration::from_secs(120);
        while !events(&self.events).iter().any(started) {
            let is_over =
                self.child.try_wait().unwrap().is_some() && !events(&self.events).iter().any(started);
            assert!(
                !is_over && Instant::now() < end,
                "`{task}` does not start on {host}: {}",
                fs::read_to_string(&self.log).unwrap()
            );
            sleep(Duration::from_millis(100));
        }
    }

    pub fn end(mut self) -> Ran {
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "{} does not end", self.events.display());
            sleep(Duration::from_millis(20));
        };
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        Ran::new(status, &text(&self.events), text(&self.log))
    }
}

/// Nothing runs on when a test has failed.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
