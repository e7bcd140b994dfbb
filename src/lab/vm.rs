//! One host of the lab as a virtual machine: an overlay on a disk (`image`), a disk to
//! swap to, and a third that makes it this host when it first boots.
//!
//! QEMU runs inside the lab's network namespace, plugged into its bridge. What the
//! machine writes to its console is kept beside its other files, reboots included.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::accelerator::Accelerator;
use super::hosts::Host;
use super::image::Images;
use super::place::{Place, directory, failed};
use super::{machine, network, process, program, ssh_words};
use crate::source::Diagnostic;

/// What each machine has, in MiB; seen to do for an installation with dnf.
pub const MEMORY: u64 = 1024;

const SWAP_BYTES: u64 = 512 << 20;

/// The name that `/etc/fstab` of a root has for its swap.
fn swap_id(root: &str) -> &'static str {
    match root {
        "rhel" => "8c6a0c5e-52a5-4b52-9c3a-8c6f2f0f2d10",
        _ => "3f1c2a54-6f0e-4a6e-9d3b-0c8f5f6f7a11",
    }
}

/// Makes a fresh host: its disks, and what is on them of its own.
pub fn create(place: &Place, host: &Host, images: &Images, hosts: &str) -> Result<(), Diagnostic> {
    let dir = place.host(host.name);
    let root = dir.join("root");
    directory(&root)?;
    let link = machine::Link::Address(hardware_address(host));
    machine::furnish(place, host, &root, &images.passwd(host.root), &link, hosts)?;
    let disks = place.disks();
    directory(&disks)?;
    fs::set_permissions(&disks, fs::Permissions::from_mode(0o700))
        .map_err(|error| failed("chmodded", &disks, &error))?;

    let seed = disk(place, host, "seed");
    program::run(&[
        "tar".as_ref(),
        "-C".as_ref(),
        root.as_path(),
        "-cf".as_ref(),
        &seed,
        ".".as_ref(),
    ])?;
    let swap = disk(place, host, "swap");
    File::create(&swap)
        .and_then(|file| file.set_len(SWAP_BYTES))
        .map_err(|error| failed("written", &swap, &error))?;
    let swap = swap.display().to_string();
    program::run(&["mkswap", "-q", "-U", swap_id(host.root), &swap])?;
    let overlay = disk(place, host, "qcow2").display().to_string();
    let image = images.disk(host.root).display().to_string();
    program::run(&[
        "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", &image, &overlay,
    ])?;
    network::plug(place, &tap(host))
}

/// Starts to boot a host that was made.
pub fn start(
    place: &Place,
    host: &Host,
    images: &Images,
    accelerator: Accelerator,
) -> Result<(), Diagnostic> {
    let mut words = network::inside(place);
    words.extend(qemu(place, host, images, accelerator));
    let log = place.host(host.name).join("qemu.log");
    process::start(place, &machine::record(host), &[], &log, &words)
}

/// Whether the host is booted and lets people in; needs root, for the key.
pub fn answers(place: &Place, host: &Host) -> bool {
    machine::runs(place, host) && on(place, host, 10, "test ! -e /run/nologin").is_ok()
}

/// Waits until the host is booted; tells what failed while it did, if anything.
pub fn wait(place: &Place, host: &Host, limit: Duration) -> Result<Option<String>, Diagnostic> {
    let seconds = limit.as_secs();
    let up = process::wait_until(limit, || {
        if !machine::runs(place, host) || answers(place, host) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(500));
        false
    });
    if !machine::runs(place, host) {
        return Err(not_up(place, host, "ended before it was up"));
    }
    if !up {
        let why = format!("was not up after {seconds} s");
        return Err(not_up(place, host, &why));
    }
    let state = on(place, host, seconds, "systemctl is-system-running --wait || true")?;
    if state.trim() == "running" {
        return Ok(None);
    }
    let failed = "systemctl --failed --plain --no-legend --no-pager | cut -d' ' -f1";
    let units = on(place, host, seconds, failed)?;
    let units: Vec<&str> = units.lines().collect();
    Ok(Some(format!("{} {}", state.trim(), units.join(" "))))
}

/// Whether a host that just booted swaps. A disk that did not come in time is a dependency that failed, which systemd
/// calls `running` all the same.
pub fn swaps(place: &Place, host: &Host) -> Result<bool, Diagnostic> {
    on(place, host, 60, "cat /proc/swaps").map(|said| lists_one(&said))
}

/// Whether `/proc/swaps` has more than its heading.
fn lists_one(swaps: &str) -> bool {
    swaps.lines().count() > 1
}

/// Runs a command on the host, as its usual user.
fn on(place: &Place, host: &Host, seconds: u64, command: &str) -> Result<String, Diagnostic> {
    let mut words = vec!["timeout".to_owned(), seconds.to_string()];
    let options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"].map(str::to_owned);
    words.extend(ssh_words(place, host.user, host, &options, &[command.to_owned()]));
    program::run(&words)
}

