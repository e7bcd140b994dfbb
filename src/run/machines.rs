//! The machines of a run: made when first needed, one for each host and way to reach it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::host::Machine;
use crate::source::Diagnostic;
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
    made: HashMap<MachineKey, Arc<dyn Machine>>,
    /// The variables of each host's ways, in the order of their numbers.
    ways: HashMap<(Arc<str>, bool), Vec<Map>>,
    /// Those that have answered.
    answered: HashSet<MachineKey>,
}

impl Machines {
    pub fn new(connect: Box<dyn Connect>) -> Self {
        Self {
            connect,
            made: HashMap::new(),
            ways: HashMap::new(),
            answered: HashSet::new(),
        }
    }

    pub fn known(&self, key: &MachineKey) -> Option<&Arc<dyn Machine>> {
        self.made.get(key)
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
            let machine = self.connect.machine(&key, &variables)?;
            self.made.insert(key.clone(), machine);
            ways.push(variables);
        }
        Ok(key)
    }

    pub fn all(&self) -> impl Iterator<Item = (&MachineKey, &Arc<dyn Machine>)> {
        self.made.iter()
    }

    /// Whether a machine has answered before: it is connected to, and its shell is open.
    pub fn has_answered(&self, key: &MachineKey) -> bool {
        self.answered.contains(key)
    }

    pub fn note_answer(&mut self, key: &MachineKey) {
        if !self.has_answered(key) {
            self.answered.insert(key.clone());
        }
    }
}
