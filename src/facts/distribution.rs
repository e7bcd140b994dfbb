//! Which distribution this is, by the files that distributions leave in /etc.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Key, Map, Value};

pub(super) const DISTRIBUTION: Family = Family {
    name: "distribution",
    ids: &[
        "distribution_version",
        "distribution_release",
        "distribution_major_version",
        "os_family",
    ],
    minimal: true,
    files: &[
        "etc/os-release",
        "usr/lib/os-release",
        "etc/debian_version",
        "etc/redhat-release",
        "etc/centos-release",
        "etc/oracle-release",
        "etc/system-release",
        "etc/alpine-release",
        "etc/lsb-release",
        "etc/openwrt_release",
        "etc/slackware-version",
        "etc/altlinux-release",
    ],
    exists: &["etc/arch-release", "etc/vmware-release"],
    read: read_distribution,
    ..FAMILY
};

pub(super) const LSB: Family = Family {
    name: "lsb",
    minimal: true,
    files: &["etc/os-release", "etc/lsb-release", "etc/debian_version"],
    programs: &["lsb_release"],
    read: read_lsb,
    ..FAMILY
};

/// What a distribution file says, beyond the guess from os-release.
#[derive(Debug, Default)]
struct Found {
    name: String,
    path: &'static str,
    variety: &'static str,
    search: Option<&'static str>,
    version: Option<String>,
    major: Option<String>,
    minor: Option<String>,
    release: Option<String>,
    /// The file only had to be there.
    unread: bool,
}

fn read_distribution(seen: &Seen, facts: &mut Map) {
    let id = os_release(seen, "ID").unwrap_or_default().to_lowercase();
    let found = find(seen, &id);
    let version = guessed_version(seen, &id);
    let version = if version.is_empty() {
        "NA".to_string()
    } else {
        version
    };
    let major = version.split('.').next().unwrap_or("NA").to_string();
    let Some(found) = found else {
        let name = if id.is_empty() {
            "OtherLinux".to_string()
        } else {
            capitalized(&id)
        };
        return write(facts, &name, &version, &major, codename(seen, &id).as_deref());
    };
    let release = found.release.clone().or_else(|| codename(seen, &id));
    let version = found.version.as_ref().unwrap_or(&version);
    write(
        facts,
        &found.name,
        version,
        found.major.as_ref().unwrap_or(&major),
        release.as_deref(),
    );
    set(facts, "distribution_file_path", format!("/{}", found.path));
    set(facts, "distribution_file_variety", found.variety);
    if !found.unread {
        set(facts, "distribution_file_parsed", true);
    }
    if let Some(search) = found.search {
        set(facts, "distribution_file_search_string", search);
    }
    if let Some(minor) = found.minor {
        set(facts, "distribution_minor_version", minor);
    }
}

fn write(facts: &mut Map, name: &str, version: &str, major: &str, release: Option<&str>) {
    set(facts, "distribution", name);
    set(facts, "distribution_release", release.unwrap_or("NA"));
    set(facts, "distribution_version", version);
    set(facts, "distribution_major_version", major);
    set(facts, "os_family", family(name));
}

/// The first file that identifies a distribution, in Ansible's order.
fn find(seen: &Seen, id: &str) -> Option<Found> {
    let steps: [fn(&Seen, &str) -> Option<Found>; 11] = [
        altlinux, oracle, slackware, centos, redhat, vmware, openwrt, amazon, alpine, arch, suse,
    ];
    steps
        .iter()
        .find_map(|step| step(seen, id))
        .or_else(|| debian(seen))
        .or_else(|| flatcar(seen, id))
        .or_else(|| named(seen))
}

fn found(name: &str, path: &'static str, variety: &'static str) -> Found {
    Found {
        name: name.to_string(),
        path,
        variety,
        ..Found::default()
    }
}

/// A release file whose first word names the distribution, unless it holds the well-known words.
fn searched(seen: &Seen, path: &'static str, variety: &'static str, words: &'static str) -> Option<Found> {
    let text = seen.content(path)?;
    if text.contains(words) {
        return Some(Found {
            search: Some(words),
            ..found(variety, path, variety)
        });
    }
    Some(found(text.split_whitespace().next()?, path, variety))
}

