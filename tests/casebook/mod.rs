//! The cases under `tests/cases`, and the playing of them by the program.
//!
//! A case's first comment lines may hold settings: `# on: local` (the default: this machine, and the lab's host
//! without Python), `# on: lab`, `# on: debian`, `# on: rhel` (hosts of the lab), `# on: kubernetes` (a cluster, which
//! the case knows as `kubeconfig`, and whose pods run as the lab's do), and `# again: changed` where a second run is
//! expected to change something.
//! `VMSTATION_CASE=file/touch` plays those whose name holds that text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

/// The name under which an event tells of all members that are not named.
const REST: &str = "…";

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

pub struct Case {
    pub path: PathBuf,
    /// `file/touch`.
    pub name: String,
    settings: BTreeMap<String, String>,
}

pub fn cases() -> Vec<Case> {
    let wanted = std::env::var("VMSTATION_CASE").unwrap_or_default();
    let modules = std::fs::read_dir(CASES).unwrap().flatten();
    let mut all: Vec<Case> = modules
        .filter(|e| e.path().is_dir())
        .flat_map(|module| std::fs::read_dir(module.path()).unwrap().flatten())
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .map(Case::read)
        .filter(|case| case.name.contains(&wanted))
        .collect();
    assert!(!all.is_empty(), "no case has `{wanted}` in its name");
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

impl Case {
    fn read(path: PathBuf) -> Self {
        let name = path.strip_prefix(CASES).unwrap().with_extension("");
        let text = std::fs::read_to_string(&path).unwrap();
        let settings = text
            .lines()
            .take_while(|l| l.starts_with('#'))
            .filter_map(|l| l.trim_start_matches(['#', ' ']).split_once(':'))
            .map(|(k, v)| (k.trim().to_string(), v.trim().to_string()))
            .collect();
        Self {
            name: name.display().to_string(),
            path,
            settings,
        }
    }

    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Played on this machine, and compared with what Ansible made of it here.
    pub fn is_local(&self) -> bool {
        matches!(self.setting("on"), None | Some("local"))
    }

    /// The lab's hosts that it is played on.
    pub fn hosts(&self) -> &'static [&'static str] {
        match self.setting("on").unwrap_or("local") {
            "local" => &["nopython"],
            "debian" => &["masternode", "nopython"],
            "rhel" => &["homelab"],
            "lab" => &["masternode", "nopython", "homelab"],
            // Not by itself a host's affair.
            "kubernetes" => &[],
            other => panic!("{}: `on: {other}` is no place", self.name),
        }
    }

    /// Played against a cluster.
    pub fn is_of_a_cluster(&self) -> bool {
        self.setting("on") == Some("kubernetes")
    }

    /// A directory of its own on the hosts of the lab.
    pub fn directory(&self, how: &str) -> String {
        format!("/var/tmp/case-{}-{how}", self.name.replace('/', "-"))
    }
}

/// The lab that the environment names, if it wants one.
pub fn lab() -> Option<String> {
    std::env::var_os("VMSTATION_LAB")?;
    Some(std::env::var("VMSTATION_LAB_NAME").unwrap_or_else(|_| "lab".to_string()))
}

