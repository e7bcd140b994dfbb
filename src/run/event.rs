//! What a run says about itself, as it happens. Everything that is shown or kept is made from these.
//!
//! The form is versioned: the first event of a run carries [`VERSION`]. A new field is no new version; a
//! field that goes or changes its meaning is.

use serde::{Deserialize, Serialize};

use crate::host::Difference;
use crate::vars::{Map, Value};

/// The version of the event form.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        version: u32,
        id: String,
        playbooks: Vec<String>,
        check: bool,
        started: String,
    },
    PlayStarted {
        play: usize,
        name: String,
        hosts: Vec<String>,
        /// The tasks that are known before it runs.
        tasks: usize,
    },
    /// A play whose pattern matched nothing, with the reason.
    PlaySkipped {
        name: String,
        reason: String,
    },
    Connected {
        host: String,
        milliseconds: u64,
    },
    /// The task's turn has come on a host and it works there.
    TaskStarted {
        host: String,
        task: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        position: Vec<u32>,
    },
    /// One item of a loop is through.
    ItemFinished {
        host: String,
        task: String,
        item: String,
        #[serde(flatten)]
        what: Box<Finished>,
    },
    TaskFinished {
        host: String,
        task: String,
        /// `role : ` in front, as Ansible writes it, is not part of `task`.
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        action: String,
        position: Vec<u32>,
        place: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        delegated_to: Option<String>,
        /// Another host ran it, for all: `run_once`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shared: bool,
        #[serde(flatten)]
        what: Box<Finished>,
    },
    Retrying {
        host: String,
        task: String,
        /// How many tries are left.
        left: u64,
    },
    Notified {
        host: String,
        handler: String,
    },
    Warning {
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        text: String,
    },
    /// Somebody is being asked, on the terminal.
    Asking {
        text: String,
    },
    /// What was typed is not in the record.
    Answered {
        answered: bool,
    },
    /// A host is out of the play.
    HostLost {
        host: String,
        unreachable: bool,
        reason: String,
    },
    RunFinished {
        hosts: Vec<Summary>,
        milliseconds: u64,
        interrupted: bool,
        exit: u8,
    },
}

/// How a task, or an item of it, ended.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Default)]
pub struct Finished {
    pub status: Status,
    pub milliseconds: u64,
    /// What was changed, or would be, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The return values as a later task sees them; empty under `no_log`.
    pub result: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `ignore_errors` or `ignore_unreachable` took the failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
    /// A rescue took the failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rescued: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Default, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Ok,
    Changed,
    Skipped,
    /// A dry run cannot know, for the reason in `error`.
    Unknown,
    Failed,
    Unreachable,
}

/// A host's counts, under Ansible's names.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, Default)]
pub struct Summary {
    pub host: String,
    pub ok: u32,
    pub changed: u32,
    pub unreachable: u32,
    pub failed: u32,
    pub skipped: u32,
    pub rescued: u32,
    pub ignored: u32,
    /// Dry runs only.
    pub unknown: u32,
    pub round_trips: u32,
}

impl Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map([
            ("subject", &self.subject),
            ("before", &self.before),
            ("after", &self.after),
        ])
    }
}

impl<'de> Deserialize<'de> for Difference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            subject: String,
            before: String,
            after: String,
        }
        let Written {
            subject,
            before,
            after,
        } = Written::deserialize(deserializer)?;
        Ok(Self {
            subject,
            before,
            after,
        })
    }
}

impl Finished {
    /// `msg`, or whatever says best what happened.
    pub fn message(&self) -> Option<String> {
        match self.result.get("msg") {
            Some(Value::String(s)) if !s.is_empty() => Some(s.to_string()),
            _ => self.error.clone(),
        }
    }
}

/// Takes events as they come. One that cannot take any more must not stop the run.
pub trait Sink: Send {
    fn take(&mut self, event: &Event);
}

impl<F: FnMut(&Event) + Send> Sink for F {
    fn take(&mut self, event: &Event) {
        self(event);
    }
}
