//! A task's turn has come and it is through: its result takes effect.

use std::sync::Arc;

use super::TaskResult;
use super::result::is_set_fact;
use crate::playbook::{Action, Task};
use crate::run::batch::{Batch, PlayerState};
use crate::source::Diagnostic;
use crate::vars::Map;

impl Batch<'_> {
    /// The head's turn has come and it is through: it takes effect.
    pub(in crate::run) fn commit(&mut self, p: usize) {
        let Some(front) = self.players[p].ahead.front_mut() else {
            return;
        };
        let Some(mut result) = front.result.take() else {
            return;
        };
        let task = front.task.clone();
        self.keep_what_was_known(p);
        self.label_items(p, &task, &mut result);
        let Some(attempt) = self.players[p].ahead.pop_front() else {
            return;
        };
        if let Action::Meta(meta) = &task.action {
            if !result.shared && self.is_once(p, &task) {
                self.share(&attempt.position, &result);
            }
            self.commit_meta(p, *meta, &result, &attempt.position);
            return;
        }
        let position = &attempt.position;
        let ignored = if result.whole.unreachable {
            result.effective.as_ref().is_some_and(|e| e.ignore_unreachable)
        } else {
            result.whole.failed && !attempt.misses_a_file && self.ignores_errors(p, &task)
        };
        let shares = !result.shared && self.is_once(p, &task);
        if shares {
            self.share(position, &result);
        }
        let stored = if result.shared {
            Ok(())
        } else {
            self.store(p, &task, &result, shares)
        };
        self.tell_result(p, &attempt, &result, ignored);
        if result.whole.changed && !result.whole.failed && !result.shared {
            self.notify(p, &attempt, None);
        }
        if let Some(reason) = result.whole.may_have_changed().filter(|_| !result.shared) {
            self.notify(p, &attempt, Some(reason));
        }
        if attempt.fence && !result.whole.skipped && !result.shared {
            self.end_fence(p, position);
        }
        if result.altered() {
            self.forget_identities(&result);
        }
        self.players[p].widen(result.altered());
        self.step(p, attempt, &result, ignored);
        if let Err(error) = stored {
            let host = self.players[p].name.clone();
            self.exec.count(&host, |s| s.failed += 1);
            self.lose(p, PlayerState::Failed, error.to_string());
        }
    }

    /// Registers, facts and `set_fact` values take effect, and files of variables that waited for facts.
    fn store(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        result: &TaskResult,
        shared: bool,
    ) -> Result<(), Diagnostic> {
        let own = if shared {
            self.still_reached()
        } else {
            vec![self.players[p].name.clone()]
        };
        let facts_of = match &result.effective {
            Some(e) if e.delegate_facts && e.delegate_to.is_some() => vec![e.machine.host.clone()],
            _ => own.clone(),
        };
        let (facts, register): (Map, Map) = result.lent.set.clone().into_iter().partition(|(name, _)| {
            is_set_fact(task)
                && result.whole.set.contains_key(name)
                && task.register.as_deref() != name.as_str()
        });
        for host in &facts_of {
            self.exec.store(host, &facts);
            if !result.lent.facts.is_empty() {
                self.exec.store_facts(host, &result.lent.facts);
            }
        }
        for host in &own {
            self.exec.store(host, &register);
        }
        if result.lent.facts.is_empty() {
            return Ok(());
        }
        let play = self.play.clone();
        facts_of
            .iter()
            .try_for_each(|host| self.exec.facts_have_come(&play, host))
    }

    /// After a task that may have changed who a user is, its shells are opened anew.
    fn forget_identities(&self, result: &TaskResult) {
        let Some(effective) = &result.effective else {
            return;
        };
        if let Some(machine) = self.exec.machines.known(&effective.machine) {
            machine.forget_identities();
        }
    }
}