/// Runs a script as root on a host of the lab, by the system's own ssh: what watches does not depend on what is
/// watched.
pub fn shell(lab: &str, host: &str, script: &str) -> String {
    let sudo = if host == "homelab" { "sudo " } else { "" };
    let quoted = script.replace('\'', r"'\''");
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["lab", "--name", lab, "ssh", host, "--"])
        .arg(format!("{sudo}sh -c '{quoted}'"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{host}: {script}\n{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where cases are played, and how.
pub struct Stage {
    words: Vec<String>,
    /// The directory that cases know as `w`.
    w: String,
    /// Where the record of the run goes.
    home: tempfile::TempDir,
}

impl Stage {
    pub fn here(w: &str, words: &[&str]) -> Self {
        let connection = ["-i", "localhost,", "-e", "ansible_connection=local"];
        Self::new(w, [&connection[..], words].concat())
    }

    pub fn lab(lab: &str, hosts: &[&str], w: &str, words: &[&str]) -> Self {
        let lab = format!("--lab={lab}");
        let hosts = hosts.join(",");
        Self::new(w, [&[lab.as_str(), "--limit", &hosts], words].concat())
    }

    fn new(w: &str, words: Vec<&str>) -> Self {
        Self {
            words: words.into_iter().map(str::to_string).collect(),
            w: w.to_string(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub fn play(&self, playbook: &Path) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
            .args(["run", "--json", "-e", &format!("w={}", self.w)])
            .args(&self.words)
            .arg(playbook)
            .current_dir(self.home.path())
            .env("ANSIBLE_CONFIG", "/dev/null")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut ran = Ran::of(output.status.code().unwrap_or(-1), text, &self.w);
        ran.text.push_str(&String::from_utf8_lossy(&output.stderr));
        ran
    }
}

/// One task's result, as far as it can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub host: String,
    pub name: String,
    pub changed: bool,
    pub failed: bool,
    pub skipped: bool,
    pub values: Map<String, Value>,
    /// Subject, before and after of each difference that it showed.
    pub differences: Value,
}

impl Seen {
    fn of(event: &Value, w: &str) -> Option<Self> {
        if event["event"] != "task_finished" {
            return None;
        }
        let status = event["status"].as_str().unwrap_or_default();
        let values = event["result"].as_object().cloned().unwrap_or_default();
        Some(Self {
            host: event["host"].as_str().unwrap_or_default().to_string(),
            name: event["task"].as_str().unwrap_or_default().to_string(),
            changed: values.get("changed") == Some(&Value::Bool(true)),
            failed: matches!(status, "failed" | "unreachable"),
            skipped: status == "skipped",
            values: match normal(Value::Object(values), w) {
                Value::Object(map) => map,
                _ => Map::new(),
            },
            differences: normal(event["differences"].clone(), w),
        })
    }
}

impl Seen {
    /// Whether it has not been done, only found to be needed: what it would return is unknown.
    pub fn is_dry(&self) -> bool {
        self.changed
            && self
                .values
                .get(REST)
                .is_some_and(|rest| rest.get("unknown").is_some())
    }
}

/// One run of a case.
pub struct Ran {
    pub rc: i32,
    pub tasks: Vec<Seen>,
    /// All that the program printed.
    pub text: String,
}

impl Ran {
    /// From what `--json` printed.
    pub fn of(rc: i32, text: String, w: &str) -> Self {
        let events = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Self {
            rc,
            tasks: events.filter_map(|event| Seen::of(&event, w)).collect(),
            text,
        }
    }

    /// What made it fail, in words.
    pub fn failures(&self) -> String {
        let failed: Vec<String> = self
            .tasks
            .iter()
            .filter(|task| task.failed)
            .map(|task| {
                format!(
                    "{}: {}: {}",
                    task.host,
                    task.name,
                    task.values.get("msg").unwrap_or(&Value::Null)
                )
            })
            .collect();
        if failed.is_empty() {
            return self.text.clone();
        }
        failed.join("\n")
    }
}

/// The scratch directory as `$W`.
fn normal(value: Value, w: &str) -> Value {
    match value {
        Value::String(s) => Value::String(s.replace(w, "$W").replace(CASES, "$CASES")),
        Value::Array(items) => Value::Array(items.into_iter().map(|v| normal(v, w)).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| {
                    let mut v = normal(v, w);
                    match (k.as_str(), &mut v) {
                        // The order of a directory is the file system's.
                        ("files", Value::Array(files)) => files.sort_by_key(|file| file["path"].to_string()),
                        // And what dnf did first, its own affair.
                        ("results", Value::Array(done)) if done.iter().all(Value::is_string) => {
                            done.sort_by_key(Value::to_string);
                        }
                        _ => {}
                    }
                    (k.replace(w, "$W"), v)
                })
                .collect(),
        ),
        other => other,
    }
}

/// Something that is not as it should be, and where it was seen.
pub struct Wrong {
    pub what: String,
    pub place: String,
}

impl Wrong {
    pub fn new(what: impl Into<String>, place: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            place: place.into(),
        }
    }
}

/// Ends a test: what was seen in many places is said once.
pub fn conclude(count: usize, place: &str, wrong: &[Wrong]) {
    eprintln!("{count} cases on {place}");
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in wrong {
        places.entry(&one.what).or_default().push(&one.place);
    }
    let all: Vec<String> = places
        .iter()
        .map(|(what, places)| format!("{what}  [{}]", places.join("; ")))
        .collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}

/// Does it for all of them, a few at a time, and gathers what was wrong.
pub fn each<T: Sync>(items: &[T], at_once: usize, what: impl Fn(&T) -> Vec<Wrong> + Sync) -> Vec<Wrong> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..at_once {
            threads.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut found = what(item);
                    wrong.lock().unwrap().append(&mut found);
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}
