//! `strategy`: how far apart the hosts of a batch may be.

use std::fmt;
use std::sync::Arc;

use crate::playbook::{Level, Play, each_task, strategy_name};
use crate::source::Diagnostic;

/// How the hosts of a batch wait for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// A task's turn on a host comes when no host is behind it.
    Linear,
    /// Every host goes at its own pace: `free`, and `host_pinned`, which differs only in how Ansible hands out
    /// its workers.
    Free,
    /// Ours: a task waits for what it has a reason to wait for, and for nothing else.
    Dag,
}

impl Strategy {
    /// The names that a play may give, for people.
    const NAMES: &str = "linear, free, host_pinned and dag";

    pub fn named(name: &str) -> Result<Self, Diagnostic> {
        match strategy_name(name) {
            "linear" => Ok(Self::Linear),
            "free" | "host_pinned" => Ok(Self::Free),
            "dag" => Ok(Self::Dag),
            short => Err(
                Diagnostic::error(format!("the strategy `{short}` is not supported"))
                    .help(format!("{} are", Self::NAMES)),
            ),
        }
    }

    /// Whether `run_once` means one host for all: not where hosts do not meet.
    pub fn lets_one_run_for_all(self) -> bool {
        match self {
            Self::Linear | Self::Dag => true,
            Self::Free => false,
        }
    }
}

/// How the hosts of a play go: its strategy, and what keeps them in step even so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub strategy: Strategy,
    /// The keyword that ends the work of others when a host fails: it can only do so where they are not ahead.
    pub kept: Option<&'static str>,
}

impl Pace {
    /// `fatal`: `any_errors_fatal` of the configuration.
    pub fn of(strategy: Strategy, play: &Play, fatal: bool) -> Self {
        let kept = if fatal || is_fatal(play) {
            Some("any_errors_fatal")
        } else {
            play.max_fail_percentage.as_ref().map(|_| "max_fail_percentage")
        };
        Self { strategy, kept }
    }

    /// Whether the rule of turns holds: no task begins where a host is behind it.
    pub fn in_step(self) -> bool {
        self.strategy == Strategy::Linear || self.kept.is_some()
    }
}

/// For people: the strategy, and what keeps hosts in step if it does not itself.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.strategy {
            Strategy::Linear => return f.write_str("linear"),
            Strategy::Free => "free",
            Strategy::Dag => "dag",
        };
        match self.kept {
            Some(keyword) => write!(f, "{name}, in step for `{keyword}`"),
            None => f.write_str(name),
        }
    }
}

/// Whether a failure of one host may end the work of all, as far as the play shows it.
fn is_fatal(play: &Play) -> bool {
    let says = |level: &Arc<Level>| {
        let written = level.nearest(|k| k.any_errors_fatal.as_ref());
        written.is_some_and(|w| w.value.as_switch() != Some(false))
    };
    let mut found = says(&play.level);
    for items in play.lists() {
        each_task(items, &mut |task| found |= says(&task.level));
    }
    found
}
