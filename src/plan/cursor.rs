//! One host's place in a play: `next(position, outcome)`, without doing anything.

use std::sync::Arc;

use crate::playbook::{Block, Item, Task};

/// A place in the play's order: lexicographic, the same on every host for the same task, so that hosts can
/// keep step.
pub type Position = Vec<u32>;

/// How a task ended for the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Ok,
    Failed,
}

/// What became of a handler that was notified while handlers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    Yes,
    /// It is to come anyway.
    WasThere,
    /// Its place is behind us, or no handlers run.
    No,
}

/// The task at the cursor.
#[derive(Debug, Clone)]
pub struct Reached {
    pub position: Position,
    pub task: Arc<Task>,
}

/// A task as it stands in a list, whether it will be come to or not.
#[derive(Debug, Clone)]
pub struct Laid {
    pub position: Position,
    pub task: Arc<Task>,
    /// The first of a `rescue`.
    pub rescue: bool,
}

/// Walks items with their blocks; cheap to clone, so that one can look ahead.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    stack: Vec<Frame>,
    failed: bool,
}

#[derive(Debug, Clone)]
struct Frame {
    items: Arc<[Item]>,
    /// Numbers that stand for the items in positions; `None`: their own order.
    numbers: Option<Arc<[u32]>>,
    next: usize,
    prefix: Position,
    block: Option<InBlock>,
}

#[derive(Debug, Clone)]
struct InBlock {
    block: Arc<Block>,
    section: Section,
    /// A failure that goes on outwards when `always` is through.
    failing: bool,
    /// What failed, while that is being rescued or goes on outwards.
    failed: Vec<Arc<Task>>,
}

/// What failed before a section, and whether that goes on outwards behind it.
#[derive(Default)]
struct Failure {
    failing: bool,
    failed: Vec<Arc<Task>>,
}

