//! The names that Ansible itself gives a value: `inventory_hostname`, `groups`, `ansible_play_hosts` ….

use std::sync::{Arc, PoisonError};

use super::TaskScope;
use crate::playbook::{Level, Role};
use crate::template::Found;
use crate::vars::Value;

pub(super) const MAGIC: &[&str] = &[
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
    "ansible_parent_role_names",
    "ansible_parent_role_paths",
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
    pub(super) fn magic(&self, name: &str) -> Option<Found> {
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
            "groups" => world.groups.clone(),
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
            "ansible_parent_role_names" => Value::list(self.parent_roles()?.map(|r| r.name.as_ref().into())),
            "ansible_parent_role_paths" => Value::list(self.parent_roles()?.map(|r| {
                let path = std::path::absolute(&r.path).unwrap_or_default();
                path.display().to_string().into()
            })),
            "ansible_play_name" => play?.name.as_str().into(),
            // Hosts drop out while earlier tasks run.
            "ansible_play_hosts" | "ansible_play_batch" | "play_hosts"
                if self.ahead && world.play.batch.len() > 1 =>
            {
                return Some(Found::Pending(name.into()));
            }
            "ansible_play_hosts" | "ansible_play_batch" | "play_hosts"
                if self
                    .place
                    .as_ref()
                    .is_some_and(|place| world.is_anybody_before(place)) =>
            {
                return Some(Found::Pending(name.into()));
            }
            "ansible_facts" if self.may_still_be_set(&world, &self.host, "ansible_facts") => {
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
}

impl TaskScope {
    /// The roles that included this one, the nearest first.
    fn parent_roles(&self) -> Option<impl Iterator<Item = &Role>> {
        let mut roles = self.level.as_ref()?.chain().filter_map(|l| l.role.as_deref());
        roles.next()?;
        let mut roles = roles.peekable();
        roles.peek()?;
        Some(roles)
    }
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
