//! One host of the lab: an overlay on its root file system, the few files that
//! make it this host, and a container that boots it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hosts::{self, CONTROLLER, HOSTS, Host};
use super::place::{Place, directory, failed, write};
use super::{kernel, network, process, program, requirements};
use crate::source::Diagnostic;

/// What a host knows its own end of the cable by.
pub enum Link {
    Name(&'static str),
    /// Its hardware address: a machine names its links by itself.
    Address(String),
}

/// The kinds of host key that a host has; RSA is left out, it takes long to make.
const KEY_KINDS: [&str; 2] = ["ed25519", "ecdsa"];

/// The key that logs in to every host.
pub fn make_key(place: &Place) -> Result<(), Diagnostic> {
    keygen("ed25519", &place.key(), "lab")
}

/// The text of every host's /etc/hosts: without all names in it, sudo would ask
/// a name server that is not there.
pub fn hosts_file() -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n",
    );
    for host in HOSTS {
        let _ = writeln!(text, "{}\t{}", host.address, host.name);
    }
    let _ = writeln!(text, "{CONTROLLER}\tcontroller");
    text
}

/// Makes a fresh host of layers, the topmost first.
pub fn create(place: &Place, host: &Host, layers: &[PathBuf], hosts: &str) -> Result<(), Diagnostic> {
    let dir = place.host(host.name);
    mount(&dir, layers)?;
    let root = dir.join("root");
    furnish(
        place,
        host,
        &root,
        &root.join("etc/passwd"),
        &Link::Name("host0"),
        hosts,
    )
}

/// Starts to boot a host that was made.
pub fn start(place: &Place, host: &Host) -> Result<(), Diagnostic> {
    let dir = place.host(host.name);
    let root = dir.join("root");
    let mut words = network::inside(place);
    words.extend(container(place, host, &root));
    words.extend(kernel::modules(&root)?);
    let groups: Vec<PathBuf> = control_groups(place)
        .into_iter()
        .map(|group| group.join(host.name))
        .collect();
    process::start(place, &record(host), &groups, &dir.join("console.log"), &words)
}

/// Whether the container of a host runs.
pub fn runs(place: &Place, host: &Host) -> bool {
    process::running(place, &record(host)).is_some()
}

/// Whether the host's sshd listens and lets people in.
pub fn answers(place: &Place, host: &Host) -> bool {
    init(place, host).is_some_and(|pid| {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let has = |file: &str, part: &str| {
            fs::read_to_string(proc.join(file)).is_ok_and(|text| text.contains(part))
        };
        // Port 22 in state LISTEN; a route means that the address is there.
        has("net/tcp", ":0016 00000000:0000 0A")
            && has("net/route", "host0")
            && !proc.join("root/run/nologin").exists()
    })
}

/// Waits until the host is booted; tells what failed while it did, if anything.
pub fn wait(place: &Place, host: &Host, limit: Duration) -> Result<Option<String>, Diagnostic> {
    process::wait_until(limit, || answers(place, host) || !runs(place, host));
    let Some(inside) = inside(place, host).filter(|_| answers(place, host)) else {
        let log = place.host(host.name).join("console.log");
        let said = fs::read_to_string(&log).unwrap_or_default();
        let help = requirements::help_with(&said)
            .unwrap_or_else(|| format!("the whole of it is in {}", log.display()));
        return Err(
            Diagnostic::error(format!("the lab's host {} did not come up", host.name))
                .note(said.trim_end().to_owned())
                .help(help),
        );
    };
    // By its path: `PATH` is that of this machine's person.
    let systemctl = format!(
        "timeout {} {} /usr/bin/systemctl --no-pager",
        limit.as_secs(),
        inside.join(" ")
    );
    let state = format!("{systemctl} is-system-running --wait || true");
    let state = program::run(&["sh", "-c", &state])?;
    if state.trim() == "running" {
        return Ok(None);
    }
    let units = program::run(&["sh", "-c", &format!("{systemctl} --failed --plain --no-legend")])?;
    let units: Vec<&str> = units
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    Ok(Some(format!("{} {}", state.trim(), units.join(" "))))
}

/// Ends every host, also those that a killed command left half made.
pub fn stop_all(place: &Place) -> Result<(), Diagnostic> {
    for group in control_groups(place) {
        empty(&group)?;
    }
    for name in process::names(place) {
        process::stop(place, &name)?;
    }
    unmount_below(&place.state())?;
    for group in control_groups(place) {
        remove_group(&group);
    }
    for host in HOSTS {
        // systemd-nspawn leaves this directory behind when its /run is a disk.
        let _ = fs::remove_dir(Path::new("/run/systemd/nspawn/propagate").join(machine_name(place, host)));
    }
    Ok(())
}

