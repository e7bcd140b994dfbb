//! The machines of a run: made when first needed, one for each host and way to reach it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::host::Machine;
use crate::source::Diagnostic;
use crate::vars::Map;

/// A machine and the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineKey {
    /// `inventory_hostname`.
    pub host: Arc<str>,
    /// `remote_user` of the task, where it names one.
    pub user: Option<Arc<str>>,
    /// This machine itself.
    pub local: bool,
}

/// Makes a machine from a host's connection variables (`ansible_host`, `ansible_port` …, rendered).
pub trait Connect: Send {
    fn machine(&mut self, key: &MachineKey, variables: &Map) -> Result<Arc<dyn Machine>, Diagnostic>;
}

/// The machines so far.
pub struct Machines {
    connect: Box<dyn Connect>,
    made: HashMap<MachineKey, Arc<dyn Machine>>,
}

impl Machines {
    pub fn new(connect: Box<dyn Connect>) -> Self {
        Self {
            connect,
            made: HashMap::new(),
        }
    }

    pub fn known(&self, key: &MachineKey) -> Option<&Arc<dyn Machine>> {
        self.made.get(key)
    }

    pub fn make(&mut self, key: &MachineKey, variables: &Map) -> Result<(), Diagnostic> {
        if !self.made.contains_key(key) {
            let machine = self.connect.machine(key, variables)?;
            self.made.insert(key.clone(), machine);
        }
        Ok(())
    }

    pub fn all(&self) -> impl Iterator<Item = (&MachineKey, &Arc<dyn Machine>)> {
        self.made.iter()
    }
}
