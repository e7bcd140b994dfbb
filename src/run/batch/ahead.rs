//! How far a host looks past its turn, and when it looks again.

use std::collections::BTreeSet;

use super::Batch;
use super::turns::throttle;
use crate::plan::{Cursor, Ending};
use crate::playbook::{Action, Meta, Sets};
use crate::run::attempt::Attempt;

impl Batch<'_> {
    /// Starts attempts behind the last one, as far as the way is known.
    pub(super) fn look_ahead(&mut self, p: usize) -> bool {
        let mut moved = false;
        loop {
            let player = &self.players[p];
            let first = player.ahead.is_empty();
            let limit = if self.exec.settings.run_ahead {
                player.window
            } else {
                1
            };
            if !first && (player.ahead.len() >= limit || player.ahead.back().is_some_and(blocks_the_view)) {
                return moved;
            }
            let Some(reached) = self.players[p].look.peek() else {
                return moved;
            };
            if !self.exec.selected(&reached.task, &self.players[p].name) {
                self.players[p].look.done(Ending::Ok);
                continue;
            }
            self.last_attempt += 1;
            let brings_more = reached.task.sets() == Sets::Facts;
            let awaited = brings_more && self.exec.awaits_facts(&self.players[p].name);
            let fence = awaited || is_fence(&reached.task);
            let attempt = Attempt::new(self.last_attempt, reached.position, reached.task, fence);
            self.players[p].ahead.push_back(attempt);
            let last = self.players[p].ahead.len() - 1;
            if !first {
                self.move_attempt(p, last, false);
            }
            self.look_past(p);
            moved = true;
        }
    }

    /// Takes the look-ahead cursor behind the last attempt, once, as soon as it is known what stands there.
    pub(super) fn look_past(&mut self, p: usize) -> bool {
        let player = &mut self.players[p];
        match player.ahead.back() {
            Some(last) if last.id != player.passed && !blocks_the_view(last) => {
                player.passed = last.id;
                last.pass(&mut player.look);
                true
            }
            _ => false,
        }
    }

    /// Whatever relies on what is no longer so, or will not be, begins again before its turn and looks as far as
    /// it can.
    pub(super) fn renew(&mut self) {
        if !self.epoch.has_risen() {
            return;
        }
        for p in 0..self.players.len() {
            let mut i = 0;
            while i < self.players[p].ahead.len() {
                self.renew_attempt(p, i);
                i += 1;
            }
        }
        for p in 0..self.players.len() {
            let mut i = 0;
            while i < self.players[p].ahead.len() {
                self.move_attempt(p, i, false);
                i += 1;
            }
        }
    }

    fn renew_attempt(&mut self, p: usize, i: usize) {
        let attempt = &self.players[p].ahead[i];
        if !attempt.has_begun() {
            if self.is_stale(p, attempt) {
                self.begin_again(p, i);
            }
            return;
        }
        // Of a task whose turn has come, the items that are still to come.
        for k in 0..attempt.items.len() {
            let attempt = &self.players[p].ahead[i];
            let item = &attempt.items[k];
            if !item.at_turn && self.item_is_stale(p, &attempt.position, k, item) {
                self.restart_item(p, i, k);
            }
        }
    }

    /// An attempt begins again, and whoever borrowed from it.
    pub(super) fn begin_again(&mut self, p: usize, i: usize) {
        let attempt = &self.players[p].ahead[i];
        let (id, was_unfolded) = (attempt.id, attempt.unfolded.is_some());
        self.restart(p, i);
        if was_unfolded {
            self.cut(p, i + 1);
        }
        self.drop_borrowers(p, i, id);
    }

    pub(super) fn restart_item(&mut self, p: usize, i: usize, k: usize) {
        let attempt = &mut self.players[p].ahead[i];
        attempt.items[k].restart();
        let id = attempt.id;
        self.frames
            .withdraw(|owner| owner.attempt == id && owner.item == k);
    }

    fn restart(&mut self, p: usize, i: usize) {
        let attempt = &mut self.players[p].ahead[i];
        attempt.restart();
        let id = attempt.id;
        self.frames.withdraw(|owner| owner.attempt == id);
    }

    /// Whoever used what this attempt had lent begins again too.
    fn drop_borrowers(&mut self, p: usize, from: usize, id: u64) {
        let mut lenders = BTreeSet::from([id]);
        for j in from + 1..self.players[p].ahead.len() {
            let attempt = &self.players[p].ahead[j];
            if attempt.lenders().is_disjoint(&lenders) {
                continue;
            }
            lenders.insert(attempt.id);
            if attempt.unfolded.is_some() {
                // What stood behind it may never have been there.
                self.cut(p, j);
                return;
            }
            self.restart(p, j);
        }
    }

    /// What other hosts have looked at early may not be so: they look again.
    pub(in crate::run) fn doubt_others(&mut self, p: usize) {
        for q in (0..self.players.len()).filter(|q| *q != p) {
            let keep = self.players[q].ahead.front().is_some_and(Attempt::has_begun);
            self.cut(q, usize::from(keep).min(self.players[q].ahead.len()));
        }
    }

    /// Forgets the attempts from `from` on.
    fn cut(&mut self, p: usize, from: usize) {
        self.drop_from(p, from);
        let player = &mut self.players[p];
        player.look = player.cursor.clone();
        player.passed = 0;
        for attempt in &player.ahead {
            // Brings the cursor to the attempt, over what the tags leave out.
            while player.look.peek().is_some_and(|r| r.position < attempt.position) {
                player.look.done(Ending::Ok);
            }
            if blocks_the_view(attempt) {
                break;
            }
            player.passed = attempt.id;
            attempt.pass(&mut player.look);
        }
    }

    pub(super) fn drop_from(&mut self, p: usize, from: usize) {
        let gone: Vec<u64> = self.players[p].ahead.drain(from..).map(|a| a.id).collect();
        self.frames.withdraw(|owner| gone.contains(&owner.attempt));
    }
}

impl Attempt {
    /// Takes a look ahead from it to what stands behind it.
    fn pass(&self, look: &mut Cursor) {
        match &self.unfolded {
            Some(unfolded) => look.enter(unfolded.items.clone(), &[0]),
            None => look.done(Ending::Ok),
        }
    }
}

/// Whether it is not known what stands behind an attempt, or nothing may be asked there.
pub(super) fn blocks_the_view(attempt: &Attempt) -> bool {
    let include = matches!(
        attempt.task.action,
        Action::IncludeTasks(_) | Action::IncludeRole(_)
    );
    attempt.fence || include && attempt.result.is_none()
}

/// Tasks behind which nothing is asked early, because the world changes while they wait: for time, or for
/// other hosts at the same task.
fn is_fence(task: &crate::playbook::Task) -> bool {
    let pauses = task.looped.as_ref().is_some_and(|looped| looped.pause.is_some());
    if throttle(task).is_some() || pauses {
        return true;
    }
    match &task.action {
        Action::Module { signature, .. } => {
            signature.fence || !task.until.is_empty() || task.retries.is_some()
        }
        Action::Meta(meta) => !matches!(meta, Meta::FlushHandlers | Meta::Noop),
        Action::IncludeTasks(_) | Action::IncludeRole(_) => false,
    }
}
