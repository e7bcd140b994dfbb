//! The machines of a run: made when first needed, one for each host and way to reach it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use crate::host::{Frame, Identity, Lost, Machine, Reply};
use crate::source::Diagnostic;
use crate::transport::{Boxed, TransportError, TransportErrorKind};
use crate::vars::Map;

/// A machine and the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineKey {
    /// `inventory_hostname`.
    pub host: Arc<str>,
    /// This machine itself.
    pub local: bool,
    /// Which of the ways to the host that the run has come to know: variables of a play or a task may name another.
    way: usize,
}

impl MachineKey {
    /// The first way to a host.
    pub fn first(host: Arc<str>, local: bool) -> Self {
        Self { host, local, way: 0 }
    }
}

/// Makes a machine from a host's connection variables (`ansible_host`, `ansible_port` …, rendered).
pub trait Connect: Send {
    fn machine(&mut self, key: &MachineKey, variables: &Map) -> Result<Arc<dyn Machine>, Diagnostic>;
}

/// The machines so far.
pub struct Machines {
    connect: Box<dyn Connect>,
    made: HashMap<MachineKey, Made>,
    /// The variables of each host's ways, in the order of their numbers.
    ways: HashMap<(Arc<str>, bool), Vec<Map>>,
    /// How many may be connected to at once: it takes processor time here, and its time limits know of no queue.
    doors: Arc<Semaphore>,
}

struct Made {
    machine: Arc<dyn Machine>,
    /// It has answered.
    is_in: Arc<AtomicBool>,
}

impl Machines {
    /// Connects to `forks` machines at once.
    pub fn new(connect: Box<dyn Connect>, forks: usize) -> Self {
        Self {
            connect,
            made: HashMap::new(),
            ways: HashMap::new(),
            doors: Arc::new(Semaphore::new(forks.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    pub fn known(&self, key: &MachineKey) -> Option<&Arc<dyn Machine>> {
        self.made.get(key).map(|made| &made.machine)
    }

    /// The machine at the end of the way that the variables describe; made if it is a new one.
    pub fn reach(&mut self, host: &Arc<str>, local: bool, variables: Map) -> Result<MachineKey, Diagnostic> {
        let ways = self.ways.entry((host.clone(), local)).or_default();
        let way = ways.iter().position(|known| *known == variables);
        let key = MachineKey {
            way: way.unwrap_or(ways.len()),
            ..MachineKey::first(host.clone(), local)
        };
        if way.is_none() {
            let made = Made {
                machine: self.connect.machine(&key, &variables)?,
                is_in: Arc::default(),
            };
            self.made.insert(key.clone(), made);
            ways.push(variables);
        }
        Ok(key)
    }

    pub fn all(&self) -> impl Iterator<Item = (&MachineKey, &Arc<dyn Machine>)> {
        self.made.iter().map(|(key, made)| (key, &made.machine))
    }

    /// Sends a frame; the first ones of a machine when there is a door for it.
    pub fn frame(
        &self,
        key: &MachineKey,
        identity: Identity,
        frame: Frame,
    ) -> Boxed<'static, Result<Reply, Lost>> {
        let Some(made) = self.made.get(key) else {
            return Box::pin(async { Err(unreachable("there is no way to this host: a bug of vmstation")) });
        };
        if made.is_in.load(Ordering::Relaxed) {
            return made.machine.frame(identity, frame);
        }
        let (machine, is_in) = (made.machine.clone(), made.is_in.clone());
        let doors = self.doors.clone();
        Box::pin(async move {
            let Ok(_door) = doors.acquire().await else {
                return Err(unreachable("the run was stopped before it was connected to"));
            };
            let reply = machine.frame(identity, frame).await;
            is_in.store(reply.is_ok(), Ordering::Relaxed);
            reply
        })
    }

    /// The run is being stopped: whoever has still to be connected to is not.
    pub fn let_nobody_in(&self) {
        self.doors.close();
    }
}

fn unreachable(message: &str) -> Lost {
    Lost::Transport(TransportError {
        kind: TransportErrorKind::Unreachable,
        message: message.to_owned(),
        help: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;
    use crate::host::Trip;

    /// Counts who is at its door.
    #[derive(Default)]
    struct Doors {
        at_once: AtomicUsize,
        most: AtomicUsize,
    }

    struct Slow(Arc<Doors>);

    impl Machine for Slow {
        fn frame(&self, _: Identity, _: Frame) -> Boxed<'static, Result<Reply, Lost>> {
            let doors = self.0.clone();
            Box::pin(async move {
                let now = doors.at_once.fetch_add(1, Ordering::Relaxed) + 1;
                doors.most.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                doors.at_once.fetch_sub(1, Ordering::Relaxed);
                Ok(Reply {
                    work: None,
                    answers: Vec::new(),
                })
            })
        }

        fn interrupt(&self) -> Boxed<'static, ()> {
            Box::pin(async {})
        }

        fn forget_identities(&self) {}

        fn close(&self) -> Boxed<'static, ()> {
            Box::pin(async {})
        }

        fn trips(&self) -> Vec<Trip> {
            Vec::new()
        }
    }

    impl Connect for Arc<Doors> {
        fn machine(&mut self, _: &MachineKey, _: &Map) -> Result<Arc<dyn Machine>, Diagnostic> {
            Ok(Arc::new(Slow(self.clone())))
        }
    }

    fn key(number: usize) -> MachineKey {
        MachineKey::first(number.to_string().into(), false)
    }

    fn machines(doors: &Arc<Doors>, count: usize, forks: usize) -> Machines {
        let mut machines = Machines::new(Box::new(doors.clone()), forks);
        for number in 0..count {
            let host = number.to_string().into();
            machines.reach(&host, false, Map::default()).unwrap();
        }
        machines
    }

    async fn ask_all(machines: &Machines) {
        let frames = (0..10).map(|n| machines.frame(&key(n), Identity::Login, Frame::default()));
        let replies = frames.collect::<tokio::task::JoinSet<_>>().join_all().await;
        assert!(replies.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_connected_to_at_once_and_all_are_asked_at_once() {
        let doors = Arc::new(Doors::default());
        let machines = machines(&doors, 10, 3);
        ask_all(&machines).await;
        assert_eq!(doors.most.load(Ordering::Relaxed), 3);
        ask_all(&machines).await;
        assert_eq!(doors.most.load(Ordering::Relaxed), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_when_the_run_is_stopped_is_not_connected_to() {
        let doors = Arc::new(Doors::default());
        let machines = machines(&doors, 2, 1);
        let first = tokio::spawn(machines.frame(&key(0), Identity::Login, Frame::default()));
        tokio::task::yield_now().await;
        let second = tokio::spawn(machines.frame(&key(1), Identity::Login, Frame::default()));
        tokio::task::yield_now().await;
        machines.let_nobody_in();
        assert!(first.await.unwrap().is_ok());
        assert!(second.await.unwrap().is_err());
    }
}
