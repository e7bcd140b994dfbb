//! What runs the processors of virtual machines: this machine's own, where its KVM
//! works, or QEMU's emulation of one.
//!
//! That there is a /dev/kvm says little: inside of other virtual machines it may start
//! and then crawl, or give up at the first register that it does not know. So the kernel
//! that the machines will run is run with it, as far as it comes without a disk.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::place::Place;
use super::program;
use crate::source::Diagnostic;

/// How long the kernel may take to find that it has no disk: a second with KVM that works.
const PATIENCE: u32 = 15;
const DEVICE: &str = "/dev/kvm";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    Kvm,
    Emulation,
}

impl Accelerator {
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Emulation];

    /// KVM if this kernel runs under it; else why not.
    pub fn find(kernel: &Path) -> (Self, Option<String>) {
        match tried(Path::new(DEVICE), kernel, &program::search_path(), PATIENCE) {
            Ok(()) => (Self::Kvm, None),
            Err(why) => (Self::Emulation, Some(why)),
        }
    }

    /// An error where it cannot even be tried.
    pub fn require(self) -> Result<(), Diagnostic> {
        if self == Self::Emulation || Path::new(DEVICE).exists() {
            return Ok(());
        }
        Err(Diagnostic::error(format!("there is no {DEVICE}"))
            .help("modprobe kvm-amd (or kvm-intel); or `--accelerator emulation`, which needs none"))
    }

    /// The one that a lab was started with by name.
    pub fn kept(place: &Place) -> Option<Self> {
        Self::named(&fs::read_to_string(place.virtual_mark()).ok()?)
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// What it is called on the command line, and in what is kept of a lab.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Emulation => "emulation",
        }
    }

    /// QEMU's options for it.
    pub fn options(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // Translated code is kept in a gigabyte for each machine, unless told otherwise. And a
            // processor with wide registers is one whose every string function takes longer.
            Self::Emulation => ["-accel", "tcg,tb-size=256", "-cpu", "Nehalem"],
        }
    }

    /// What the kernel is told beside. On a busy machine, swap may take longer to appear than the 90 s that systemd
    /// gives it. To guard against a processor's weaknesses costs a third of all time where it is not there.
    pub fn kernel_options(self) -> &'static str {
        match self {
            Self::Kvm => " systemd.default_timeout_start_sec=300",
            Self::Emulation => " systemd.default_timeout_start_sec=300 mitigations=off",
        }
    }

    /// How long a machine may take until it answers. Whoever asks for KVM by name has one that is too slow to be
    /// taken for one that works: one inside of a machine that is emulated, say.
    pub const fn patience(self, by_name: bool) -> Duration {
        Duration::from_secs(match (self, by_name) {
            (Self::Kvm, false) => 90,
            (Self::Emulation, _) => 400,
            (Self::Kvm, true) => 1200,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Emulation => "software emulation",
        }
    }
}

/// Whether the kernel comes as far as to miss its disk, after which it ends QEMU; else what came instead.
fn tried(device: &Path, kernel: &Path, path: &OsStr, patience: u32) -> Result<(), String> {
    if !device.exists() {
        return Err(format!("there is no {}", device.display()));
    }
    let output = Command::new("timeout")
        .args(["-k", "1", &patience.to_string(), "qemu-system-x86_64"])
        .args(Accelerator::Kvm.options())
        .args(["-machine", "q35", "-m", "256", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot", "-serial", "stdio", "-kernel"])
        .arg(kernel)
        // Each letter on a serial line is a way out of the machine and back: it says what is wrong, and no more.
        .args(["-append", "quiet console=ttyS0 panic=-1 root=/dev/none"])
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`timeout` cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) if said.contains("Kernel panic") => Ok(()),
        Some(0) => Err("QEMU ended before the kernel had come as far as its disk".to_owned()),
        Some(124 | 137) => Err(format!(
            "the kernel had not come as far as its disk after {patience} s"
        )),
        _ => {
            let last = complaint.lines().rfind(|line| !line.trim().is_empty());
            Err(last.map_or_else(
                || format!("QEMU failed ({})", output.status),
                |line| line.trim().to_owned(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// What is found with a QEMU that does this.
    fn found(script: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let qemu = directory.path().join("qemu-system-x86_64");
        fs::write(&qemu, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = OsString::from(directory.path());
        path.push(":");
        path.push(program::search_path());
        tried(Path::new("/dev/null"), Path::new("/kernel"), &path, 1)
    }

    #[test]
    fn a_kernel_that_misses_its_disk_has_run() {
        let panics = "echo '[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs'";
        assert_eq!(found(panics), Ok(()));
        // Under KVM, and with the kernel that the machines will run.
        let asked = "case \"$*\" in *'-accel kvm'*'-kernel /kernel'*) echo Kernel panic ;; esac";
        assert_eq!(found(asked), Ok(()));
    }

    #[test]
    fn why_it_did_not_run_is_told() {
        let unsupported = "echo 'qemu: could not access KVM: No such device' >&2; exit 1";
        assert_eq!(
            found(unsupported).unwrap_err(),
            "qemu: could not access KVM: No such device"
        );
        assert!(found("exit 1").unwrap_err().contains("exit status: 1"));
        assert!(found("echo Kernel panic; kill -ABRT $$").is_err());
        assert_eq!(
            found("exit 0").unwrap_err(),
            "QEMU ended before the kernel had come as far as its disk"
        );
        assert_eq!(
            found("exec sleep 20").unwrap_err(),
            "the kernel had not come as far as its disk after 1 s"
        );
    }

    #[test]
    fn what_was_asked_for_by_name_is_known_again() {
        for accelerator in Accelerator::ALL {
            assert_eq!(Accelerator::named(accelerator.word()), Some(accelerator));
        }
        assert_eq!(Accelerator::named(""), None);
        assert!(Accelerator::Kvm.patience(true) > Accelerator::Kvm.patience(false));
    }

    #[test]
    fn without_the_device_nothing_is_tried() {
        let path = OsString::new();
        let said = tried(Path::new("/dev/no-kvm"), Path::new("/kernel"), &path, 1).unwrap_err();
        assert_eq!(said, "there is no /dev/no-kvm");
    }
}
