//! `run_once`: the first host that comes to a task runs it, all take its result.

use std::sync::Arc;

use super::TaskResult;
use super::evaluation::{Evaluated, Stop};
use crate::plan::Position;
use crate::playbook::Task;
use crate::run::attempt::Parked;
use crate::run::batch::{Batch, PlayerState};
use crate::template::Scope;

impl Batch<'_> {
    /// Whether a task runs on one host for all of the batch.
    pub(in crate::run) fn is_once(&self, p: usize, task: &Arc<Task>) -> bool {
        if !self.pace.strategy.lets_one_run_for_all() || self.players.len() < 2 {
            return false;
        }
        task.action.runs_once() || self.keyword(p, task, |k| k.run_once.as_ref()) == Some(true)
    }

    /// Whether this host runs a `run_once` task for the others: the first of those that come to it. Before
    /// its turn that is certain only of the first of all.
    pub(super) fn runs_for_all(&mut self, p: usize, position: &Position, turn: bool) -> bool {
        if !self.pace.strategy.lets_one_run_for_all() {
            return true;
        }
        let before: Vec<usize> = self.active().into_iter().take_while(|q| *q < p).collect();
        if !turn {
            return before.is_empty();
        }
        before
            .into_iter()
            .all(|q| self.next_task(q).is_none_or(|r| r.position != *position))
    }

    /// Whether a host takes another's result: that of a `run_once` task which it does not run itself.
    pub(super) fn follows(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<bool> {
        let once = self.flag(p, task.level.nearest(|k| k.run_once.as_ref()), scope, turn)?;
        let once = once == Some(true) || task.action.runs_once();
        if !once || !self.pace.strategy.lets_one_run_for_all() {
            return Ok(false);
        }
        let position = self.players[p].ahead[i].position.clone();
        let Some(mut result) = self.once.get(&position).cloned() else {
            if self.runs_for_all(p, &position, turn) {
                return Ok(false);
            }
            return Err(Stop::Park(Parked::Since(self.players[p].version)));
        };
        result.whole.changes.clear();
        result.shared = true;
        let attempt = &mut self.players[p].ahead[i];
        attempt.result = Some(result);
        Ok(true)
    }

    /// Keeps a result for the others, who may wait for it.
    pub(super) fn share(&mut self, position: &Position, result: &TaskResult) {
        self.once.insert(position.clone(), result.clone());
        for player in &mut self.players {
            player.version += 1;
        }
    }

    /// The hosts to which the result of a task goes that ran once for all.
    pub(super) fn still_reached(&self) -> Vec<Arc<str>> {
        let reached = self
            .players
            .iter()
            .filter(|q| q.state != PlayerState::Unreachable);
        reached.map(|q| q.name.clone()).collect()
    }
}