fn altlinux(seen: &Seen, _: &str) -> Option<Found> {
    searched(seen, "etc/altlinux-release", "Altlinux", "ALT")
}

fn oracle(seen: &Seen, _: &str) -> Option<Found> {
    searched(seen, "etc/oracle-release", "OracleLinux", "Oracle Linux")
}

fn redhat(seen: &Seen, _: &str) -> Option<Found> {
    searched(seen, "etc/redhat-release", "RedHat", "Red Hat")
}

fn slackware(seen: &Seen, _: &str) -> Option<Found> {
    let path = "etc/slackware-version";
    let text = seen.content(path).filter(|text| text.contains("Slackware"))?;
    let version = text
        .split_whitespace()
        .find(|word| word.contains('.'))
        .map(ToString::to_string);
    Some(Found {
        version,
        ..found("Slackware", path, "Slackware")
    })
}

fn centos(seen: &Seen, _: &str) -> Option<Found> {
    let path = "etc/centos-release";
    let text = seen.content(path)?;
    if text.contains("CentOS Stream") {
        return Some(Found {
            release: Some("Stream".to_string()),
            ..found("CentOS", path, "CentOS")
        });
    }
    text.contains("TencentOS Server")
        .then(|| found("TencentOS", path, "CentOS"))
}

fn vmware(seen: &Seen, _: &str) -> Option<Found> {
    let path = "etc/vmware-release";
    seen.exists(path).then(|| Found {
        unread: true,
        ..found("VMwareESX", path, "VMwareESX")
    })
}

fn openwrt(seen: &Seen, _: &str) -> Option<Found> {
    let path = "etc/openwrt_release";
    seen.content(path).filter(|text| text.contains("OpenWrt"))?;
    Some(Found {
        version: seen.assigned(path, "DISTRIB_RELEASE"),
        release: seen.assigned(path, "DISTRIB_CODENAME"),
        ..found("OpenWrt", path, "OpenWrt")
    })
}

fn amazon(seen: &Seen, _: &str) -> Option<Found> {
    let holds = |path| seen.content(path).is_some_and(|text| text.contains("Amazon"));
    if holds("etc/os-release") {
        let version = os_release(seen, "VERSION_ID")?;
        let (major, minor) = version.split_once('.').unwrap_or((version.as_str(), "NA"));
        let (major, minor) = (Some(major.to_string()), Some(minor.to_string()));
        return Some(Found {
            version: Some(version),
            major,
            minor,
            ..found("Amazon", "etc/os-release", "Amazon")
        });
    }
    if !holds("etc/system-release") {
        return None;
    }
    let text = seen.content("etc/system-release")?;
    let number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
    let version = text.split_whitespace().find(number).unwrap_or("NA").to_string();
    Some(Found {
        version: Some(version),
        ..found("Amazon", "etc/system-release", "Amazon")
    })
}

fn alpine(seen: &Seen, _: &str) -> Option<Found> {
    let path = "etc/alpine-release";
    Some(Found {
        version: Some(seen.content(path)?),
        ..found("Alpine", path, "Alpine")
    })
}

fn arch(seen: &Seen, _: &str) -> Option<Found> {
    if seen.exists("etc/arch-release") {
        let path = "etc/arch-release";
        return Some(Found {
            unread: true,
            ..found("Archlinux", path, "Archlinux")
        });
    }
    let text = seen.content("etc/os-release")?;
    text.contains("Arch Linux")
        .then(|| found("Archlinux", "etc/os-release", "Archlinux"))
}

fn suse(seen: &Seen, _: &str) -> Option<Found> {
    let path = "etc/os-release";
    let text = seen.content(path)?.to_lowercase();
    if !text.contains("suse") {
        return None;
    }
    let version = os_release(seen, "VERSION_ID")?;
    let (major, minor) = version.split_once('.').unwrap_or((version.as_str(), ""));
    let release = match minor {
        "" if !text.contains("open") && text.contains("enterprise") => "0",
        minor => minor,
    };
    Some(Found {
        name: os_release(seen, "NAME")?,
        release: Some(release.to_string()),
        major: Some(major.to_string()),
        version: Some(version.clone()),
        ..found("SUSE", path, "SUSE")
    })
}

