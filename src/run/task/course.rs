//! Where a host goes behind a task: on, into what an include brought, into a rescue, out of the play.

use std::sync::Arc;

use super::result::hide;
use super::{ItemResult, TaskResult};
use crate::plan::Ending;
use crate::playbook::{Keywords, Task, Written};
use crate::run::attempt::{Attempt, Unfolded};
use crate::run::batch::{Batch, PlayerState};
use crate::run::values::message;
use crate::vars::{Map, Value};

impl Batch<'_> {
    /// Where the host goes from here.
    pub(super) fn step(&mut self, p: usize, attempt: Attempt, result: &TaskResult, ignored: bool) {
        let whole = &result.whole;
        if ignored || !whole.unreachable && !whole.failed {
            self.go_on(p, attempt.unfolded);
        } else if whole.unreachable {
            self.become_unreachable(p, &attempt, whole);
        } else {
            self.fail(p, &attempt, whole, result.hidden);
        }
    }

    fn become_unreachable(&mut self, p: usize, attempt: &Attempt, whole: &ItemResult) {
        let reason = whole.error.clone().unwrap_or_else(|| message(&whole.values));
        self.exec.count(&self.players[p].name, |s| s.unreachable += 1);
        self.lose(p, PlayerState::Unreachable, reason);
        self.leave_hosts(p);
        if self.is_fatal(p, &attempt.task) {
            self.end.broken = true;
            self.doom_others(p, &attempt.position, false);
        }
    }

    /// Into the rescue if there is one; the others too where the failure is theirs.
    fn fail(&mut self, p: usize, attempt: &Attempt, whole: &ItemResult, hidden: bool) {
        let task = &attempt.task;
        let rescued = self.players[p].cursor.can_be_rescued();
        if rescued {
            self.remember_failure(p, task, whole, hidden);
        }
        let player = &mut self.players[p];
        if !rescued {
            player.fails(task, &attempt.position);
        }
        // It needs no other's failure any more.
        player.doomed = None;
        player.after_failure();
        let name = player.name.clone();
        self.forget(p);
        self.exec
            .count(&name, |s| if rescued { s.rescued += 1 } else { s.failed += 1 });
        let shared = self.is_once(p, task);
        if shared || self.is_fatal(p, task) {
            self.end.broken |= !rescued;
            self.doom_others(p, &attempt.position, shared);
        }
        if !rescued && self.players[p].cursor.failed() {
            self.leave_hosts(p);
            self.doom_if_too_many(p, &attempt.position);
        }
    }

    fn go_on(&mut self, p: usize, unfolded: Option<Unfolded>) {
        let Some(unfolded) = unfolded else {
            self.players[p].cursor.done(Ending::Ok);
            return;
        };
        for handler in unfolded.handlers {
            self.add_handler(handler);
        }
        self.players[p].cursor.enter(unfolded.items, &[0]);
    }

    /// The host leaves `ansible_play_hosts`.
    pub(super) fn leave_hosts(&mut self, p: usize) {
        let name = self.players[p].name.clone();
        self.exec.leave_play(&name);
    }

    fn remember_failure(&self, p: usize, task: &Task, whole: &ItemResult, hidden: bool) {
        let name = self.players[p].name.clone();
        let mut values = whole.values.clone();
        if hidden {
            values = hide(&values);
        }
        values.insert("failed".into(), true.into());
        let failed_task = failed_task(task, hidden);
        self.exec.set(&name, "ansible_failed_task", failed_task);
        self.exec.set(&name, "ansible_failed_result", Value::from(values));
    }

    pub(super) fn ignores_errors(&self, p: usize, task: &Arc<Task>) -> bool {
        self.keyword(p, task, |k| k.ignore_errors.as_ref()) == Some(true)
    }

    fn is_fatal(&self, p: usize, task: &Arc<Task>) -> bool {
        if task.level.nearest(|k| k.any_errors_fatal.as_ref()).is_none() {
            return self.exec.settings.any_errors_fatal;
        }
        self.keyword(p, task, |k| k.any_errors_fatal.as_ref()) == Some(true)
    }
}

/// `ansible_failed_task`: what the task is, as written. Templates in it are rendered where it is read.
fn failed_task(task: &Task, hidden: bool) -> Value {
    let list = |all: &[&Written]| Value::list(all.iter().map(|w| w.value.clone()));
    let nearest = |pick: fn(&Keywords) -> Option<&Written>| {
        task.level.nearest(pick).map_or(Value::Null, |w| w.value.clone())
    };
    let args = if hidden {
        Map::new()
    } else {
        task.action.written_arguments()
    };
    let name = task.name.as_ref().map_or("".into(), |name| name.value.clone());
    Value::map([
        ("name", name),
        ("action", task.action.name().into()),
        ("args", args.into()),
        ("delegate_to", nearest(|k| k.delegate_to.as_ref())),
        ("ignore_errors", nearest(|k| k.ignore_errors.as_ref())),
        ("no_log", nearest(|k| k.no_log.as_ref())),
        (
            "register",
            task.register.clone().map_or(Value::Null, Value::String),
        ),
        ("tags", list(&task.level.tags())),
        ("vars", task.level.keywords.vars.clone().into()),
        ("when", list(&task.level.keywords.when.iter().collect::<Vec<_>>())),
    ])
}
