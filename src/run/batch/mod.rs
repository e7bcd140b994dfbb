//! The hosts of a play, or of one of its batches, and the loop that drives them.
//!
//! One loop owns everything. It moves every attempt as far as it goes without the world; when nothing moves
//! any more, it sends what lies in the doors, one frame for each machine and identity, and waits.
//!
//! - [`players`]: a host in the play: where it is, what is under way on it.
//! - [`turns`]: whose turn it is, by the play's strategy.
//! - [`reasons`]: what a task waits for where hosts do not keep step.
//! - [`ahead`]: how far a host looks past its turn, and when it begins anew.
//! - [`steps`]: one step of an attempt.
//! - [`doors`]: what modules ask for; [`frames`]: what goes out together; [`landing`]: what comes back.
//! - [`epoch`]: what was altered when, and what was asked too early.
//! - [`foresight`]: what would be stale for certain and is not asked.
//! - [`doom`]: a failure that ends the work of the others.

mod ahead;
mod doom;
mod doors;
mod epoch;
mod foresight;
mod frames;
mod landing;
mod players;
mod reasons;
mod steps;
mod turns;

pub(super) use epoch::Asked;
pub(super) use players::{Notified, PlayerState, note};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::execute::Executor;
use super::scope::Shared;
use super::task::TaskResult;
use super::world::Coming;
use crate::plan::{Pace, Position, Ties};
use crate::playbook::{Item, Play};
use epoch::Epoch;
use frames::Frames;
use players::Player;
use turns::Standings;

/// How long the machines may take to end what runs on them.
const INTERRUPTING: Duration = Duration::from_secs(12);

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BatchEnd {
    pub failed: Vec<Arc<str>>,
    pub unreachable: Vec<Arc<str>>,
    pub play_ended: bool,
    pub interrupted: bool,
    /// Nothing comes behind this batch: more hosts have failed than `max_fail_percentage` allows, or a failure that
    /// ends all, `any_errors_fatal` or of a `run_once`, was rescued nowhere.
    pub broken: bool,
}

pub(super) struct Batch<'e> {
    pub exec: &'e mut Executor,
    pub play: Arc<Play>,
    pub players: Vec<Player>,
    pub handlers: Vec<Item>,
    pub pace: Pace,
    /// `max_fail_percentage`.
    pub tolerance: Option<f64>,
    /// Results of `run_once` tasks, for the hosts that do not run them.
    pub once: HashMap<Position, TaskResult>,
    pub end: BatchEnd,
    standings: Standings,
    /// The world as it was before the first result of a turn took effect, and whose turn that is.
    known_before: Option<(Position, Shared)>,
    epoch: Epoch,
    frames: Frames,
    last_attempt: u64,
    /// Failures that have doomed the others already.
    fatal: HashSet<Position>,
    /// What tasks have to do with other hosts, by the task's address.
    ties: HashMap<usize, Arc<Ties>>,
    /// What each host may still come to, as of where it is.
    rests: HashMap<usize, (Position, Arc<[Coming]>)>,
}

impl<'e> Batch<'e> {
    pub(super) fn new(
        exec: &'e mut Executor,
        play: Arc<Play>,
        hosts: &[Arc<str>],
        items: &Arc<[Item]>,
        pace: Pace,
    ) -> Self {
        Self {
            exec,
            handlers: play.handlers.clone(),
            play,
            players: hosts.iter().map(|name| Player::new(name, items)).collect(),
            pace,
            tolerance: None,
            once: HashMap::new(),
            end: BatchEnd::default(),
            standings: Standings::default(),
            known_before: None,
            epoch: Epoch::default(),
            frames: Frames::default(),
            last_attempt: 0,
            fatal: HashSet::new(),
            ties: HashMap::new(),
            rests: HashMap::new(),
        }
    }

    /// With `max_fail_percentage`.
    #[must_use]
    pub(super) fn tolerating(mut self, tolerance: Option<f64>) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Runs until every host is through, or out.
    pub(super) async fn run(mut self) -> BatchEnd {
        loop {
            while self.advance() {}
            self.send();
            if self.frames.nothing_is_out() {
                break;
            }
            let interrupted = self.exec.interrupted.clone();
            tokio::select! {
                biased;
                () = interrupted.wait() => {
                    self.interrupt().await;
                    break;
                }
                Some(landed) = self.frames.next() => {
                    self.land(landed);
                    // What has come back meanwhile is looked at together.
                    while let Some(more) = self.frames.next_at_once() {
                        self.land(more);
                    }
                }
            }
        }
        self.leave_nobody_waiting();
        for player in &self.players {
            match player.state {
                PlayerState::Failed => self.end.failed.push(player.name.clone()),
                PlayerState::Unreachable => self.end.unreachable.push(player.name.clone()),
                PlayerState::Active | PlayerState::Ended => {}
            }
        }
        self.end
    }

    /// A host that still waits although nothing is under way would wait for ever: that is our bug, and is said.
    fn leave_nobody_waiting(&mut self) {
        if self.end.interrupted {
            return;
        }
        for p in 0..self.players.len() {
            if self.players[p].state != PlayerState::Active {
                continue;
            }
            let at = self.players[p]
                .cursor
                .peek()
                .map(|r| r.task.title())
                .unwrap_or_default();
            self.lose(
                p,
                PlayerState::Failed,
                format!("stuck before `{at}`: a bug of vmstation"),
            );
        }
    }

    async fn interrupt(&mut self) {
        self.end.interrupted = true;
        // All at once: one that does not answer must not keep what runs on the others alive.
        let endings: tokio::task::JoinSet<()> =
            self.exec.machines.all().map(|(_, m)| m.interrupt()).collect();
        let _ = tokio::time::timeout(INTERRUPTING, endings.join_all()).await;
        self.frames.come_back().await;
    }

    /// Moves everything that can move; whether anything did.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        for p in 0..self.players.len() {
            self.note_standing(p);
        }
        for p in 0..self.players.len() {
            while self.players[p].state == PlayerState::Active && self.advance_player(p) {
                moved = true;
            }
            self.note_standing(p);
        }
        moved
    }

    fn advance_player(&mut self, p: usize) -> bool {
        if self.is_through_its_last(p) {
            self.forget(p);
            self.players[p].ends();
        }
        let Some(reached) = self.next_task(p) else {
            self.end_player(p);
            return true;
        };
        self.standings.put(p, Some(reached.position.clone()));
        if self.free_of_doom(p, &reached.position) {
            return true;
        }
        let player = &mut self.players[p];
        let matches = player
            .ahead
            .front()
            .is_some_and(|a| a.position == reached.position && Arc::ptr_eq(&a.task, &reached.task));
        if !matches {
            self.forget(p);
            self.look_ahead(p);
        }
        let turn = match self.has_slot(p, &reached) {
            Ok(slot) => slot && self.has_turn(p, &reached),
            Err(reason) => {
                self.lose(p, PlayerState::Failed, reason);
                return true;
            }
        };
        let mut moved = false;
        let mut i = 0;
        while i < self.players[p].ahead.len() {
            moved |= self.move_attempt(p, i, turn && i == 0);
            i += 1;
        }
        if turn && self.players[p].ahead.front().is_some_and(|a| a.result.is_some()) {
            self.commit(p);
            return true;
        }
        moved | self.look_ahead(p)
    }
}
