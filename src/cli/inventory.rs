//! `vmstation inventory`: which hosts there are, as `ansible-inventory` prints them.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use indexmap::IndexSet;
use serde_json::{Map as Json, Value as JsonValue, json};

use super::options::HostOptions;
use super::print;
use super::project::Project;
use crate::inventory::Inventory;
use crate::source::{Diagnostic, nearest};
use crate::vars::Map;

/// Show the hosts, their groups and their variables
#[derive(Debug, Args)]
pub struct InventoryArgs {
    /// Everything, as JSON
    #[arg(long, group = "what")]
    pub list: bool,
    /// The groups as a tree (this is what is shown without an option)
    #[arg(long, group = "what")]
    pub graph: bool,
    /// One host's variables, as JSON
    #[arg(long, group = "what", value_name = "HOST")]
    pub host: Option<String>,
    #[command(flatten)]
    pub hosts: HostOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &InventoryArgs) -> Result<u8, Diagnostic> {
    let project = Project::load(&args.hosts, false)?;
    let listing = Listing::of(&project, args.hosts.limit.as_deref())?;
    let text = match &args.host {
        Some(name) => pretty(&listing.host(name)?),
        None if args.list => pretty(&listing.everything()?),
        None => {
            let mut tree = "@all:\n".to_string();
            listing.branch("all", 1, &mut tree);
            tree
        }
    };
    print::data(&text);
    Ok(0)
}

fn pretty(value: &JsonValue) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

struct Listing<'a> {
    inventory: &'a Inventory,
    /// `-e`
    extra: &'a Map,
    /// What `--limit` leaves.
    hosts: IndexSet<Arc<str>>,
}

impl<'a> Listing<'a> {
    fn of(project: &'a Project, limit: Option<&str>) -> Result<Self, Diagnostic> {
        let inventory = &project.inventory;
        let hosts = match limit {
            None => inventory.hosts(),
            limit => inventory.select("all", limit)?.0,
        };
        Ok(Self {
            inventory,
            extra: &project.extra,
            hosts: hosts.into_iter().collect(),
        })
    }

    fn host(&self, name: &str) -> Result<JsonValue, Diagnostic> {
        let Some(host) = self.inventory.resolve(name) else {
            let hosts = self.inventory.hosts();
            let near = nearest(name, hosts.iter().map(AsRef::as_ref));
            return Err(Diagnostic::error(format!("the inventory has no host `{name}`")).did_you_mean(near));
        };
        self.vars(&host)
    }

    fn vars(&self, host: &str) -> Result<JsonValue, Diagnostic> {
        let mut vars = self.inventory.vars(host, None)?;
        for warning in self.inventory.take_warnings() {
            print::note(&warning.to_string());
        }
        vars.extend(self.extra.iter().map(|(k, v)| (k.clone(), v.clone())));
        Ok(serde_json::to_value(vars).unwrap_or_default())
    }

    fn everything(&self) -> Result<JsonValue, Diagnostic> {
        let mut hostvars = Json::new();
        for host in &self.hosts {
            let vars = self.vars(host)?;
            if vars.as_object().is_some_and(|v| !v.is_empty()) {
                hostvars.insert(host.to_string(), vars);
            }
        }
        let mut all = Json::new();
        all.insert("_meta".to_string(), json!({ "hostvars": hostvars }));
        for name in self.inventory.groups().keys() {
            let (children, hosts) = self.named_by(name);
            let mut group = Json::new();
            if !children.is_empty() {
                group.insert("children".to_string(), json!(children));
            }
            if !hosts.is_empty() {
                group.insert("hosts".to_string(), json!(hosts));
            }
            if !group.is_empty() {
                all.insert(name.to_string(), group.into());
            }
        }
        Ok(all.into())
    }

    /// The groups below a group, and its hosts. Every host is in `all`; what is said of it is the groups.
    fn named_by(&self, group: &str) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let (children, mut hosts) = self.inventory.named_by(group);
        hosts.retain(|host| group != "all" && self.hosts.contains(host));
        (children, hosts)
    }

    fn branch(&self, group: &str, depth: usize, tree: &mut String) {
        let stem = "  |".repeat(depth);
        let (children, hosts) = self.named_by(group);
        for child in children {
            let _ = writeln!(tree, "{stem}--@{child}:");
            self.branch(&child, depth + 1, tree);
        }
        for host in hosts {
            let _ = writeln!(tree, "{stem}--{host}");
        }
    }
}
