//! Whose turn it is. A task changes, runs commands, waits and reports at its turn; it may ask before.

use std::sync::Arc;

use super::{Batch, PlayerState};
use crate::plan::{Position, Reached};
use crate::playbook::{Task, Written};
use crate::run::values::shown;
use crate::source::Diagnostic;
use crate::template::Moment;
use crate::vars::Value;

impl Batch<'_> {
    /// The rule of turns: where hosts keep step, no host is behind; else there is no reason to wait.
    pub(super) fn has_turn(&mut self, p: usize, reached: &Reached) -> bool {
        if !self.pace.in_step() {
            return self.has_no_reason_to_wait(p, reached);
        }
        (0..self.players.len()).all(|q| q == p || !self.is_behind(q, &reached.position))
    }

    /// Whether a host has still to come to a position.
    pub(super) fn is_behind(&mut self, q: usize, position: &Position) -> bool {
        self.players[q].state == PlayerState::Active
            && self
                .next_task(q)
                .is_some_and(|reached| reached.position < *position)
    }

    /// `throttle`: at most so many hosts are at work on a task at once.
    pub(super) fn has_slot(&self, p: usize, reached: &Reached) -> Result<bool, String> {
        let Some(written) = throttle(&reached.task) else {
            return Ok(true);
        };
        if self.players[p].is_at_work(&reached.position) {
            return Ok(true);
        }
        let limit = self.limit(p, written, &reached.task)?;
        let at_work = self.players.iter().filter(|q| q.is_at_work(&reached.position));
        Ok(limit == 0 || at_work.count() < limit)
    }

    /// What `throttle` says: how many hosts at once, 0 for all.
    fn limit(&self, p: usize, written: &Written, task: &Arc<Task>) -> Result<usize, String> {
        let scope = self.host_scope(p, &task.level);
        let value = self.exec.engine.render(&written.value, &scope, Moment::Turn);
        let number = match &value {
            Ok(Value::Int(n)) => usize::try_from(*n).ok(),
            Ok(Value::String(s)) => s.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| {
            let found = value.map_or_else(|_| "a name that is not known".into(), |v| shown(&v));
            Diagnostic::error(format!("`throttle` must be a number of hosts, not {found}"))
                .at(&written.span)
                .to_string()
        })
    }

    /// The hosts that are still in, as `ansible_play_hosts` has them.
    pub(in crate::run) fn active(&self) -> Vec<usize> {
        (0..self.players.len())
            .filter(|q| self.players[*q].state == PlayerState::Active)
            .collect()
    }
}

pub(super) fn throttle(task: &crate::playbook::Task) -> Option<&crate::playbook::Written> {
    task.level.nearest(|k| k.throttle.as_ref())
}
