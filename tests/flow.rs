//! The order of tasks over hosts and what they come to: every playbook of `tests/flow/*/`, run by us with and
//! without running ahead, beside what `ansible-playbook` made of it (`record.py`).
//!
//! Compared: for each host the sequence of tasks with status and values, the order of tasks over all hosts, the
//! counts at the end, the meaning of the exit status. `VMSTATION_CASE=handlers/order` runs those whose name holds
//! that text.
//!
//! The first comment lines of a case may say:
//!
//! - `# args: …`: more arguments for the command line;
//! - `# inventory: NAME`: a file beside the case; else `hosts` beside it, else `tests/flow/hosts`;
//! - `# order: by host`: no order of tasks over hosts is promised (`strategy: free`);
//! - `# differs: PART | PART because REASON`: differences whose sentence holds one of these are meant. When there
//!   is none any more, that is an error, too.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "flow/compare.rs"]
mod compare;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use compare::{Ran, Recorded};

const FLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flow");

struct Case {
    path: PathBuf,
    name: String,
    args: Vec<String>,
    inventory: PathBuf,
    by_host: bool,
    /// Parts of differences that are meant.
    differs: Vec<String>,
}

impl Case {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let settings: Vec<(&str, &str)> = text
            .lines()
            .map_while(|line| line.strip_prefix('#'))
            .filter_map(|line| line.trim().split_once(": "))
            .collect();
        let setting = |name: &str| settings.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let beside = path.with_file_name(setting("inventory").unwrap_or("hosts"));
        let shared = Path::new(FLOW).join("hosts");
        let own = setting("inventory").is_some() || beside.exists();
        let name = path.strip_prefix(FLOW).unwrap().with_extension("");
        let differs = settings.iter().filter(|(name, _)| *name == "differs");
        let differs = differs.flat_map(|(_, text)| {
            let (parts, _reason) = text.split_once(" because ").unwrap();
            parts.split(" | ").map(String::from)
        });
        Self {
            name: name.display().to_string(),
            args: setting("args")
                .unwrap_or_default()
                .split_whitespace()
                .map(String::from)
                .collect(),
            inventory: if own { beside } else { shared },
            by_host: setting("order") == Some("by host"),
            differs: differs.collect(),
            path,
        }
    }

    fn run(&self, ahead: bool) -> Ran {
        let scratch = tempfile::Builder::new().prefix("flow.").tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        command
            .current_dir(home.path())
            .env("ANSIBLE_CONFIG", "/dev/null")
            .env("ANSIBLE_GATHERING", "explicit")
            .args(["run", "--json", "-i"])
            .arg(&self.inventory)
            .args(["-e", &format!("w={}", scratch.path().display())])
            .arg(&self.path)
            .args(&self.args);
        if !ahead {
            command.arg("--no-run-ahead");
        }
        let output = command.output().unwrap();
        let hide = |text: &str| {
            text.replace(&scratch.path().display().to_string(), "$W")
                .replace(FLOW, "$FLOW")
        };
        Ran::read(
            output.status.code().unwrap_or(-1),
            &hide(&String::from_utf8_lossy(&output.stdout)),
            &hide(&String::from_utf8_lossy(&output.stderr)),
        )
    }

    /// What is not as it should be.
    fn check(&self) -> Vec<String> {
        let Ok(text) = std::fs::read_to_string(self.path.with_extension("json")) else {
            return vec![format!(
                "{}: nothing is recorded: run tests/flow/record.py",
                self.name
            )];
        };
        let recorded = Recorded::read(&text);
        let ahead = self.run(true);
        let one_by_one = self.run(false);
        let mut wrong = Vec::new();
        for (how, ran) in [("ahead", &ahead), ("one by one", &one_by_one)] {
            let found = compare::differences(&recorded, ran, self.by_host);
            for part in &self.differs {
                if !found.iter().any(|d| d.contains(part.as_str())) {
                    wrong.push(format!("{} ({how}): no longer differs in `{part}`", self.name));
                }
            }
            let meant = |d: &&String| self.differs.iter().any(|part| d.contains(part.as_str()));
            let mut others = found.iter().filter(|d| !meant(d)).peekable();
            if others.peek().is_some() {
                let list: Vec<String> = others.map(|d| format!("    {d}")).collect();
                let said = ran.said.trim();
                wrong.push(format!("{} ({how}):\n{}\n    {said}", self.name, list.join("\n")));
            }
        }
        if let Some(difference) = compare::between(&ahead, &one_by_one, self.by_host) {
            wrong.push(format!(
                "{}: ahead and one by one differ: {difference}",
                self.name
            ));
        }
        wrong
    }
}

fn cases() -> Vec<Case> {
    let wanted = std::env::var("VMSTATION_CASE").unwrap_or_default();
    let folders = std::fs::read_dir(FLOW).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<Case> = folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .map(Case::read)
        .filter(|case| case.name.contains(&wanted))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[test]
fn playbooks_flow_as_ansibles_do() {
    let cases = cases();
    assert!(!cases.is_empty(), "no case has that name");
    let queue = Mutex::new(cases.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().next() else {
                        return;
                    };
                    wrong.lock().unwrap().extend(case.check());
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} are not as they should be:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn what_differs_is_found() {
    let recorded = |exit: u8, row: &str| {
        let end = r#"{"h": {"ok": 1}}"#;
        Recorded::read(&format!(
            r#"{{"exit": {exit}, "results": [{row}], "end": {end}}}"#
        ))
    };
    let event = |name: &str, rest: &str| format!("{{\"event\": \"{name}\", {rest}}}");
    let task = r#""task": "t", "host": "h", "status": "ok", "result": {"msg": 1, "x": 2}"#;
    let end = r#""hosts": [{"host": "h", "ok": 1}]"#;
    let ours = format!(
        "{}\n{}\n",
        event("task_finished", task),
        event("run_finished", end)
    );
    let ran = Ran::read(0, &ours, "");
    let found = |exit: u8, row: &str| compare::differences(&recorded(exit, row), &ran, false);
    assert!(found(0, r#"["t", "h", "ok", {"msg": 1}]"#).is_empty());
    assert!(found(0, r#"["t", "h", "ok", {"msg": "1"}]"#).is_empty());
    for (exit, row) in [
        (2, r#"["t", "h", "ok", {"msg": 1}]"#),
        (0, r#"["t", "h", "ok", {"msg": 2}]"#),
        (0, r#"["t", "h", "ok", {"rc": 0}]"#),
        (0, r#"["t", "h", "changed", {"msg": 1}]"#),
        (0, r#"["u", "h", "ok", {"msg": 1}]"#),
        (0, r#"["t", "i", "ok", {"msg": 1}]"#),
        (0, ""),
    ] {
        assert!(!found(exit, row).is_empty(), "{exit} {row}");
    }
}
