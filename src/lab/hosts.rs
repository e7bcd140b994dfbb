//! The machines of the lab: what they are called, where they are, what they run.

use super::place::Place;
use crate::source::Diagnostic;

/// Addresses are from 192.0.2.0/24, which no real network uses (RFC 5737): an
/// inventory of the lab that is used outside of it reaches nobody.
pub const CONTROLLER: &str = "192.0.2.1";

/// One machine of the lab.
#[derive(Debug)]
pub struct Host {
    pub name: &'static str,
    pub address: &'static str,
    pub os: &'static str,
    /// Which root file system it is made of.
    pub root: &'static str,
    /// Whom to log in as.
    pub user: &'static str,
    /// The user is not root and has sudo without a password.
    pub become_root: bool,
    pub group: &'static str,
}

pub const HOSTS: &[Host] = &[
    Host {
        name: "masternode",
        address: "192.0.2.11",
        os: "Debian 12",
        root: "debian",
        user: "root",
        become_root: false,
        group: "monitoring_nodes",
    },
    Host {
        name: "storagenodet3500",
        address: "192.0.2.12",
        os: "Debian 12",
        root: "debian",
        user: "root",
        become_root: false,
        group: "storage_nodes",
    },
    Host {
        name: "homelab",
        address: "192.0.2.13",
        os: "RHEL 10 look-alike",
        root: "rhel",
        user: "admin",
        become_root: true,
        group: "compute_nodes",
    },
    // Apart from the groups that playbooks name: it is there to be named itself.
    Host {
        name: "nopython",
        address: "192.0.2.14",
        os: "Debian 12 without Python",
        root: "nopython",
        user: "root",
        become_root: false,
        group: "nopython_nodes",
    },
];

/// How many of them there are as virtual machines.
pub const MACHINES: usize = 3;

/// The hosts of this lab. One without Python is of no other use as a virtual machine than
/// as a container, and takes half a minute more.
pub fn of(place: &Place) -> Vec<&'static Host> {
    let virtual_machines = place.virtual_mark().exists();
    HOSTS
        .iter()
        .filter(|host| !(virtual_machines && host.root == "nopython"))
        .collect()
}

/// The host of this name or address, or an error with the names that there are.
pub fn find(place: &Place, name: &str) -> Result<&'static Host, Diagnostic> {
    let hosts = of(place);
    let found = hosts
        .iter()
        .find(|host| host.name == name || host.address == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = hosts.iter().map(|host| host.name).collect();
        Diagnostic::error(format!("the lab has no host `{name}`"))
            .help(format!("it has {}", names.join(", ")))
    })
}
