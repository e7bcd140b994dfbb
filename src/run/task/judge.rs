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
            Err(halt) => ItemResult::halted(halt, changes, &self.players[p].ahead[i].task),
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
    pub(in crate::run) fn end_item(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        mut result: ItemResult,
        turn: bool,
    ) {
        let task = self.players[p].ahead[i].task.clone();
        let judged = if result.skipped || result.unreachable || result.unknown.is_some() {
            self.rule_out_change(p, i, k, &task, &mut result, turn);
            Ok(())
        } else {
            self.judge(p, i, k, &task, &mut result, turn)
        };
        if let Err(stop) = judged {
            match stop {
                // What has been done is not done again.
                Stop::Park(why) if turn => {
                    let item = &mut self.players[p].ahead[i].items[k];
                    item.state = State::Unjudged(Box::new(result), why);
                    return;
                }
                Stop::Park(why) => {
                    let item = &mut self.players[p].ahead[i].items[k];
                    item.restart();
                    item.state = State::Parked(why);
                    return;
                }
                // The judge has taken it.
                Stop::Unknown(_) => {}
                Stop::Failed(d) => result.fail(&d),
            }
        }
        result.note_flags();
        match self.tries_again(p, i, k, &task, &mut result, turn) {
            Ok(true) => return,
            Ok(false) => {}
            Err(why) => {
                let item = &mut self.players[p].ahead[i].items[k];
                item.state = State::Unjudged(Box::new(result), why);
                return;
            }
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
            match self.first_false(p, conditions, &scope, turn) {
                Ok(first) => result.changed = first.is_none(),
                Err(Stop::Unknown(reason)) => result.doubt_flag("changed", &reason),
                Err(stop) => return Err(stop),
            }
            result.note_flags();
        }
        if let Some(conditions) = &task.failed_when {
            let scope = self.register_scope(p, i, k, task, result, turn);
            match self.first_false(p, conditions, &scope, turn) {
                Ok(first) => {
                    result.failed = first.is_none();
                    let failed = result.failed.into();
                    result.values.insert("failed_when_result".into(), failed);
                }
                // That it would change is known all the same.
                Err(Stop::Unknown(_)) if result.changed => {}
                Err(Stop::Unknown(reason)) => result.doubt_flag("failed", &reason),
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// What did not run in a dry run may be known never to count as changed.
    fn rule_out_change(
        &self,
        p: usize,
        i: usize,
        k: usize,
        task: &Task,
        result: &mut ItemResult,
        turn: bool,
    ) {
        let (Some(conditions), true) = (&task.changed_when, result.unknown.is_some()) else {
            return;
        };
        let scope = self.register_scope(p, i, k, task, result, turn);
        let first = self.first_false(p, conditions, &scope, turn);
        result.never_changed = matches!(first, Ok(Some(_)));
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
