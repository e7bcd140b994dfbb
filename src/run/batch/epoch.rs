//! What was altered when: whether an answer is still what a look would give.
//!
//! Every change on any machine raises the epoch. Nothing finer is sound: a command on one host may write a file
//! on every other.

use std::collections::BTreeMap;

use super::Batch;
use crate::plan::Position;

/// Whose work alters something.
pub(super) struct Doer {
    pub position: Position,
    pub player: usize,
    pub item: usize,
}

/// The moments of a batch, counted by what is sent and what is altered.
#[derive(Default)]
pub(super) struct Epoch {
    clock: u64,
    /// Changes that are under way, by flight.
    changing: BTreeMap<u64, Doer>,
    ended: Vec<Ended>,
}

/// A change that has ended.
pub(super) struct Ended {
    at: u64,
    by: Doer,
}

impl Epoch {
    pub fn now(&self) -> u64 {
        self.clock
    }

    pub fn is_changing(&self) -> bool {
        !self.changing.is_empty()
    }

    /// Work goes out with a flight.
    pub fn begins(&mut self, flight: u64, alters: Option<Doer>) {
        self.clock += 1;
        if let Some(doer) = alters {
            self.changing.insert(flight, doer);
        }
    }

    /// A flight has ended that was sent at a moment; the moment as of which its questions count as asked.
    pub fn ends(&mut self, flight: u64, sent: u64) -> u64 {
        let Some(by) = self.changing.remove(&flight) else {
            return sent;
        };
        let undisturbed = self.changing.is_empty() && self.ended.last().is_none_or(|e| e.at <= sent);
        self.altered(by);
        // They were answered behind the change: as of now, if nothing else went on meanwhile.
        if undisturbed { self.clock } else { sent }
    }

    /// Something may have been altered up to now.
    pub fn altered(&mut self, by: Doer) {
        self.clock += 1;
        self.ended.push(Ended { at: self.clock, by });
    }

    /// Whether something was altered since a moment that an item of a task would have seen, one by one: by
    /// anything that stands before it in the order. Tasks of the same turn on other hosts do not count, as in
    /// Ansible.
    pub fn is_stale(&self, asked: u64, position: &Position, player: usize, item: usize) -> bool {
        let matters = |by: &Doer| by.position != *position || by.player == player && by.item < item;
        self.changing.values().any(matters)
            || self
                .ended
                .iter()
                .rev()
                .take_while(|e| e.at > asked)
                .any(|e| matters(&e.by))
    }
}

impl Batch<'_> {
    /// A task that waited for the world to change is over: what was asked before it is stale.
    pub(in crate::run) fn end_fence(&mut self, p: usize, position: &Position) {
        self.epoch.altered(Doer {
            position: position.clone(),
            player: p,
            item: 0,
        });
    }
}