/// Unmounts everything below a directory, the innermost first.
pub fn unmount_below(dir: &Path) -> Result<(), Diagnostic> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for point in mount_points(&mounts, dir).into_iter().rev() {
        program::run(&["umount".as_ref(), point.as_path()])?;
    }
    Ok(())
}

/// What ssh has to know of the hosts, by address and by name.
pub fn write_known_hosts(place: &Place) -> Result<(), Diagnostic> {
    let mut text = String::new();
    for host in hosts::of(place) {
        for kind in KEY_KINDS {
            let file = host_key(&place.host(host.name).join("root"), kind).with_extension("pub");
            let key = fs::read_to_string(&file).map_err(|error| failed("read", &file, &error))?;
            let words: Vec<&str> = key.split_whitespace().take(2).collect();
            let _ = writeln!(text, "{},{} {}", host.address, host.name, words.join(" "));
        }
    }
    write(&place.known_hosts(), &text, 0o644)
}

/// The name of the process that is the host.
pub fn record(host: &Host) -> String {
    format!("host-{}", host.name)
}

fn machine_name(place: &Place, host: &Host) -> String {
    format!("{}-{}", place.namespace(), host.name)
}

/// The words that run what follows them on a host, as root.
pub fn inside(place: &Place, host: &Host) -> Option<Vec<String>> {
    let pid = init(place, host)?.to_string();
    let words = ["nsenter", "-t", &pid, "-m", "-u", "-i", "-n", "-p", "--"];
    Some(words.map(str::to_owned).to_vec())
}

/// The pid, here, of the host's process 1: the shell's child is systemd-nspawn,
/// whose child it is.
pub fn init(place: &Place, host: &Host) -> Option<u32> {
    let shell = process::running(place, &record(host))?;
    process::child(process::child(shell)?)
}

fn mount(dir: &Path, layers: &[PathBuf]) -> Result<(), Diagnostic> {
    for name in ["upper", "work", "root"] {
        directory(&dir.join(name))?;
    }
    let lower: Vec<_> = layers.iter().map(|layer| layer.display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        dir.join("upper").display(),
        dir.join("work").display()
    );
    let target = dir.join("root").display().to_string();
    program::run(&["mount", "-t", "overlay", "overlay", "-o", &options, &target]).map(drop)
}

/// The files that make a root file system this host. `passwd` are the accounts there.
pub fn furnish(
    place: &Place,
    host: &Host,
    root: &Path,
    passwd: &Path,
    link: &Link,
    hosts: &str,
) -> Result<(), Diagnostic> {
    write(&root.join("etc/hostname"), &format!("{}\n", host.name), 0o644)?;
    write(&root.join("etc/hosts"), hosts, 0o644)?;
    write(&root.join("etc/machine-id"), &machine_id()?, 0o444)?;
    for (file, text, mode) in network_files(host, link) {
        write(&root.join(file), &text, mode)?;
    }
    directory(&root.join("etc/ssh"))?;
    for kind in KEY_KINDS {
        keygen(kind, &host_key(root, kind), host.name)?;
    }
    let public = place.key().with_extension("pub");
    let key = fs::read_to_string(&public).map_err(|error| failed("read", &public, &error))?;
    let users = fs::read_to_string(passwd).map_err(|error| failed("read", passwd, &error))?;
    for user in ["root", "admin", "operator", "guest"] {
        // Where root is not logged in to, only its sudo is.
        if user == "root" && host.become_root {
            continue;
        }
        let Some((uid, gid, home)) = account(&users, user) else {
            continue;
        };
        let dir = root.join(home.trim_start_matches('/')).join(".ssh");
        let file = dir.join("authorized_keys");
        write(&file, &key, 0o600)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
            .map_err(|error| failed("chmodded", &dir, &error))?;
        for path in [&dir, &file] {
            chown(path, Some(uid), Some(gid)).map_err(|error| failed("chowned", path, &error))?;
        }
    }
    Ok(())
}

/// The host's fixed address, in the words of what configures its network.
fn network_files(host: &Host, link: &Link) -> Vec<(&'static str, String, u32)> {
    if host.root == "rhel" {
        let (name, address) = match link {
            Link::Name(name) => (format!("interface-name={name}\n"), String::new()),
            Link::Address(address) => (String::new(), format!("mac-address={address}\n")),
        };
        let text = format!(
            "[connection]\nid=host0\ntype=ethernet\n{name}\n\
             [ethernet]\n{address}\n[ipv4]\nmethod=manual\naddress1={}/24,{CONTROLLER}\n\n[ipv6]\nmethod=disabled\n",
            host.address
        );
        let file = "etc/NetworkManager/system-connections/host0.nmconnection";
        return vec![(file, text, 0o600)];
    }
    let matches = match link {
        Link::Name(name) => format!("Name={name}"),
        Link::Address(address) => format!("MACAddress={address}"),
    };
    let text = format!(
        "[Match]\n{matches}\n\n[Network]\nAddress={}/24\nGateway={CONTROLLER}\nLinkLocalAddressing=no\n",
        host.address
    );
    vec![("etc/systemd/network/10-host0.network", text, 0o644)]
}

