//! Where a host goes behind a task: on, into what an include brought, into a rescue, out of the play.

use std::sync::Arc;

use super::TaskResult;
use crate::plan::{Ending, Position};
use crate::playbook::Task;
use crate::run::attempt::Unfolded;
use crate::run::batch::{Batch, PlayerState};
use crate::run::values::{message, truth};
use crate::template::Moment;
use crate::vars::Value;

impl Batch<'_> {
    /// Where the host goes from here.
    pub(super) fn step(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        position: &Position,
        result: &mut TaskResult,
        unfolded: Option<Unfolded>,
        ignored: bool,
    ) {
        let whole = &result.whole;
        if whole.unreachable {
            let ignore = result.effective.as_ref().is_some_and(|e| e.ignore_unreachable);
            if !ignore {
                let reason = whole.error.clone().unwrap_or_else(|| message(&whole.values));
                self.exec.count(&self.players[p].name, |s| s.unreachable += 1);
                self.lose(p, PlayerState::Unreachable, reason);
                self.leave_hosts(p);
                if self.is_fatal(p, task) {
                    self.doom_others(p, position, false);
                }
                return;
            }
        }
        let player = &mut self.players[p];
        if whole.failed && !ignored && !whole.unreachable {
            let rescued = player.cursor.can_be_rescued();
            if rescued {
                self.remember_failure(p, task, result);
            }
            let player = &mut self.players[p];
            // It needs no other's failure any more.
            player.doomed = None;
            player.cursor.done(Ending::Failed);
            let name = player.name.clone();
            self.forget(p);
            self.exec
                .count(&name, |s| if rescued { s.rescued += 1 } else { s.failed += 1 });
            let shared = self.is_once(p, task);
            if shared || self.is_fatal(p, task) {
                self.doom_others(p, position, shared);
            }
            if !rescued && self.players[p].cursor.failed() {
                self.leave_hosts(p);
            }
            return;
        }
        match unfolded {
            Some(unfolded) => {
                for handler in unfolded.handlers {
                    self.add_handler(handler);
                }
                self.players[p].cursor.enter(unfolded.items, &[0]);
            }
            None => player.cursor.done(Ending::Ok),
        }
    }

    /// The host leaves `ansible_play_hosts`.
    fn leave_hosts(&mut self, p: usize) {
        let name = self.players[p].name.clone();
        self.exec.leave_play(&name);
    }

    fn remember_failure(&mut self, p: usize, task: &Arc<Task>, result: &TaskResult) {
        let name = self.players[p].name.clone();
        let mut values = result.whole.values.clone();
        values.insert("failed".into(), true.into());
        let failed_task = Value::map([
            ("name", Value::from(task.title())),
            ("action", task.action.name().into()),
        ]);
        self.exec.set(&name, "ansible_failed_task", failed_task);
        self.exec.set(&name, "ansible_failed_result", Value::from(values));
    }

    pub(super) fn ignores_errors(&self, p: usize, task: &Arc<Task>) -> bool {
        let Some(written) = task.level.nearest(|k| k.ignore_errors.as_ref()) else {
            return false;
        };
        let scope = self.host_scope(p, &task.level);
        self.exec
            .engine
            .render(&written.value, &scope, Moment::Turn)
            .ok()
            .and_then(|v| truth(&v))
            .unwrap_or(false)
    }

    fn is_fatal(&self, p: usize, task: &Arc<Task>) -> bool {
        let Some(written) = task.level.nearest(|k| k.any_errors_fatal.as_ref()) else {
            return self.exec.settings.any_errors_fatal;
        };
        let scope = self.host_scope(p, &task.level);
        self.exec
            .engine
            .render(&written.value, &scope, Moment::Turn)
            .ok()
            .and_then(|v| truth(&v))
            .unwrap_or(false)
    }
}
