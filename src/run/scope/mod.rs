//! One task's view of the variables, in Ansible's order of precedence.
//!
//! Ahead of a task's turn, earlier tasks of its host are still under way. The scope knows what names they may
//! set. A name that one of them may set is pending; if that task has finished ahead itself, it lends its
//! result, and the scope remembers who borrowed what.

mod earlier;
mod hostvars;
mod magic;
mod unset;

pub use earlier::{Earlier, Lent};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::world::{HostVariables, World};
use crate::plan::Position;
use crate::playbook::Level;
use crate::template::{Found, Scope};
use crate::vars::{Key, Map, Value};
use earlier::is_fact_name;
use magic::MAGIC;

/// The world behind a lock that is held for a lookup only.
pub type Shared = Arc<RwLock<World>>;

/// The scope of one task on one host.
#[derive(Debug)]
pub struct TaskScope {
    pub world: Shared,
    pub host: Arc<str>,
    /// `None`: a host seen through `hostvars`, without a play's or a task's variables.
    pub level: Option<Arc<Level>>,
    /// The loop's variables, the register while `until` looks at it: nothing wins over these.
    pub locals: Map,
    /// Nearest first; empty at the task's turn.
    pub earlier: Vec<Earlier>,
    pub ahead: bool,
    /// Under `dag`, where the task stands: other hosts may be behind it.
    pub place: Option<Position>,
    /// The attempts whose results were used.
    pub borrowed: Arc<Mutex<BTreeSet<u64>>>,
}

impl TaskScope {
    /// The scope of what happens at a task's turn: everything is known. Without a level: of the host alone.
    pub fn at_turn(world: Shared, host: Arc<str>, level: Option<Arc<Level>>) -> Self {
        Self {
            world,
            host,
            level,
            locals: Map::new(),
            earlier: Vec::new(),
            ahead: false,
            place: None,
            borrowed: Arc::default(),
        }
    }
}

impl Scope for TaskScope {
    fn get(&self, name: &str) -> Found {
        match self.set(name) {
            Found::Undefined => self.unset(name),
            found => found,
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: BTreeSet<Arc<str>> = MAGIC.iter().map(|m| Arc::from(*m)).collect();
        let mut add = |map: &Map| names.extend(map.keys().filter_map(|k| k.as_str().map(Arc::from)));
        add(&self.locals);
        add(&world.extra);
        for level in self.levels() {
            add(&level.params);
            add(&level.keywords.vars);
            if let Some(role) = &level.role {
                add(&role.vars);
                add(&role.defaults);
            }
        }
        if let Some(host) = world.host(&self.host) {
            add(&host.set);
            add(&host.vars_files);
            add(&host.inventory);
            for key in host.facts.keys().filter_map(Key::as_str) {
                names.insert(format!("ansible_{key}").into());
            }
        }
        if self.level.is_some() {
            for role in &world.play.roles {
                names.extend(
                    role.defaults
                        .keys()
                        .chain(role.vars.keys())
                        .filter_map(|k| k.as_str().map(Arc::from)),
                );
            }
        }
        names.into_iter().collect()
    }
}

impl TaskScope {
    /// What somebody set, or Ansible itself does.
    fn set(&self, name: &str) -> Found {
        if let Some(value) = self.locals.get(name) {
            return Found::Value(value.clone());
        }
        if let Some(found) = self.magic(name) {
            return found;
        }
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = world.extra.get(name) {
            return Found::Value(value.clone());
        }
        if let Some(value) = self.levels().find_map(|l| l.params.get(name)) {
            return Found::Value(value.clone());
        }
        if self.ahead && world.play.foreign.sets(name) {
            return Found::Pending(name.into());
        }
        if self.may_still_be_set(&world, &self.host, name) {
            return Found::Pending(name.into());
        }
        if let Some(found) = self.set_by_earlier(name) {
            return found;
        }
        let host = world.host(&self.host);
        if let Some(value) = host.and_then(|h| h.set.get(name)) {
            return Found::Value(value.clone());
        }
        if let Some(value) = self.written(name, host, &world) {
            return Found::Value(value);
        }
        if self.ahead && world.play.foreign.facts && is_fact_name(name) {
            return Found::Pending(name.into());
        }
        if let Some(found) = self.fact(name, host) {
            return found;
        }
        if let Some(value) = host.and_then(|h| h.inventory.get(name)) {
            return Found::Value(value.clone());
        }
        if let Some(value) = self.default(name, &world) {
            return Found::Value(value);
        }
        Found::Undefined
    }

    /// Whether another host that is behind this place may set a name.
    pub(super) fn may_still_be_set(&self, world: &World, host: &str, name: &str) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| world.may_still_set(host, name, place))
    }

    fn levels(&self) -> impl Iterator<Item = &Arc<Level>> {
        self.level.iter().flat_map(Level::chain)
    }

    /// Blocks, the task, roles, `vars_files`, the play: what was written in the playbook, inner first.
    fn written(&self, name: &str, host: Option<&Arc<HostVariables>>, world: &World) -> Option<Value> {
        let of_play = |level: &Arc<Level>| world.play.level.as_ref().is_some_and(|p| Arc::ptr_eq(p, level));
        let play = self.levels().position(of_play).unwrap_or(usize::MAX);
        if let Some(value) = self.levels().take(play).find_map(|l| l.keywords.vars.get(name)) {
            return Some(value.clone());
        }
        if let Some(value) = self.levels().find_map(|l| l.role.as_ref()?.vars.get(name)) {
            return Some(value.clone());
        }
        self.level.as_ref()?;
        if let Some(value) = world.play.roles.iter().rev().find_map(|r| r.vars.get(name)) {
            return Some(value.clone());
        }
        if let Some(value) = host.and_then(|h| h.vars_files.get(name)) {
            return Some(value.clone());
        }
        self.levels()
            .skip(play)
            .find_map(|l| l.keywords.vars.get(name))
            .cloned()
    }

    pub(super) fn default(&self, name: &str, world: &World) -> Option<Value> {
        if let Some(value) = self.levels().find_map(|l| l.role.as_ref()?.defaults.get(name)) {
            return Some(value.clone());
        }
        self.level.as_ref()?;
        world
            .play
            .roles
            .iter()
            .rev()
            .find_map(|r| r.defaults.get(name))
            .cloned()
    }
}