/// uid, gid and home of a user, out of a passwd file.
fn account<'a>(passwd: &'a str, user: &str) -> Option<(u32, u32, &'a str)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    let fields: Vec<&str> = line.split(':').collect();
    Some((
        fields.get(2)?.parse().ok()?,
        fields.get(3)?.parse().ok()?,
        fields.get(5)?,
    ))
}

fn machine_id() -> Result<String, Diagnostic> {
    let file = Path::new("/proc/sys/kernel/random/uuid");
    let id = fs::read_to_string(file).map_err(|error| failed("read", file, &error))?;
    Ok(id.replace('-', ""))
}

fn host_key(root: &Path, kind: &str) -> PathBuf {
    root.join(format!("etc/ssh/ssh_host_{kind}_key"))
}

fn keygen(kind: &str, file: &Path, comment: &str) -> Result<(), Diagnostic> {
    let path = file.display().to_string();
    program::run(&[
        "ssh-keygen",
        "-q",
        "-t",
        kind,
        "-N",
        "",
        "-C",
        comment,
        "-f",
        &path,
    ])
    .map(drop)
}

/// Boots the container again for as long as it ends with the code that means that
/// it wants to.
const REBOOTS: &str = r#"while "$@"; [ $? = 133 ]; do :; done"#;

fn container(place: &Place, host: &Host, root: &Path) -> Vec<String> {
    let mut words: Vec<String> = [
        "sh",
        "-c",
        REBOOTS,
        "sh",
        "env",
        // As on a Debian or RHEL machine, whatever this one has.
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--boot",
        "--console=pipe",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(format!("--network-bridge={}", network::BRIDGE));
    words.push(format!("--directory={}", root.display()));
    words.push(format!("--machine={}", machine_name(place, host)));
    words.push(format!("--hostname={}", host.name));
    words
}

/// The lab's control group in each hierarchy that systemd uses: the single one of
/// a current machine, or the two of a machine with both versions. Each host gets
/// its own below; without, their systemds would take one another's services.
pub fn control_groups(place: &Place) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let single = top.join("cgroup.procs").exists();
    let tops = if single {
        vec![top.to_path_buf()]
    } else {
        vec![top.join("systemd"), top.join("unified")]
    };
    tops.into_iter()
        .filter(|top| top.join("cgroup.procs").exists())
        .map(|top| top.join(place.namespace()))
        .collect()
}

/// Kills whatever is in a control group or below it, until nothing is.
fn empty(group: &Path) -> Result<(), Diagnostic> {
    let gone = process::wait_until(Duration::from_secs(10), || {
        let pids = members(group);
        process::kill(&pids);
        pids.is_empty()
    });
    if gone {
        return Ok(());
    }
    Err(
        Diagnostic::error(format!("processes in {} do not end", group.display()))
            .help("run `vmstation lab down` again"),
    )
}

fn members(group: &Path) -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    for below in groups_below(group) {
        pids.extend(members(&below));
    }
    pids
}

fn remove_group(group: &Path) {
    for below in groups_below(group) {
        remove_group(&below);
    }
    // An empty one that stays does no harm, and the next `down` tries again.
    let _ = fs::remove_dir(group);
}

fn groups_below(group: &Path) -> Vec<PathBuf> {
    fs::read_dir(group)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// The mount points at or below a directory, in the order they were mounted.
fn mount_points(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| point.starts_with(dir))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_below_are_found_by_whole_names() {
        let text = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:5 / /run/x/a rw - overlay o rw\n\
                    3 1 0:6 / /run/xy rw - tmpfs t rw\n4 2 0:7 / /run/x/a/proc rw - proc p rw\n";
        assert_eq!(
            mount_points(text, Path::new("/run/x")),
            [PathBuf::from("/run/x/a"), PathBuf::from("/run/x/a/proc")]
        );
    }

    #[test]
    fn an_account_is_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1001::/home/admin:/bin/bash\n";
        assert_eq!(account(passwd, "admin"), Some((1000, 1001, "/home/admin")));
        assert_eq!(account(passwd, "adm"), None);
    }

    #[test]
    fn every_host_is_in_the_hosts_file() {
        let text = hosts_file();
        for host in HOSTS {
            assert!(text.contains(&format!("{}\t{}\n", host.address, host.name)));
        }
    }
}
