//! `needs`: whether what a task needs has ended well, wherever it was to run.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use crate::plan::Laid;
use crate::playbook::{Task, Written};
use crate::run::batch::Batch;
use crate::source::Diagnostic;
use crate::template::Moment;

impl Batch<'_> {
    /// A task whose conditions hold fails at its turn if something that it needs has not ended well.
    pub(super) fn has_what_it_needs(&mut self, p: usize, task: &Arc<Task>, turn: bool) -> Evaluated<()> {
        match self.unmet_need(p, task).filter(|_| turn) {
            Some(error) => Err(Stop::Failed(Box::new(error))),
            None => Ok(()),
        }
    }

    /// What a task needs and does not have. Tasks that were skipped, passed by, ignored or rescued have ended
    /// well; those that failed, or that a host left the play before, have not.
    pub(in crate::run) fn unmet_need(&mut self, p: usize, task: &Arc<Task>) -> Option<Diagnostic> {
        let names: Vec<&Written> = task.needs().collect();
        names.into_iter().find_map(|written| {
            let name = written.value.as_str()?;
            let why = (0..self.players.len()).find_map(|q| self.why_unmet(p, name, q))?;
            let error = Diagnostic::error(format!("this needs `{name}`, {why}"));
            Some(error.at(&written.span))
        })
    }

    fn why_unmet(&mut self, p: usize, name: &str, q: usize) -> Option<String> {
        let player = &self.players[q];
        let host = player.name.clone();
        if player.failed.iter().any(|task| task.is_called(name)) {
            return Some(format!("which failed on `{host}`"));
        }
        let (place, title) = player.left.clone()?;
        let never = |laid: &&Laid| laid.position > place && laid.task.is_called(name);
        let all = self.players[p].cursor.surroundings();
        let missed = all.iter().filter(never).any(|laid| self.was_to_run(laid, q));
        missed.then(|| format!("to which `{host}` did not come: it left the play at `{title}`"))
    }

    /// Whether a task would have run on a host that left before it, as far as that can be told.
    fn was_to_run(&self, laid: &Laid, q: usize) -> bool {
        let host = &self.players[q].name;
        // One host has done it for all.
        if self.once.contains_key(&laid.position) || !self.exec.selected(&laid.task, host) {
            return false;
        }
        let scope = self.host_scope(q, &laid.task.level);
        let engine = &self.exec.engine;
        laid.task.level.conditions().into_iter().all(|condition| {
            engine
                .condition(&condition.value, Some(&condition.span), &scope, Moment::Turn)
                .unwrap_or(true)
        })
    }
}
