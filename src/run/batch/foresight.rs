//! What is going to be altered, as far as is known: whatever is asked behind it now would be stale for certain.

use std::cmp::Ordering;

use super::frames::Owner;
use super::{Batch, PlayerState};
use crate::plan::Position;
use crate::run::attempt::Attempt;

/// The first place on a host where something will be altered.
struct Expected {
    /// The number of the attempt on its host, and the item.
    place: (usize, usize),
    position: Position,
}

/// What is expected on each host.
pub(super) struct Foresight {
    in_step: bool,
    expected: Vec<Option<Expected>>,
}

impl Foresight {
    pub fn of(batch: &Batch<'_>) -> Self {
        let expected = batch.players.iter().map(|player| {
            if player.state != PlayerState::Active {
                return None;
            }
            player.ahead.iter().enumerate().find_map(|(i, attempt)| {
                Some(Expected {
                    place: (i, attempt.first_to_alter()?),
                    position: attempt.position.clone(),
                })
            })
        });
        Self {
            in_step: batch.pace.in_step(),
            expected: expected.collect(),
        }
    }

    /// Whether something that is going to be altered stands before an item of an attempt.
    pub fn is_in_vain(&self, owner: &Owner, i: usize, position: &Position) -> bool {
        self.expected.iter().enumerate().any(|(q, expected)| {
            let Some(expected) = expected else { return false };
            if q == owner.player {
                return expected.place < (i, owner.item);
            }
            // Where hosts do not keep step, another's change may come at any time, or late.
            self.in_step && expected.position.cmp(position) == Ordering::Less
        })
    }
}

impl Batch<'_> {
    /// An item has come to a request that waits for its turn.
    pub(super) fn foresee(&mut self, p: usize, i: usize, k: usize, alters: bool) {
        let is_dry = self.effective(p, i, k).is_some_and(|e| e.check);
        let foreseen = &mut self.players[p].ahead[i].foreseen;
        if alters && !is_dry {
            foreseen.insert(k);
        } else {
            foreseen.remove(&k);
        }
    }
}

impl Attempt {
    /// The first item of which it is known that it will alter something: by a change, or by waiting while the
    /// world goes on.
    fn first_to_alter(&self) -> Option<usize> {
        if self.result.is_some() {
            return None;
        }
        if self.fence {
            return Some(0);
        }
        let is_open = |k: &&usize| self.items.get(**k).is_none_or(|item| item.result().is_none());
        self.foreseen.iter().find(is_open).copied()
    }
}
