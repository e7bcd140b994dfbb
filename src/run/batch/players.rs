//! A host in the play: where it is, and what is under way on it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Batch;
use super::doom::Doom;
use crate::plan::{Cursor, Ending, Position};
use crate::playbook::{Item, Task};
use crate::run::attempt::Attempt;
use crate::run::event::Event;

/// The most attempts that are under way on a host at once.
const WINDOW: usize = 64;

/// One host in the play.
pub(in crate::run) struct Player {
    pub name: Arc<str>,
    pub cursor: Cursor,
    /// Where the next attempt ahead is taken from: the cursor, as it will be if all goes well.
    pub(super) look: Cursor,
    /// The last attempt that it has passed.
    pub(super) passed: u64,
    pub ahead: VecDeque<Attempt>,
    pub(super) window: usize,
    pub state: PlayerState,
    pub notified: Notified,
    /// Handlers of the pass that runs which are there only because of tasks of which a dry run cannot know
    /// whether they would change anything, with where that comes from.
    pub doubtful: BTreeMap<usize, Arc<str>>,
    /// Handlers are being run: when the cursor is back at the flush, it is over.
    pub flushing: bool,
    /// Has failed, and runs what was notified before, by `force_handlers`.
    forced: bool,
    /// Rises with everything that may make a parked template succeed.
    pub version: u64,
    /// The play has ended elsewhere: the task that it is at is its last.
    is_last: bool,
    /// A failure elsewhere that ends this host's work too.
    pub doomed: Option<Doom>,
    /// Tasks whose failure nothing has rescued.
    pub failed: Vec<Arc<Task>>,
    /// Where it left the play, if it did so before its end, and at which task.
    pub left: Option<(Position, String)>,
}

/// Why a handler may not run after all: a dry run cannot know whether the task that notified it would change
/// anything.
pub(in crate::run) type Doubt = Option<Arc<str>>;

/// Handlers that wait to be run.
#[derive(Debug, Default)]
pub(in crate::run) struct Notified {
    /// As tasks named them.
    pub names: BTreeMap<String, Doubt>,
    /// As they stand among the handlers: those of which one that ran spoke when their place was behind it.
    pub numbers: BTreeMap<usize, Doubt>,
}

impl Notified {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.numbers.is_empty()
    }
}

