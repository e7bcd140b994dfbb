//! One step of an attempt: ahead of its turn as far as it goes, at its turn to the end.

use std::time::Instant;

use super::Batch;
use crate::host::Request;
use crate::plan::Position;
use crate::run::attempt::{Attempt, ItemRun, Parked, State, Waiting};
use crate::run::sightings::Sightings;

impl Batch<'_> {
    /// Moves one attempt as far as it goes; whether it moved.
    pub(super) fn move_attempt(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let mut moved = self.refresh(p, i, turn);
        if self.players[p].ahead[i].result.is_none() {
            moved |= self.work_on(p, i, turn);
        }
        // An include that has just unfolded opens the view behind it.
        if i + 1 == self.players[p].ahead.len() {
            moved |= self.look_past(p);
        }
        moved
    }

    /// At its turn, an attempt that relies on what is no longer so begins again.
    fn refresh(&mut self, p: usize, i: usize, turn: bool) -> bool {
        if !turn || self.players[p].ahead[i].has_begun() {
            return false;
        }
        let attempt = &mut self.players[p].ahead[i];
        attempt.begun = Some(Instant::now());
        self.announce(p, i);
        let task = self.players[p].ahead[i].task.clone();
        let unmet = self.unmet_need(p, &task).is_some();
        let attempt = &self.players[p].ahead[i];
        let failed_early = attempt
            .result
            .as_ref()
            .is_some_and(|r| r.whole.failed || r.whole.unreachable);
        if self.is_stale(p, attempt) || failed_early || unmet {
            self.begin_again(p, i);
            return true;
        }
        false
    }

    pub(super) fn is_stale(&self, p: usize, attempt: &Attempt) -> bool {
        let mut items = attempt.items.iter().enumerate();
        self.seen_here_is_stale(p, &attempt.position, 0, attempt.seen_here.as_ref())
            || items.any(|(k, item)| self.item_is_stale(p, &attempt.position, k, item))
    }

    /// Whether something was altered since the item's questions were asked that it would have seen, one by one.
    pub(super) fn item_is_stale(&self, p: usize, position: &Position, k: usize, item: &ItemRun) -> bool {
        (item.asked.iter().chain(&item.asking)).any(|asked| self.epoch.is_stale(*asked, position, p, k))
            || self.seen_here_is_stale(p, position, k, item.seen_here.as_ref())
    }

    /// The same of the files of this machine that were read.
    fn seen_here_is_stale(&self, p: usize, position: &Position, k: usize, seen: Option<&Sightings>) -> bool {
        seen.is_some_and(|seen| seen.are_stale(|asked| self.epoch.is_stale(asked, position, p, k)))
    }

    /// One step of every item that can make one.
    fn work_on(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let attempt = &self.players[p].ahead[i];
        let needs_turn = attempt.fence || matches!(attempt.parked, Some(Parked::Turn));
        if !turn && (needs_turn || !self.exec.settings.run_ahead) {
            return false;
        }
        if !turn && attempt.parked == Some(Parked::Since(self.players[p].version)) {
            return false;
        }
        if let Some(Parked::Others(since)) = self.players[p].ahead[i].parked
            && since == self.progress()
        {
            return false;
        }
        let mut moved = false;
        if !self.players[p].ahead[i].prepared {
            if !self.prepare(p, i, turn) {
                return moved;
            }
            moved = true;
        }
        if self.players[p].ahead[i].result.is_some() {
            return true;
        }
        moved |= self.move_items(p, i, turn);
        if self.players[p].ahead[i]
            .items
            .iter()
            .all(|item| item.result().is_some())
        {
            self.assemble(p, i);
            self.players[p].version += 1;
            moved = true;
        }
        moved
    }

    fn move_items(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let mut moved = false;
        let count = self.players[p].ahead[i].items.len();
        // At its turn, items run one after another; before it, all of them look around.
        let mut first_open = true;
        for k in 0..count {
            let at_turn = turn && first_open;
            if at_turn {
                moved |= self.item_takes_turn(p, i, k);
            }
            let may_look = at_turn || self.exec.settings.run_ahead && !self.players[p].ahead[i].fence;
            if may_look {
                while self.step_item(p, i, k, at_turn) {
                    moved = true;
                }
            }
            first_open &= self.players[p].ahead[i].items[k].result().is_some();
        }
        moved
    }

    fn item_takes_turn(&mut self, p: usize, i: usize, k: usize) -> bool {
        let attempt = &self.players[p].ahead[i];
        let item = &attempt.items[k];
        if item.at_turn {
            return false;
        }
        let failed_early = item.result().is_some_and(|r| r.failed || r.unreachable);
        let stale = self.item_is_stale(p, &attempt.position, k, item);
        let id = attempt.id;
        let item = &mut self.players[p].ahead[i].items[k];
        item.at_turn = true;
        item.begun.get_or_insert_with(Instant::now);
        if stale || failed_early {
            self.restart_item(p, i, k);
        } else {
            // What it asked early is asked at its turn by now.
            self.frames.take_turn(id, k);
        }
        self.pause_before(p, i, k);
        true
    }

    /// Whether what an item has been parked for has yet to come.
    fn waits(&self, p: usize, i: usize, k: usize, at_turn: bool) -> bool {
        let parked = match &self.players[p].ahead[i].items[k].state {
            State::Parked(parked) | State::Unjudged(_, parked) => parked,
            State::Running {
                waiting: Waiting::Parked(_, parked),
                ..
            } => parked,
            _ => return false,
        };
        match parked {
            Parked::Turn => !at_turn,
            Parked::Since(since) => !at_turn && *since == self.players[p].version,
            Parked::Others(since) => *since == self.progress(),
        }
    }

    /// One step of one item; whether it moved.
    fn step_item(&mut self, p: usize, i: usize, k: usize, at_turn: bool) -> bool {
        if self.waits(p, i, k, at_turn) {
            return false;
        }
        let item = &mut self.players[p].ahead[i].items[k];
        match &mut item.state {
            State::Done(_) | State::Delay(_) => false,
            State::New => self.start_item(p, i, k, at_turn),
            State::Parked(_) => {
                item.state = State::New;
                true
            }
            State::Unjudged(result, _) => {
                let result = std::mem::take(&mut **result);
                self.end_item(p, i, k, result, at_turn);
                true
            }
            State::Running {
                module,
                door,
                waiting,
            } => match waiting {
                Waiting::Ticket(_) => false,
                Waiting::Parked(request, _) => {
                    let request = std::mem::replace(&mut **request, Request::Ask(Vec::new()));
                    *waiting = Waiting::Request(Box::new(request));
                    true
                }
                Waiting::Request(request) => {
                    if !at_turn && needs_turn(request) {
                        let alters = matches!(**request, Request::Change(..) | Request::Act(_));
                        self.foresee(p, i, k, alters);
                        return false;
                    }
                    let request = std::mem::replace(&mut **request, Request::Ask(Vec::new()));
                    self.meet(p, i, k, request, at_turn)
                }
                Waiting::Nothing => {
                    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                    match module.as_mut().poll(&mut context) {
                        std::task::Poll::Ready(outcome) => {
                            self.finish_item(p, i, k, outcome, at_turn);
                            true
                        }
                        std::task::Poll::Pending => {
                            if let Some(request) = door.take() {
                                *waiting = Waiting::Request(Box::new(request));
                                true
                            } else {
                                let halt = crate::host::fail(
                                    "the module waits for something that is no door: a bug of vmstation",
                                );
                                self.finish_item(p, i, k, Err(halt), at_turn);
                                true
                            }
                        }
                    }
                }
            },
        }
    }
}

fn needs_turn(request: &Request) -> bool {
    use crate::host::Local;
    match request {
        Request::Ask(_) => false,
        Request::AskNow(_) | Request::Change(..) | Request::Act(_) => true,
        Request::Local(local) => matches!(local, Local::Sleep(_) | Local::Prompt { .. } | Local::Fetch(_)),
    }
}
