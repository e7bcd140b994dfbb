//! A failure that ends the work of the others: `any_errors_fatal`, `max_fail_percentage`, a failed `run_once`.

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

    /// `max_fail_percentage`: when more hosts have failed than it allows, the others are taken out too, as by a
    /// failure of their own. A host that cannot be reached has not failed.
    pub(in crate::run) fn doom_if_too_many(&mut self, p: usize, position: &Position) {
        let Some(tolerance) = self.tolerance else { return };
        let failed = self.players.iter().filter(|q| q.cursor.failed()).count();
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
        let share = failed as f64 * 100.0 / self.players.len() as f64;
        if share > tolerance {
            self.end.broken = true;
            self.doom_others(p, position, false);
        }
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
