//! Machines that live in memory: a few files on each host, some that all hosts share, and a tiny language of
//! commands that alter them, at once or later, here or on another host. How long a frame takes is a matter of
//! chance, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use vmstation::host::question::{Answer, Contents, Question};
use vmstation::host::{Done, Frame, Identity, Lost, Machine, Output, Reply, Script, Trip, Unanswered};
use vmstation::run::{Connect, MachineKey};
use vmstation::source::Diagnostic;
use vmstation::transport::{TransportError, TransportErrorKind};
use vmstation::vars::Map;

use crate::chance::Chance;

type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// Everything that is the case on all hosts.
#[derive(Debug, Default)]
pub struct State {
    /// By host and path; what is below `/shared/` has no host.
    pub files: BTreeMap<(String, String), String>,
    pub unplugged: BTreeSet<String>,
    /// Every script that altered something, in order.
    pub changes: Vec<Changed>,
    /// The task whose turn it is.
    pub turn: Vec<u32>,
    pub forks: usize,
    /// Hosts whose first frame is on its way, and those that have answered one.
    arriving: BTreeSet<String>,
    answered: BTreeSet<String>,
    /// Rules of the doors that were broken.
    pub broken: Vec<String>,
    /// How many frames were sent that alter something, and how many of them are under way.
    pub sent: usize,
    changing: usize,
    later: Vec<(Instant, String, String)>,
    trips: BTreeMap<String, Vec<Trip>>,
}

/// A script that altered something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    pub turn: Vec<u32>,
    pub host: String,
    pub script: String,
}

/// The hosts of a test.
#[derive(Debug, Clone)]
pub struct World {
    pub state: Arc<Mutex<State>>,
    chance: Arc<Mutex<Chance>>,
    temper: Temper,
    /// Where `project` writes: a folder of the controlling machine.
    project: std::path::PathBuf,
}

/// How the hosts behave.
#[derive(Debug, Clone, Copy)]
pub struct Temper {
    /// The longest that a step of a frame takes, in microseconds; 0: nothing takes any time.
    pub slowest: u64,
    /// One in how many early frames fails or takes too long; 0: none.
    pub whims: u64,
}

impl World {
    pub fn new(seed: u64, temper: Temper, project: &std::path::Path) -> Self {
        Self {
            state: Arc::default(),
            chance: Arc::new(Mutex::new(Chance::new(seed))),
            temper,
            project: project.to_path_buf(),
        }
    }

    /// Puts files on the hosts: the same for the same seed.
    pub fn furnish(&self, seed: u64) {
        let mut chance = Chance::new(!seed);
        let mut state = self.state.lock().unwrap();
        for host in ["h1", "h2", "h3", "h4"] {
            for path in ["/a", "/b", "/c", "/d"] {
                if chance.one_in(2) {
                    let place = (host.to_string(), path.to_string());
                    state
                        .files
                        .insert(place, chance.pick(&["a", "b", "x"]).to_string());
                }
            }
        }
    }

    fn step(&self) -> Duration {
        let mut chance = self.chance.lock().unwrap();
        if self.temper.slowest == 0 {
            return Duration::ZERO;
        }
        // Mostly quick, now and then slow: that is what brings frames out of their order.
        let most = if chance.one_in(4) {
            self.temper.slowest
        } else {
            self.temper.slowest / 10 + 1
        };
        Duration::from_micros(chance.below(most))
    }

    fn whim(&self) -> Option<bool> {
        let mut chance = self.chance.lock().unwrap();
        (self.temper.whims > 0 && chance.one_in(self.temper.whims)).then(|| chance.one_in(2))
    }
}

