//! `SELinux`, `AppArmor`, FIPS, chroot, capabilities, and the host's public SSH keys.

use super::{FAMILY, Family, Seen, set, strings};
use crate::vars::{Map, Value};

pub(super) const SELINUX: Family = Family {
    name: "selinux",
    minimal: true,
    files: &[
        "sys/fs/selinux/enforce",
        "sys/fs/selinux/policyvers",
        "etc/selinux/config",
    ],
    read: read_selinux,
    ..FAMILY
};

pub(super) const APPARMOR: Family = Family {
    name: "apparmor",
    minimal: true,
    exists: &["sys/kernel/security/apparmor"],
    read: |seen, facts| {
        let there = seen.exists("sys/kernel/security/apparmor");
        let status = if there { "enabled" } else { "disabled" };
        set(facts, "apparmor", Value::map([("status", Value::from(status))]));
    },
    ..FAMILY
};

pub(super) const CHROOT: Family = Family {
    name: "chroot",
    ids: &["is_chroot"],
    // Same file, where the shell's `test` can tell; the inode numbers come with the links.
    shell: "echo =root\n[ / -ef /proc/1/root ] 2>/dev/null && echo same\n\
            [ -n \"$debian_chroot\" ] && echo chroot\n",
    read: read_chroot,
    ..FAMILY
};

pub(super) const FIPS: Family = Family {
    name: "fips",
    minimal: true,
    files: &["proc/sys/crypto/fips_enabled"],
    read: |seen, facts| {
        set(
            facts,
            "fips",
            seen.content("proc/sys/crypto/fips_enabled").as_deref() == Some("1"),
        );
    },
    ..FAMILY
};

pub(super) const CAPS: Family = Family {
    name: "caps",
    ids: &["system_capabilities", "system_capabilities_enforced"],
    minimal: true,
    files: &["proc/self/status", "proc/sys/kernel/cap_last_cap"],
    programs: &["capsh"],
    read: read_caps,
    ..FAMILY
};

pub(super) const SSH_PUB_KEYS: Family = Family {
    name: "ssh_pub_keys",
    ids: &[
        "ssh_host_pub_keys",
        "ssh_host_key_dsa_public",
        "ssh_host_key_rsa_public",
        "ssh_host_key_ecdsa_public",
        "ssh_host_key_ed25519_public",
    ],
    minimal: true,
    files: &[
        "etc/ssh/ssh_host_*_key.pub",
        "etc/openssh/ssh_host_*_key.pub",
        "etc/ssh_host_*_key.pub",
    ],
    read: read_keys,
    ..FAMILY
};

fn read_selinux(seen: &Seen, facts: &mut Map) {
    // Ansible needs a Python library on the host to know; nothing is missing here.
    set(facts, "selinux_python_present", true);
    let Some(enforce) = seen.content("sys/fs/selinux/enforce") else {
        return set(
            facts,
            "selinux",
            Value::map([("status", Value::from("disabled"))]),
        );
    };
    let configured = |key: &str| {
        let value = seen.assigned("etc/selinux/config", key);
        Value::from(value.unwrap_or_else(|| "unknown".to_string()))
    };
    let version = seen
        .content("sys/fs/selinux/policyvers")
        .and_then(|text| text.parse::<i64>().ok());
    let mode = if enforce == "1" { "enforcing" } else { "permissive" };
    let selinux = Value::map([
        ("status", Value::from("enabled")),
        (
            "policyvers",
            version.map_or_else(|| Value::from("unknown"), Value::Int),
        ),
        ("config_mode", configured("SELINUX")),
        ("mode", Value::from(mode)),
        ("type", configured("SELINUXTYPE")),
    ]);
    set(facts, "selinux", selinux);
}

fn read_chroot(seen: &Seen, facts: &mut Map) {
    let says = |word: &str| seen.section("root").iter().any(|line| line == word);
    let chroot = if says("chroot") {
        true
    } else if says("same") {
        false
    } else {
        match (seen.inode("."), seen.inode("proc/1/root/.")) {
            (Some(ours), Some(first)) => ours != first,
            // Who may not look at process 1 goes by the inode that roots of ext4, btrfs and XFS have.
            (Some(ours), None) => ![2, 256, 128].contains(&ours),
            _ => false,
        }
    };
    set(facts, "is_chroot", chroot);
}

