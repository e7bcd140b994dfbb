//! One task's view of the variables, in Ansible's order of precedence.
//!
//! Ahead of a task's turn, earlier tasks of its host are still under way. The scope knows what names they may
//! set. A name that one of them may set is pending; if that task has finished ahead itself, it lends its
//! result, and the scope remembers who borrowed what.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::world::{HostVariables, World};
use crate::playbook::{Level, Sets};
use crate::template::{Found, Hosts, Scope};
use crate::vars::{Key, Map, Value};

/// The world behind a lock that is held for a lookup only.
pub type Shared = Arc<RwLock<World>>;

/// An earlier task of the same host that is not committed yet.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The attempt's number.
    pub id: u64,
    pub register: Option<Arc<str>>,
    pub sets: Sets,
    /// What it set, if it has finished ahead.
    pub lent: Option<Arc<Lent>>,
}

/// What a task sets when it is committed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lent {
    /// `register` and `set_fact`.
    pub set: Map,
    pub facts: Map,
}

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
    /// The attempts whose results were used.
    pub borrowed: Arc<Mutex<BTreeSet<u64>>>,
}

impl Scope for TaskScope {
    fn get(&self, name: &str) -> Found {
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
        match name {
            "ansible_user" => match &world.options.remote_user {
                Some(user) => Found::Value(user.as_str().into()),
                None => Found::Undefined,
            },
            "ansible_host" => Found::Value(Value::String(self.host.clone())),
            _ => Found::Undefined,
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

const MAGIC: &[&str] = &[
    "inventory_hostname",
    "inventory_hostname_short",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "playbook_dir",
    "role_name",
    "role_path",
    "ansible_role_name",
    "ansible_play_name",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_batch",
    "play_hosts",
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_forks",
    "ansible_verbosity",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_limit",
    "ansible_inventory_sources",
    "ansible_config_file",
    "ansible_version",
    "ansible_facts",
];

impl TaskScope {
    /// A host's variables as `hostvars` shows them.
    fn of_host(&self, host: Arc<str>) -> Arc<dyn Scope> {
        Arc::new(Self {
            world: self.world.clone(),
            host,
            level: None,
            locals: Map::new(),
            earlier: Vec::new(),
            ahead: false,
            borrowed: Arc::default(),
        })
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

    fn default(&self, name: &str, world: &World) -> Option<Value> {
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

    /// `register` and `set_fact` of earlier tasks that are not committed.
    fn set_by_earlier(&self, name: &str) -> Option<Found> {
        for task in &self.earlier {
            if let Some(lent) = &task.lent {
                if let Some(value) = lent.set.get(name) {
                    self.borrow(task.id);
                    return Some(Found::Value(value.clone()));
                }
                continue;
            }
            let may = task.register.as_deref() == Some(name)
                || match &task.sets {
                    Sets::Names(names) => names.iter().any(|n| **n == *name),
                    Sets::Anything => true,
                    Sets::Nothing | Sets::Facts => false,
                };
            if may {
                return Some(Found::Pending(name.into()));
            }
        }
        None
    }

    /// A fact, or `ansible_facts` as a whole.
    fn fact(&self, name: &str, host: Option<&Arc<HostVariables>>) -> Option<Found> {
        for task in &self.earlier {
            match &task.lent {
                Some(lent) if !lent.facts.is_empty() => {
                    let seen = HostVariables {
                        facts: lent.facts.clone(),
                        ..HostVariables::default()
                    };
                    if let Some(value) = seen.fact(name) {
                        self.borrow(task.id);
                        return Some(Found::Value(value));
                    }
                }
                Some(_) => {}
                None if task.sets == Sets::Facts && is_fact_name(name) => {
                    return Some(Found::Pending(name.into()));
                }
                None => {}
            }
        }
        host?.fact(name).map(Found::Value)
    }

    fn all_facts(&self, host: Option<&Arc<HostVariables>>) -> Found {
        let mut facts = host.map(|h| h.facts.clone()).unwrap_or_default();
        for task in self.earlier.iter().rev() {
            match &task.lent {
                Some(lent) if !lent.facts.is_empty() => {
                    self.borrow(task.id);
                    facts.extend(lent.facts.clone());
                }
                None if task.sets == Sets::Facts || task.sets == Sets::Anything => {
                    return Found::Pending("ansible_facts".into());
                }
                _ => {}
            }
        }
        Found::Value(Value::from(facts))
    }

    fn borrow(&self, id: u64) {
        self.borrowed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
    }

    fn magic(&self, name: &str) -> Option<Found> {
        if !MAGIC.contains(&name) {
            return None;
        }
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let names = |list: &[Arc<str>]| Value::list(list.iter().map(|n| Value::String(n.clone())));
        let words = |list: &[String]| Value::list(list.iter().map(|n| Value::from(n.as_str())));
        let role = self.level.as_ref().and_then(Level::role);
        let play = self.level.is_some().then_some(&world.play);
        let value = match name {
            "inventory_hostname" => Value::String(self.host.clone()),
            "inventory_hostname_short" => self.host.split('.').next().unwrap_or_default().into(),
            "group_names" => names(&world.inventory.group_names(&self.host)),
            "groups" => Value::map(
                world
                    .inventory
                    .groups()
                    .into_iter()
                    .map(|(g, hosts)| (g, names(&hosts))),
            ),
            "hostvars" => return Some(Found::Hosts(Arc::new(self.all_hosts()))),
            "inventory_dir" => return Some(path(world.inventory.source_dir(&self.host))),
            "inventory_file" => return Some(path(world.inventory.source_file(&self.host))),
            "playbook_dir" => {
                return play.map(|p| path(Some(&std::path::absolute(&p.directory).unwrap_or_default())));
            }
            "role_name" | "ansible_role_name" => return role.map(|r| Found::Value(r.name.as_ref().into())),
            "role_path" => {
                return role.map(|r| path(Some(&std::path::absolute(&r.path).unwrap_or_default())));
            }
            "ansible_play_name" => play?.name.as_str().into(),
            // Hosts drop out while earlier tasks run.
            "ansible_play_hosts" | "ansible_play_batch" | "play_hosts"
                if self.ahead && world.play.batch.len() > 1 =>
            {
                return Some(Found::Pending(name.into()));
            }
            "ansible_play_hosts" | "play_hosts" => names(&play?.hosts),
            "ansible_play_hosts_all" => names(&play?.all),
            "ansible_play_batch" => names(&play?.batch),
            "ansible_check_mode" => world.options.check.into(),
            "ansible_diff_mode" => world.options.diff.into(),
            "ansible_forks" => Value::Int(i64::try_from(world.options.forks).unwrap_or(i64::MAX)),
            "ansible_verbosity" => Value::Int(world.options.verbosity.into()),
            "ansible_run_tags" => words(&world.options.run_tags),
            "ansible_skip_tags" => words(&world.options.skip_tags),
            "ansible_limit" => return world.options.limit.as_deref().map(|l| Found::Value(l.into())),
            "ansible_inventory_sources" => words(&world.options.inventory_sources),
            "ansible_config_file" => return Some(path(world.options.config_file.as_deref())),
            "ansible_version" => version(),
            "ansible_facts" if self.ahead && (world.play.foreign.facts || world.play.foreign.anything) => {
                return Some(Found::Pending(name.into()));
            }
            "ansible_facts" => return Some(self.all_facts(world.host(&self.host))),
            _ => return None,
        };
        Some(Found::Value(value))
    }

    fn all_hosts(&self) -> HostVars {
        HostVars {
            scope: Self {
                world: self.world.clone(),
                host: self.host.clone(),
                level: self.level.clone(),
                locals: Map::new(),
                earlier: self.earlier.clone(),
                ahead: self.ahead,
                borrowed: self.borrowed.clone(),
            },
        }
    }
}

fn is_fact_name(name: &str) -> bool {
    name.starts_with("ansible_") || matches!(name, "services" | "packages") || name.starts_with("getent_")
}

fn path(path: Option<&std::path::Path>) -> Found {
    match path {
        Some(path) => Found::Value(path.display().to_string().into()),
        None => Found::Undefined,
    }
}

/// The version of Ansible whose language this is.
fn version() -> Value {
    Value::map([
        ("full", Value::from("2.18.0")),
        ("string", Value::from("2.18.0")),
        ("major", Value::Int(2)),
        ("minor", Value::Int(18)),
        ("revision", Value::Int(0)),
    ])
}

/// `hostvars`.
#[derive(Debug)]
struct HostVars {
    scope: TaskScope,
}

impl Hosts for HostVars {
    fn get(&self, host: &str) -> Option<Arc<dyn Scope>> {
        let world = self.scope.world.read().unwrap_or_else(PoisonError::into_inner);
        let name = world.inventory.resolve(host)?;
        drop(world);
        if !self.scope.ahead {
            return Some(self.scope.of_host(name));
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
                world: self.world.clone(),
                host: self.name.clone(),
                level: None,
                locals: Map::new(),
                earlier: self.earlier.clone(),
                ahead: true,
                borrowed: self.borrowed.clone(),
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