impl State {
    /// A frame comes to a host; to one that has not answered yet, so do no more than `forks` at once.
    fn arrives(&mut self, name: &str, asks: bool) {
        if self.answered.contains(name) {
            return;
        }
        self.arriving.insert(name.to_string());
        if asks && self.arriving.len() > self.forks {
            self.broken.push(format!(
                "connecting to {:?}, with forks {}",
                self.arriving, self.forks
            ));
        }
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|l| l.0 <= now);
        self.later = rest;
        for (_, host, line) in due {
            self.command(&host, &line);
        }
    }

    fn place(host: &str, path: &str) -> (String, String) {
        if path.starts_with("/shared/") {
            return (String::new(), path.to_string());
        }
        (host.to_string(), path.to_string())
    }

    pub fn read(&mut self, host: &str, path: &str) -> Option<String> {
        self.pass_time();
        self.files.get(&Self::place(host, path)).cloned()
    }

    /// Runs one line; what it prints, and its status.
    fn command(&mut self, host: &str, line: &str) -> (String, i32) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let place = Self::place(host, first);
        match word {
            "" | "true" | "sleep" | "project" => (String::new(), 0),
            "say" => (format!("{rest}\n"), 0),
            "fail" => (String::new(), first.parse().unwrap_or(1)),
            "write" => {
                self.files.insert(place, more.to_string());
                (String::new(), 0)
            }
            "append" => {
                let text = self.files.entry(place).or_default();
                text.push_str(more);
                let keep = text.len().saturating_sub(30);
                text.drain(..keep);
                (String::new(), 0)
            }
            "bump" => {
                let text = self.files.entry(place).or_default();
                *text = (text.parse::<u64>().unwrap_or(0) + 1).to_string();
                (format!("{text}\n"), 0)
            }
            "remove" => (String::new(), i32::from(self.files.remove(&place).is_none())),
            "show" | "look" => match self.files.get(&place) {
                Some(text) => (format!("{text}\n"), 0),
                None => (String::new(), 1),
            },
            "at" => self.command(first, more),
            "later" => {
                let seconds = first.parse().unwrap_or(5);
                self.later.push((
                    Instant::now() + Duration::from_secs(seconds),
                    host.to_string(),
                    more.to_string(),
                ));
                (String::new(), 0)
            }
            "unplug" => {
                self.unplugged.insert(first.to_string());
                (String::new(), 0)
            }
            "plug" => {
                self.unplugged.remove(first);
                (String::new(), 0)
            }
            other => (format!("{other}: not found\n"), 127),
        }
    }

    fn script(&mut self, host: &str, script: &Script) -> Output {
        self.pass_time();
        let mut output = Output::default();
        let mut printed = String::new();
        for line in script.text.lines() {
            let (text, status) = self.command(host, line.trim());
            printed.push_str(&text);
            output.status = status;
            if status != 0 {
                break;
            }
        }
        if alters(script) {
            self.changes.push(Changed {
                turn: self.turn.clone(),
                host: host.to_string(),
                script: format!("{}: {}", script.label, script.text),
            });
        }
        output.stdout = printed.into();
        output
    }

    fn answer(&mut self, host: &str, question: &Question) -> Result<Answer, Unanswered> {
        match question {
            Question::Read(read) => Ok(Answer::Read(match self.read(host, &read.path) {
                Some(text) => Contents::Bytes(text.into()),
                None => Contents::Absent,
            })),
            Question::Checksum(sum) => Ok(Answer::Checksum(self.read(host, &sum.path))),
            Question::Look(look) => {
                self.pass_time();
                let (text, status) = self.command(host, &look.script);
                Ok(Answer::Look(Output {
                    stdout: text.into(),
                    status,
                    ..Output::default()
                }))
            }
            other => Err(Unanswered::Impossible(format!("no answer to {}", other.kind()))),
        }
    }
}

/// Whether a script may alter something; its label may be hidden.
fn alters(script: &Script) -> bool {
    !script.text.starts_with("look ")
}

/// One host.
pub struct Fake {
    name: String,
    world: World,
}

