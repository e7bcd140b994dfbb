//! Which programs manage packages and services.

use super::{FAMILY, Family, Seen, set, text};
use crate::vars::{Map, Value};

pub(super) const PKG_MGR: Family = Family {
    name: "pkg_mgr",
    minimal: true,
    needs: &["distribution"],
    exists: &[
        "run/ostree-booted",
        "usr/bin/yum",
        "usr/bin/dnf",
        "usr/bin/dnf-3",
        "usr/bin/dnf5",
        "usr/bin/microdnf",
        "usr/bin/apt-get",
        "usr/bin/zypper",
        "usr/sbin/urpmi",
        "usr/bin/pacman",
        "bin/opkg",
        "usr/pkg/bin/pkgin",
        "sbin/apk",
        "usr/bin/emerge",
        "usr/bin/xbps-install",
        "usr/bin/swupd",
        "usr/sbin/sorcery",
    ],
    links: &["usr/bin/dnf", "usr/bin/microdnf"],
    read: read_pkg_mgr,
    ..FAMILY
};

pub(super) const SERVICE_MGR: Family = Family {
    name: "service_mgr",
    minimal: true,
    needs: &["platform", "distribution"],
    files: &["proc/1/comm"],
    exists: &[
        "run/systemd/system",
        "dev/.run/systemd",
        "etc/init",
        "sbin/openrc",
        "etc/init.d",
        "etc/dinit.d",
    ],
    programs: &["systemctl", "initctl"],
    links: &["sbin/init"],
    read: read_service_mgr,
    ..FAMILY
};

pub(super) const SYSTEMD: Family = Family {
    name: "systemd",
    exists: &["run/systemd/system"],
    programs: &["systemctl"],
    // The version is in a file name; `systemctl --version` would cost a process.
    shell: "echo =systemd\ne usr/lib/systemd/libsystemd-shared-*.so usr/lib/*/systemd/libsystemd-shared-*.so \
            lib/systemd/libsystemd-shared-*.so\n",
    read: read_systemd,
    ..FAMILY
};

/// In rising order of weight: the last that is there counts.
const PKG_MGRS: &[(&str, &str)] = &[
    ("usr/bin/yum", "dnf"),
    ("usr/bin/dnf-3", "dnf"),
    ("usr/bin/dnf5", "dnf5"),
    ("usr/bin/apt-get", "apt"),
    ("usr/bin/zypper", "zypper"),
    ("usr/sbin/urpmi", "urpmi"),
    ("usr/bin/pacman", "pacman"),
    ("bin/opkg", "opkg"),
    ("usr/pkg/bin/pkgin", "pkgin"),
    ("sbin/apk", "apk"),
    ("usr/bin/emerge", "portage"),
    ("usr/bin/xbps-install", "xbps"),
    ("usr/bin/swupd", "swupd"),
    ("usr/sbin/sorcery", "sorcery"),
];

fn read_pkg_mgr(seen: &Seen, facts: &mut Map) {
    let there = PKG_MGRS
        .iter()
        .rev()
        .find(|(path, _)| seen.exists(path))
        .map_or("unknown", |(_, name)| name);
    let name = match text(facts, "os_family") {
        "RedHat" => dnf(seen),
        "Debian" => "apt",
        "Altlinux" if there == "apt" => "apt_rpm",
        _ => there,
    };
    set(facts, "pkg_mgr", name);
}

/// Which dnf `dnf` is: version 5 is a module of its own.
fn dnf(seen: &Seen) -> &'static str {
    if seen.exists("run/ostree-booted") {
        return "atomic_container";
    }
    let Some(path) = ["usr/bin/dnf", "usr/bin/microdnf"]
        .into_iter()
        .find(|path| seen.exists(path))
    else {
        return "unknown";
    };
    match seen.link(path).and_then(|target| target.rsplit('/').next()) {
        Some("dnf5") => "dnf5",
        _ => "dnf",
    }
}

fn read_service_mgr(seen: &Seen, facts: &mut Map) {
    let named = first_process(seen).filter(|name| name != "init" && !name.ends_with("sh"));
    let name = match named.as_deref() {
        Some("procd") => "openwrt_init",
        Some("runit-init") => "runit",
        Some("svscan") => "svc",
        Some("openrc-init") => "openrc",
        Some(other) => other,
        None => by_files(seen, text(facts, "distribution")),
    };
    set(facts, "service_mgr", name);
}

fn first_process(seen: &Seen) -> Option<String> {
    let link = || Some(seen.link("sbin/init")?.rsplit('/').next()?.to_string());
    seen.content("proc/1/comm").or_else(link)
}

fn by_files(seen: &Seen, distribution: &str) -> &'static str {
    let systemctl = seen.program("systemctl");
    let booted = seen.exists("run/systemd/system") || seen.exists("dev/.run/systemd");
    let linked = seen
        .link("sbin/init")
        .is_some_and(|target| target.rsplit('/').next() == Some("systemd"));
    match () {
        () if distribution == "OpenWrt" => "openwrt_init",
        () if distribution == "SMGL" => "simpleinit_msb",
        () if systemctl && booted => "systemd",
        () if seen.program("initctl") && seen.exists("etc/init") => "upstart",
        () if seen.exists("sbin/openrc") => "openrc",
        () if systemctl && linked => "systemd",
        () if seen.exists("etc/init.d") => "sysvinit",
        () if seen.exists("etc/dinit.d") => "dinit",
        () => "service",
    }
}

fn read_systemd(seen: &Seen, facts: &mut Map) {
    if !seen.program("systemctl") || !seen.exists("run/systemd/system") {
        return;
    }
    // libsystemd-shared-252.so, -257.9-1.el10.so
    let name = seen
        .line("systemd")
        .rsplit("libsystemd-shared-")
        .next()
        .unwrap_or_default();
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    if let Ok(version) = digits.parse::<i64>() {
        set(facts, "systemd", Value::map([("version", Value::Int(version))]));
    }
}
