//! What goes out: the questions and work in the doors, one frame for each machine and identity.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::task::{JoinError, JoinSet};

use super::Batch;
use super::epoch::{Asked, Doer};
use super::foresight::Foresight;
use crate::host::question::Question;
use crate::host::{Frame, Identity, LocalAnswer, Lost, Machine, Reply, Script};
use crate::plan::Position;
use crate::run::machines::MachineKey;
use crate::transport::{TransportError, TransportErrorKind};

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
    pub asked: Asked,
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

    /// What has come back, too.
    pub fn next_at_once(&mut self) -> Option<Result<(u64, Landed), JoinError>> {
        self.flights.try_join_next()
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

    /// Takes out the open questions that a predicate chooses.
    fn take(&mut self, chosen: impl Fn(&OpenQuestions) -> bool) -> Vec<OpenQuestions> {
        let (taken, left) = std::mem::take(&mut self.open).into_iter().partition(chosen);
        self.open = left;
        taken
    }

    /// The machines and identities for which questions are out.
    fn busy(&self) -> HashSet<(&MachineKey, &Identity)> {
        let asking = self.in_flight.values().filter(|f| f.work.is_none());
        asking.map(|f| (&f.machine, &f.identity)).collect()
    }

    /// The work that goes out now: at most so many hosts are at work at once.
    fn works_to_go(&mut self, forks: usize) -> Vec<Going> {
        let mut working = self.working();
        let (mut going, mut waiting) = (Vec::new(), VecDeque::new());
        for work in std::mem::take(&mut self.works) {
            if working.len() >= forks && !working.contains(&work.owner.player) {
                waiting.push_back(work);
                continue;
            }
            working.insert(work.owner.player);
            self.last_flight += 1;
            going.push(Going {
                flight: self.last_flight,
                work,
            });
        }
        self.works = waiting;
        going
    }
}

/// A piece of work with the number of its flight.
struct Going {
    flight: u64,
    work: Work,
}