/// Debian and those that come from it.
fn debian(seen: &Seen) -> Option<Found> {
    ["etc/os-release", "etc/lsb-release"]
        .iter()
        .find_map(|path| debian_in(seen, path))
}

fn debian_in(seen: &Seen, path: &'static str) -> Option<Found> {
    let text = seen.content(path)?;
    let has = |word: &str| text.contains(word);
    let simple = |name: &str| Some(found(name, path, "Debian"));
    if has("Debian") || has("Raspbian") {
        return Some(Found {
            release: in_parentheses(&os_release(seen, "PRETTY_NAME").unwrap_or_default()),
            minor: minor_of(&seen.content("etc/debian_version").unwrap_or_default()),
            ..found("Debian", path, "Debian")
        });
    }
    match () {
        () if has("Ubuntu") => simple("Ubuntu"),
        () if has("SteamOS") => simple("SteamOS"),
        () if has("Kali") => Some(kali(seen, "Kali", path)),
        () if has("Parrot") => Some(kali(seen, "Parrot", path)),
        () if has("Devuan") => Some(versioned(seen, "Devuan", path)),
        () if has("Mint") => Some(versioned(seen, "Linux Mint", path)),
        () if has("UOS") || has("Uos") || has("uos") => Some(versioned(seen, "Uos", path)),
        () if has("Deepin") || has("deepin") => Some(versioned(seen, "Deepin", path)),
        () => None,
    }
}

fn kali(seen: &Seen, name: &str, path: &'static str) -> Found {
    Found {
        release: seen.assigned(path, "DISTRIB_RELEASE"),
        ..found(name, path, "Debian")
    }
}

fn versioned(seen: &Seen, name: &str, path: &'static str) -> Found {
    let version = os_release(seen, "VERSION_ID");
    let major = version
        .as_deref()
        .and_then(|v| v.split('.').next())
        .map(ToString::to_string);
    Found {
        version,
        major,
        release: os_release(seen, "VERSION_CODENAME"),
        ..found(name, path, "Debian")
    }
}

fn flatcar(seen: &Seen, id: &str) -> Option<Found> {
    let path = "etc/os-release";
    let version = seen.assigned(path, "VERSION").filter(|_| id == "flatcar")?;
    Some(Found {
        major: version.split('.').next().map(ToString::to_string),
        version: Some(version),
        ..found("Flatcar", path, "Flatcar")
    })
}

/// Whatever os-release calls itself.
fn named(seen: &Seen) -> Option<Found> {
    let path = "etc/os-release";
    let name = os_release(seen, "NAME")?;
    let without_id = os_release(seen, "VERSION_ID").is_none();
    let version = without_id.then(|| os_release(seen, "VERSION")).flatten();
    Some(Found {
        version,
        ..found(&name, path, "NA")
    })
}

fn os_release(seen: &Seen, key: &str) -> Option<String> {
    seen.assigned("etc/os-release", key)
        .or_else(|| seen.assigned("usr/lib/os-release", key))
}

/// `VERSION_ID`, or better where the distribution is known to say more elsewhere.
fn guessed_version(seen: &Seen, id: &str) -> String {
    let version = os_release(seen, "VERSION_ID").unwrap_or_default();
    let like = os_release(seen, "ID_LIKE").unwrap_or_default();
    match id {
        // What is not released yet has no number.
        _ if version.is_empty() && (id == "debian" || like.split(' ').any(|of| of == "debian")) => {
            seen.content("etc/debian_version").unwrap_or_default()
        }
        "debian" => {
            let point = seen
                .content("etc/debian_version")
                .filter(|text| minor_of(text).is_some());
            point
                .filter(|point| point.starts_with(&version))
                .unwrap_or(version)
        }
        "centos" => {
            let text = seen.content("etc/centos-release").unwrap_or_default();
            let starts_with_digit = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
            let full = text
                .split_whitespace()
                .find(starts_with_digit)
                .unwrap_or(&version);
            full.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
        }
        _ => version,
    }
}

