//! A playbook with what `ansible-playbook` made of it beside it, and how we play it.
//!
//! The first comment lines of a case may say:
//!
//! - `# on: lab`: played on the lab's hosts, not on this machine;
//! - `# args: …`: more arguments for the command line;
//! - `# inventory: NAME`: a file beside the case; else `hosts` beside it, else `tests/flow/hosts`;
//! - `# order: by host`: no order of tasks over hosts is promised (`strategy: free`);
//! - `# differs: PART | PART because REASON`: differences whose sentence holds one of these are meant. When there
//!   is none any more, that is an error, too.

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "compare.rs"]
pub mod compare;

use compare::{Ran, Recorded};

const FLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flow");

pub struct Case {
    path: PathBuf,
    pub name: String,
    args: Vec<String>,
    inventory: PathBuf,
    pub on_lab: bool,
    by_host: bool,
    /// Parts of differences that are meant.
    differs: Vec<String>,
}

impl Case {
    pub fn read(path: PathBuf) -> Self {
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
        let tests = Path::new(FLOW).parent().unwrap();
        let name = path
            .strip_prefix(FLOW)
            .or_else(|_| path.strip_prefix(tests))
            .unwrap();
        let differs = settings.iter().filter(|(name, _)| *name == "differs");
        let differs = differs.flat_map(|(_, text)| {
            let (parts, _reason) = text.split_once(" because ").unwrap();
            parts.split(" | ").map(String::from)
        });
        Self {
            name: name.with_extension("").display().to_string(),
            args: setting("args")
                .unwrap_or_default()
                .split_whitespace()
                .map(String::from)
                .collect(),
            inventory: if own { beside } else { shared },
            on_lab: setting("on") == Some("lab"),
            by_host: setting("order") == Some("by host"),
            differs: differs.collect(),
            path,
        }
    }

    fn run(&self, lab: &str, ahead: bool) -> Ran {
        let scratch = tempfile::Builder::new().prefix("flow.").tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        command
            .current_dir(home.path())
            .env("ANSIBLE_CONFIG", "/dev/null")
            .env("ANSIBLE_GATHERING", "explicit")
            .args(["run", "--json"]);
        if self.on_lab {
            command.arg(format!("--lab={lab}"));
        } else {
            command.arg("-i").arg(&self.inventory);
        }
        if !ahead {
            command.arg("--no-run-ahead");
        }
        command
            .args(["-e", &format!("w={}", scratch.path().display())])
            .arg(&self.path)
            .args(&self.args);
        let output = command.output().unwrap();
        let hide = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            text.replace(&scratch.path().display().to_string(), "$W")
                .replace(FLOW, "$FLOW")
        };
        let exit = output.status.code().unwrap_or(-1);
        Ran::read(exit, &hide(&output.stdout), &hide(&output.stderr))
    }

    /// Plays it, running ahead and one by one: what is not as it should be.
    pub fn check(&self, lab: &str) -> Vec<String> {
        let Ok(text) = std::fs::read_to_string(self.path.with_extension("json")) else {
            return vec![format!(
                "{}: nothing is recorded: run tests/flow/record.py",
                self.name
            )];
        };
        let recorded = Recorded::read(&text);
        let ahead = self.run(lab, true);
        let one_by_one = self.run(lab, false);
        let mut wrong = Vec::new();
        for (how, ran) in [("ahead", &ahead), ("one by one", &one_by_one)] {
            wrong.extend(self.judge(how, &recorded, ran));
        }
        if let Some(difference) = compare::between(&ahead, &one_by_one, self.by_host) {
            wrong.push(format!(
                "{}: ahead and one by one differ: {difference}",
                self.name
            ));
        }
        wrong
    }

    fn judge(&self, how: &str, recorded: &Recorded, ran: &Ran) -> Vec<String> {
        let mut wrong = Vec::new();
        let found = compare::differences(recorded, ran, self.by_host);
        for part in &self.differs {
            if !found.iter().any(|d| d.contains(part.as_str())) {
                wrong.push(format!("{} ({how}): no longer differs in `{part}`", self.name));
            }
        }
        let meant = |d: &&String| self.differs.iter().any(|part| d.contains(part.as_str()));
        let others: Vec<String> = found
            .iter()
            .filter(|d| !meant(d))
            .map(|d| format!("    {d}"))
            .collect();
        if !others.is_empty() {
            wrong.push(format!(
                "{} ({how}):\n{}\n    {}",
                self.name,
                others.join("\n"),
                ran.said.trim()
            ));
        }
        wrong
    }
}
