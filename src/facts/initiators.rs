//! The names by which the host is known to storage: iSCSI, `NVMe`, Fibre Channel.

use super::{FAMILY, Family, Seen, set, strings};

pub(super) const ISCSI: Family = Family {
    name: "iscsi",
    files: &["etc/iscsi/initiatorname.iscsi"],
    read: |seen, facts| {
        let name = first(seen, "etc/iscsi/initiatorname.iscsi", "InitiatorName=");
        set(
            facts,
            "iscsi_iqn",
            name.map_or("", |line| line.split_once('=').map_or("", |(_, name)| name)),
        );
    },
    ..FAMILY
};

pub(super) const NVME: Family = Family {
    name: "nvme",
    files: &["etc/nvme/hostnqn"],
    read: |seen, facts| {
        set(
            facts,
            "hostnqn",
            first(seen, "etc/nvme/hostnqn", "nqn.").unwrap_or_default(),
        );
    },
    ..FAMILY
};

pub(super) const FIBRE_CHANNEL: Family = Family {
    name: "fibre_channel_wwn",
    files: &["sys/class/fc_host/*/port_name"],
    read: |seen, facts| {
        let mut paths: Vec<&str> = seen.files_under("sys/class/fc_host/").collect();
        paths.sort_unstable();
        let names = paths.into_iter().filter_map(|path| seen.content(path));
        set(
            facts,
            "fibre_channel_wwn",
            strings(names.map(|name| name.replacen("0x", "", 1))),
        );
    },
    ..FAMILY
};

fn first<'a>(seen: &'a Seen, path: &str, prefix: &str) -> Option<&'a str> {
    seen.lines(path)
        .iter()
        .map(String::as_str)
        .find(|line| line.starts_with(prefix))
}
