//! Hosts, groups, and who belongs to whom.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::source::{Diagnostic, Span};
use crate::vars::{Map, Value};

pub(super) const ALL: &str = "all";
pub(super) const UNGROUPED: &str = "ungrouped";

/// The names under which the controlling machine is known without being in any inventory.
pub(super) const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    pub vars: Map,
    /// The groups that name this host themselves, not those above them.
    pub groups: IndexSet<Arc<str>>,
    /// The inventory file that named the host first; a host list is its own text.
    pub file: Option<Arc<Path>>,
}

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub hosts: IndexSet<Arc<str>>,
    pub children: IndexSet<Arc<str>>,
    pub parents: IndexSet<Arc<str>>,
    pub vars: Map,
    /// `ansible_group_priority`: among groups of the same depth, the higher one wins.
    pub priority: i64,
    /// The longest way down from `all`; right once settled.
    depth: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            hosts: IndexSet::new(),
            children: IndexSet::new(),
            parents: IndexSet::new(),
            vars: Map::new(),
            priority: 1,
            depth: 0,
        }
    }
}

/// Both in order of appearance: that order is what a play's hosts follow.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub hosts: IndexMap<Arc<str>, Host>,
    pub groups: IndexMap<Arc<str>, Group>,
}

impl Members {
    pub fn new() -> Self {
        let mut members = Self {
            hosts: IndexMap::new(),
            groups: IndexMap::new(),
        };
        members.add_group(ALL);
        members.add_group(UNGROUPED);
        members.link(ALL, UNGROUPED);
        members
    }

    pub fn add_group(&mut self, name: &str) -> Arc<str> {
        if let Some((known, _)) = self.groups.get_key_value(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.groups.insert(name.clone(), Group::default());
        name
    }

    /// Whether the host is new; the file counts only then.
    pub fn add_host(&mut self, name: &str, file: Option<&Arc<Path>>) -> bool {
        if self.hosts.contains_key(name) {
            return false;
        }
        let host = Host {
            file: file.cloned(),
            ..Host::default()
        };
        self.hosts.insert(name.into(), host);
        true
    }

    /// Whether the host was not yet in the group itself.
    pub fn join(&mut self, host: &str, group: &str) -> bool {
        let group_name = self.add_group(group);
        let Some((name, member)) = self
            .hosts
            .get_key_value(host)
            .map(|(n, _)| n.clone())
            .zip(self.hosts.get_mut(host))
        else {
            return false;
        };
        member.groups.insert(group_name);
        self.groups.get_mut(group).is_some_and(|g| g.hosts.insert(name))
    }

    /// Puts one group under another; a circle is an error at the place that closes it.
    pub fn add_child(&mut self, parent: &str, child: &str, at: Option<&Span>) -> Result<bool, Diagnostic> {
        self.add_group(parent);
        self.add_group(child);
        if self.groups[parent].children.contains(child) {
            return Ok(false);
        }
        if parent == child || self.ancestors(parent).contains(child) {
            return Err(circle(&self.path(child, parent), at));
        }
        self.link(parent, child);
        Ok(true)
    }

    fn link(&mut self, parent: &str, child: &str) {
        let (parent, child) = (self.add_group(parent), self.add_group(child));
        if let Some(group) = self.groups.get_mut(&parent) {
            group.children.insert(child.clone());
        }
        if let Some(group) = self.groups.get_mut(&child) {
            group.parents.insert(parent);
        }
    }

    /// The groups from `top` down to `bottom`, both included.
    fn path(&self, top: &str, bottom: &str) -> Vec<Arc<str>> {
        if let Some((name, _)) = self.groups.get_key_value(bottom).filter(|_| top == bottom) {
            return vec![name.clone()];
        }
        for child in self.groups.get(top).into_iter().flat_map(|g| &g.children) {
            let below = self.path(child, bottom);
            if !below.is_empty() {
                return std::iter::once(Arc::from(top)).chain(below).collect();
            }
        }
        Vec::new()
    }

    /// All groups above one.
    pub fn ancestors(&self, group: &str) -> IndexSet<Arc<str>> {
        let mut seen = IndexSet::new();
        let mut open: Vec<&str> = vec![group];
        while let Some(name) = open.pop() {
            for parent in self.groups.get(name).into_iter().flat_map(|g| &g.parents) {
                if seen.insert(parent.clone()) {
                    open.push(parent);
                }
            }
        }
        seen
    }

    /// A group's hosts and those of the groups below it, level by level; within a level in the order of
    /// appearance, where Ansible's order is by chance from the second level on.
    pub fn hosts_of(&self, group: &str) -> IndexSet<Arc<str>> {
        let mut hosts = IndexSet::new();
        let mut seen: HashSet<&str> = HashSet::new();
        let mut level = vec![group];
        while !level.is_empty() {
            let mut next = Vec::new();
            for name in level {
                let Some(group) = self.groups.get(name).filter(|_| seen.insert(name)) else {
                    continue;
                };
                hosts.extend(group.hosts.iter().cloned());
                next.extend(group.children.iter().map(|c| &**c));
            }
            level = next;
        }
        hosts
    }

    /// The groups a host is in, those above them included, without `all`, in the order in which their
    /// variables are merged: deeper groups win, then the higher priority, then the alphabet.
    pub fn groups_of(&self, host: &str) -> Vec<Arc<str>> {
        let mut groups: IndexSet<Arc<str>> = IndexSet::new();
        for group in self.hosts.get(host).into_iter().flat_map(|h| &h.groups) {
            groups.insert(group.clone());
            groups.extend(self.ancestors(group));
        }
        groups.shift_remove(ALL);
        let mut order: Vec<(usize, i64, Arc<str>)> = groups
            .into_iter()
            .map(|g| (self.groups[&g].depth, self.groups[&g].priority, g))
            .collect();
        order.sort();
        order.into_iter().map(|(_, _, g)| g).collect()
    }

    /// Pushes every group below its parents until nothing moves; there are no circles.
    fn sink(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for at in 0..self.groups.len() {
                let parents = self.groups[at].parents.iter();
                let depth = parents.map(|p| self.groups[p].depth + 1).max().unwrap_or(0);
                moved |= self.groups[at].depth != depth;
                self.groups[at].depth = depth;
            }
        }
    }

