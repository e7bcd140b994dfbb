//! What a task consists of: its items, or its result where it has no module.

use std::sync::Arc;

use super::evaluation::Stop;
use super::result::lent_of;
use super::{ItemResult, TaskResult};
use crate::playbook::Action;
use crate::run::attempt::{ItemRun, State};
use crate::run::batch::Batch;
use crate::vars::Map;

impl Batch<'_> {
    /// Finds out what items the task has, or its result where it has no module; `false`: not yet.
    pub(in crate::run) fn prepare(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let task = self.players[p].ahead[i].task.clone();
        let borrowed = self.players[p].ahead[i].borrowed.clone();
        let scope = self.scope(p, i, Map::new(), turn, &borrowed);
        let follows = self.follows(p, i, &task, &scope, turn);
        // Who takes another's result has no doubt of its own.
        if let Ok(false) = follows
            && let Some(reason) = self.doubt_of(p, &task)
        {
            let unknown = self.unknown_task(p, &task, &reason, &scope, turn);
            self.players[p].ahead[i].prepared = true;
            self.conclude(p, i, unknown);
            return true;
        }
        let prepared = follows.and_then(|follows| match &task.action {
            _ if follows => Ok(()),
            Action::Meta(_) => self.prepare_meta(p, i, &task, &scope, turn),
            Action::IncludeTasks(_) | Action::IncludeRole(_) => {
                self.prepare_include(p, i, &task, &scope, turn)
            }
            Action::Module { .. } => self.prepare_items(p, i, &task, &scope, turn),
        });
        let failed = match prepared {
            Ok(()) => None,
            Err(Stop::Park(why)) => {
                self.players[p].ahead[i].parked = Some(why);
                return false;
            }
            Err(Stop::Unknown(reason)) => Some(self.unknown_task(p, &task, &reason, &scope, turn)),
            Err(Stop::Failed(d)) => Some(ItemResult::error(&d)),
        };
        self.players[p].ahead[i].prepared = true;
        if let Some(result) = failed {
            self.conclude(p, i, result);
        }
        true
    }

    /// A task without items has come to a result.
    pub(super) fn conclude(&mut self, p: usize, i: usize, whole: ItemResult) {
        let attempt = &mut self.players[p].ahead[i];
        let mut item = ItemRun::new(None, Map::new());
        item.at_turn = true;
        item.state = State::Done(Box::new(whole));
        attempt.looped = false;
        attempt.items = vec![item];
        self.assemble(p, i);
    }

    /// All items are through: the task's result.
    pub(in crate::run) fn assemble(&mut self, p: usize, i: usize) {
        let hidden = self.is_hidden(p, i);
        let attempt = &mut self.players[p].ahead[i];
        let effective = attempt.items.iter().find_map(|r| r.effective.clone());
        let mut items: Vec<ItemResult> = attempt.items.iter().filter_map(|r| r.result().cloned()).collect();
        let whole = if attempt.looped {
            ItemResult::of_loop(&items, &attempt.items)
        } else {
            items.pop().unwrap_or_default()
        };
        let looped = attempt.looped;
        let lent = Arc::new(lent_of(&attempt.task, &whole, hidden));
        attempt.result = Some(TaskResult {
            whole,
            items: if looped { items } else { Vec::new() },
            shared: false,
            lent,
            effective,
            hidden,
        });
    }

    /// `no_log`: where it cannot be evaluated, it hides.
    fn is_hidden(&self, p: usize, i: usize) -> bool {
        let attempt = &self.players[p].ahead[i];
        if attempt.task.level.nearest(|k| k.no_log.as_ref()).is_none() {
            return false;
        }
        let known = attempt.items.iter().filter_map(|item| item.effective.as_ref());
        let mut known = known.map(|effective| effective.no_log).peekable();
        if known.peek().is_some() {
            return known.any(|no_log| no_log);
        }
        let task = attempt.task.clone();
        self.keyword(p, &task, |k| k.no_log.as_ref()) != Some(false)
    }
}
