//! What the lab needs of the machine it runs on: to be root, and a few programs.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

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
    ("mount", "mount"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
];

/// The tools that are not there: (program, package).
pub fn missing_tools() -> Vec<(&'static str, &'static str)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = env::split_paths(&path).collect();
    // Root's tools, also for those who did not log in as root.
    dirs.extend(["/usr/sbin", "/sbin"].map(Into::into));
    TOOLS
        .iter()
        .filter(|(program, _)| !dirs.iter().any(|dir| dir.join(program).is_file()))
        .copied()
        .collect()
}

/// An error unless we are root and every tool is there.
pub fn require() -> Result<(), Diagnostic> {
    require_root()?;
    let missing = missing_tools();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let what = if programs.len() == 1 { "a tool" } else { "tools" };
    Err(Diagnostic::error(format!(
        "the lab needs {what} that this machine does not have: {}",
        programs.join(", ")
    ))
    .help(format!(
        "{}   (or: vmstation lab up --install)",
        install_command(&missing).join(" ")
    )))
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
pub fn install_tools() -> Result<bool, Diagnostic> {
    require_root()?;
    let missing = missing_tools();
    if missing.is_empty() {
        return Ok(false);
    }
    let words = install_command(&missing);
    let line = words.join(" ");
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
fn is_root() -> bool {
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
    fn a_package_is_named_once() {
        let words = install_command(&[("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")]);
        assert_eq!(
            words.join(" "),
            "apt-get install -y --no-install-recommends openssh-client"
        );
    }
}
