//! The machine's name, kernel and architecture.

use super::{FAMILY, Family, Seen, set};
use crate::vars::Map;

pub(super) const PLATFORM: Family = Family {
    name: "platform",
    ids: &[
        "system",
        "kernel",
        "kernel_version",
        "machine",
        "architecture",
        "machine_id",
    ],
    minimal: true,
    files: &[
        "proc/sys/kernel/ostype",
        "proc/sys/kernel/osrelease",
        "proc/sys/kernel/version",
        "proc/sys/kernel/arch",
        "proc/sys/kernel/hostname",
        "etc/machine-id",
        "var/lib/dbus/machine-id",
    ],
    exists: &[
        "lib64/ld-linux-x86-64.so.2",
        "lib/ld-musl-x86_64.so.1",
        "lib/ld-linux.so.2",
    ],
    shell: r#"echo =machine
[ -r proc/sys/kernel/arch ] || uname -m
echo =hosts
h=
read -r h <proc/sys/kernel/hostname
t=
case $h in
  ''|*.*) t=1 ;;
esac
if [ -z "$t" ] && [ -f etc/hosts ]; then
  k=0 a=
  while read -r x y && [ "$k" -lt 500 ]; do
    k=$((k+1))
    y=${y%%#*}
    set -f
    for p in $y; do
      [ "$p" = "$h" ] && a=$x t=1 && break
    done
    set +f
    [ -n "$t" ] && break
  done <etc/hosts
  # The name that the address leads back to is the first on its first line.
  [ -n "$a" ] && while read -r x y; do
    [ "$x" = "$a" ] && echo "$x ${y%%#*}" && break
  done <etc/hosts
fi
if [ -z "$t" ] && command -v getent >/dev/null; then
  within getent hosts "$h"
  [ $? = 124 ] && n "fqdn: looking up $h took longer than $LIMIT s"
fi
"#,
    read,
    ..FAMILY
};

fn read(seen: &Seen, facts: &mut Map) {
    let kernel = |name: &str| {
        seen.content(&format!("proc/sys/kernel/{name}"))
            .unwrap_or_default()
    };
    let arch = Some(kernel("arch")).filter(|arch| !arch.is_empty());
    let machine = arch.unwrap_or_else(|| seen.line("machine").trim().to_string());
    let bits = userspace_bits(seen, &machine);
    let system = Some(kernel("ostype")).filter(|name| !name.is_empty());
    set(facts, "system", system.unwrap_or_else(|| "Linux".to_string()));
    set(facts, "kernel", kernel("osrelease"));
    set(facts, "kernel_version", kernel("version"));
    set(facts, "machine", machine.as_str());
    let intel32 = ["i386", "i486", "i586", "i686"].contains(&machine.as_str());
    set(facts, "architecture", if intel32 { "i386" } else { &machine });
    if intel32 || machine == "x86_64" {
        set(
            facts,
            "userspace_architecture",
            if bits == "64" { "x86_64" } else { "i386" },
        );
    }
    set(facts, "userspace_bits", bits);
    read_names(seen, facts, &kernel("hostname"));
    let id = ["var/lib/dbus/machine-id", "etc/machine-id"]
        .iter()
        .find_map(|path| seen.content(path));
    if let Some(id) = id {
        set(facts, "machine_id", id.lines().next().unwrap_or_default());
    }
}

fn read_names(seen: &Seen, facts: &mut Map, nodename: &str) {
    let fqdn = full_name(seen.line("hosts"), nodename);
    set(facts, "nodename", nodename);
    set(facts, "hostname", nodename.split('.').next().unwrap_or_default());
    set(
        facts,
        "domain",
        fqdn.split_once('.').map_or("", |(_, domain)| domain),
    );
    set(facts, "fqdn", fqdn);
}

/// From a line `address name alias…`: the first with a dot in it, else the first.
fn full_name<'a>(line: &'a str, nodename: &'a str) -> &'a str {
    if nodename.contains('.') {
        return nodename;
    }
    let mut names = line.split_whitespace().skip(1);
    let first = names.clone().next().unwrap_or(nodename);
    names.find(|name| name.contains('.')).unwrap_or(first)
}

/// A 64-bit kernel may carry a 32-bit system; its loader tells.
fn userspace_bits(seen: &Seen, machine: &str) -> &'static str {
    let only_32 = seen.exists("lib/ld-linux.so.2")
        && !seen.exists("lib64/ld-linux-x86-64.so.2")
        && !seen.exists("lib/ld-musl-x86_64.so.1");
    match machine {
        "x86_64" if only_32 => "32",
        "i386" | "i486" | "i586" | "i686" | "armv6l" | "armv7l" | "mips" | "ppc" => "32",
        _ => "64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_is_the_one_with_a_dot() {
        assert_eq!(full_name("192.0.2.1 db db.example.org", "db"), "db.example.org");
        assert_eq!(full_name("127.0.0.1 localhost", "db"), "localhost");
        assert_eq!(full_name("", "db"), "db");
        assert_eq!(full_name("", "db.example.org"), "db.example.org");
    }
}
