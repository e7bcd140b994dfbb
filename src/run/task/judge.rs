//! What a module's outcome counts as: `changed_when` and `failed_when`.

use std::sync::Arc;

use super::ItemResult;
use super::evaluation::{Evaluated, Stop};
use crate::host::{Halt, Outcome};
use crate::playbook::Task;
use crate::run::attempt::{Parked, State};
use crate::run::batch::Batch;
use crate::run::values::millis;
use crate::source::Diagnostic;
use crate::template::Scope;
use crate::vars::Value;

impl Batch<'_> {
    /// The module has ended, one way or another.
    pub(in crate::run) fn finish_item(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        outcome: Result<Outcome, Halt>,
        turn: bool,
    ) {
        let item = &mut self.players[p].ahead[i].items[k];
        if !turn && matches!(outcome, Err(Halt::Failed(_) | Halt::Lost(_) | Halt::Unknown(_))) {
            // A failure before its turn is not one yet: it is looked at again.
            item.restart();
            item.state = State::Parked(Parked::Turn);
            return;
        }
        let changes = std::mem::take(&mut item.changes);
        let diagnostic = item.diagnostic.take();
        let mut result = match outcome {
            Ok(outcome) => ItemResult::of(outcome, changes, &self.players[p].ahead[i].task),
            Err(halt) => ItemResult::halted(halt, changes),
        };
        if result.failed && result.error.is_none() {
            result.error = diagnostic;
        }
        self.end_item(p, i, k, result, turn);
    }

    /// Keeps what a person should see of a failure that goes through the module in one line.
    pub(super) fn keep_diagnostic(&mut self, p: usize, i: usize, k: usize, diagnostic: &Diagnostic) {
        self.players[p].ahead[i].items[k].diagnostic = Some(diagnostic.to_string());
    }

    /// Applies `changed_when`, `failed_when` and `until`.
    pub(super) fn end_item(&mut self, p: usize, i: usize, k: usize, mut result: ItemResult, turn: bool) {
        let task = self.players[p].ahead[i].task.clone();
        let judged = if result.skipped || result.unreachable {
            Ok(())
        } else {
            self.judge(p, i, k, &task, &mut result, turn)
        };
        if let Err(stop) = judged {
            match stop {
                Stop::Park(why) => {
                    let item = &mut self.players[p].ahead[i].items[k];
                    item.restart();
                    item.state = State::Parked(why);
                    return;
                }
                Stop::Unknown(reason) => result.unknown = Some(reason),
                Stop::Failed(d) => result.fail(&d),
            }
        }
        result.note_flags();
        if self.tries_again(p, i, k, &task, &mut result, turn) {
            return;
        }
        let item = &mut self.players[p].ahead[i].items[k];
        result.item.clone_from(&item.item);
        result.milliseconds = item.begun.map_or(0, |b| millis(b.elapsed()));
        item.state = State::Done(Box::new(result));
    }

    fn judge(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        task: &Arc<Task>,
        result: &mut ItemResult,
        turn: bool,
    ) -> Evaluated<()> {
        result.note_flags();
        if let Some(conditions) = &task.changed_when {
            let scope = self.register_scope(p, i, k, task, result, turn);
            result.changed = self.first_false(p, conditions, &scope, turn)?.is_none();
            result.note_flags();
        }
        if let Some(conditions) = &task.failed_when {
            let scope = self.register_scope(p, i, k, task, result, turn);
            let failed = self.first_false(p, conditions, &scope, turn)?.is_none();
            if result.unknown.is_none() || failed {
                result.values.insert("failed_when_result".into(), failed.into());
                result.failed = failed;
            }
        }
        Ok(())
    }

    pub(super) fn register_scope(
        &self,
        p: usize,
        i: usize,
        k: usize,
        task: &Task,
        result: &ItemResult,
        turn: bool,
    ) -> Arc<dyn Scope> {
        let mut locals = self.item_locals(p, i, k);
        if let Some(register) = &task.register {
            locals.insert(register.clone().into(), Value::from(result.values.clone()));
        }
        let borrowed = self.players[p].ahead[i].items[k].borrowed.clone();
        self.scope(p, i, locals, turn, &borrowed)
    }
}
