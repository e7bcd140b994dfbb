//! The machines of the lab: what they are called, where they are, what they run.

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

pub fn find(name: &str) -> Result<&'static Host, Diagnostic> {
    HOSTS
        .iter()
        .find(|host| host.name == name || host.address == name)
        .ok_or_else(|| {
            let names: Vec<&str> = HOSTS.iter().map(|host| host.name).collect();
            Diagnostic::error(format!("the lab has no host `{name}`"))
                .help(format!("it has {}", names.join(", ")))
        })
}