fn codename(seen: &Seen, id: &str) -> Option<String> {
    os_release(seen, "VERSION_CODENAME")
        .or_else(|| os_release(seen, "UBUNTU_CODENAME"))
        .or_else(|| {
            seen.assigned("etc/lsb-release", "DISTRIB_CODENAME")
                .filter(|_| id == "ubuntu")
        })
        .or_else(|| in_parentheses(&os_release(seen, "VERSION")?))
        .or_else(|| {
            let own = seen.content("etc/oracle-release");
            in_parentheses(&own.or_else(|| seen.content("etc/redhat-release"))?)
        })
}

fn in_parentheses(text: &str) -> Option<String> {
    let inner = text.split_once('(')?.1.split_once(')')?.0;
    (!inner.is_empty()).then(|| inner.to_string())
}

/// `12.11` → `11`.
fn minor_of(version: &str) -> Option<String> {
    let (major, minor) = version.trim().split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let minor = minor.split(|c: char| !c.is_ascii_digit()).next()?;
    (digits(major) && digits(minor)).then(|| minor.to_string())
}

/// As Python capitalizes, with the two names that Ansible spells otherwise.
fn capitalized(id: &str) -> String {
    match id {
        "amzn" => return "Amazon".to_string(),
        "rhel" => return "Redhat".to_string(),
        _ => {}
    }
    let mut letters = id.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

const OS_FAMILIES: &[(&str, &[&str])] = &[
    (
        "RedHat",
        &[
            "RedHat",
            "RHEL",
            "Fedora",
            "CentOS",
            "Scientific",
            "SLC",
            "Ascendos",
            "CloudLinux",
            "PSBM",
            "OracleLinux",
            "OVS",
            "OEL",
            "Amazon",
            "Amzn",
            "Virtuozzo",
            "XenServer",
            "Alibaba",
            "EulerOS",
            "openEuler",
            "AlmaLinux",
            "Rocky",
            "TencentOS",
            "EuroLinux",
            "Kylin Linux Advanced Server",
            "MIRACLE",
        ],
    ),
    (
        "Debian",
        &[
            "Debian",
            "Ubuntu",
            "Raspbian",
            "Neon",
            "KDE neon",
            "Linux Mint",
            "SteamOS",
            "Devuan",
            "Kali",
            "Cumulus Linux",
            "Pop!_OS",
            "Parrot",
            "Pardus GNU/Linux",
            "Uos",
            "Deepin",
            "OSMC",
        ],
    ),
    (
        "Suse",
        &[
            "SuSE",
            "SLES",
            "SLED",
            "openSUSE",
            "openSUSE Tumbleweed",
            "SLES_SAP",
            "SUSE_LINUX",
            "openSUSE Leap",
            "ALP-Dolomite",
            "SL-Micro",
        ],
    ),
    ("Archlinux", &["Archlinux", "Antergos", "Manjaro"]),
    ("Gentoo", &["Gentoo", "Funtoo"]),
    ("Mandrake", &["Mandrake", "Mandriva"]),
    ("ClearLinux", &["Clear Linux OS", "Clear Linux Mix"]),
];

fn family(name: &str) -> &str {
    OS_FAMILIES
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map_or(name, |(family, _)| family)
}

/// What `lsb_release -a` would say, from the files it says it from.
fn read_lsb(seen: &Seen, facts: &mut Map) {
    let file = |key: &str| seen.assigned("etc/lsb-release", &format!("DISTRIB_{key}"));
    let tool = seen.program("lsb_release");
    let from = |key: &str, otherwise: Option<String>| file(key).or_else(|| otherwise.filter(|_| tool));
    let id = os_release(seen, "ID").map(|id| capitalized(&id));
    let pairs = [
        ("id", from("ID", id)),
        ("release", from("RELEASE", os_release(seen, "VERSION_ID"))),
        (
            "description",
            from("DESCRIPTION", os_release(seen, "PRETTY_NAME")),
        ),
        ("codename", from("CODENAME", os_release(seen, "VERSION_CODENAME"))),
    ];
    let mut lsb: Map = pairs
        .into_iter()
        .filter_map(|(key, value)| Some((Key::from(key), Value::from(value?))))
        .collect();
    let release = lsb
        .get("release")
        .and_then(Value::as_str)
        .map(ToString::to_string);
    if let Some(release) = release {
        set(
            &mut lsb,
            "major_release",
            release.split('.').next().unwrap_or_default(),
        );
    }
    set(facts, "lsb", lsb);
}
