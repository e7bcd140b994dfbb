//! A failure that ends the work of the others: `any_errors_fatal`, a failed `run_once`.

use super::{Batch, PlayerState};
use crate::plan::Position;

/// Where a failure elsewhere takes a host out.
pub(in crate::run) struct Doom {
    place: Position,
    /// At the place itself (a task that ran for all), not only behind it.
    there: bool,
}

impl Batch<'_> {
    /// A failure that ends the batch takes this host as soon as it is behind the place of the failure.
    pub(super) fn free_of_doom(&mut self, p: usize, position: &Position) -> bool {
        let player = &mut self.players[p];
        let Some(doom) = &player.doomed else { return false };
        if *position < doom.place || *position == doom.place && !doom.there {
            return false;
        }
        // What it is in the middle of goes to its end.
        let own = *position != doom.place || !doom.there;
        if own
            && player
                .ahead
                .front()
                .is_some_and(|a| a.has_begun() && a.position == *position)
        {
            return false;
        }
        player.doomed = None;
        player.after_failure();
        self.forget(p);
        true
    }

    /// Dooms every other host: `any_errors_fatal`, a failed `run_once`.
    pub(in crate::run) fn doom_others(&mut self, p: usize, position: &Position, there: bool) {
        if !self.fatal.insert(position.clone()) {
            return;
        }
        for (q, player) in self.players.iter_mut().enumerate() {
            if q != p && player.state == PlayerState::Active {
                player.doomed = Some(Doom {
                    place: position.clone(),
                    there,
                });
            }
        }
    }
}
