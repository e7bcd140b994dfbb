//! Which hosts there are, the groups they are in, and the variables that come with them.
//!
//! [`Inventory::load`] reads what `-i` names; [`Inventory::select`] answers host patterns;
//! [`Inventory::vars`] merges the variables of a host as far as inventories, `group_vars` and `host_vars` say
//! (levels 3 to 10 of Ansible's order). One file per format.

mod address;
mod extra_vars;
mod host_list;
mod ini;
mod literal;
mod members;
mod patterns;
mod sources;
mod vars_files;
mod words;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

pub use extra_vars::extra_vars;
pub use patterns::Selected;

use crate::source::Diagnostic;
use crate::vars::{Map, Value};
use members::{ALL, LOCALHOST, Members};
use sources::Sources;
use vars_files::VarsFiles;

/// All hosts and groups of a run.
#[derive(Debug, Clone)]
pub struct Inventory {
    members: Members,
    /// Where `group_vars` and `host_vars` lie, one for each source, in the order of the sources.
    directories: Vec<PathBuf>,
    files: Arc<VarsFiles>,
}

/// An inventory, and what there was to say of it.
#[derive(Debug)]
pub struct Loaded {
    pub inventory: Inventory,
    pub warnings: Vec<Diagnostic>,
}

impl Inventory {
    /// Reads sources in order, later ones winning. A missing one is a warning; with none that could be read,
    /// only the implicit localhost is there.
    pub fn load(sources: &[String], base: &Path) -> Result<Loaded, Diagnostic> {
        let mut reading = Sources {
            base,
            members: Members::new(),
            warnings: Vec::new(),
            any: false,
        };
        let mut directories = Vec::new();
        for source in sources.iter().filter(|s| !s.is_empty()) {
            directories.extend(reading.read(source)?);
        }
        if !reading.any {
            let warning = Diagnostic::warning("no inventory was read: only the implicit localhost is known");
            reading.warnings.push(warning.help("name one with `-i`"));
        } else if reading.members.hosts.is_empty() {
            let warning =
                Diagnostic::warning("the inventory names no hosts: only the implicit localhost is known");
            reading.warnings.push(warning);
        }
        reading.members.settle()?;
        let mut warnings = reading.warnings;
        warnings.extend(shared_names(&reading.members));
        let inventory = Self {
            members: reading.members,
            directories,
            files: Arc::new(VarsFiles::new(base)),
        };
        Ok(Loaded { inventory, warnings })
    }

    /// All hosts, in the order of the group `all`; the implicit localhost is not among them.
    pub fn hosts(&self) -> Vec<Arc<str>> {
        self.members.hosts_of(ALL).into_iter().collect()
    }

    /// Whether the name is a host of the inventory or the implicit localhost.
    pub fn knows(&self, host: &str) -> bool {
        self.resolve(host).is_some()
    }

    /// The host that a name stands for: itself, or for a name of this machine the one that the inventory has
    /// for it; else the implicit localhost.
    pub fn resolve(&self, name: &str) -> Option<Arc<str>> {
        if let Some((known, _)) = self.members.hosts.get_key_value(name) {
            return Some(known.clone());
        }
        if !LOCALHOST.contains(&name) {
            return None;
        }
        let known = self.members.hosts.keys().find(|h| LOCALHOST.contains(&&***h));
        Some(known.cloned().unwrap_or_else(|| name.into()))
    }

    /// A localhost that no inventory names.
    pub fn is_implicit(&self, host: &str) -> bool {
        LOCALHOST.contains(&host) && !self.members.hosts.contains_key(host)
    }

    /// The magic variable `groups`: each group with its hosts, `all` and `ungrouped` included.
    pub fn groups(&self) -> IndexMap<Arc<str>, Vec<Arc<str>>> {
        let hosts = |name: &str| self.members.hosts_of(name).into_iter().collect();
        self.members
            .groups
            .keys()
            .map(|name| (name.clone(), hosts(name)))
            .collect()
    }

