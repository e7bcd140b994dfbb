//! What the lab needs of the machine it runs on: to be root, and a few programs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HostsAre, Progress, program};
use crate::source::Diagnostic;

/// Program and the Debian package it comes in.
const TOOLS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("apt-ftparchive", "apt-utils"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
];

/// What virtual machines need beside them.
const MACHINE_TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkswap", "util-linux"),
    ("tar", "tar"),
];

/// The tools that are not there: (program, package).
pub fn missing_tools(kind: HostsAre) -> Vec<(&'static str, &'static str)> {
    missing_in(
        kind,
        &env::split_paths(&program::search_path()).collect::<Vec<_>>(),
    )
}

fn missing_in(kind: HostsAre, dirs: &[PathBuf]) -> Vec<(&'static str, &'static str)> {
    let more = match kind {
        HostsAre::Containers => &[],
        HostsAre::Machines => MACHINE_TOOLS,
    };
    TOOLS
        .iter()
        .chain(more)
        .filter(|(program, _)| !dirs.iter().any(|dir| dir.join(program).is_file()))
        .copied()
        .collect()
}

/// An error unless we are root and every tool is there.
pub fn require(kind: HostsAre) -> Result<(), Diagnostic> {
    require_root()?;
    match lack(&missing_tools(kind)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn lack(missing: &[(&str, &str)]) -> Option<Diagnostic> {
    if missing.is_empty() {
        return None;
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let what = if programs.len() == 1 { "a tool" } else { "tools" };
    let sentence = format!(
        "the lab needs {what} that this machine does not have: {}",
        programs.join(", ")
    );
    let command = install_command(missing).join(" ");
    Some(Diagnostic::error(sentence).help(format!("{command}   (or: vmstation lab up --install)")))
}

/// An error unless we are root.
pub fn require_root() -> Result<(), Diagnostic> {
    if is_root() {
        return Ok(());
    }
    Err(
        Diagnostic::error("the lab needs root: it makes mounts, a network namespace and containers")
            .help("run it with sudo"),
    )
}

/// Installs the missing tools with apt; true when there was something to do.
pub fn install_tools(kind: HostsAre, progress: Progress) -> Result<bool, Diagnostic> {
    require_root()?;
    let missing = missing_tools(kind);
    if missing.is_empty() {
        return Ok(false);
    }
    let words = install_command(&missing);
    let line = words.join(" ");
    progress(&line);
    let (program, arguments) = (&words[0], &words[1..]);
    let ran = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| {
            Diagnostic::error(format!("`{program}` cannot be started: {error}"))
                .help("the lab runs on Debian and what is made from it")
        })?;
    if ran.status.success() {
        return Ok(true);
    }
    Err(Diagnostic::error(format!("`{line}` failed"))
        .note(String::from_utf8_lossy(&ran.stderr).trim_end().to_owned())
        .help("`apt-get update` may be needed first"))
}

fn install_command(missing: &[(&str, &str)]) -> Vec<String> {
    let mut words: Vec<String> = ["apt-get", "install", "-y", "--no-install-recommends"]
        .map(str::to_owned)
        .to_vec();
    for (_, package) in missing {
        if !words.iter().any(|word| word == package) {
            words.push((*package).to_owned());
        }
    }
    words
}

/// By the effective uid in /proc, since std does not tell it.
pub fn is_root() -> bool {
    fs::read_to_string(Path::new("/proc/self/status")).is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let dir = tempfile::tempdir().unwrap();
        for (program, _) in TOOLS {
            if *program != "mmdebstrap" && *program != "systemd-nspawn" {
                fs::write(dir.path().join(program), "").unwrap();
            }
        }
        let error = lack(&missing_in(HostsAre::Containers, &[dir.path().to_path_buf()])).unwrap();
        assert_eq!(
            error.to_string(),
            "error: the lab needs tools that this machine does not have: mmdebstrap, systemd-nspawn\n\
             help: apt-get install -y --no-install-recommends mmdebstrap systemd-container   \
             (or: vmstation lab up --install)"
        );
        assert_eq!(lack(&[]), None);
        let of_machines = missing_in(HostsAre::Machines, &[dir.path().to_path_buf()]);
        assert!(of_machines.contains(&("qemu-img", "qemu-utils")));
    }

    #[test]
    fn a_package_is_named_once() {
        let words = install_command(&[("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")]);
        assert_eq!(
            words.join(" "),
            "apt-get install -y --no-install-recommends openssh-client"
        );
    }
}
