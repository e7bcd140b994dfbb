//! What tasks set on hosts, and what is read of a host when it is first met.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::Executor;
use crate::inventory::Inventory;
use crate::playbook::{Level, Role};
use crate::run::event::Event;
use crate::run::scope::TaskScope;
use crate::run::world::{Coming, MaySet, World};
use crate::source::Diagnostic;
use crate::template::Scope;
use crate::vars::{Map, Value};

impl Executor {
    pub(in crate::run) fn set(&self, host: &Arc<str>, name: &str, value: Value) {
        self.write(|w| {
            w.host_mut(host).set.insert(name.into(), value);
        });
    }

    pub(in crate::run) fn store(&self, host: &Arc<str>, set: &Map) {
        if set.is_empty() {
            return;
        }
        self.write(|w| {
            w.host_mut(host)
                .set
                .extend(set.iter().map(|(k, v)| (k.clone(), v.clone())));
        });
    }

    pub(in crate::run) fn store_facts(&self, host: &Arc<str>, facts: &Map) {
        self.write(|w| {
            w.host_mut(host)
                .facts
                .extend(facts.iter().map(|(k, v)| (k.clone(), v.clone())));
        });
    }

    pub(in crate::run) fn clear_facts(&self, host: &Arc<str>) {
        self.write(|w| w.host_mut(host).facts.clear());
    }

    /// Tasks that an include brought may set these on other hosts; whether any of it is new.
    pub(in crate::run) fn may_set_for_others(&self, names: &MaySet) -> bool {
        let new = self.read(|w| !w.play.foreign.covers(names));
        if new {
            self.write(|w| Arc::make_mut(&mut w.play).foreign.add(names));
        }
        new
    }

    pub(in crate::run) fn publish_role(&self, role: &Arc<Role>) {
        self.write(|w| Arc::make_mut(&mut w.play).roles.push(role.clone()));
    }

    pub(in crate::run) fn note_what_is_to_come(&self, host: &Arc<str>, rest: Arc<[Coming]>) {
        self.write(|w| Arc::make_mut(&mut w.play).to_come.insert(host.clone(), rest));
    }

    pub(in crate::run) fn leave_play(&self, host: &Arc<str>) {
        self.write(|w| {
            let play = Arc::make_mut(&mut w.play);
            play.hosts.retain(|h| h != host);
            play.batch.retain(|h| h != host);
        });
    }

    pub(in crate::run) fn resolve(&self, name: &str) -> Arc<str> {
        self.read(|w| w.inventory.resolve(name))
            .unwrap_or_else(|| name.into())
    }

    /// Reads a host's variables from the inventory, once.
    pub(in crate::run) fn know_host(
        &mut self,
        host: &Arc<str>,
        playbook_dir: &Path,
    ) -> Result<(), Diagnostic> {
        let known = self.read(|w| w.host(host).is_some_and(|h| !h.inventory.is_empty()));
        if known {
            return Ok(());
        }
        let inventory = self.inventory();
        // A host that a task names without any inventory is in `all` nevertheless.
        let vars = inventory.vars(host, Some(playbook_dir))?;
        for warning in inventory.take_warnings() {
            self.tell(&Event::Warning {
                host: None,
                text: warning.to_string(),
            });
        }
        self.write(|w| w.host_mut(host).inventory = Arc::new(vars));
        Ok(())
    }

    pub(super) fn inventory(&self) -> Arc<Inventory> {
        self.read(|w| w.inventory.clone())
    }

    pub(in crate::run) fn scope_of(&self, host: &Arc<str>, level: &Arc<Level>) -> Arc<dyn Scope> {
        Arc::new(TaskScope::at_turn(
            self.world.clone(),
            host.clone(),
            Some(level.clone()),
        ))
    }

    pub(in crate::run) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write<T>(&self, alter: impl FnOnce(&mut World) -> T) -> T {
        alter(&mut self.world.write().unwrap_or_else(PoisonError::into_inner))
    }
}
