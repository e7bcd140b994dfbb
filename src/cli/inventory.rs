//! `vmstation inventory`: which hosts there are, as `ansible-inventory` prints them.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map as Json, Value as JsonValue, json};

use super::options::HostOptions;
use super::print;
use super::project::Project;
use crate::inventory::Inventory;
use crate::source::{Diagnostic, nearest};

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
    let inventory = &project.inventory;
    let text = match &args.host {
        Some(name) => pretty(&host(inventory, name)?),
        None if args.list => pretty(&everything(inventory)?),
        None => {
            let mut tree = "@all:\n".to_string();
            branch(inventory, "all", 1, &mut tree);
            tree
        }
    };
    print::data(&text);
    Ok(0)
}

fn pretty(value: &JsonValue) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn host(inventory: &Inventory, name: &str) -> Result<JsonValue, Diagnostic> {
    let Some(host) = inventory.resolve(name) else {
        let hosts = inventory.hosts();
        let near = nearest(name, hosts.iter().map(AsRef::as_ref));
        return Err(Diagnostic::error(format!("the inventory has no host `{name}`")).did_you_mean(near));
    };
    vars(inventory, &host)
}

fn vars(inventory: &Inventory, host: &str) -> Result<JsonValue, Diagnostic> {
    let vars = inventory.vars(host, None)?;
    for warning in inventory.take_warnings() {
        print::note(&warning.to_string());
    }
    Ok(serde_json::to_value(vars).unwrap_or_default())
}

fn everything(inventory: &Inventory) -> Result<JsonValue, Diagnostic> {
    let mut hostvars = Json::new();
    for host in inventory.hosts() {
        let vars = vars(inventory, &host)?;
        if vars.as_object().is_some_and(|v| !v.is_empty()) {
            hostvars.insert(host.to_string(), vars);
        }
    }
    let mut all = Json::new();
    all.insert("_meta".to_string(), json!({ "hostvars": hostvars }));
    for name in inventory.groups().keys() {
        let (children, hosts) = inventory.named_by(name);
        let mut group = Json::new();
        if !children.is_empty() {
            group.insert("children".to_string(), json!(children));
        }
        // Every host is in `all`; what is said of it is the groups.
        if !hosts.is_empty() && **name != *"all" {
            group.insert("hosts".to_string(), json!(hosts));
        }
        if !group.is_empty() {
            all.insert(name.to_string(), group.into());
        }
    }
    Ok(all.into())
}

fn branch(inventory: &Inventory, group: &str, depth: usize, tree: &mut String) {
    let stem = "  |".repeat(depth);
    let (children, hosts) = inventory.named_by(group);
    for child in children {
        let _ = writeln!(tree, "{stem}--@{child}:");
        branch(inventory, &child, depth + 1, tree);
    }
    let named: Vec<Arc<str>> = if group == "all" { Vec::new() } else { hosts };
    for host in named {
        let _ = writeln!(tree, "{stem}--{host}");
    }
}
