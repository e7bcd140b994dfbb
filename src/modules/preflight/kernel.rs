//! The kernel: its modules, its settings, swap, control groups, `SELinux`.

use super::super::sysctl::{self, same};
use super::finding::Finding;
use super::seen::Seen;
use super::{Check, Preflight};
use crate::host::quote;
use crate::modules::configuration;

/// The running kernel and the one that the next boot takes: what the boot loader has saved, else what Debian links,
/// else the newest by name. `grubby` knows too, and takes a tenth of a second.
pub const VERSIONS: &str = "read -r k </proc/sys/kernel/osrelease
n=
if [ -r /boot/grub2/grubenv ]; then
  while IFS= read -r x; do
    case $x in saved_entry=*) n=${x#saved_entry=} ;; esac
  done </boot/grub2/grubenv
  n=${n#*-}
  [ -e \"/boot/vmlinuz-$n\" ] || n=
fi
[ -n \"$n\" ] || [ ! -L /vmlinuz ] || { n=$(readlink /vmlinuz); n=${n##*/vmlinuz-}; }
[ -n \"$n\" ] || for x in /boot/vmlinuz-*; do [ -e \"$x\" ] && n=${x##*/vmlinuz-}; done
printf '=kernels\\n%s\\n%s\\n' \"$k\" \"${n:-$k}\"
";

pub const MODULES: Check = Check {
    name: "modules",
    look: |wanted| {
        if wanted.modules.is_empty() {
            return String::new();
        }
        let names = wanted.modules.iter().map(|m| m.replace('-', "_"));
        let names: Vec<String> = names.collect();
        // In names of files, either stands for the other.
        let files = names
            .iter()
            .map(|m| m.replace('_', "[-_]"))
            .collect::<Vec<_>>()
            .join("|");
        format!(
            "echo =loaded; for m in {loaded}; do [ -d \"/sys/module/$m\" ] && echo \"$m\"; done
for v in \"$k\" \"${{n:-$k}}\"; do [ -d \"/lib/modules/$v\" ] || continue; echo \"=built $v\"
grep -ohsE {built} \"/lib/modules/$v/modules.dep\" \"/lib/modules/$v/modules.builtin\"; done
[ ! -x /usr/bin/dnf ] || {{ echo =extra; for x in /lib/modules/*/extra; do [ ! -d \"$x\" ] || echo \"$x\"; done; }}
echo =listed; grep -hsE {listed} /etc/modules-load.d/*.conf /run/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf /etc/modules
echo =blacklist
grep -HsnE {blacklist} /etc/modprobe.d/*.conf /run/modprobe.d/*.conf /usr/lib/modprobe.d/*.conf
",
            loaded = names.iter().map(|m| quote(m)).collect::<Vec<_>>().join(" "),
            listed = quote(&format!("^[[:space:]]*({files})[[:space:]]*$")),
            built = quote(&format!("/({files})\\.ko")),
            blacklist = quote(&format!(
                "^[[:space:]]*(blacklist|install)[[:space:]]+({files})([[:space:]]|$)"
            )),
        )
    },
    judge: |wanted, seen| {
        let mut found = Vec::new();
        let (running, next) = (seen.line("kernels", 0), seen.line("kernels", 1));
        for version in [running, next] {
            let is_running = version == running;
            if version == next && is_running && !found.is_empty() {
                continue;
            }
            found.extend(modules_of(wanted, seen, version, is_running));
            if running == next {
                break;
            }
        }
        found.extend(wanted.modules.iter().filter_map(|module| kept_away(seen, module)));
        found.extend(
            wanted
                .modules
                .iter()
                .filter_map(|module| not_listed(seen, module)),
        );
        found
    },
};

const NEEDED: &str = "kube-proxy and the CNI need it";

fn modules_of(wanted: &Preflight, seen: &Seen, version: &str, is_running: bool) -> Vec<Finding> {
    if wanted.modules.is_empty() {
        return Vec::new();
    }
    let section = format!("built {version}");
    let which = if is_running { "running" } else { "next" };
    if !seen.has(&section) {
        return vec![Finding {
            what: format!("there is no directory /lib/modules/{version}, of the {which} kernel"),
            place: format!("/lib/modules/{version}"),
            why: "no module can be loaded into that kernel",
            fix: "install the kernel's package again, or reboot into one that is whole".into(),
            task: None,
        }];
    }
    let is_built = |module: &str| {
        let is = |line: &String| {
            line.trim_start_matches('/')
                .trim_end_matches(".ko")
                .replace('-', "_")
                == *module
        };
        seen.lines(&section).iter().any(is)
    };
    let is_loaded = |module: &String| is_running && seen.lines("loaded").contains(module);
    let missing = wanted.modules.iter().map(|m| m.replace('-', "_"));
    missing
        .filter(|module| !is_built(module) && !is_loaded(module))
        .map(|module| Finding {
            what: format!("{module} is not there for the {which} kernel {version}"),
            place: format!("/lib/modules/{version}"),
            why: NEEDED,
            fix: if seen.has("extra") {
                format!("dnf install kernel-modules-extra-{version}, where RHEL keeps it; or reboot into a kernel that has it")
            } else {
                format!("install the package of the kernel {version} again, or reboot into one that has it")
            },
            // Of any version: where there is one, deploy is content.
            task: (seen.has("extra") && seen.lines("extra").is_empty())
                .then_some("network : Install packages on RHEL"),
        })
        .collect()
}

fn not_listed(seen: &Seen, module: &str) -> Option<Finding> {
    let name = module.replace('-', "_");
    let mut listed = seen.lines("listed").iter();
    if listed.any(|line| line.trim().replace('-', "_") == name) {
        return None;
    }
    Some(Finding {
        what: format!("{module} is not listed for the next boot"),
        place: "/etc/modules-load.d".into(),
        why: NEEDED,
        fix: format!("a line `{module}` in a file there"),
        task: Some("network : Load kernel modules at boot"),
    })
}

fn kept_away(seen: &Seen, module: &str) -> Option<Finding> {
    let name = module.replace('-', "_");
    let about = |line: &&String| {
        let words = line.splitn(3, ':').nth(2).unwrap_or_default();
        let mut words = words.split_whitespace().skip(1);
        words.next().is_some_and(|word| word.replace('-', "_") == name)
    };
    let line = seen.lines("blacklist").iter().find(about)?;
    let place = line.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
    Some(Finding {
        what: format!("{module} is kept from being loaded"),
        place,
        why: NEEDED,
        fix: "take that line out".into(),
        task: None,
    })
}

pub const SYSCTLS: Check = Check {
    name: "sysctls",
    look: |wanted| {
        if wanted.sysctls.is_empty() {
            return String::new();
        }
        // Not by the shell's `read`: it goes byte by byte, and of numbers the kernel shows all at once or one digit.
        let paths: Vec<String> = (wanted.sysctls.keys())
            .map(|name| quote(&sysctl::proc_path(name)))
            .collect();
        let (paths, boot) = (paths.join(" "), sysctl::boot_configuration().script);
        format!("echo =live; grep -Hs '' /dev/null {paths}\necho =boot\n{boot}\n")
    },
    judge: |wanted, seen| {
        let boot = configuration::lines(&seen.lines("boot").join("\n"));
        let mut found = Vec::new();
        for (name, value) in &wanted.sysctls {
            found.extend(live(seen, name, value));
            if let Some(line) = sysctl::decides(&boot, name).filter(|line| !sysctl::says(line, value)) {
                let (_, sets) = sysctl::assignment(&line.text).unwrap_or_default();
                found.push(Finding {
                    what: format!("{} sets {name} to {sets} and is read last", line.path),
                    place: format!("{}:{}", line.path, line.number),
                    why: "at the next boot it wins, and packets are not forwarded or not filtered",
                    fix: format!("take the line out, or let it say {value}"),
                    task: Some("network : Comment that out where it is read after ours"),
                });
            }
        }
        found
    },
};

fn live(seen: &Seen, name: &str, value: &str) -> Option<Finding> {
    let path = sysctl::proc_path(name);
    let mut lines = seen.lines("live").iter();
    let now = lines.find_map(|line| line.strip_prefix(&*path)?.strip_prefix(':'));
    let what = match now {
        Some(now) if same(now, value) => return None,
        Some(now) => format!("{name} is {now}, not {value}"),
        None => format!("{name} is not there: its module is not loaded"),
    };
    Some(Finding {
        what,
        place: path,
        why: "packets between pods and services are not forwarded, or pass by the rules of iptables",
        fix: format!("sysctl -w {name}={value}"),
        task: Some("network : Set kernel settings, now and at boot"),
    })
}

const NO_SWAP: &str = "kubelet does not start with swap on";

pub const SWAP: Check = Check {
    name: "swap",
    look: |_| {
        "echo =swaps; while IFS= read -r x; do printf '%s\\n' \"$x\"; done </proc/swaps
echo =fstab; grep -Hsn '^[[:space:]]*[^#[:space:]][^[:space:]]*[[:space:]]\\{1,\\}[^[:space:]]\\{1,\\}[[:space:]]\\{1,\\}swap' /etc/fstab
for x in /etc/systemd/zram-generator.conf /usr/lib/systemd/zram-generator.conf; do [ -f \"$x\" ] && echo \"$x:1:zram\"; done
[ -L /etc/systemd/system/swap.target ] && echo =swap.target
"
        .to_string()
    },
    judge: |_, seen| {
        let mut found = Vec::new();
        let on = seen
            .lines("swaps")
            .iter()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next());
        found.extend(on.map(|device| Finding {
            what: format!("swap is on: {device}"),
            place: "/proc/swaps".into(),
            why: NO_SWAP,
            fix: "swapoff -a".into(),
            task: Some("network : Turn swap off"),
        }));
        let later = seen.lines("fstab").iter().filter(|_| !seen.has("swap.target"));
        found.extend(later.map(|line| {
            let mut words = line.splitn(3, ':');
            let (file, number) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            Finding {
                what: "swap comes back at the next boot".into(),
                place: format!("{file}:{number}"),
                why: NO_SWAP,
                fix: "comment the line out, and mask swap.target".into(),
                task: Some("network : Comment swap out in fstab"),
            }
        }));
        found
    },
};

pub const CGROUPS: Check = Check {
    name: "cgroups",
    look: |_| {
        "echo =cgroups; [ -f /sys/fs/cgroup/cgroup.controllers ] && echo 2 || echo 1
echo =drivers
[ ! -f /etc/containerd/config.toml ] || if grep -qs '^[[:space:]]*SystemdCgroup[[:space:]]*=[[:space:]]*true' /etc/containerd/config.toml
then echo containerd systemd; else echo containerd cgroupfs; fi
[ ! -f /var/lib/kubelet/config.yaml ] || while read -r x y; do [ \"$x\" = cgroupDriver: ] && echo \"kubelet $y\"; done </var/lib/kubelet/config.yaml
"
        .to_string()
    },
    judge: |_, seen| {
        let mut found = Vec::new();
        if seen.line("cgroups", 0) == "1" {
            found.push(Finding {
                what: "control groups are of version 1".into(),
                place: "/sys/fs/cgroup".into(),
                why: "the kubelet's drivers and limits want version 2; Kubernetes leaves version 1 behind",
                fix: "boot without systemd.unified_cgroup_hierarchy=0".into(),
                task: None,
            });
        }
        let drivers = seen
            .lines("drivers")
            .iter()
            .filter_map(|line| line.split_once(' '));
        let drivers: Vec<(&str, &str)> = drivers.collect();
        let not_systemd = |(who, driver): &(&str, &str)| {
            let (place, fix, task) = match *who {
                "containerd" => (
                    "/etc/containerd/config.toml",
                    "SystemdCgroup = true",
                    Some("kubelet : Let containerd leave the control groups to systemd"),
                ),
                _ => ("/var/lib/kubelet/config.yaml", "cgroupDriver: systemd", None),
            };
            (*driver != "systemd").then(|| Finding {
                what: format!("{who} uses the cgroup driver {driver}, not systemd"),
                place: place.into(),
                why: "two masters of one tree: pods are killed under load",
                fix: fix.into(),
                task,
            })
        };
        found.extend(drivers.iter().filter_map(not_systemd));
        found
    },
};

pub const SELINUX: Check = Check {
    name: "selinux",
    look: |_| {
        "echo =selinux; [ ! -r /sys/fs/selinux/enforce ] || { read -r x </sys/fs/selinux/enforce; echo \"$x\"; }\n"
            .to_string()
    },
    judge: |_, seen| {
        if seen.line("selinux", 0) != "1" {
            return Vec::new();
        }
        vec![Finding {
            what: "SELinux is enforcing".into(),
            place: "/sys/fs/selinux/enforce".into(),
            why: "containers may not read what the kubelet mounts for them",
            fix: "setenforce 0, and SELINUX=permissive in /etc/selinux/config".into(),
            task: Some("network : Make SELinux permissive now"),
        }]
    },
};