impl Failure {
    fn outwards(failed: Vec<Arc<Task>>) -> Self {
        Self {
            failing: true,
            failed,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Body,
    Rescue,
    Always,
}

impl Section {
    /// Its number in positions, and what is in it.
    fn of(self, block: &Block) -> (u32, &[Item]) {
        match self {
            Self::Body => (0, &block.body),
            Self::Rescue => (1, &block.rescue),
            Self::Always => (2, &block.always),
        }
    }
}

impl Cursor {
    pub fn new(items: impl Into<Arc<[Item]>>) -> Self {
        Self::at(items, Position::new())
    }

    /// A list that stands at a place of its own in the order.
    pub fn at(items: impl Into<Arc<[Item]>>, prefix: Position) -> Self {
        Self {
            stack: vec![Frame::list(items.into(), None, prefix)],
            failed: false,
        }
    }

    /// Whether a failure came through to the top.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The task to be done now; `None`: the end.
    pub fn peek(&mut self) -> Option<Reached> {
        loop {
            let frame = self.stack.last_mut()?;
            match frame.items.get(frame.next).cloned() {
                Some(Item::Task(task)) => {
                    return Some(Reached {
                        position: frame.position(),
                        task,
                    });
                }
                Some(Item::Block(block)) => {
                    let prefix = frame.position();
                    frame.next += 1;
                    self.stack
                        .push(Frame::section(block, Section::Body, Failure::default(), prefix));
                }
                None => self.leave(),
            }
        }
    }

    /// The task at the cursor has ended.
    pub fn done(&mut self, ending: Ending) {
        match ending {
            Ending::Ok => self.step(),
            Ending::Failed => {
                let failed = self.peek().map(|reached| reached.task);
                self.fail(failed.into_iter().collect());
            }
        }
    }

    /// Goes through `items` next, which stand behind the task at the cursor, in place of what follows it at
    /// first; `path` tells apart what stands at the same task.
    pub fn enter(&mut self, items: impl Into<Arc<[Item]>>, path: &[u32]) {
        let prefix = self.inner_prefix(path);
        self.step();
        self.stack.push(Frame::list(items.into(), None, prefix));
    }

    /// Goes through handlers, each with its place among all handlers of the play, and comes back to the task at
    /// the cursor.
    pub fn enter_handlers(&mut self, handlers: Vec<(u32, Item)>) {
        let prefix = self.inner_prefix(&[]);
        let (numbers, items): (Vec<u32>, Vec<Item>) = handlers.into_iter().unzip();
        self.stack
            .push(Frame::list(items.into(), Some(numbers.into()), prefix));
    }

    /// Puts a handler among those that are being run, if its place is still to come.
    pub fn insert_handler(&mut self, number: u32, handler: Item) -> Inserted {
        let top = self.stack.len().saturating_sub(1);
        let Some(at) = self.stack.iter().rposition(|f| f.numbers.is_some()) else {
            return Inserted::No;
        };
        let frame = &mut self.stack[at];
        let Some(numbers) = frame.numbers.as_deref() else {
            return Inserted::No;
        };
        // What is inside of the handler that runs stands above it, and it is behind us already.
        let current = if at == top {
            frame.next
        } else {
            frame.next.saturating_sub(1)
        };
        if numbers.get(current).is_none_or(|n| number <= *n) {
            return Inserted::No;
        }
        let Err(place) = numbers[current..].binary_search(&number).map_err(|n| n + current) else {
            return Inserted::WasThere;
        };
        let mut numbers = numbers.to_vec();
        let mut items = frame.items.to_vec();
        numbers.insert(place, number);
        items.insert(place, handler);
        frame.numbers = Some(numbers.into());
        frame.items = items.into();
        Inserted::Yes
    }

    /// Leaves what the predicate says, from the inside out, and goes on behind it: `meta: end_role`.
    pub fn leave_where(&mut self, inside: impl Fn(&Task) -> bool) {
        self.step();
        while let Some(reached) = self.peek() {
            if !inside(&reached.task) {
                return;
            }
            self.step();
        }
    }

    /// All tasks that may still come, whatever happens on the way: also those of rescues.
    pub fn rest(&self) -> Vec<Laid> {
        let mut all = Vec::new();
        for frame in self.stack.iter().rev() {
            frame.lay_out_from(frame.next, &mut all);
            if let Some(inside) = &frame.block {
                inside.lay_out_behind(&outer(&frame.prefix), &mut all);
            }
        }
        all
    }

    /// All tasks of the lists in which the cursor stands, those behind it too.
    pub fn surroundings(&self) -> Vec<Laid> {
        let mut all = Vec::new();
        for frame in self
            .stack
            .iter()
            .filter(|f| f.block.is_none() && f.numbers.is_none())
        {
            frame.lay_out_from(0, &mut all);
        }
        all
    }

    /// The tasks whose failure is being rescued, or is on its way outwards through an `always`.
    pub fn failing(&self) -> impl Iterator<Item = &Arc<Task>> {
        let blocks = self.stack.iter().filter_map(|f| f.block.as_ref());
        blocks.flat_map(|inside| &inside.failed)
    }

    /// Whether it is among handlers.
    pub fn runs_handlers(&self) -> bool {
        self.stack.iter().any(|f| f.numbers.is_some())
    }

    /// The places of the handlers that stand behind the one that runs.
    pub fn handlers_left(&self) -> Vec<u32> {
        let top = self.stack.len().saturating_sub(1);
        let Some(at) = self.stack.iter().rposition(|f| f.numbers.is_some()) else {
            return Vec::new();
        };
        let frame = &self.stack[at];
        // What is inside of the handler that runs stands above it, and it is behind us already.
        let behind = if at == top { frame.next + 1 } else { frame.next };
        let numbers = frame.numbers.iter().flat_map(|n| n.iter());
        numbers.skip(behind).copied().collect()
    }

    /// How many blocks deep the cursor is in a place whose failure can still be rescued.
    pub fn can_be_rescued(&self) -> bool {
        self.stack.iter().any(|f| {
            f.block
                .as_ref()
                .is_some_and(|b| b.section == Section::Body && !b.block.rescue.is_empty())
        })
    }

    fn inner_prefix(&self, path: &[u32]) -> Position {
        let mut prefix = self.stack.last().map(Frame::position).unwrap_or_default();
        prefix.extend_from_slice(path);
        prefix
    }

    fn step(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.next += 1;
        }
    }

    /// The top frame is through.
    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let Some(inside) = frame.block else { return };
        if inside.section != Section::Always && !inside.block.always.is_empty() {
            let prefix = outer(&frame.prefix);
            // What was rescued has been rescued.
            let failure = if inside.failing {
                Failure::outwards(inside.failed)
            } else {
                Failure::default()
            };
            self.stack
                .push(Frame::section(inside.block, Section::Always, failure, prefix));
            return;
        }
        if inside.failing {
            self.fail(inside.failed);
        }
    }

