//! What the lab needs of this machine beside its tools; what is not there is named with the command that mends it.

use std::fs;
use std::path::Path;

use super::place::Place;
use super::{Cluster, HostsAre, hosts, machine, program, vm};
use crate::source::Diagnostic;

/// What the four hosts were seen to hold once they are up.
const HOSTS_INSTANCES: usize = 33;

/// What the programs of a control plane were seen to hold.
const KUBERNETES_INSTANCES: usize = 13;

const INOTIFY_LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

/// The capabilities that root has on a machine and lacks in most containers, by their bits.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_SYS_ADMIN", 21), ("CAP_NET_ADMIN", 12)];

/// An error unless hosts can be started here.
pub fn require(place: &Place, kind: HostsAre, cluster: Cluster) -> Result<(), Diagnostic> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    if kind == HostsAre::Machines {
        let needed = vm::MEMORY * hosts::MACHINES as u64;
        let lacks = lacks_capability(&read("/proc/self/status"))
            .or_else(lacks_tun)
            .or_else(|| lacks_memory(&read("/proc/meminfo"), needed));
        return lacks.map_or(Ok(()), Err);
    }
    let lacks = [
        lacks_capability(&read("/proc/self/status")),
        lacks_overlay(),
        lies_on_overlay(&place.state(), &read("/proc/self/mountinfo")),
        lacks_control_groups(place),
        lacks_inotify_instances(cluster),
    ];
    match lacks.into_iter().flatten().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The way out of a host's failure to start, where what it said gives the cause away.
pub fn help_with(said: &str) -> Option<String> {
    let used_up = said.contains("Too many open files") || said.contains("inotify");
    used_up.then(|| more_instances(&fs::read_to_string(INOTIFY_LIMIT).unwrap_or_default()))
}

fn lacks_capability(status: &str) -> Option<Diagnostic> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let bits = u64::from_str_radix(effective.trim(), 16).ok()?;
    let (name, _) = CAPABILITIES.iter().find(|(_, bit)| bits & (1 << bit) == 0)?;
    let sentence = format!("the lab needs root with {name}: it makes mounts and networks");
    Some(Diagnostic::error(sentence).help(
        "this looks like a container without privileges: run it on the machine itself, or start the container with --privileged",
    ))
}

fn lacks_tun() -> Option<Diagnostic> {
    if Path::new("/dev/net/tun").exists() {
        return None;
    }
    let sentence = "the lab's machines are plugged in by /dev/net/tun, and this machine has none";
    Some(
        Diagnostic::error(sentence).help("modprobe tun; in a container, start it with --device /dev/net/tun"),
    )
}

/// `needed` is in MiB.
fn lacks_memory(meminfo: &str, needed: u64) -> Option<Diagnostic> {
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available = available.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024;
    if available >= needed {
        return None;
    }
    let sentence = format!("the lab's machines need {needed} MB of memory, and {available} MB are free");
    Some(Diagnostic::error(sentence).help("end what uses it, or take the containers: vmstation lab up"))
}

fn lacks_overlay() -> Option<Diagnostic> {
    let known = || knows_overlay(&fs::read_to_string("/proc/filesystems").unwrap_or_default());
    if known() {
        return None;
    }
    // As a module it shows only once it is loaded.
    let loaded = program::run(&["modprobe", "overlay"]);
    if known() {
        return None;
    }
    let error = Diagnostic::error("the lab's hosts are overlays, and this kernel has no overlay file system");
    let error = match loaded {
        Ok(_) => error,
        Err(said) => error.note(said.message),
    };
    Some(error.help("use a kernel with CONFIG_OVERLAY_FS; its module is loaded with: modprobe overlay"))
}

fn knows_overlay(filesystems: &str) -> bool {
    filesystems
        .lines()
        .any(|line| line.split_whitespace().last() == Some("overlay"))
}

/// An overlay cannot be written to another one, as in a container whose `/run` is not a disk of its own.
fn lies_on_overlay(state: &Path, mountinfo: &str) -> Option<Diagnostic> {
    let mount = mountinfo
        .lines()
        .filter_map(mount_point_and_kind)
        .filter(|(point, _)| state.starts_with(point))
        .max_by_key(|(point, _)| point.len())?;
    if mount.1 != "overlay" {
        return None;
    }
    let parent = state.parent().unwrap_or(state).display();
    let sentence = format!(
        "{} would lie on an overlay, and no overlay can be put on another",
        state.display()
    );
    Some(Diagnostic::error(sentence).help(format!("mkdir -p {parent} && mount -t tmpfs tmpfs {parent}")))
}

