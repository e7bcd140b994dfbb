//! The hosts of a play, or of one of its batches: who is where, whose turn it is, and the frames that go out.
//!
//! One loop owns everything. It moves every attempt as far as it goes without the world; when nothing moves
//! any more, it sends what lies in the doors, one frame for each machine and identity, and waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::attempt::{Attempt, ItemRun, Parked, State, Waiting};
use super::event::Event;
use super::execute::Executor;
use super::machines::MachineKey;
use crate::host::question::{Answered, Question};
use crate::host::{Change, Done, Frame, Halt, Identity, LocalAnswer, Lost, Reply, Request, Response, Script};
use crate::plan::{Cursor, Ending, Position};
use crate::playbook::{Action, Item, Meta, Play};
use crate::template::Moment;

/// The most attempts that are under way on a host at once.
const WINDOW: usize = 64;

/// The longest that questions of one frame may take when their tasks' turns have not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BatchEnd {
    pub failed: Vec<Arc<str>>,
    pub unreachable: Vec<Arc<str>>,
    pub play_ended: bool,
    pub interrupted: bool,
}

/// One host in the play.
pub(super) struct Player {
    pub name: Arc<str>,
    pub cursor: Cursor,
    /// Where the next attempt ahead is taken from: the cursor, as it will be if all goes well.
    look: Cursor,
    pub ahead: VecDeque<Attempt>,
    window: usize,
    pub state: PlayerState,
    /// Numbers of handlers to run.
    pub notified: BTreeSet<usize>,
    /// Handlers are being run: when the cursor is back at the flush, it is over.
    pub flushing: bool,
    /// Has failed, and runs what was notified before, by `force_handlers`.
    forced: bool,
    /// Rises with everything that may make a parked template succeed.
    pub version: u64,
    /// A failure elsewhere that ends this host's work too.
    pub doomed: Option<Doom>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlayerState {
    Active,
    Ended,
    Failed,
    Unreachable,
}

/// Where a failure elsewhere takes a host out.
pub(super) struct Doom {
    place: Position,
    /// At the place itself (a task that ran for all), not only behind it.
    there: bool,
}

/// Who put a request into a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    player: usize,
    attempt: u64,
    item: usize,
}

struct OpenQuestions {
    ticket: u64,
    owner: Owner,
    machine: MachineKey,
    identity: Identity,
    questions: Vec<Question>,
    at_turn: bool,
}

struct Work {
    ticket: u64,
    owner: Owner,
    position: Position,
    machine: MachineKey,
    identity: Identity,
    script: Script,
    /// Whether it alters the machine.
    alters: bool,
}

struct Flight {
    machine: MachineKey,
    identity: Identity,
    sent: u64,
    work: Option<(u64, Owner, Position, bool)>,
    /// Tickets with the number of their questions, and whether they were asked at their task's turn.
    questions: Vec<(u64, Owner, usize, bool)>,
}

/// What came back.
enum Landed {
    Frame(Result<Reply, Lost>),
    /// From the controlling machine: a wait is over, somebody has typed.
    Here(u64, Owner, LocalAnswer),
}

/// A change that has ended: when, and whose it was.
struct Ended {
    at: u64,
    position: Position,
    player: usize,
    item: usize,
}

pub(super) struct Batch<'e> {
    pub exec: &'e mut Executor,
    pub play: Arc<Play>,
    pub players: Vec<Player>,
    pub handlers: Vec<Item>,
    pub free: bool,
    /// Results of `run_once` tasks, for the hosts that do not run them.
    pub once: HashMap<Position, super::attempt::TaskResult>,
    pub end: BatchEnd,
    clock: u64,
    next_id: u64,
    next_ticket: u64,
    next_flight: u64,
    open: Vec<OpenQuestions>,
    works: VecDeque<Work>,
    in_flight: HashMap<u64, Flight>,
    flights: JoinSet<(u64, Landed)>,
    /// Changes that are under way, by flight.
    changing: BTreeMap<u64, (Position, usize, usize)>,
    ended: Vec<Ended>,
    timers: usize,
    fatal: HashSet<Position>,
}