impl Fake {
    fn gone(&self) -> Lost {
        Lost::Transport(TransportError {
            kind: TransportErrorKind::Lost,
            message: format!("{} is unplugged", self.name),
            help: None,
        })
    }
}

impl Machine for Fake {
    fn frame(&self, _: Identity, frame: Frame) -> Boxed<Result<Reply, Lost>> {
        let (world, name) = (self.world.clone(), self.name.clone());
        let mut what: Vec<String> = frame.questions.iter().map(|q| q.kind().to_string()).collect();
        if let Some(work) = &frame.work {
            what.insert(0, work.label.to_string());
        }
        let trip = Trip {
            what: what.join(", "),
            took: Duration::ZERO,
        };
        let alters = frame.work.as_ref().is_some_and(alters);
        {
            let mut state = world.state.lock().unwrap();
            state.trips.entry(name.clone()).or_default().push(trip);
            if frame.patience.is_some() && state.changing > 0 {
                let turn = state.turn.clone();
                state
                    .broken
                    .push(format!("asked early while something changes, at {turn:?}"));
            }
            state.arrives(&name, frame.work.is_none());
            state.sent += usize::from(alters);
            state.changing += usize::from(alters);
        }
        let answered = self.answered(frame);
        let state = world.state;
        Box::pin(async move {
            let reply = answered.await;
            let mut state = state.lock().unwrap();
            state.changing -= usize::from(alters);
            state.arriving.remove(&name);
            if reply.is_ok() {
                state.answered.insert(name);
            }
            reply
        })
    }

    fn interrupt(&self) -> Boxed<()> {
        Box::pin(async {})
    }

    fn forget_identities(&self) {}

    fn close(&self) -> Boxed<()> {
        Box::pin(async {})
    }

    fn trips(&self) -> Vec<Trip> {
        self.world
            .state
            .lock()
            .unwrap()
            .trips
            .get(&self.name)
            .cloned()
            .unwrap_or_default()
    }
}

impl Fake {
    /// The frame's answers, in their time.
    fn answered(&self, frame: Frame) -> Boxed<Result<Reply, Lost>> {
        let (world, name, gone) = (self.world.clone(), self.name.clone(), self.gone());
        Box::pin(async move {
            sleep(world.step()).await;
            let is_gone = || {
                let mut state = world.state.lock().unwrap();
                state.pass_time();
                state.unplugged.contains(&name)
            };
            if is_gone() {
                return Err(gone);
            }
            let whim = frame.patience.and_then(|_| world.whim());
            if frame.work.is_none() && whim == Some(true) {
                return Err(gone);
            }
            let mut reply = Reply {
                work: None,
                answers: Vec::new(),
            };
            if let Some(script) = &frame.work {
                for line in script.text.lines() {
                    // A command that takes its time.
                    if let Some(seconds) = line.trim().strip_prefix("sleep ") {
                        sleep_until(Instant::now() + Duration::from_secs(seconds.parse().unwrap_or(1))).await;
                    }
                    if let Some((file, text)) = line
                        .trim()
                        .strip_prefix("project ")
                        .and_then(|r| r.split_once(' '))
                    {
                        std::fs::write(world.project.join(file), text).unwrap();
                    }
                }
                let output = world.state.lock().unwrap().script(&name, script);
                if is_gone() {
                    return Err(gone);
                }
                reply.work = Some(Done::Finished(output));
            }
            for question in &frame.questions {
                sleep(world.step()).await;
                let answer = if whim == Some(false) {
                    Err(Unanswered::TooSlow)
                } else {
                    world.state.lock().unwrap().answer(&name, question)
                };
                reply.answers.push(answer);
            }
            sleep(world.step()).await;
            Ok(reply)
        })
    }
}

impl Connect for World {
    fn machine(&mut self, key: &MachineKey, _: &Map) -> Result<Arc<dyn Machine>, Diagnostic> {
        Ok(Arc::new(Fake {
            name: key.host.to_string(),
            world: self.clone(),
        }))
    }
}
