//! How a run of the program ended, and what its events say.

use std::collections::BTreeMap;
use std::process::ExitStatus;

use serde_json::Value;

pub struct Ran {
    pub status: ExitStatus,
    pub events: Vec<Value>,
    /// On its standard error.
    pub said: String,
}

impl Ran {
    pub fn new(status: ExitStatus, events: &str, said: String) -> Self {
        let events = events.lines().map(|line| serde_json::from_str(line).unwrap());
        Self {
            status,
            events: events.collect(),
            said,
        }
    }

    /// Fails unless the run ended well.
    pub fn ok(self) -> Self {
        self.ends_with(0)
    }

    /// Fails unless the run ended with this exit code.
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}\n{}",
            self.failures().join("\n"),
            self.said
        );
        self
    }

    /// What tasks said that failed, and where.
    pub fn failures(&self) -> Vec<String> {
        let failed = |event: &&Value| event["status"] == "failed" || event["status"] == "unreachable";
        let words = |event: &Value| {
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            let why = event["result"]["msg"].as_str().unwrap_or_default();
            format!("{}: {}: {why}", text("host"), text("task"))
        };
        self.events.iter().filter(failed).map(words).collect()
    }

    /// Whether an event has these words.
    pub fn tells(&self, words: &str) -> bool {
        self.events.iter().any(|event| event.to_string().contains(words))
    }

    /// Of the summary, by host.
    pub fn count(&self, what: &str) -> BTreeMap<String, u64> {
        let last = self.events.last().unwrap();
        let hosts = last["hosts"].as_array().unwrap_or_else(|| panic!("{last}"));
        let name = |host: &Value| host["host"].as_str().unwrap().to_owned();
        let count = |host: &Value| host[what].as_u64().unwrap();
        hosts.iter().map(|host| (name(host), count(host))).collect()
    }

    /// How often a task ended, handlers too: its end by host and task.
    pub fn endings(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let ended = self
            .events
            .iter()
            .filter(|event| event["event"] == "task_finished");
        ended.map(|event| {
            let text = |name: &str| event[name].as_str().unwrap();
            (text("host"), text("task"), event)
        })
    }

    /// How the first task of this name ended on a host.
    pub fn ending(&self, host: &str, task: &str) -> &Value {
        self.endings()
            .find(|(its_host, its_task, _)| (*its_host, *its_task) == (host, task))
            .unwrap_or_else(|| panic!("`{task}` did not end on {host}"))
            .2
    }

    /// Host and task of what changed something.
    pub fn changed(&self) -> Vec<(&str, &str)> {
        self.endings()
            .filter(|(.., ending)| ending["status"] == "changed")
            .map(|(host, task, _)| (host, task))
            .collect()
    }

    /// On hosts that were reached: what ran nowhere shows nothing.
    pub fn changed_nothing(&self) {
        let ok = self.count("ok");
        let is_reached = !ok.is_empty() && ok.values().all(|count| *count > 0);
        assert!(is_reached, "no host was reached, or nothing ran on one: {ok:?}");
        assert_eq!(self.changed(), []);
        let counts = self.count("changed");
        assert!(counts.values().all(|count| *count == 0), "{counts:?}");
    }
}
