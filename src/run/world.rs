//! The variables of all hosts, as they are at this moment.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::inventory::Inventory;
use crate::plan::{Position, Ties};
use crate::playbook::{Level, Role};
use crate::vars::{Map, Value};

/// Everything that a name can stand for, beside what a task brings itself. A clone costs a pointer for each host.
#[derive(Debug, Clone)]
pub struct World {
    pub inventory: Arc<Inventory>,
    /// The magic variable `groups`: made once, since every task of every host may read it.
    pub groups: Value,
    /// `-e`.
    pub extra: Arc<Map>,
    pub hosts: HashMap<Arc<str>, Arc<HostVariables>>,
    pub play: Arc<PlayNames>,
    pub options: Arc<Options>,
}

/// What the command line said, as variables see it.
#[derive(Debug, Default)]
pub struct Options {
    pub check: bool,
    pub diff: bool,
    pub forks: usize,
    pub verbosity: u8,
    pub run_tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub limit: Option<String>,
    pub inventory_sources: Vec<String>,
    pub config_file: Option<PathBuf>,
    pub remote_user: Option<String>,
    /// Of hosts that name none: `ssh`, `local`.
    pub connection: String,
}

/// One host's variables.
#[derive(Debug, Clone, Default)]
pub struct HostVariables {
    /// Inventories, `group_vars`, `host_vars`: levels 3 to 10 of Ansible's order.
    pub inventory: Arc<Map>,
    /// `vars_files` of the play that runs.
    pub vars_files: Arc<Map>,
    /// `set_fact` and `register`.
    pub set: Map,
    /// `ansible_facts`, names without `ansible_`.
    pub facts: Map,
}

/// What the play that runs brings.
#[derive(Debug, Default, Clone)]
pub struct PlayNames {
    pub name: String,
    pub directory: PathBuf,
    /// Where the play's own keywords stand among the levels of a task.
    pub level: Option<Arc<Level>>,
    /// All hosts of the play, also those that failed.
    pub all: Vec<Arc<str>>,
    /// Those that are still in.
    pub hosts: Vec<Arc<str>>,
    pub batch: Vec<Arc<str>>,
    /// Roles whose defaults and variables the whole play sees, in order.
    pub roles: Vec<Arc<Role>>,
    /// Names that tasks of this play may set on other hosts: reading those early is not safe.
    pub may_set: MaySet,
    /// Under `dag`: what each host may still come to, in order.
    pub to_come: HashMap<Arc<str>, Arc<[Coming]>>,
    /// Names that tasks may set on hosts that do not come by them: whatever an early look finds may change.
    pub foreign: MaySet,
}

/// A task that a host may still come to.
#[derive(Debug)]
pub struct Coming {
    pub position: Position,
    pub ties: Arc<Ties>,
}

/// Names that the tasks of a play may set.
#[derive(Debug, Default, Clone)]
pub struct MaySet {
    pub names: HashSet<Arc<str>>,
    pub facts: bool,
    pub anything: bool,
}

impl MaySet {
    pub fn covers(&self, other: &Self) -> bool {
        self.anything || !other.anything && (self.facts || !other.facts) && other.names.is_subset(&self.names)
    }

    pub fn add(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.facts |= other.facts;
        self.anything |= other.anything;
    }

    /// Whether `set_fact` or `register` may set it.
    pub fn sets(&self, name: &str) -> bool {
        self.anything || self.names.contains(name)
    }

    pub fn holds(&self, name: &str) -> bool {
        self.anything || self.names.contains(name) || self.facts && name.starts_with("ansible_")
    }
}

impl World {
    pub fn new(inventory: Inventory, extra: Map, options: Options) -> Self {
        let names = |hosts: Vec<Arc<str>>| Value::list(hosts.into_iter().map(Value::String));
        let groups = inventory.groups().into_iter();
        Self {
            groups: Value::map(groups.map(|(name, hosts)| (name, names(hosts)))),
            inventory: Arc::new(inventory),
            extra: Arc::new(extra),
            hosts: HashMap::new(),
            play: Arc::default(),
            options: Arc::new(options),
        }
    }

    pub fn host(&self, name: &str) -> Option<&Arc<HostVariables>> {
        self.hosts.get(name)
    }

    /// Whether a task that stands before a place may still set a name on a host.
    pub fn may_still_set(&self, host: &str, name: &str, place: &Position) -> bool {
        self.play.to_come.iter().any(|(whose, rest)| {
            let earlier = rest.iter().take_while(|c| c.position < *place);
            let mut reaching = earlier.filter(|c| **whose == *host || c.ties.sets_elsewhere);
            reaching.any(|c| c.ties.may_set(name))
        })
    }

    /// Whether any host has not come to a place yet.
    pub fn is_anybody_before(&self, place: &Position) -> bool {
        let mut firsts = self.play.to_come.values().filter_map(|rest| rest.first());
        firsts.any(|c| c.position < *place)
    }

    pub fn host_mut(&mut self, name: &Arc<str>) -> &mut HostVariables {
        Arc::make_mut(self.hosts.entry(name.clone()).or_default())
    }
}

/// A fact by the name of its variable: `ansible_os_family`, or as the module named it.
pub fn fact<'f>(facts: &'f Map, variable: &str) -> Option<&'f Value> {
    if let Some(short) = variable.strip_prefix("ansible_") {
        return facts.get(short).or_else(|| facts.get(variable));
    }
    let whole = matches!(
        variable,
        "services" | "packages" | "gather_subset" | "module_setup"
    ) || variable.starts_with("getent_");
    facts.get(variable).filter(|_| whole)
}