impl Batch<'_> {
    /// Sends what lies in the doors.
    pub(super) fn send(&mut self) {
        let going = self.frames.works_to_go(self.exec.settings.forks.max(1));
        for Going { flight, work } in &going {
            if work.alters {
                self.epoch.begins(*flight, work.doer());
            }
        }
        // What this makes stale begins again at once, so that its questions ride along.
        self.renew();
        for going in going {
            self.send_work(going);
        }
        self.send_questions();
    }

    /// Questions of the tasks behind it ride along, to be answered when it is done.
    fn send_work(&mut self, going: Going) {
        let Going { flight, work } = going;
        let riding = if self.epoch.is_alone(flight) {
            let foresight = Foresight::of(self);
            let rides = |o: &OpenQuestions| {
                o.owner.player == work.owner.player
                    && o.machine == work.machine
                    && o.identity == work.identity
                    && !o.at_turn
                    && !self.is_in_vain(&foresight, o)
            };
            let riding: HashSet<u64> = self
                .frames
                .open
                .iter()
                .filter(|o| rides(o))
                .map(|o| o.ticket)
                .collect();
            self.frames.take(|o| riding.contains(&o.ticket))
        } else {
            Vec::new()
        };
        let sent = SentWork {
            ticket: work.ticket,
            owner: work.owner,
        };
        self.launch(
            flight,
            work.machine,
            work.identity,
            Some((sent, work.script)),
            &riding,
        );
    }

    fn send_questions(&mut self) {
        // While something is being altered, what is asked early would be stale before it is used.
        let is_changing = self.epoch.is_changing();
        let foresight = Foresight::of(self);
        let busy = self.frames.busy();
        let goes = |o: &OpenQuestions| {
            !busy.contains(&(&o.machine, &o.identity))
                && (o.at_turn || !is_changing && !self.is_in_vain(&foresight, o))
        };
        let going: HashSet<u64> = self
            .frames
            .open
            .iter()
            .filter(|o| goes(o))
            .map(|o| o.ticket)
            .collect();
        let ready = self.frames.take(|o| going.contains(&o.ticket));
        let mut arriving = self.arriving();
        for group in groups(ready) {
            let Some(first) = group.first() else { continue };
            let (machine, identity) = (first.machine.clone(), first.identity.clone());
            if !self.may_arrive(&machine, &mut arriving) {
                self.frames.open.extend(group);
                continue;
            }
            self.frames.last_flight += 1;
            self.launch(self.frames.last_flight, machine, identity, None, &group);
        }
    }

    /// The machines that are being connected to.
    fn arriving(&self) -> HashSet<MachineKey> {
        let machines = self.frames.in_flight.values().map(|flight| &flight.machine);
        let new = machines.filter(|machine| !self.exec.machines.has_answered(machine));
        new.cloned().collect()
    }

    /// Whether a machine may be sent questions: to connect takes processor time here, and its time limits know of
    /// no queue, so that at most `forks` are connected to at once.
    fn may_arrive(&self, machine: &MachineKey, arriving: &mut HashSet<MachineKey>) -> bool {
        if self.exec.machines.has_answered(machine) || arriving.contains(machine) {
            return true;
        }
        let may = arriving.len() < self.exec.settings.forks.max(1);
        if may {
            arriving.insert(machine.clone());
        }
        may
    }

    /// Whether questions would be stale before they are used.
    fn is_in_vain(&self, foresight: &Foresight, open: &OpenQuestions) -> bool {
        self.find(open.owner).is_none_or(|(i, _)| {
            let position = &self.players[open.owner.player].ahead[i].position;
            foresight.is_in_vain(&open.owner, i, position)
        })
    }

    fn launch(
        &mut self,
        id: u64,
        machine: MachineKey,
        identity: Identity,
        work: Option<(SentWork, Script)>,
        questions: &[OpenQuestions],
    ) {
        let (sent_work, script) = work.unzip();
        let early_only = questions.iter().all(|o| !o.at_turn);
        let new_connection = script.as_ref().and_then(|script| script.new_connection);
        let frame = Frame {
            work: script,
            patience: (early_only && !questions.is_empty()).then_some(PATIENCE),
            questions: questions
                .iter()
                .flat_map(|o| o.questions.iter().cloned())
                .collect(),
        };
        let asked = self.epoch.asked(sent_work.map(|_| id));
        for open in questions {
            if let Some((i, k)) = self.find(open.owner) {
                self.players[open.owner.player].ahead[i].items[k].asking = Some(asked);
            }
        }
        let reply = match self.exec.machines.known(&machine) {
            Some(known) => match new_connection {
                Some(limit) => Box::pin(reach(Arc::clone(known), identity.clone(), frame, limit)),
                None => known.frame(identity.clone(), frame),
            },
            None => Box::pin(async { Err(no_machine()) }),
        };
        let flight = Flight {
            machine,
            identity,
            work: sent_work,
            questions: questions.iter().map(|o| o.as_sent(asked)).collect(),
        };
        self.frames.in_flight.insert(id, flight);
        self.frames
            .flights
            .spawn(async move { (id, Landed::Frame(reply.await)) });
    }
}

impl Work {
    fn doer(&self) -> Doer {
        Doer {
            position: self.position.clone(),
            player: self.owner.player,
            item: self.owner.item,
        }
    }
}

impl OpenQuestions {
    fn as_sent(&self, asked: Asked) -> SentQuestions {
        SentQuestions {
            ticket: self.ticket,
            owner: self.owner,
            count: self.questions.len(),
            at_turn: self.at_turn,
            asked,
        }
    }
}

/// Questions go together by machine and identity.
fn groups(ready: Vec<OpenQuestions>) -> Vec<Vec<OpenQuestions>> {
    let mut groups: IndexMap<(MachineKey, Identity), Vec<OpenQuestions>> = IndexMap::new();
    for open in ready {
        let whose = (open.machine.clone(), open.identity.clone());
        groups.entry(whose).or_default().push(open);
    }
    groups.into_values().collect()
}

/// Over a new connection: the one that there is may be to a machine that is no more, which nobody would tell.
async fn reach(
    machine: Arc<dyn Machine>,
    identity: Identity,
    frame: Frame,
    limit: Duration,
) -> Result<Reply, Lost> {
    machine.close().await;
    match tokio::time::timeout(limit, machine.frame(identity, frame)).await {
        Ok(reply) => reply,
        Err(_) => Err(Lost::Transport(TransportError {
            kind: TransportErrorKind::Unreachable,
            message: format!("the host did not answer within {} s", limit.as_secs()),
            help: None,
        })),
    }
}

fn no_machine() -> Lost {
    Lost::Transport(TransportError {
        kind: TransportErrorKind::Unreachable,
        message: "there is no way to this host: a bug of vmstation".to_string(),
        help: None,
    })
}
