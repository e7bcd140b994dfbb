//! What is going to be altered, as far as is known: whatever is asked behind it now would be stale for certain.

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
    expected: Vec<Option<Expected>>,
    /// The first two hosts by the places in the order at which something is expected; none where hosts do not
    /// keep step: there another's change may come at any time, or late.
    first: [Option<usize>; 2],
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
        let expected: Vec<Option<Expected>> = expected.collect();
        let first = if batch.pace.in_step() {
            first_two(&expected)
        } else {
            [None; 2]
        };
        Self { expected, first }
    }

    /// Whether something that is going to be altered stands before an item of an attempt.
    pub fn is_in_vain(&self, owner: &Owner, i: usize, position: &Position) -> bool {
        let own = self.expected[owner.player].as_ref();
        if own.is_some_and(|own| own.place < (i, owner.item)) {
            return true;
        }
        let others = self.first.iter().flatten().find(|q| **q != owner.player);
        let other = others.and_then(|q| self.expected[*q].as_ref());
        other.is_some_and(|other| other.position < *position)
    }
}

fn first_two(expected: &[Option<Expected>]) -> [Option<usize>; 2] {
    let place = |q: usize| expected[q].as_ref().map(|e| &e.position);
    let mut first = [None; 2];
    for q in (0..expected.len()).filter(|q| expected[*q].is_some()) {
        if first[0].is_none_or(|one| place(q) < place(one)) {
            first = [Some(q), first[0]];
        } else if first[1].is_none_or(|two| place(q) < place(two)) {
            first[1] = Some(q);
        }
    }
    first
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