    pub fn set_host_var(&mut self, host: &str, name: impl Into<crate::vars::Key>, value: Value) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.vars.insert(name.into(), value);
        }
    }

    pub fn set_group_var(
        &mut self,
        group: &str,
        name: crate::vars::Key,
        value: Value,
        at: &Span,
    ) -> Result<(), Diagnostic> {
        let Some(group) = self.groups.get_mut(group) else {
            return Ok(());
        };
        if name.as_str() != Some("ansible_group_priority") {
            group.vars.insert(name, value);
            return Ok(());
        }
        group.priority = match &value {
            Value::Int(i) => *i,
            Value::Bool(b) => i64::from(*b),
            Value::String(text) => text.trim().parse().map_err(|_| not_a_priority(at))?,
            _ => return Err(not_a_priority(at)),
        };
        Ok(())
    }

    /// What holds in every inventory: each group is below `all`, each host is in some group, and `ungrouped`
    /// holds exactly the hosts that are in no other.
    pub fn settle(&mut self) -> Result<(), Diagnostic> {
        let roots: Vec<Arc<str>> = self
            .groups
            .iter()
            .filter(|(name, group)| &***name != ALL && group.parents.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for root in roots {
            self.add_child(ALL, &root, None)?;
        }
        self.sink();
        let names: Vec<Arc<str>> = self.hosts.keys().cloned().collect();
        for name in names {
            let grouped = self.groups_of(&name).iter().any(|g| &**g != UNGROUPED);
            if !grouped {
                self.join(&name, UNGROUPED);
            } else if self.hosts[&name].groups.contains(UNGROUPED) {
                self.leave_ungrouped(&name);
            }
        }
        Ok(())
    }

    fn leave_ungrouped(&mut self, host: &str) {
        if let Some(group) = self.groups.get_mut(UNGROUPED) {
            group.hosts.shift_remove(host);
        }
        if let Some(host) = self.hosts.get_mut(host) {
            host.groups.shift_remove(UNGROUPED);
        }
    }
}

fn circle(path: &[Arc<str>], at: Option<&Span>) -> Diagnostic {
    let names: Vec<&str> = path.iter().chain(path.first()).map(|n| &**n).collect();
    let error = Diagnostic::error(format!("a group cannot contain itself: {}", names.join(" > ")))
        .help("take one of these children out");
    match at {
        Some(span) => error.at(span),
        None => error,
    }
}

fn not_a_priority(at: &Span) -> Diagnostic {
    Diagnostic::error("`ansible_group_priority` is a whole number").at(at)
}