    fn fail(&mut self, mut failed: Vec<Arc<Task>>) {
        while let Some(frame) = self.stack.pop() {
            let Some(inside) = frame.block else { continue };
            failed.extend(inside.failed.iter().cloned());
            let (section, failing) = match inside.section {
                Section::Body if !inside.block.rescue.is_empty() => (Section::Rescue, false),
                Section::Body | Section::Rescue if !inside.block.always.is_empty() => (Section::Always, true),
                _ => continue,
            };
            let prefix = outer(&frame.prefix);
            let failure = Failure { failing, failed };
            self.stack
                .push(Frame::section(inside.block, section, failure, prefix));
            return;
        }
        self.failed = true;
    }
}

/// All tasks of a list in order, those of blocks with every section, `prefix` before their positions.
pub(super) fn lay_out(items: &[Item], prefix: &[u32], all: &mut Vec<Laid>) {
    for (number, item) in items.iter().enumerate() {
        lay_out_item(item, [prefix, &[index(number)]].concat(), all);
    }
}

/// The tasks of all handlers, as they would be come to at a flush.
pub fn lay_out_handlers(handlers: &[Item], flush: &[u32]) -> Vec<Laid> {
    let mut all = Vec::new();
    lay_out(handlers, flush, &mut all);
    all
}

/// The same of the item at a position.
pub(super) fn lay_out_item(item: &Item, position: Position, all: &mut Vec<Laid>) {
    match item {
        Item::Task(task) => all.push(Laid {
            position,
            task: task.clone(),
            rescue: false,
        }),
        Item::Block(block) => lay_out_block(block, &position, all),
    }
}

fn lay_out_block(block: &Block, position: &[u32], all: &mut Vec<Laid>) {
    for section in [Section::Body, Section::Rescue, Section::Always] {
        let (number, items) = section.of(block);
        let first = all.len();
        lay_out(items, &[position, &[number]].concat(), all);
        if section == Section::Rescue
            && let Some(first) = all.get_mut(first)
        {
            first.rescue = true;
        }
    }
}

pub(super) fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Without the section's number, which is the last.
fn outer(prefix: &Position) -> Position {
    prefix[..prefix.len().saturating_sub(1)].to_vec()
}

impl InBlock {
    /// The sections that may still come behind the one that it is in.
    fn lay_out_behind(&self, position: &[u32], all: &mut Vec<Laid>) {
        let behind: &[Section] = match self.section {
            Section::Body => &[Section::Rescue, Section::Always],
            Section::Rescue => &[Section::Always],
            Section::Always => &[],
        };
        for section in behind {
            let (number, items) = section.of(&self.block);
            lay_out(items, &[position, &[number]].concat(), all);
        }
    }
}

impl Frame {
    /// What stands in it from an item on.
    fn lay_out_from(&self, first: usize, all: &mut Vec<Laid>) {
        for (n, item) in self.items.iter().enumerate().skip(first) {
            let number = match &self.numbers {
                Some(numbers) => numbers.get(n).copied().unwrap_or(u32::MAX),
                None => index(n),
            };
            lay_out_item(item, [&self.prefix[..], &[number]].concat(), all);
        }
    }

    fn list(items: Arc<[Item]>, numbers: Option<Arc<[u32]>>, prefix: Position) -> Self {
        Self {
            items,
            numbers,
            next: 0,
            prefix,
            block: None,
        }
    }

    fn section(block: Arc<Block>, section: Section, failure: Failure, mut prefix: Position) -> Self {
        let (number, items) = section.of(&block);
        prefix.push(number);
        Self {
            items: items.into(),
            numbers: None,
            next: 0,
            prefix,
            block: Some(InBlock {
                block,
                section,
                failing: failure.failing,
                failed: failure.failed,
            }),
        }
    }

    fn position(&self) -> Position {
        let number = match &self.numbers {
            Some(numbers) => numbers.get(self.next).copied().unwrap_or(u32::MAX),
            None => index(self.next),
        };
        let mut position = self.prefix.clone();
        position.push(number);
        position
    }
}
