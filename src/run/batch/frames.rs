//! What goes out: the questions and work in the doors, one frame for each machine and identity.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};

use super::Batch;
use super::epoch::Doer;
use crate::host::question::Question;
use crate::host::{Frame, Identity, LocalAnswer, Lost, Reply, Script};
use crate::plan::Position;
use crate::run::machines::MachineKey;

/// The longest that questions of one frame may take when their tasks' turns have not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who put a request into a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub player: usize,
    pub attempt: u64,
    pub item: usize,
}

/// Questions that wait to be sent.
pub(super) struct OpenQuestions {
    pub ticket: u64,
    pub owner: Owner,
    pub machine: MachineKey,
    pub identity: Identity,
    pub questions: Vec<Question>,
    pub at_turn: bool,
}

/// A script that waits to be sent.
pub(super) struct Work {
    pub ticket: u64,
    pub owner: Owner,
    pub position: Position,
    pub machine: MachineKey,
    pub identity: Identity,
    pub script: Script,
    /// Whether it alters the machine.
    pub alters: bool,
}

/// A frame that is out.
pub(super) struct Flight {
    pub machine: MachineKey,
    pub identity: Identity,
    /// The epoch's moment at which it went out.
    pub sent: u64,
    pub work: Option<SentWork>,
    pub questions: Vec<SentQuestions>,
}

/// The script in a frame.
#[derive(Clone, Copy)]
pub(super) struct SentWork {
    pub ticket: u64,
    pub owner: Owner,
}

/// One module's questions in a frame.
pub(super) struct SentQuestions {
    pub ticket: u64,
    pub owner: Owner,
    /// How many answers are its.
    pub count: usize,
    pub at_turn: bool,
}

/// What came back.
pub(super) enum Landed {
    Frame(Result<Reply, Lost>),
    /// From the controlling machine: a wait is over, somebody has typed.
    Here(u64, Owner, LocalAnswer),
}

/// What waits to be sent, and what is out.
#[derive(Default)]
pub(super) struct Frames {
    open: Vec<OpenQuestions>,
    works: VecDeque<Work>,
    in_flight: HashMap<u64, Flight>,
    flights: JoinSet<(u64, Landed)>,
    last_ticket: u64,
    last_flight: u64,
}

impl Frames {
    /// The number under which a module waits for an answer.
    pub fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    pub fn ask(&mut self, questions: OpenQuestions) {
        self.open.push(questions);
    }

    pub fn work(&mut self, work: Work) {
        self.works.push_back(work);
    }

    /// Waits for something on the controlling machine.
    pub fn wait_here(
        &mut self,
        owner: Owner,
        answer: impl Future<Output = LocalAnswer> + Send + 'static,
    ) -> u64 {
        let ticket = self.ticket();
        self.last_flight += 1;
        let id = self.last_flight;
        self.flights
            .spawn(async move { (id, Landed::Here(ticket, owner, answer.await)) });
        ticket
    }

    /// Takes back questions that are not sent yet.
    pub fn withdraw(&mut self, whose: impl Fn(&Owner) -> bool) {
        self.open.retain(|o| !whose(&o.owner));
    }

    /// What an item asked early is asked at its turn by now.
    pub fn take_turn(&mut self, attempt: u64, item: usize) {
        let its = |o: &&mut OpenQuestions| o.owner.attempt == attempt && o.owner.item == item;
        for open in self.open.iter_mut().filter(its) {
            open.at_turn = true;
        }
    }

    pub fn nothing_is_out(&self) -> bool {
        self.flights.is_empty()
    }

    /// The next thing that comes back.
    pub async fn next(&mut self) -> Option<Result<(u64, Landed), JoinError>> {
        self.flights.join_next().await
    }

    /// The flight of a frame that has come back.
    pub fn landed(&mut self, id: u64) -> Option<Flight> {
        self.in_flight.remove(&id)
    }

    /// Waits a while for what is out, after an interrupt.
    pub async fn come_back(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.in_flight.is_empty() && Instant::now() < deadline {
            match tokio::time::timeout(Duration::from_secs(1), self.flights.join_next()).await {
                Ok(Some(Ok((id, Landed::Frame(_))))) => {
                    self.in_flight.remove(&id);
                }
                Ok(None) => break,
                _ => {}
            }
        }
    }

    /// Hosts on which work goes on.
    fn working(&self) -> HashSet<usize> {
        let works = self.in_flight.values().filter_map(|f| f.work.as_ref());
        works.map(|work| work.owner.player).collect()
    }