/// Adds a notification; whether it is new. One that is certain takes the doubt from another.
pub(in crate::run) fn note<K: Ord>(all: &mut BTreeMap<K, Doubt>, key: K, doubt: Doubt) -> bool {
    match all.entry(key) {
        Entry::Vacant(place) => {
            place.insert(doubt);
            true
        }
        Entry::Occupied(mut known) => {
            if doubt.is_none() {
                known.insert(None);
            }
            false
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum PlayerState {
    Active,
    Ended,
    Failed,
    Unreachable,
}

impl Player {
    pub fn new(name: &Arc<str>, items: &Arc<[Item]>) -> Self {
        Self {
            name: name.clone(),
            cursor: Cursor::new(items.clone()),
            look: Cursor::new(items.clone()),
            passed: 0,
            ahead: VecDeque::new(),
            window: WINDOW,
            state: PlayerState::Active,
            notified: Notified::default(),
            doubtful: BTreeMap::new(),
            flushing: false,
            forced: false,
            version: 0,
            is_last: false,
            doomed: None,
            failed: Vec::new(),
            left: None,
        }
    }

    /// A task has been committed: the next may look further ahead if nothing changed.
    pub fn widen(&mut self, changed: bool) {
        self.version += 1;
        self.window = if changed { 2 } else { (self.window * 2).min(WINDOW) };
    }

    /// Something changes: what is asked far behind it would be stale.
    pub fn narrow(&mut self) {
        self.window = 2;
    }

    /// Nothing comes any more.
    pub fn ends(&mut self) {
        self.cursor = Cursor::new(Vec::new());
        self.look = self.cursor.clone();
    }

    /// A task has failed, and nothing rescues it.
    pub fn fails(&mut self, task: &Arc<Task>, position: &Position) {
        self.failed.push(task.clone());
        self.failed.extend(self.cursor.failing().cloned());
        self.left.get_or_insert_with(|| (position.clone(), task.title()));
    }

    /// The task at the cursor has failed, here or elsewhere: on to a rescue, an `always`, the end.
    pub fn after_failure(&mut self) {
        let handlers_left = self.cursor.handlers_left();
        self.cursor.done(Ending::Failed);
        if self.flushing && !self.cursor.runs_handlers() {
            // A handler that failed ends its pass; the next one has what is left of it.
            self.flushing = false;
            for number in handlers_left.into_iter().filter_map(|n| usize::try_from(n).ok()) {
                note(&mut self.notified.numbers, number, self.doubtful.remove(&number));
            }
        }
    }

    /// Whether the host is at work on the task at a position: its turn has come.
    pub fn is_at_work(&self, position: &Position) -> bool {
        self.state == PlayerState::Active
            && (self.ahead.front()).is_some_and(|a| a.has_begun() && a.position == *position)
    }
}

impl Batch<'_> {
    /// The task at the cursor, with those left out that the tags leave out.
    pub(in crate::run) fn next_task(&mut self, p: usize) -> Option<crate::plan::Reached> {
        loop {
            let reached = self.players[p].cursor.peek()?;
            if self.exec.selected(&reached.task, &self.players[p].name) {
                return Some(reached);
            }
            self.players[p].cursor.done(Ending::Ok);
        }
    }

    /// The play has ended elsewhere. What a host is in the middle of goes to its end.
    pub(in crate::run) fn end_behind_this_task(&mut self, q: usize) {
        if self.players[q].ahead.front().is_some_and(Attempt::has_begun) {
            self.drop_from(q, 1);
            self.players[q].look = Cursor::new(Vec::new());
            self.players[q].is_last = true;
        } else {
            self.forget(q);
            self.players[q].ends();
        }
    }

    /// Whether a host has been through its last task.
    pub(super) fn is_through_its_last(&self, p: usize) -> bool {
        let player = &self.players[p];
        player.is_last && !player.ahead.front().is_some_and(Attempt::has_begun)
    }

    pub(super) fn end_player(&mut self, p: usize) {
        let failed = self.players[p].cursor.failed() || self.players[p].forced;
        if failed && self.force_handlers(p) {
            return;
        }
        self.players[p].state = if failed {
            PlayerState::Failed
        } else {
            PlayerState::Ended
        };
        self.forget(p);
    }

    /// With `force_handlers` a failed host still runs what was notified.
    fn force_handlers(&mut self, p: usize) -> bool {
        let player = &self.players[p];
        if player.forced || player.notified.is_empty() || !self.exec.forces_handlers(&self.play) {
            return false;
        }
        let flush = crate::plan::flush_handlers(&self.play.level, &self.play.span);
        let player = &mut self.players[p];
        player.forced = true;
        player.flushing = false;
        player.cursor = Cursor::at(vec![flush], vec![u32::MAX]);
        player.look = player.cursor.clone();
        true
    }

    /// Drops everything that is under way on a host; it looks ahead anew from its cursor.
    pub(in crate::run) fn forget(&mut self, p: usize) {
        self.drop_from(p, 0);
        let player = &mut self.players[p];
        player.look = player.cursor.clone();
    }

    /// Takes a host out of the play.
    pub(in crate::run) fn lose(&mut self, p: usize, state: PlayerState, reason: String) {
        if let Some(reached) = self.players[p].cursor.peek() {
            self.players[p].fails(&reached.task, &reached.position);
        }
        self.forget(p);
        self.players[p].state = state;
        self.exec.tell(&Event::HostLost {
            host: self.players[p].name.to_string(),
            unreachable: state == PlayerState::Unreachable,
            reason,
        });
    }
}