fn mount_point_and_kind(line: &str) -> Option<(&str, &str)> {
    let point = line.split(' ').nth(4)?;
    let (_, behind) = line.split_once(" - ")?;
    Some((point, behind.split(' ').next()?))
}

fn lacks_control_groups(place: &Place) -> Option<Diagnostic> {
    if !machine::control_groups(place).is_empty() {
        return None;
    }
    let sentence = "no control groups are mounted at /sys/fs/cgroup, which the hosts' systemd needs";
    Some(Diagnostic::error(sentence).help("mount -t cgroup2 cgroup2 /sys/fs/cgroup"))
}

fn lacks_inotify_instances(cluster: Cluster) -> Option<Diagnostic> {
    let limit = fs::read_to_string(INOTIFY_LIMIT).ok()?;
    let needed = match cluster {
        Cluster::None => HOSTS_INSTANCES,
        Cluster::Kubernetes => HOSTS_INSTANCES + KUBERNETES_INSTANCES,
    };
    lacks_instances(limit.trim().parse().ok()?, inotify_instances(), needed)
}

fn lacks_instances(limit: usize, used: usize, needed: usize) -> Option<Diagnostic> {
    if used.saturating_add(needed) <= limit {
        return None;
    }
    let sentence = format!(
        "the lab's hosts need {needed} inotify instances, and root may have {limit}, of which {used} are used"
    );
    Some(Diagnostic::error(sentence).help(more_instances(&limit.to_string())))
}

fn more_instances(limit: &str) -> String {
    let limit: usize = limit.trim().parse().unwrap_or(128);
    format!(
        "sysctl -w fs.inotify.max_user_instances={}",
        (limit * 2).max(1024)
    )
}

/// Those of root's processes. One that several processes share counts more than once: rather too many than too few.
fn inotify_instances() -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| is_roots(&process.path()))
        .filter_map(|process| fs::read_dir(process.path().join("fd")).ok())
        .flatten()
        .flatten()
        .filter(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:inotify"))
        .count()
}

fn is_roots(process: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let name = process.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        && fs::metadata(process).is_ok_and(|found| found.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(error: Option<Diagnostic>) -> String {
        error.unwrap().to_string()
    }

    #[test]
    fn used_up_inotify_instances_are_named_with_the_command() {
        assert_eq!(lacks_instances(128, 95, 33), None);
        assert_eq!(
            help(lacks_instances(128, 96, 33)),
            "error: the lab's hosts need 33 inotify instances, and root may have 128, of which 96 are used\n\
             help: sysctl -w fs.inotify.max_user_instances=1024"
        );
        assert!(help(lacks_instances(1024, 1000, 33)).contains("max_user_instances=2048"));
        let said = "Failed to allocate manager object: Too many open files";
        assert!(help_with(said).unwrap().starts_with("sysctl -w fs.inotify."));
        assert_eq!(help_with("Welcome to Debian"), None);
    }

    #[test]
    fn a_container_without_privileges_is_told_apart() {
        assert_eq!(lacks_capability("Uid:\t0\nCapEff:\t000001ffffffffff\n"), None);
        let docker = help(lacks_capability("CapEff:\t00000000a80425fb\n"));
        assert!(
            docker.contains("CAP_SYS_ADMIN") && docker.contains("--privileged"),
            "{docker}"
        );
    }

    #[test]
    fn memory_that_is_not_there_is_counted() {
        let meminfo = "MemTotal:       24576000 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(lacks_memory(meminfo, 2048), None);
        let error = help(lacks_memory(meminfo, 3072));
        assert!(
            error.contains("need 3072 MB of memory, and 2048 MB are free"),
            "{error}"
        );
    }

    #[test]
    fn an_overlay_is_not_put_on_another() {
        let mounts =
            "1 0 0:5 / / rw - overlay overlay rw\n2 1 0:6 / /run rw,nosuid shared:2 - tmpfs tmpfs rw\n";
        assert_eq!(lies_on_overlay(Path::new("/run/vmstation/lab"), mounts), None);
        let error = help(lies_on_overlay(Path::new("/running/lab"), mounts));
        assert!(error.contains("mount -t tmpfs tmpfs /running"), "{error}");
    }

    #[test]
    fn a_kernel_says_whether_it_knows_overlays() {
        assert!(knows_overlay("nodev\tproc\nnodev\toverlay\n\text4\n"));
        assert!(!knows_overlay("nodev\tproc\n\text4\n"));
    }
}
