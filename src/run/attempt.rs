//! One task on one host, on its way through its module's doors: perhaps ahead of its turn, perhaps several
//! items at once, perhaps not for the first time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::batch::Asked;
use super::scope::Earlier;
use super::sightings::Sightings;
use super::task::{Effective, ItemResult, TaskResult};
use crate::host::{Change, Door, Request};
use crate::modules::Running;
use crate::plan::Position;
use crate::playbook::{Item, Sets, Task};
use crate::vars::{Map, Value};

/// A task on a host, from its first look to its result.
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub(super) struct Attempt {
    pub id: u64,
    pub position: Position,
    pub task: Arc<Task>,
    /// Nothing behind it is asked early.
    pub fence: bool,
    /// One for each item of the loop, one alone without a loop; none until the loop's list is known.
    pub items: Vec<ItemRun>,
    pub looped: bool,
    pub prepared: bool,
    /// What it waits for before it can be prepared, as of which state of the host.
    pub parked: Option<Parked>,
    pub borrowed: Borrowed,
    pub result: Option<TaskResult>,
    /// What an include unfolds to.
    pub unfolded: Option<Unfolded>,
    /// What an include names is not there.
    pub misses_a_file: bool,
    /// The files here that it comes from.
    pub seen_here: Option<Sightings>,
    /// When its turn came and was announced.
    pub begun: Option<Instant>,
    /// Items that will alter something at their turn, as far as was seen.
    pub foreseen: BTreeSet<usize>,
}

pub(super) type Borrowed = Arc<Mutex<BTreeSet<u64>>>;

/// Why something cannot go on yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parked {
    /// A name is not known yet; look again when the host has moved on since this count.
    Since(u64),
    /// Its turn must come first.
    Turn,
    /// Its turn has come, and another host may still set what it reads (`dag`): look again when any has moved
    /// on since this count.
    Others(u64),
}

/// What an include brings.
#[derive(Debug, Clone)]
pub(super) struct Unfolded {
    pub items: Arc<[Item]>,
    pub handlers: Vec<Item>,
    /// How often it brings something: once for each item of its loop that is not skipped.
    pub times: u32,
}

/// One item of a task: one start of the module, or several with `until`.
pub(super) struct ItemRun {
    /// The loop's variables for this item.
    pub locals: Map,
    pub item: Option<Value>,
    pub state: State,
    /// From here on everything happens at the task's turn.
    pub at_turn: bool,
    /// When the oldest answer that it relies on was asked for.
    pub asked: Option<Asked>,
    /// When the questions were sent whose answers are still on their way.
    pub asking: Option<Asked>,
    /// The files of this machine that it relies on.
    pub seen_here: Option<Sightings>,
    pub borrowed: Borrowed,
    pub effective: Option<Arc<Effective>>,
    pub changes: Vec<Change>,
    /// When its `timeout` is over.
    pub deadline: Option<tokio::time::Instant>,
    pub tries: u64,
    pub begun: Option<Instant>,
    /// The whole diagnostic of a failure that the module hands on in one line.
    pub diagnostic: Option<String>,
}

pub(super) enum State {
    New,
    Parked(Parked),
    Running {
        module: Running,
        door: Door,
        waiting: Waiting,
    },
    /// The module is through; what decides about its result waits for other hosts.
    Unjudged(Box<ItemResult>, Parked),
    /// Between two tries, or in `pause`.
    Delay(u64),
    Done(Box<ItemResult>),
}

pub(super) enum Waiting {
    /// To be polled.
    Nothing,
    /// A request that cannot be met yet.
    Request(Box<Request>),
    /// A template in a request waits for a name.
    Parked(Box<Request>, Parked),
    /// On its way, under this number.
    Ticket(u64),
}

impl Attempt {
    pub fn new(id: u64, position: Position, task: Arc<Task>, fence: bool) -> Self {
        Self {
            id,
            position,
            task,
            fence,
            items: Vec::new(),
            looped: false,
            prepared: false,
            parked: None,
            borrowed: Borrowed::default(),
            result: None,
            unfolded: None,
            misses_a_file: false,
            seen_here: None,
            begun: None,
            foreseen: BTreeSet::new(),
        }
    }

    /// Whether its turn has come.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// How later tasks of the host see it while it is under way.
    pub fn as_earlier(&self) -> Earlier {
        let sets = match &self.task.action {
            // An include that is unfolded sets nothing itself; what it brings stands behind it.
            _ if self.unfolded.is_some() => Sets::Nothing,
            _ => self.task.sets(),
        };
        Earlier {
            id: self.id,
            register: self.task.register.clone(),
            sets,
            lent: self.result.as_ref().map(|r| r.lent.clone()),
        }
    }

    /// Everything it relies on that another attempt lent.
    pub fn lenders(&self) -> BTreeSet<u64> {
        let lock = |b: &Borrowed| b.lock().map(|set| set.clone()).unwrap_or_default();
        let mut all = lock(&self.borrowed);
        for item in &self.items {
            all.extend(lock(&item.borrowed));
        }
        all
    }

    /// Back to the beginning, as if it had never run.
    pub fn restart(&mut self) {
        self.items.clear();
        self.prepared = false;
        self.parked = None;
        self.borrowed = Borrowed::default();
        self.result = None;
        self.unfolded = None;
        self.seen_here = None;
    }
}

impl ItemRun {
    pub fn new(item: Option<Value>, locals: Map) -> Self {
        Self {
            locals,
            item,
            state: State::New,
            at_turn: false,
            asked: None,
            asking: None,
            seen_here: None,
            borrowed: Borrowed::default(),
            effective: None,
            changes: Vec::new(),
            deadline: None,
            tries: 0,
            begun: None,
            diagnostic: None,
        }
    }

    pub fn restart(&mut self) {
        self.state = State::New;
        self.asked = None;
        self.asking = None;
        self.seen_here = None;
        self.borrowed = Borrowed::default();
        self.effective = None;
        self.changes.clear();
        self.deadline = None;
    }

    /// Whether this is the answer that the module waits for.
    pub fn waits_for(&self, ticket: u64) -> bool {
        matches!(&self.state, State::Running { waiting: Waiting::Ticket(t), .. } if *t == ticket)
    }

    pub fn result(&self) -> Option<&ItemResult> {
        match &self.state {
            State::Done(result) => Some(result),
            _ => None,
        }
    }
}