fn read_keys(seen: &Seen, facts: &mut Map) {
    let directories = ["etc/ssh/", "etc/openssh/", "etc/"];
    let key = |directory: &str, kind: &str| seen.content(&format!("{directory}ssh_host_{kind}_key.pub"));
    for directory in directories {
        let mut any = false;
        for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
            let Some(text) = key(directory, kind) else {
                continue;
            };
            let mut words = text.split_whitespace();
            if let (Some(algorithm), Some(key)) = (words.next(), words.next()) {
                set(facts, &format!("ssh_host_key_{kind}_public"), key);
                set(facts, &format!("ssh_host_key_{kind}_public_keytype"), algorithm);
                any = true;
            }
        }
        if any {
            return;
        }
    }
}

/// The names of the capabilities by number.
const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// What `capsh --print` says of the current process, without starting it.
fn read_caps(seen: &Seen, facts: &mut Map) {
    let (mut enforced, mut list) = (Value::from("N/A"), Value::from("N/A"));
    if seen.program("capsh") && !seen.lines("proc/self/status").is_empty() {
        let text = capabilities(seen);
        let full = text == "=ep";
        enforced = Value::from(if full { "False" } else { "True" });
        let named = text.split('=').nth(1).unwrap_or_default();
        list = if full {
            Value::list([])
        } else {
            strings(named.split(',').map(str::trim))
        };
    }
    set(facts, "system_capabilities_enforced", enforced);
    set(facts, "system_capabilities", list);
}

/// libcap's text form: what most capabilities have in common, then those that differ.
fn capabilities(seen: &Seen) -> String {
    let process = seen.lines("proc/self/status");
    let set = |name: &str| {
        let value = process
            .iter()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default();
        u64::from_str_radix(value.trim(), 16).unwrap_or_default()
    };
    let (effective, permitted, inherited) = (set("CapEff:"), set("CapPrm:"), set("CapInh:"));
    let last = seen
        .content("proc/sys/kernel/cap_last_cap")
        .and_then(|text| text.parse::<usize>().ok());
    let count = last.unwrap_or(40).min(63) + 1;
    let state = |bit: usize| {
        let one = |set: u64| (set >> bit) & 1;
        one(effective) | one(permitted) << 1 | one(inherited) << 2
    };
    let states: Vec<u64> = (0..count).map(state).collect();
    let number = |state: u64| states.iter().filter(|s| **s == state).count();
    let base = (0..8)
        .rev()
        .max_by_key(|state| (number(*state), 8 - *state))
        .unwrap_or(0);
    let others: Vec<u64> = (0..8)
        .rev()
        .filter(|state| *state != base && number(*state) > 0)
        .collect();
    let mut groups: Vec<String> = Vec::new();
    if base != 0 || others.is_empty() {
        groups.push(format!("={}", flags(base)));
    }
    for state in others {
        let named = |bit: usize| {
            CAPABILITIES
                .get(bit)
                .map_or_else(|| bit.to_string(), |n| format!("cap_{n}"))
        };
        let bits = states
            .iter()
            .enumerate()
            .filter(|(_, s)| **s == state)
            .map(|(bit, _)| named(bit));
        groups.push(bits.collect::<Vec<_>>().join(",") + &difference(state, base));
    }
    groups.join(" ")
}

fn difference(state: u64, base: u64) -> String {
    if base == 0 {
        return format!("={}", flags(state));
    }
    let part = |sign: &str, bits: u64| {
        if bits == 0 {
            String::new()
        } else {
            format!("{sign}{}", flags(bits))
        }
    };
    part("+", state & !base) + &part("-", base & !state)
}

fn flags(bits: u64) -> String {
    [(1, 'e'), (4, 'i'), (2, 'p')]
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}