/// Why a machine is not up: its last words.
fn not_up(place: &Place, host: &Host, why: &str) -> Diagnostic {
    let file = console(place, host);
    let log = place.host(host.name).join("qemu.log");
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let mut said = last_words(&read(&file), 20);
    let of_qemu = last_words(&read(&log), 5);
    if !of_qemu.is_empty() {
        let _ = write!(said, "\nQEMU: {of_qemu}");
    }
    Diagnostic::error(format!("the lab's machine {} {why}", host.name))
        .note(said.trim().to_owned())
        .help(format!("the whole of its console is in {}", file.display()))
}

/// The last lines of a console, without what only a terminal understands.
fn last_words(text: &str, count: usize) -> String {
    let plain = console::strip_ansi_codes(text).replace('\r', "\n");
    let lines: Vec<&str> = plain
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// What the machine has written to its console, since it was made.
pub fn console(place: &Place, host: &Host) -> PathBuf {
    place.host(host.name).join("console.log")
}

fn disk(place: &Place, host: &Host, kind: &str) -> PathBuf {
    place.disks().join(format!("{}.{kind}", host.name))
}

/// The last part of its address, which tells the hosts apart.
fn number(host: &Host) -> u8 {
    host.address
        .rsplit('.')
        .next()
        .and_then(|part| part.parse().ok())
        .unwrap_or_default()
}

fn tap(host: &Host) -> String {
    format!("vm{}", number(host))
}

fn hardware_address(host: &Host) -> String {
    format!("52:54:00:00:02:{:02x}", number(host))
}

fn qemu(place: &Place, host: &Host, images: &Images, accelerator: Accelerator) -> Vec<String> {
    let mut words: Vec<String> = ["qemu-system-x86_64", "-name", host.name]
        .map(str::to_owned)
        .to_vec();
    words.extend(accelerator.options().map(str::to_owned));
    let fixed = "-machine q35 -smp 1 -nodefaults -no-user-config -display none \
                 -device virtio-rng-pci -serial chardev:console";
    words.extend(fixed.split_whitespace().map(str::to_owned));
    words.extend(["-m".to_owned(), MEMORY.to_string()]);
    let file = |path: PathBuf| path.display().to_string().replace(',', ",,");
    let dir = place.host(host.name);
    for (option, value) in [
        ("-kernel", images.kernel().display().to_string()),
        ("-initrd", images.initrd().display().to_string()),
        // A kernel that panics starts again, as most are set up to.
        (
            "-append",
            format!(
                "root=LABEL=root ro console=ttyS0 panic=10{}",
                accelerator.kernel_options()
            ),
        ),
        (
            "-chardev",
            // Also what comes after a reboot.
            format!("file,id=console,append=on,path={}", file(console(place, host))),
        ),
        (
            "-monitor",
            format!("unix:{},server=on,wait=off", file(dir.join("monitor"))),
        ),
        (
            "-netdev",
            format!("tap,id=cable,script=no,downscript=no,ifname={}", tap(host)),
        ),
        (
            "-device",
            format!(
                "virtio-net-pci,netdev=cable,romfile=,mac={}",
                hardware_address(host)
            ),
        ),
    ] {
        words.extend([option.to_owned(), value]);
    }
    // A machine that is thrown away need not wait for this one's disk.
    for (kind, format, more) in [
        ("qcow2", "qcow2", "cache=unsafe"),
        ("swap", "raw", "cache=unsafe"),
        ("seed", "raw", "readonly=on"),
    ] {
        words.push("-drive".to_owned());
        words.push(format!(
            "if=none,id={kind},format={format},{more},file={}",
            file(disk(place, host, kind))
        ));
        words.push("-device".to_owned());
        words.push(format!("virtio-blk-pci,drive={kind},serial={kind}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::hosts::HOSTS;
    use super::*;

    #[test]
    fn the_swap_is_the_one_that_fstab_names() {
        let recipes = [
            ("debian", include_str!("recipe/debian.sh")),
            ("rhel", include_str!("recipe/rhel.sh")),
        ];
        for (root, text) in recipes {
            assert!(text.contains(&format!("UUID={} ", swap_id(root))), "{root}");
        }
    }

    #[test]
    fn a_heading_is_no_swap() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!lists_one(heading));
        let disk = "/dev/vdb                                partition\t524284\t\t0\t\t-2\n";
        assert!(lists_one(&format!("{heading}{disk}")));
    }

    #[test]
    fn every_machine_has_a_cable_of_its_own() {
        let host = HOSTS.iter().find(|host| host.name == "homelab").unwrap();
        assert_eq!(
            (tap(host), hardware_address(host)),
            ("vm13".into(), "52:54:00:00:02:0d".into())
        );
    }

    #[test]
    fn last_words_are_plain() {
        let said = "\u{1b}[0;32m  OK  \u{1b}[0m one\r\n\r\n[1]\r[2] two\r\n";
        assert_eq!(last_words(said, 2), "[1]\n[2] two");
    }
}
