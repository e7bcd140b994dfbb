//! What was altered when: whether an answer is still what a look would give.
//!
//! Every change on any machine raises the epoch. Nothing finer is sound: a command on one host may write a file
//! on every other.

use std::collections::BTreeMap;

use super::Batch;
use crate::plan::Position;
use crate::run::sightings::Sightings;

/// Whose work alters something.
pub(super) struct Doer {
    pub position: Position,
    pub player: usize,
    pub item: usize,
}

/// When a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) struct Asked {
    at: u64,
    /// The flight whose work it was asked behind, in its frame.
    behind: Option<u64>,
}

/// The moments of a batch, counted by what is sent and what is altered.
#[derive(Default)]
pub(super) struct Epoch {
    clock: u64,
    /// Changes that are under way, by flight.
    changing: BTreeMap<u64, Doer>,
    ended: Vec<Ended>,
    /// The moment up to which whatever had grown stale has begun again.
    renewed: u64,
}

/// A change that has ended.
struct Ended {
    at: u64,
    /// `None`: nobody's work, but time or the world.
    flight: Option<u64>,
    by: Doer,
}

impl Asked {
    /// Of two answers that something relies on, the one that grows stale first.
    pub fn older(self, other: Option<Self>) -> Self {
        other.filter(|other| other.at < self.at).unwrap_or(self)
    }
}

impl Epoch {
    /// A question that goes out now, in a flight, behind its work if it has any.
    pub fn asked(&self, behind: Option<u64>) -> Asked {
        Asked {
            at: self.clock,
            behind,
        }
    }

    pub fn is_changing(&self) -> bool {
        !self.changing.is_empty()
    }

    /// Whether a flight is the only one that alters anything.
    pub fn is_alone(&self, flight: u64) -> bool {
        self.changing.keys().all(|other| *other == flight)
    }

    /// Work goes out with a flight that alters something.
    pub fn begins(&mut self, flight: u64, by: Doer) {
        self.clock += 1;
        self.changing.insert(flight, by);
    }

    pub fn ends(&mut self, flight: u64) {
        if let Some(by) = self.changing.remove(&flight) {
            self.end(Some(flight), by);
        }
    }

    /// Something may have been altered up to now.
    fn altered(&mut self, by: Doer) {
        self.end(None, by);
    }

    fn end(&mut self, flight: Option<u64>, by: Doer) {
        self.clock += 1;
        self.ended.push(Ended {
            at: self.clock,
            flight,
            by,
        });
    }

    /// Whether the epoch has risen since this was asked last.
    pub fn has_risen(&mut self) -> bool {
        let risen = self.renewed < self.clock;
        self.renewed = self.clock;
        risen
    }

    /// Whether something was altered since a question was asked that an item of a task would have seen, one by
    /// one: by anything that stands before it in the order. Tasks of the same turn on other hosts do not count,
    /// as in Ansible; nor does the work behind which it was asked.
    pub fn is_stale(&self, asked: Asked, position: &Position, player: usize, item: usize) -> bool {
        let matters = |flight: Option<u64>, by: &Doer| {
            let ahead_of_it = by.position != *position || by.player == player && by.item < item;
            ahead_of_it && (flight.is_none() || flight != asked.behind)
        };
        let is_changed_now = self
            .changing
            .iter()
            .any(|(flight, by)| matters(Some(*flight), by));
        let since = self.ended.iter().rev().take_while(|e| e.at > asked.at);
        is_changed_now || since.into_iter().any(|e| matters(e.flight, &e.by))
    }
}

impl Batch<'_> {
    /// Something is looked at here and now.
    pub(in crate::run) fn looked_at_here(&self) -> Sightings {
        Sightings::at(self.epoch.asked(None))
    }

    /// A task that waited for the world to change is over: what was asked before it is stale.
    pub(in crate::run) fn end_fence(&mut self, p: usize, position: &Position) {
        self.epoch.altered(Doer {
            position: position.clone(),
            player: p,
            item: 0,
        });
    }
}