    /// What a group itself names: the groups below it, and hosts.
    pub fn named_by(&self, group: &str) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let Some(group) = self.members.groups.get(group) else {
            return (Vec::new(), Vec::new());
        };
        (
            group.children.iter().cloned().collect(),
            group.hosts.iter().cloned().collect(),
        )
    }

    /// The magic variable `group_names`: sorted, without `all`.
    pub fn group_names(&self, host: &str) -> Vec<Arc<str>> {
        let mut names = self.members.groups_of(host);
        names.sort();
        names
    }

    /// What inventories, `group_vars` and `host_vars` say of a host; the playbook's directory adds its own.
    ///
    /// Files are read when they are first needed, so that this can fail; see also [`Self::take_warnings`].
    pub fn vars(&self, host: &str, playbook_dir: Option<&Path>) -> Result<Map, Diagnostic> {
        let all: [Arc<str>; 1] = [ALL.into()];
        let groups = self.members.groups_of(host);
        let inventories = || self.directories.iter().map(PathBuf::as_path);
        let mut vars = Map::new();
        for group in all.iter().chain(&groups) {
            vars.extend(self.members.groups[group].vars.clone());
        }
        for groups in [&all[..], &groups] {
            for directory in inventories().chain(playbook_dir) {
                for group in groups {
                    self.merge_file(&mut vars, directory, "group_vars", group)?;
                }
            }
        }
        vars.extend(self.own_vars(host));
        for directory in inventories().chain(playbook_dir) {
            self.merge_file(&mut vars, directory, "host_vars", host)?;
        }
        Ok(vars)
    }

    fn own_vars(&self, host: &str) -> Map {
        match self.members.hosts.get(host) {
            Some(host) => host.vars.clone(),
            None if LOCALHOST.contains(&host) => {
                std::iter::once(("ansible_connection".into(), Value::from("local"))).collect()
            }
            None => Map::new(),
        }
    }

    fn merge_file(&self, vars: &mut Map, beside: &Path, folder: &str, name: &str) -> Result<(), Diagnostic> {
        let more = self.files.get(beside, folder, name)?;
        vars.extend(more.iter().map(|(k, v)| (k.clone(), v.clone())));
        Ok(())
    }

    /// What there was to say of `group_vars` and `host_vars` files since the last call.
    pub fn take_warnings(&self) -> Vec<Diagnostic> {
        self.files.take_warnings()
    }

    /// Forgets the `group_vars` and `host_vars` files that were read, so that changed ones are seen.
    pub fn forget_files(&self) {
        self.files.forget();
    }

    /// `inventory_file`: the file that named the host first; none for the implicit localhost and for hosts
    /// that were added in the run.
    pub fn source_file(&self, host: &str) -> Option<&Path> {
        self.members.hosts.get(host)?.file.as_deref()
    }

    /// `inventory_dir`: the directory of that file; a host list has none.
    pub fn source_dir(&self, host: &str) -> Option<&Path> {
        self.source_file(host).filter(|f| f.is_absolute())?.parent()
    }

    /// The hosts of a pattern, in the inventory's order, cut down to those that `--limit` allows. A part that
    /// matches nothing is a warning.
    pub fn select(&self, pattern: &str, limit: Option<&str>) -> Result<Selected, Diagnostic> {
        patterns::select(self, &[pattern], limit)
    }

    /// As [`Self::select`], for `hosts:` given as a list.
    pub fn select_all(&self, patterns: &[&str], limit: Option<&str>) -> Result<Selected, Diagnostic> {
        patterns::select(self, patterns, limit)
    }

    /// What `--limit` leaves of an inventory that has hosts; nothing at all is an error, before any play begins.
    pub fn check_limit(&self, limit: &str) -> Result<Vec<Diagnostic>, Diagnostic> {
        let (hosts, warnings) = self.select("all", Some(limit))?;
        if !hosts.is_empty() || self.members.hosts.is_empty() {
            return Ok(warnings);
        }
        let error = Diagnostic::error(format!("`--limit {limit}` leaves no host of the inventory"));
        Err(match warnings.into_iter().find_map(|w| w.help) {
            Some(help) => error.help(help),
            None => {
                error.help("patterns are names of hosts and groups, globs, or `~` and a regular expression")
            }
        })
    }

    /// `add_host`: a host made in the run, or more groups and variables for one that is there. Whether that
    /// changed anything.
    pub fn add_host(&mut self, name: &str, groups: &[&str], vars: &Map) -> Result<bool, Diagnostic> {
        let mut changed = self.members.add_host(name, None);
        for (key, value) in vars {
            let known = self.members.hosts.get(name).and_then(|h| h.vars.get(key));
            changed |= known != Some(value);
            self.members.set_host_var(name, key.clone(), value.clone());
        }
        for group in groups {
            changed |= self.members.join(name, group);
        }
        self.members.settle()?;
        Ok(changed)
    }

    /// `group_by`: puts a host into a group, which is made where it is not there, below its parents. Whether
    /// that changed anything.
    pub fn add_group(&mut self, group: &str, parents: &[&str], host: &str) -> Result<bool, Diagnostic> {
        let mut changed = !self.members.groups.contains_key(group);
        self.members.add_group(group);
        for parent in parents {
            changed |= self.members.add_child(parent, group, None)?;
        }
        changed |= self.members.join(host, group);
        self.members.settle()?;
        Ok(changed)
    }
}

fn shared_names(members: &Members) -> Vec<Diagnostic> {
    members
        .groups
        .keys()
        .filter(|g| members.hosts.contains_key(*g))
        .map(|g| Diagnostic::warning(format!("`{g}` is both a group and a host")))
        .collect()
}