impl<'e> Batch<'e> {
    pub fn new(
        exec: &'e mut Executor,
        play: Arc<Play>,
        hosts: &[Arc<str>],
        items: &Arc<[Item]>,
        free: bool,
    ) -> Self {
        let handlers = play.handlers.clone();
        let players = hosts
            .iter()
            .map(|name| Player {
                name: name.clone(),
                cursor: Cursor::new(items.clone()),
                look: Cursor::new(items.clone()),
                ahead: VecDeque::new(),
                window: WINDOW,
                state: PlayerState::Active,
                notified: BTreeSet::new(),
                flushing: false,
                forced: false,
                version: 0,
                doomed: None,
            })
            .collect();
        Self {
            exec,
            play,
            players,
            handlers,
            free,
            once: HashMap::new(),
            end: BatchEnd::default(),
            clock: 0,
            next_id: 0,
            next_ticket: 0,
            next_flight: 0,
            open: Vec::new(),
            works: VecDeque::new(),
            in_flight: HashMap::new(),
            flights: JoinSet::new(),
            changing: BTreeMap::new(),
            ended: Vec::new(),
            timers: 0,
            fatal: HashSet::new(),
        }
    }

    /// Runs until every host is through, or out.
    pub async fn run(mut self) -> BatchEnd {
        loop {
            while self.advance() {}
            self.send();
            if self.flights.is_empty() {
                break;
            }
            let interrupted = self.exec.interrupted.clone();
            tokio::select! {
                biased;
                () = interrupted.wait() => {
                    self.interrupt().await;
                    break;
                }
                Some(landed) = self.flights.join_next() => self.land(landed),
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
        let endings: Vec<_> = self.exec.machines.all().map(|(_, m)| m.interrupt()).collect();
        for ending in endings {
            let _ = tokio::time::timeout(Duration::from_secs(5), ending).await;
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.in_flight.is_empty() && Instant::now() < deadline {
            let wait = tokio::time::timeout(Duration::from_secs(1), self.flights.join_next()).await;
            match wait {
                Ok(Some(Ok((id, Landed::Frame(_))))) => {
                    self.in_flight.remove(&id);
                }
                Ok(None) => break,
                _ => {}
            }
        }
    }

    /// Moves everything that can move; whether anything did.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        for p in 0..self.players.len() {
            while self.players[p].state == PlayerState::Active && self.advance_player(p) {
                moved = true;
            }
        }
        moved
    }

    fn advance_player(&mut self, p: usize) -> bool {
        let Some(reached) = self.next_task(p) else {
            self.end_player(p);
            return true;
        };
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
            Ok(slot) => slot && self.has_turn(p, &reached.position),
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

    /// The task at the cursor, with those left out that the tags leave out.
    fn next_task(&mut self, p: usize) -> Option<crate::plan::Reached> {
        loop {
            let reached = self.players[p].cursor.peek()?;
            if self.exec.selected(&reached.task, &self.players[p].name) {
                return Some(reached);
            }
            self.players[p].cursor.done(Ending::Ok);
        }
    }

    fn end_player(&mut self, p: usize) {
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

    /// Drops everything that is under way on a host; it looks ahead anew from its cursor.
    pub fn forget(&mut self, p: usize) {
        let gone: Vec<u64> = self.players[p].ahead.drain(..).map(|a| a.id).collect();
        self.open.retain(|o| !gone.contains(&o.owner.attempt));
        let player = &mut self.players[p];
        player.look = player.cursor.clone();
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

    /// A failure that ends the batch takes this host as soon as it is behind the place of the failure.
    fn free_of_doom(&mut self, p: usize, position: &Position) -> bool {
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
                .is_some_and(|a| a.announced && a.position == *position)
        {
            return false;
        }
        player.doomed = None;
        player.cursor.done(Ending::Failed);
        self.forget(p);
        true
    }

    /// Dooms every other host: `any_errors_fatal`, a failed `run_once`.
    pub fn doom_others(&mut self, p: usize, position: &Position, there: bool) {
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

    /// The rule of turns: under `linear` no host is behind.
    fn has_turn(&mut self, p: usize, position: &Position) -> bool {
        if self.free {
            return true;
        }
        (0..self.players.len()).all(|q| {
            if q == p || self.players[q].state != PlayerState::Active {
                return true;
            }
            match self.next_task(q) {
                Some(reached) => reached.position >= *position,
                None => true,
            }
        })
    }

    /// `throttle`: at most so many hosts are at work on a task at once.
    fn has_slot(&self, p: usize, reached: &crate::plan::Reached) -> Result<bool, String> {
        let Some(written) = throttle(&reached.task) else {
            return Ok(true);
        };
        let at_work = |player: &Player| {
            player.state == PlayerState::Active
                && (player.ahead.front()).is_some_and(|a| a.announced && a.position == reached.position)
        };
        if at_work(&self.players[p]) {
            return Ok(true);
        }
        let limit = self.limit(p, written, &reached.task)?;
        let others = self.players.iter().filter(|other| at_work(other)).count();
        Ok(limit == 0 || others < limit)
    }

    /// Starts attempts behind the last one, as far as the way is known.
    fn look_ahead(&mut self, p: usize) -> bool {
        let mut moved = false;
        loop {
            let player = &self.players[p];
            let first = player.ahead.is_empty();
            let limit = if self.exec.settings.run_ahead {
                player.window
            } else {
                1
            };
            if !first && (player.ahead.len() >= limit || player.ahead.back().is_some_and(blocks_the_view)) {
                return moved;
            }
            let Some(reached) = self.players[p].look.peek() else {
                return moved;
            };
            if !self.exec.selected(&reached.task, &self.players[p].name) {
                self.players[p].look.done(Ending::Ok);
                continue;
            }
            self.next_id += 1;
            let fence = is_fence(&reached.task);
            let attempt = Attempt::new(self.next_id, reached.position, reached.task, fence);
            self.players[p].ahead.push_back(attempt);
            let last = self.players[p].ahead.len() - 1;
            if !first {
                self.move_attempt(p, last, false);
            }
            self.look_past(p);
            moved = true;
        }
    }

    /// Takes the look-ahead cursor behind the last attempt, if it is known what stands there.
    fn look_past(&mut self, p: usize) {
        let player = &mut self.players[p];
        let Some(last) = player.ahead.back() else { return };
        if blocks_the_view(last) {
            return;
        }
        match &last.unfolded {
            Some(unfolded) => player.look.enter(unfolded.items.clone(), &[0]),
            None => player.look.done(Ending::Ok),
        }
    }

    /// Moves one attempt as far as it goes; whether it moved.
    fn move_attempt(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let blocked = blocks_the_view(&self.players[p].ahead[i]);
        let mut moved = self.refresh(p, i, turn);
        if self.players[p].ahead[i].result.is_none() {
            moved |= self.work_on(p, i, turn);
        }
        // An include that has just unfolded opens the view behind it.
        let attempt = &self.players[p].ahead[i];
        if blocked && !blocks_the_view(attempt) && i + 1 == self.players[p].ahead.len() {
            self.look_past(p);
            moved = true;
        }
        moved
    }

    /// At its turn, an attempt that relies on what is no longer so begins again.
    fn refresh(&mut self, p: usize, i: usize, turn: bool) -> bool {
        if !turn || self.players[p].ahead[i].announced {
            return false;
        }
        let attempt = &mut self.players[p].ahead[i];
        attempt.announced = true;
        attempt.begun = Some(Instant::now());
        self.announce(p, i);
        let attempt = &self.players[p].ahead[i];
        let failed_early = attempt
            .result
            .as_ref()
            .is_some_and(|r| r.whole.failed || r.whole.unreachable);
        if self.is_stale(p, attempt) || failed_early {
            let id = attempt.id;
            self.restart(p, i);
            self.drop_borrowers(p, i, id);
            return true;
        }
        false
    }

    fn is_stale(&self, p: usize, attempt: &Attempt) -> bool {
        attempt
            .items
            .iter()
            .enumerate()
            .any(|(k, item)| self.item_is_stale(p, &attempt.position, k, item))
    }

    /// Whether something was changed since the item's questions were asked that it would have seen, one by
    /// one: by anything that stands before it in the order. Tasks of the same turn on other hosts do not
    /// count, as in Ansible.
    fn item_is_stale(&self, p: usize, position: &Position, k: usize, item: &ItemRun) -> bool {
        let Some(asked) = item.asked.into_iter().chain(item.asking).min() else {
            return false;
        };
        let matters = |where_: &Position, player: usize, other: usize| {
            if where_ != position {
                return true;
            }
            player == p && other < k
        };
        self.changing
            .values()
            .any(|(at, player, other)| matters(at, *player, *other))
            || self
                .ended
                .iter()
                .rev()
                .take_while(|e| e.at > asked)
                .any(|e| matters(&e.position, e.player, e.item))
    }

    fn restart(&mut self, p: usize, i: usize) {
        let attempt = &mut self.players[p].ahead[i];
        attempt.restart();
        let id = attempt.id;
        self.open.retain(|o| o.owner.attempt != id);
    }

    /// Whoever used what this attempt had lent begins again too.
    fn drop_borrowers(&mut self, p: usize, from: usize, id: u64) {
        let mut lenders = BTreeSet::from([id]);
        for j in from + 1..self.players[p].ahead.len() {
            let attempt = &self.players[p].ahead[j];
            if attempt.lenders().is_disjoint(&lenders) {
                continue;
            }
            lenders.insert(attempt.id);
            if attempt.unfolded.is_some() {
                // What stood behind it may never have been there.
                self.cut(p, j);
                return;
            }
            self.restart(p, j);
        }
    }

    /// What other hosts have looked at early may not be so: they look again.
    pub fn doubt_others(&mut self, p: usize) {
        for q in (0..self.players.len()).filter(|q| *q != p) {
            let keep = self.players[q].ahead.front().is_some_and(|a| a.announced);
            self.cut(q, usize::from(keep).min(self.players[q].ahead.len()));
        }
    }

    /// Forgets the attempts from `from` on.
    fn cut(&mut self, p: usize, from: usize) {
        let gone: Vec<u64> = self.players[p].ahead.drain(from..).map(|a| a.id).collect();
        self.open.retain(|o| !gone.contains(&o.owner.attempt));
        let player = &mut self.players[p];
        player.look = player.cursor.clone();
        for attempt in &player.ahead {
            // Brings the cursor to the attempt, over what the tags leave out.
            while player.look.peek().is_some_and(|r| r.position < attempt.position) {
                player.look.done(Ending::Ok);
            }
            match &attempt.unfolded {
                Some(unfolded) => player.look.enter(unfolded.items.clone(), &[0]),
                None => player.look.done(Ending::Ok),
            }
        }
    }

    /// One step of every item that can make one.
    fn work_on(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let attempt = &self.players[p].ahead[i];
        let needs_turn = attempt.fence || matches!(attempt.parked, Some(Parked::Turn));
        if !turn && needs_turn {
            return false;
        }
        if !turn && attempt.parked == Some(Parked::Since(self.players[p].version)) {
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

    fn announce(&mut self, p: usize, i: usize) {
        let (task, position) = (
            self.players[p].ahead[i].task.clone(),
            self.players[p].ahead[i].position.clone(),
        );
        if self.is_once(p, &task)
            && (self.once.contains_key(&position) || !self.runs_for_all(p, &position, true))
        {
            return;
        }
        let attempt = &self.players[p].ahead[i];
        if matches!(attempt.task.action, Action::Meta(_)) {
            return;
        }
        let scope = self.host_scope(p, &attempt.task.level);
        let event = Event::TaskStarted {
            host: self.players[p].name.to_string(),
            task: self.exec.rendered_name(&attempt.task, &scope),
            role: attempt.task.role().map(|r| r.name.to_string()),
            position: attempt.position.clone(),
        };
        self.exec.tell(&event);
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
            let may_look =
                at_turn || self.exec.settings.run_ahead && (k == 0 || !self.players[p].ahead[i].fence);
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
            item.restart();
            self.open.retain(|o| o.owner.attempt != id || o.owner.item != k);
        } else {
            // What it asked early is asked at its turn by now.
            for open in self
                .open
                .iter_mut()
                .filter(|o| o.owner.attempt == id && o.owner.item == k)
            {
                open.at_turn = true;
            }
        }
        true
    }

    /// One step of one item; whether it moved.
    fn step_item(&mut self, p: usize, i: usize, k: usize, at_turn: bool) -> bool {
        let version = self.players[p].version;
        let item = &mut self.players[p].ahead[i].items[k];
        match &mut item.state {
            State::Done(_) | State::Delay(_) => false,
            State::New => self.start_item(p, i, k, at_turn),
            State::Parked(parked) => {
                let wait = match parked {
                    Parked::Turn => !at_turn,
                    Parked::Since(since) => !at_turn && *since == version,
                };
                if wait {
                    return false;
                }
                item.state = State::New;
                true
            }
            State::Running {
                module,
                door,
                waiting,
            } => match waiting {
                Waiting::Ticket(_) => false,
                Waiting::Parked(_, Parked::Turn) if !at_turn => false,
                Waiting::Parked(_, Parked::Since(since)) if !at_turn && *since == version => false,
                Waiting::Parked(request, _) => {
                    let request = std::mem::replace(&mut **request, Request::Ask(Vec::new()));
                    *waiting = Waiting::Request(Box::new(request));
                    true
                }
                Waiting::Request(request) => {
                    if !at_turn && needs_turn(request) {
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

    /// Meets a request, or puts it on its way. Always moves.
    fn meet(&mut self, p: usize, i: usize, k: usize, request: Request, at_turn: bool) -> bool {
        let check = self.effective(p, i, k).is_some_and(|e| e.check);
        match request {
            Request::Ask(questions) => self.put_questions(p, i, k, questions, at_turn),
            Request::AskNow(script) => self.put_work(p, i, k, script, false),
            Request::Change(change, _) if check => {
                let halt = if change.opaque {
                    Halt::NotRun(change.what.into())
                } else {
                    Halt::WouldChange(change)
                };
                self.respond(p, i, k, Response::Halt(halt));
            }
            Request::Act(_) if check => {
                let done = Done::Finished(crate::host::Output::default());
                self.respond(p, i, k, Response::Done(done));
            }
            Request::Change(change, script) => {
                self.note_change(p, i, k, change);
                self.put_work(p, i, k, script, true);
            }
            Request::Act(script) => self.put_work(p, i, k, script, true),
            Request::Local(local) => self.meet_local(p, i, k, local, at_turn),
        }
        true
    }

    fn note_change(&mut self, p: usize, i: usize, k: usize, change: Change) {
        let attempt = &mut self.players[p].ahead[i];
        attempt.items[k].changes.push(change);
        self.players[p].window = 2;
    }

    pub fn respond(&mut self, p: usize, i: usize, k: usize, response: Response) {
        if let State::Running { door, waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            door.respond(response);
            *waiting = Waiting::Nothing;
        }
    }

    /// Leaves a request in the door until a name is known or the turn has come.
    pub fn park(&mut self, p: usize, i: usize, k: usize, request: Request, why: Parked) {
        if let State::Running { waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            *waiting = Waiting::Parked(Box::new(request), why);
        }
    }

    /// The request in the door is on its way, under this number.
    pub fn wait_for_ticket(&mut self, p: usize, i: usize, k: usize, ticket: u64) {
        if let State::Running { waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            *waiting = Waiting::Ticket(ticket);
        }
    }

    fn owner(&self, p: usize, i: usize, k: usize) -> Owner {
        Owner {
            player: p,
            attempt: self.players[p].ahead[i].id,
            item: k,
        }
    }

    fn ticket(&mut self, p: usize, i: usize, k: usize) -> u64 {
        self.next_ticket += 1;
        if let State::Running { waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            *waiting = Waiting::Ticket(self.next_ticket);
        }
        self.next_ticket
    }

    fn put_questions(&mut self, p: usize, i: usize, k: usize, questions: Vec<Question>, at_turn: bool) {
        let Some(effective) = self.effective(p, i, k) else {
            return;
        };
        let owner = self.owner(p, i, k);
        let ticket = self.ticket(p, i, k);
        self.open.push(OpenQuestions {
            ticket,
            owner,
            machine: effective.machine.clone(),
            identity: effective.identity.clone(),
            questions,
            at_turn,
        });
    }

    fn put_work(&mut self, p: usize, i: usize, k: usize, script: Script, alters: bool) {
        let Some(effective) = self.effective(p, i, k) else {
            return;
        };
        let owner = self.owner(p, i, k);
        let position = self.players[p].ahead[i].position.clone();
        let ticket = self.ticket(p, i, k);
        self.works.push_back(Work {
            ticket,
            owner,
            position,
            machine: effective.machine.clone(),
            identity: effective.identity.clone(),
            script,
            alters,
        });
    }

    /// A wait on the controlling machine.
    pub fn put_timer(&mut self, p: usize, i: usize, k: usize, time: Duration) -> u64 {
        let owner = self.owner(p, i, k);
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.next_flight += 1;
        let id = self.next_flight;
        self.timers += 1;
        self.flights.spawn(async move {
            tokio::time::sleep(time).await;
            (id, Landed::Here(ticket, owner, LocalAnswer::Nothing))
        });
        ticket
    }

    /// Asks the person, without holding up what is under way elsewhere.
    pub fn put_prompt(&mut self, p: usize, i: usize, k: usize, text: &str, echo: bool) -> u64 {
        self.exec.tell(&Event::Asking {
            text: text.to_string(),
        });
        let owner = self.owner(p, i, k);
        let asked = self.exec.ask(text, echo);
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.next_flight += 1;
        let id = self.next_flight;
        self.timers += 1;
        self.flights.spawn(async move {
            let typed = asked.await;
            (id, Landed::Here(ticket, owner, LocalAnswer::Typed(typed)))
        });
        ticket
    }

    pub fn effective(&self, p: usize, i: usize, k: usize) -> Option<Arc<super::attempt::Effective>> {
        self.players[p].ahead[i].items[k].effective.clone()
    }

    /// Sends what lies in the doors.
    fn send(&mut self) {
        let forks = self.exec.settings.forks.max(1);
        let mut waiting = VecDeque::new();
        while let Some(work) = self.works.pop_front() {
            let working: HashSet<usize> = self
                .in_flight
                .values()
                .filter_map(|f| Some(f.work.as_ref()?.1.player))
                .collect();
            if working.len() >= forks && !working.contains(&work.owner.player) {
                waiting.push_back(work);
                continue;
            }
            self.send_work(work);
        }
        self.works = waiting;
        self.send_questions();
    }

    fn send_work(&mut self, work: Work) {
        // Questions of the tasks behind it ride along, to be answered when it is done.
        let (riding, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|o: &OpenQuestions| {
                o.owner.player == work.owner.player
                    && o.machine == work.machine
                    && o.identity == work.identity
                    && !o.at_turn
            });
        self.open = open;
        self.clock += 1;
        let flight = self.next_flight + 1;
        if work.alters {
            self.changing.insert(
                flight,
                (work.position.clone(), work.owner.player, work.owner.item),
            );
        }
        let info = Some((work.ticket, work.owner, work.position, work.alters));
        self.launch(work.machine, work.identity, Some(work.script), info, riding);
    }

    fn send_questions(&mut self) {
        // While something is being changed, what is asked early would be stale before it is used.
        let hold_early = !self.changing.is_empty();
        let mut groups: BTreeMap<(MachineKey, String), Vec<OpenQuestions>> = BTreeMap::new();
        let mut held = Vec::new();
        let busy: HashSet<(MachineKey, Identity)> = self
            .in_flight
            .values()
            .filter(|f| f.work.is_none())
            .map(|f| (f.machine.clone(), f.identity.clone()))
            .collect();
        for open in std::mem::take(&mut self.open) {
            if hold_early && !open.at_turn || busy.contains(&(open.machine.clone(), open.identity.clone())) {
                held.push(open);
                continue;
            }
            let identity = format!("{:?}", open.identity);
            groups
                .entry((open.machine.clone(), identity))
                .or_default()
                .push(open);
        }
        self.open = held;
        for (_, group) in groups {
            let Some(first) = group.first() else { continue };
            let (machine, identity) = (first.machine.clone(), first.identity.clone());
            self.launch(machine, identity, None, None, group);
        }
    }

    fn launch(
        &mut self,
        machine: MachineKey,
        identity: Identity,
        work: Option<Script>,
        info: Option<(u64, Owner, Position, bool)>,
        questions: Vec<OpenQuestions>,
    ) {
        self.next_flight += 1;
        let id = self.next_flight;
        let early_only = questions.iter().all(|o| !o.at_turn);
        let frame = Frame {
            work,
            patience: (early_only && !questions.is_empty()).then_some(PATIENCE),
            questions: questions
                .iter()
                .flat_map(|o| o.questions.iter().cloned())
                .collect(),
        };
        for open in &questions {
            if let Some((i, k)) = self.find(open.owner) {
                self.players[open.owner.player].ahead[i].items[k].asking = Some(self.clock);
            }
        }
        let counts = questions
            .iter()
            .map(|o| (o.ticket, o.owner, o.questions.len(), o.at_turn))
            .collect();
        let reply = match self.exec.machines.known(&machine) {
            Some(known) => known.frame(identity.clone(), frame),
            None => Box::pin(async { Err(no_machine()) }),
        };
        self.in_flight.insert(
            id,
            Flight {
                machine,
                identity,
                sent: self.clock,
                work: info,
                questions: counts,
            },
        );
        self.flights
            .spawn(async move { (id, Landed::Frame(reply.await)) });
    }

    /// Hands out what came back.
    fn land(&mut self, landed: Result<(u64, Landed), tokio::task::JoinError>) {
        let Ok((id, landed)) = landed else { return };
        match landed {
            Landed::Here(ticket, owner, answer) => {
                self.timers -= 1;
                if let LocalAnswer::Typed(typed) = &answer {
                    let answered = typed.is_some();
                    self.exec.tell(&Event::Answered { answered });
                }
                self.answered_here(ticket, owner, answer);
            }
            Landed::Frame(reply) => {
                let Some(flight) = self.in_flight.remove(&id) else {
                    return;
                };
                self.frame_landed(id, flight, reply);
            }
        }
    }

    fn answered_here(&mut self, ticket: u64, owner: Owner, answer: LocalAnswer) {
        let Some((i, k)) = self.find(owner) else { return };
        let item = &mut self.players[owner.player].ahead[i].items[k];
        match &item.state {
            State::Delay(t) if *t == ticket => item.state = State::New,
            State::Running {
                waiting: Waiting::Ticket(t),
                ..
            } if *t == ticket => self.respond(owner.player, i, k, Response::Local(Ok(answer))),
            _ => {}
        }
    }

    fn frame_landed(&mut self, id: u64, flight: Flight, reply: Result<Reply, Lost>) {
        let mut asked = flight.sent;
        if let Some((_, owner, position, alters)) = &flight.work
            && *alters
        {
            self.changing.remove(&id);
            let undisturbed =
                self.changing.is_empty() && self.ended.last().is_none_or(|e| e.at <= flight.sent);
            self.clock += 1;
            self.ended.push(Ended {
                at: self.clock,
                position: position.clone(),
                player: owner.player,
                item: owner.item,
            });
            if undisturbed {
                // They were answered behind the change, and nothing else went on meanwhile.
                asked = self.clock;
            }
        }
        match reply {
            Ok(reply) => {
                if let (Some((ticket, owner, _, _)), Some(done)) = (&flight.work, reply.work) {
                    self.answer(*ticket, *owner, Response::Done(done), None);
                }
                let mut answers = reply.answers.into_iter();
                for (ticket, owner, count, at_turn) in flight.questions {
                    let its: Vec<Answered> = answers.by_ref().take(count).collect();
                    if !at_turn && its.iter().any(Result::is_err) {
                        self.ask_again(ticket, owner);
                        continue;
                    }
                    self.answer(ticket, owner, Response::Answers(its), Some(asked));
                }
            }
            Err(lost) => {
                let halt = || Response::Halt(Halt::Lost(lost.clone()));
                if let Some((ticket, owner, _, _)) = &flight.work {
                    self.answer(*ticket, *owner, halt(), None);
                }
                for (ticket, owner, _, at_turn) in flight.questions {
                    if at_turn {
                        self.answer(ticket, owner, halt(), Some(asked));
                    } else {
                        self.ask_again(ticket, owner);
                    }
                }
            }
        }
    }

    /// What was asked early and got no answer is asked again when the task's turn comes, which it may have by
    /// now.
    fn ask_again(&mut self, ticket: u64, owner: Owner) {
        let Some((i, k)) = self.find(owner) else { return };
        let item = &mut self.players[owner.player].ahead[i].items[k];
        if !item.waits_for(ticket) {
            return;
        }
        item.restart();
        item.state = State::Parked(Parked::Turn);
    }

    fn answer(&mut self, ticket: u64, owner: Owner, response: Response, asked: Option<u64>) {
        let Some((i, k)) = self.find(owner) else { return };
        let item = &mut self.players[owner.player].ahead[i].items[k];
        // Late for an attempt that has begun again.
        if !item.waits_for(ticket) {
            return;
        }
        item.asking = None;
        if let Some(asked) = asked {
            item.asked = Some(item.asked.map_or(asked, |a| a.min(asked)));
        }
        self.respond(owner.player, i, k, response);
    }

    fn find(&self, owner: Owner) -> Option<(usize, usize)> {
        let ahead = &self.players[owner.player].ahead;
        let i = ahead.iter().position(|a| a.id == owner.attempt)?;
        (owner.item < ahead[i].items.len()).then_some((i, owner.item))
    }

    /// A task that waited for the world to change is over: what was asked before it is stale.
    pub fn end_fence(&mut self, p: usize, position: &Position) {
        self.clock += 1;
        self.ended.push(Ended {
            at: self.clock,
            position: position.clone(),
            player: p,
            item: 0,
        });
    }

    /// A task has been committed: the next may look further ahead if nothing changed.
    pub fn widen(&mut self, p: usize, changed: bool) {
        let player = &mut self.players[p];
        player.version += 1;
        player.window = if changed {
            2
        } else {
            (player.window * 2).min(WINDOW)
        };
    }

    /// Takes a host out of the play.
    pub fn lose(&mut self, p: usize, state: PlayerState, reason: String) {
        self.forget(p);
        self.players[p].state = state;
        self.exec.tell(&Event::HostLost {
            host: self.players[p].name.to_string(),
            unreachable: state == PlayerState::Unreachable,
            reason,
        });
    }

    /// The hosts that are still in, as `ansible_play_hosts` has them.
    pub fn active(&self) -> Vec<usize> {
        (0..self.players.len())
            .filter(|q| self.players[*q].state == PlayerState::Active)
            .collect()
    }

    /// Whether this host runs a `run_once` task for the others: the first of those that come to it. Before
    /// its turn that is certain only of the first of all.
    pub fn runs_for_all(&mut self, p: usize, position: &Position, turn: bool) -> bool {
        if self.free {
            return true;
        }
        let before: Vec<usize> = self.active().into_iter().take_while(|q| *q < p).collect();
        if !turn {
            return before.is_empty();
        }
        before
            .into_iter()
            .all(|q| self.next_task(q).is_none_or(|r| r.position != *position))
    }

    pub fn moment(at_turn: bool) -> Moment {
        if at_turn { Moment::Turn } else { Moment::Ahead }
    }
}

/// Whether it is not known what stands behind an attempt, or nothing may be asked there.
fn blocks_the_view(attempt: &Attempt) -> bool {
    let include = matches!(
        attempt.task.action,
        Action::IncludeTasks(_) | Action::IncludeRole(_)
    );
    attempt.fence || include && attempt.result.is_none()
}

fn throttle(task: &crate::playbook::Task) -> Option<&crate::playbook::Written> {
    task.level.nearest(|k| k.throttle.as_ref())
}

/// Tasks behind which nothing is asked early, because the world changes while they wait: for time, or for
/// other hosts at the same task.
fn is_fence(task: &crate::playbook::Task) -> bool {
    if throttle(task).is_some() {
        return true;
    }
    match &task.action {
        Action::Module { signature, .. } => {
            signature.fence || !task.until.is_empty() || task.retries.is_some()
        }
        Action::Meta(meta) => !matches!(meta, Meta::FlushHandlers | Meta::Noop),
        Action::IncludeTasks(_) | Action::IncludeRole(_) => false,
    }
}

fn needs_turn(request: &Request) -> bool {
    use crate::host::Local;
    match request {
        Request::Ask(_) => false,
        Request::AskNow(_) | Request::Change(..) | Request::Act(_) => true,
        Request::Local(local) => matches!(local, Local::Sleep(_) | Local::Prompt { .. }),
    }
}

fn no_machine() -> Lost {
    Lost::Transport(crate::transport::TransportError {
        kind: crate::transport::TransportErrorKind::Unreachable,
        message: "there is no way to this host: a bug of vmstation".to_string(),
        help: None,
    })
}
