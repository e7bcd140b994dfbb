//! `hostvars`: other hosts, seen from a task.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Earlier, Shared, TaskScope};
use crate::source::Diagnostic;
use crate::template::{Found, Hosts, Scope};

impl TaskScope {
    /// A host's variables as `hostvars` shows them.
    fn of_host(&self, host: Arc<str>) -> Arc<dyn Scope> {
        Arc::new(Self::at_turn(self.world.clone(), host, None))
    }

    pub(super) fn all_hosts(&self) -> HostVars {
        HostVars {
            scope: Self {
                earlier: self.earlier.clone(),
                ahead: self.ahead,
                place: self.place.clone(),
                borrowed: self.borrowed.clone(),
                ..Self::at_turn(self.world.clone(), self.host.clone(), self.level.clone())
            },
        }
    }
}

/// `hostvars`.
#[derive(Debug)]
pub(super) struct HostVars {
    scope: TaskScope,
}

impl HostVars {
    /// Reads what inventories say of a host that no play has met yet.
    fn read(&self, host: &Arc<str>) -> Result<(), Box<Diagnostic>> {
        let world = self.scope.world.read().unwrap_or_else(PoisonError::into_inner);
        if world.host(host).is_some_and(|known| !known.inventory.is_empty()) {
            return Ok(());
        }
        let (inventory, play) = (world.inventory.clone(), world.play.clone());
        drop(world);
        let vars = inventory.vars(host, Some(&play.directory))?;
        if !vars.is_empty() {
            let mut world = self.scope.world.write().unwrap_or_else(PoisonError::into_inner);
            world.host_mut(host).inventory = Arc::new(vars);
        }
        Ok(())
    }
}

/// A host whose files cannot be read: an error for whoever wants anything of it.
#[derive(Debug)]
struct Unreadable(Box<Diagnostic>);

impl Scope for Unreadable {
    fn get(&self, _: &str) -> Found {
        Found::Failed(self.0.clone())
    }

    fn names(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
}

impl Hosts for HostVars {
    fn get(&self, host: &str) -> Option<Arc<dyn Scope>> {
        let world = self.scope.world.read().unwrap_or_else(PoisonError::into_inner);
        let name = world.inventory.resolve(host)?;
        drop(world);
        if let Err(why) = self.read(&name) {
            return Some(Arc::new(Unreadable(why)));
        }
        if !self.scope.ahead {
            let place = self.scope.place.clone();
            return Some(Arc::new(TaskScope {
                place,
                ..TaskScope::at_turn(self.scope.world.clone(), name, None)
            }));
        }
        Some(Arc::new(EarlyHost {
            own: name == self.scope.host,
            earlier: self.scope.earlier.clone(),
            borrowed: self.scope.borrowed.clone(),
            world: self.scope.world.clone(),
            inner: self.scope.of_host(name.clone()),
            name,
        }))
    }

    fn names(&self) -> Vec<Arc<str>> {
        let world = self.scope.world.read().unwrap_or_else(PoisonError::into_inner);
        let mut names = world.inventory.hosts();
        for name in world.hosts.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// A host seen through `hostvars` by a task whose turn has not come: what tasks of this play may set on it is
/// pending.
#[derive(Debug)]
struct EarlyHost {
    name: Arc<str>,
    own: bool,
    earlier: Vec<Earlier>,
    borrowed: Arc<Mutex<BTreeSet<u64>>>,
    world: Shared,
    inner: Arc<dyn Scope>,
}

impl Scope for EarlyHost {
    fn get(&self, name: &str) -> Found {
        if self.own {
            let scope = TaskScope {
                earlier: self.earlier.clone(),
                ahead: true,
                borrowed: self.borrowed.clone(),
                ..TaskScope::at_turn(self.world.clone(), self.name.clone(), None)
            };
            return scope.get(name);
        }
        let may_set = {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            world.play.may_set.holds(name)
        };
        if may_set {
            return Found::Pending(format!("hostvars['{}'].{name}", self.name).into());
        }
        self.inner.get(name)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.inner.names()
    }
}