    /// The questions that ride behind a piece of work in its frame: of tasks behind it, for the same machine.
    fn riding(&mut self, work: &Work) -> Vec<OpenQuestions> {
        let (riding, open) = std::mem::take(&mut self.open).into_iter().partition(|o| {
            o.owner.player == work.owner.player
                && o.machine == work.machine
                && o.identity == work.identity
                && !o.at_turn
        });
        self.open = open;
        riding
    }

    /// Questions that can go out now, by machine and identity.
    fn ready(&mut self, hold_early: bool) -> Vec<Vec<OpenQuestions>> {
        let busy: HashSet<(MachineKey, Identity)> = self
            .in_flight
            .values()
            .filter(|f| f.work.is_none())
            .map(|f| (f.machine.clone(), f.identity.clone()))
            .collect();
        let (held, ready): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open).into_iter().partition(|o| {
            hold_early && !o.at_turn || busy.contains(&(o.machine.clone(), o.identity.clone()))
        });
        self.open = held;
        let mut groups: BTreeMap<(MachineKey, String), Vec<OpenQuestions>> = BTreeMap::new();
        for open in ready {
            let identity = format!("{:?}", open.identity);
            groups
                .entry((open.machine.clone(), identity))
                .or_default()
                .push(open);
        }
        groups.into_values().collect()
    }
}

impl Batch<'_> {
    /// Sends what lies in the doors.
    pub(super) fn send(&mut self) {
        let forks = self.exec.settings.forks.max(1);
        let mut waiting = VecDeque::new();
        while let Some(work) = self.frames.works.pop_front() {
            let working = self.frames.working();
            if working.len() >= forks && !working.contains(&work.owner.player) {
                waiting.push_back(work);
                continue;
            }
            self.send_work(work);
        }
        self.frames.works = waiting;
        self.send_questions();
    }

    fn send_work(&mut self, work: Work) {
        // Questions of the tasks behind it ride along, to be answered when it is done.
        let riding = self.frames.riding(&work);
        let sent = SentWork {
            ticket: work.ticket,
            owner: work.owner,
        };
        let alters = work.alters.then_some(Doer {
            position: work.position,
            player: work.owner.player,
            item: work.owner.item,
        });
        self.epoch.begins(self.frames.last_flight + 1, alters);
        self.launch(work.machine, work.identity, Some((sent, work.script)), &riding);
    }

    fn send_questions(&mut self) {
        // While something is being changed, what is asked early would be stale before it is used.
        let hold_early = self.epoch.is_changing();
        for group in self.frames.ready(hold_early) {
            let Some(first) = group.first() else { continue };
            let (machine, identity) = (first.machine.clone(), first.identity.clone());
            self.launch(machine, identity, None, &group);
        }
    }

    fn launch(
        &mut self,
        machine: MachineKey,
        identity: Identity,
        work: Option<(SentWork, Script)>,
        questions: &[OpenQuestions],
    ) {
        self.frames.last_flight += 1;
        let id = self.frames.last_flight;
        let (sent_work, script) = work.unzip();
        let early_only = questions.iter().all(|o| !o.at_turn);
        let frame = Frame {
            work: script,
            patience: (early_only && !questions.is_empty()).then_some(PATIENCE),
            questions: questions
                .iter()
                .flat_map(|o| o.questions.iter().cloned())
                .collect(),
        };
        for open in questions {
            if let Some((i, k)) = self.find(open.owner) {
                self.players[open.owner.player].ahead[i].items[k].asking = Some(self.epoch.now());
            }
        }
        let reply = match self.exec.machines.known(&machine) {
            Some(known) => known.frame(identity.clone(), frame),
            None => Box::pin(async { Err(no_machine()) }),
        };
        let flight = Flight {
            machine,
            identity,
            sent: self.epoch.now(),
            work: sent_work,
            questions: questions.iter().map(OpenQuestions::as_sent).collect(),
        };
        self.frames.in_flight.insert(id, flight);
        self.frames
            .flights
            .spawn(async move { (id, Landed::Frame(reply.await)) });
    }
}

impl OpenQuestions {
    fn as_sent(&self) -> SentQuestions {
        SentQuestions {
            ticket: self.ticket,
            owner: self.owner,
            count: self.questions.len(),
            at_turn: self.at_turn,
        }
    }
}

fn no_machine() -> Lost {
    Lost::Transport(crate::transport::TransportError {
        kind: crate::transport::TransportErrorKind::Unreachable,
        message: "there is no way to this host: a bug of vmstation".to_string(),
        help: None,
    })
}
