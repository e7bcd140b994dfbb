//! What a host says of itself: Ansible's facts, read by one shell script in one round trip.
//!
//! ```text
//! Subset ─script→ sh on the host ─output→ Seen (sections) ─families→ facts
//! ```
//!
//! Processes are what a fact costs on the host, so the script reads with the shell's own means, shows all files
//! with one `grep`, all links with one `ls`, all addresses with one `ip`; everything is worked out here. A new
//! family is one file with a [`Family`] in it, and two lines in this one.

mod account;
mod addresses;
mod boot;
mod clock;
mod devices;
mod distribution;
mod hardware;
mod initiators;
mod local;
mod managers;
mod mounts;
mod network;
mod platform;
mod python;
mod script;
mod security;
mod seen;
mod subset;
mod virtualization;

use std::sync::Arc;

use crate::vars::{Key, Map, Value};
pub use script::{script, script_under};
use seen::Seen;
pub use subset::{Subset, UnknownSubset};

/// A group of facts that Ansible's `gather_subset` knows by one name.
struct Family {
    /// The name in `gather_subset`; several families may share it.
    name: &'static str,
    /// Other names by which `gather_subset` means it.
    ids: &'static [&'static str],
    /// Read unless `!min` is asked for.
    minimal: bool,
    /// Families whose facts come along, because this one is worked out from them.
    needs: &'static [&'static str],
    /// Files to be shown whole: shell patterns, relative to the root.
    files: &'static [&'static str],
    /// Paths of which only matters whether they exist.
    exists: &'static [&'static str],
    /// Programs of which only matters where they are.
    programs: &'static [&'static str],
    /// Symbolic links to be shown: shell patterns.
    links: &'static [&'static str],
    /// Shell text that names further files and links, and may print a section of its own.
    shell: &'static str,
    /// Shell text that runs after the files and links were shown.
    late: &'static str,
    read: fn(&Seen, &mut Map),
}

/// What most families leave empty.
const FAMILY: Family = Family {
    name: "",
    ids: &[],
    minimal: false,
    needs: &[],
    files: &[],
    exists: &[],
    programs: &[],
    links: &[],
    shell: "",
    late: "",
    read: |_, _| {},
};

/// In the order in which they are read: a family may look at the facts of those before it.
const FAMILIES: &[Family] = &[
    platform::PLATFORM,
    distribution::DISTRIBUTION,
    distribution::LSB,
    security::SELINUX,
    security::APPARMOR,
    security::CHROOT,
    security::FIPS,
    security::CAPS,
    managers::PKG_MGR,
    managers::SERVICE_MGR,
    managers::SYSTEMD,
    boot::CMDLINE,
    boot::LOADAVG,
    clock::DATE_TIME,
    account::ENV,
    account::USER,
    security::SSH_PUB_KEYS,
    virtualization::VIRTUAL,
    hardware::PROCESSORS,
    hardware::MEMORY,
    hardware::DMI,
    devices::DEVICES,
    mounts::MOUNTS,
    network::DNS,
    network::NETWORK,
    initiators::ISCSI,
    initiators::NVME,
    initiators::FIBRE_CHANNEL,
    local::LOCAL,
    python::PYTHON,
];

/// What was found, and what could not be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// `ansible_facts`: names without `ansible_`, except `ansible_local`, which Ansible leaves as it is.
    pub facts: Map,
    /// Sentences about what was left out, and why.
    pub notes: Vec<String>,
}

/// Reads what the script of the same subset printed.
pub fn parse(output: &[u8], subset: &Subset) -> Facts {
    let seen = Seen::read(output);
    let mut facts = Map::new();
    for family in FAMILIES.iter().filter(|family| subset.wants(family)) {
        (family.read)(&seen, &mut facts);
    }
    set(
        &mut facts,
        "gather_subset",
        Value::list(subset.words().iter().map(|word| Value::from(word.as_str()))),
    );
    set(&mut facts, "module_setup", true);
    facts.retain(|name, _| {
        let name = variable(name.as_str().unwrap_or_default());
        subset.lets_through(&name) && !governs_the_connection(&name)
    });
    let mut notes = subset.notes();
    notes.extend(seen.notes());
    Facts { facts, notes }
}

/// The facts under the names that Ansible's `setup` returns them by, which are also those of the variables that
/// they are injected as: `ansible_os_family` and so on.
///
/// Only for what [`parse`] returned: what other modules return as facts keeps its name.
pub fn as_variables(facts: &Map) -> Map {
    facts
        .iter()
        .filter_map(|(name, value)| Some((variable(name.as_str()?), value)))
        .map(|(name, value)| (Key::from(name), value.clone()))
        .collect()
}

/// What any module returned as facts, as members of `ansible_facts`: without `ansible_`.
pub fn as_members(returned: &Map) -> Map {
    let member = |name: &Key| match name.as_str().and_then(|name| name.strip_prefix("ansible_")) {
        Some(rest) if rest != "local" => Key::from(rest),
        _ => name.clone(),
    };
    returned
        .iter()
        .map(|(name, value)| (member(name), value.clone()))
        .collect()
}

/// The name under which Ansible's `setup` returns a fact.
fn variable(name: &str) -> String {
    match name {
        "gather_subset" | "module_setup" => name.to_string(),
        _ if name.starts_with("ansible_") => name.to_string(),
        _ => format!("ansible_{name}"),
    }
}

/// Whether a fact of this name would decide how the host is reached: an interface may be called `host`.
fn governs_the_connection(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "connection",
        "host",
        "password",
        "port",
        "private_key_file",
        "remote_user",
        "shell_executable",
        "shell_type",
        "timeout",
        "user",
    ];
    let Some(name) = name.strip_prefix("ansible_") else {
        return false;
    };
    if name.starts_with("ssh_host_key_") {
        return false;
    }
    NAMES.contains(&name)
        || name == "become"
        || ["become_", "ssh_", "local_", "paramiko_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || name.ends_with("_interpreter")
}

fn set(facts: &mut Map, name: &str, value: impl Into<Value>) {
    facts.insert(Key::from(name), value.into());
}

/// A string fact that another family set, or the empty string.
fn text<'a>(facts: &'a Map, name: &str) -> &'a str {
    facts.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn strings<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::list(
        items
            .into_iter()
            .map(|item| Value::String(Arc::from(item.as_ref()))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_members_are_the_same_facts() {
        let names = ["os_family", "ansible_local", "gather_subset"];
        let facts: Map = names
            .map(|name| (Key::from(name), Value::Null))
            .into_iter()
            .collect();
        let variables = as_variables(&facts);
        let wanted = ["ansible_os_family", "ansible_local", "gather_subset"];
        assert_eq!(
            variables.keys().filter_map(Key::as_str).collect::<Vec<_>>(),
            wanted
        );
        assert_eq!(as_members(&variables), facts);
    }

    #[test]
    fn an_interface_cannot_say_how_the_host_is_reached() {
        let subset = Subset::new(&["network".into()], &[]).unwrap();
        let found = parse(b"=interfaces\nhost\nbecome_user\nhost0\n=end\n", &subset);
        assert!(found.facts.contains_key("host0"));
        assert!(!found.facts.contains_key("host") && !found.facts.contains_key("become_user"));
    }

    #[test]
    fn any_bytes_are_an_answer() {
        let subset = Subset::default();
        let found = parse(
            b"=env\nexport A='\xff\n=files\n\0:\n=links\n -> \n=ip\ninet\n=date\nx",
            &subset,
        );
        assert!(
            found.notes.iter().any(|note| note.contains("broke off")),
            "{:?}",
            found.notes
        );
        parse(b"", &subset);
    }
}
