//! `sysctl`: a kernel parameter, now and at boot.
//!
//! ```yaml
//! - ansible.posix.sysctl:
//!     name: net.ipv4.ip_forward
//!     value: '1'
//!     sysctl_file: /etc/sysctl.d/99-k8s.conf
//!     sysctl_set: true
//!     reload: true
//! - sysctl:
//!     name: vm.swappiness
//!     state: absent
//! ```
//!
//! Compares the file and what the kernel has. Returns nothing but `changed`.
//!
//! Differences to Ansible, on purpose: `reload` sets this one parameter and reads no other line of the file, so a
//! bad line elsewhere does not fail the task; other lines stay as they are, to the byte; a parameter that the kernel
//! does not have fails before anything is written, unless `ignoreerrors`; where a file that is read later at boot
//! sets another value, a warning names it with its line.

use serde::Deserialize;

use super::Module;
use super::configuration::{self, Line};
use crate::host::question::{Answer, Contents, Look, Read};
use crate::host::{Change, Failure, Halt, Host, Outcome, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    #[serde(alias = "key")]
    name: String,
    #[serde(alias = "val")]
    value: Option<String>,
    #[serde(default)]
    state: State,
    #[serde(default = "yes")]
    reload: bool,
    #[serde(default, rename = "sysctl_set")]
    set: bool,
    #[serde(default)]
    ignoreerrors: bool,
    #[serde(default = "sysctl_conf", rename = "sysctl_file")]
    file: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

fn yes() -> bool {
    true
}

fn sysctl_conf() -> String {
    "/etc/sysctl.conf".to_string()
}

/// Read at boot, the first ones hiding files of the same name in those behind.
const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

impl Module for Sysctl {
    const NAME: &'static str = "sysctl";
    const COLLECTION: &'static str = "ansible.posix";

    fn check(&self) -> Result<(), Halt> {
        if self.name.trim().is_empty() {
            return Err(fail("name cannot be blank"));
        }
        let value = normal(self.value.as_deref().unwrap_or_default());
        if self.state == State::Present && value.is_empty() {
            return Err(fail("`state: present` needs a `value`"));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let name = self.name.trim();
        let value = normal(self.value.as_deref().unwrap_or_default());
        let path = proc_path(name);
        let known = self.look(host, &path).await?;
        let mut change = Change::new(format!("set {name}"));
        let mut script = String::new();
        let after = match self.state {
            State::Present => with(&known.file, name, &value),
            State::Absent => without(&known.file, name),
        };
        if after != known.file {
            script.push_str(&configuration::written(&self.file, &after));
            change = change.difference(&self.file, &*known.file, &*after);
        }
        if let Some(live) = self.live(host, &path, &value, known.live.as_deref())? {
            script.push_str(&live);
            let before = known.live.clone().unwrap_or_default();
            change = change.difference(&*path, before, format!("{value}\n"));
        }
        if !script.is_empty() {
            if self.state == State::Absent {
                change.what = format!("remove {name} from {}", self.file);
            }
            let label = change.what.clone();
            let output = host.change(change, Script::new(label, script)).await?;
            if !output.ok() && !self.ignoreerrors {
                let said = output.stderr_text();
                return Err(Failure::new(format!("setting {name} failed: {}", said.trim()))
                    .with("rc", i64::from(output.status))
                    .into());
            }
        }
        let mut outcome = Outcome::new();
        if self.state == State::Present
            && let Some(winner) = overridden(&known.boot, &self.file, name, &value)
        {
            outcome = outcome.warn(format!(
                "{} line {} sets `{}` and is read later than {}: at the next boot it wins",
                winner.path,
                winner.number,
                winner.text.trim(),
                self.file
            ));
        }
        Ok(outcome)
    }
}

/// What the host has.
struct Known {
    /// `None`: the kernel has no such parameter, or it cannot be read.
    live: Option<String>,
    file: String,
    boot: Vec<Line>,
}

impl Sysctl {
    async fn look(&self, host: &Host, path: &str) -> Result<Known, Halt> {
        let questions = vec![
            Read::of(path).into(),
            Read::of(&self.file).into(),
            boot_configuration().into(),
        ];
        let mut answers = host.ask_each(questions).await?.into_iter();
        let live = match answers.next() {
            Some(Answer::Read(Contents::Bytes(bytes))) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        let file = match answers.next() {
            Some(Answer::Read(Contents::Bytes(bytes))) => String::from_utf8(bytes.to_vec())
                .map_err(|_| fail(format!("{} is not UTF-8 text", self.file)))?,
            Some(Answer::Read(Contents::Unreadable(why))) => {
                return Err(fail(format!("Failed to open {}: {why}", self.file)));
            }
            Some(Answer::Read(Contents::TooLarge(size))) => {
                return Err(fail(format!(
                    "{} has {size} bytes, too many for a file of parameters",
                    self.file
                )));
            }
            _ => String::new(),
        };
        let boot = match answers.next() {
            Some(Answer::Look(output)) => configuration::lines(&output.stdout_text()),
            _ => Vec::new(),
        };
        Ok(Known { live, file, boot })
    }

    /// Lines of `sh` that set the value now, if they are needed.
    fn live(&self, host: &Host, path: &str, value: &str, now: Option<&str>) -> Result<Option<String>, Halt> {
        if self.state == State::Absent || !(self.reload || self.set) {
            return Ok(None);
        }
        match now {
            Some(now) if same(now, value) => return Ok(None),
            None if self.ignoreerrors => return Ok(None),
            // In a dry run an earlier task may be what would bring it.
            None if !host.check() => {
                let hint = if path.starts_with("/proc/sys/net/bridge/") {
                    "; it comes with the module br_netfilter"
                } else {
                    ""
                };
                return Err(fail(format!(
                    "the kernel has no parameter `{}`: there is no {path}{hint}",
                    self.name
                )));
            }
            _ => {}
        }
        Ok(Some(format!(
            "printf '%s\\n' {} >{} || exit\n",
            quote(value),
            quote(path)
        )))
    }
}

/// The same words for every task, so that a frame asks once.
pub(super) fn boot_configuration() -> Look {
    let files: Vec<String> = DIRECTORIES.iter().map(|d| format!("{d}/*.conf")).collect();
    Look::new(
        "sysctl.d",
        format!("grep -sn '^[^#;]*=' /dev/null {}; :", files.join(" ")),
    )
}

/// A value as Ansible reads it: words for true and false are 1 and 0.
fn normal(value: &str) -> String {
    match value.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => "1".to_string(),
        "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => "0".to_string(),
        _ => value.trim().to_string(),
    }
}

/// Blanks and tabs between the words of a value do not count.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// `.` and `/` both separate; the first one says which it is, the other is part of a name then.
pub(super) fn proc_path(name: &str) -> String {
    let slashes = name
        .find(['.', '/'])
        .is_some_and(|at| name[at..].starts_with('/'));
    if slashes {
        return format!("/proc/sys/{name}");
    }
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    format!("/proc/sys/{}", name.chars().map(swap).collect::<String>())
}

/// The parameter and the value that a line sets.
pub(super) fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    Some((name.trim().trim_start_matches('-').trim(), value.trim()))
}

fn sets(line: &str, name: &str) -> bool {
    assignment(line).is_some_and(|(key, _)| proc_path(key) == proc_path(name))
}

/// The file with the parameter set, once, in its first place or at the end.
fn with(file: &str, name: &str, value: &str) -> String {
    let own = format!("{name}={value}\n");
    let mut found = false;
    let mut text = String::new();
    for line in file.split_inclusive('\n') {
        if !sets(line, name) {
            text.push_str(line);
            continue;
        }
        let right = assignment(line).is_some_and(|(_, v)| same(v, value));
        match (found, right) {
            (true, _) => {}
            (false, true) => text.push_str(line),
            (false, false) => text.push_str(&own),
        }
        found = true;
    }
    if !found {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&own);
    }
    text
}

/// The file without the parameter.
fn without(file: &str, name: &str) -> String {
    file.split_inclusive('\n')
        .filter(|line| !sets(line, name))
        .collect()
}

/// The line that decides the value at boot, if it is in another file than `file`, which is read earlier, and says
/// something else.
fn overridden<'a>(boot: &'a [Line], file: &str, name: &str, value: &str) -> Option<&'a Line> {
    // Debian and RHEL link it into the directory under this name.
    let file = if file == "/etc/sysctl.conf" {
        "/etc/sysctl.d/99-sysctl.conf"
    } else {
        file
    };
    let (directory, base) = file.rsplit_once('/')?;
    rank(directory)?;
    let line = decides(boot, name)?;
    let (_, winning) = line.path.rsplit_once('/')?;
    (winning > base && !says(line, value)).then_some(line)
}

/// How early a directory is looked into.
fn rank(directory: &str) -> Option<usize> {
    DIRECTORIES.iter().position(|d| *d == directory)
}

/// Whether a line gives a parameter this value.
pub(super) fn says(line: &Line, value: &str) -> bool {
    assignment(&line.text).is_some_and(|(_, v)| same(v, value))
}

/// The line that decides a parameter's value at boot.
pub(super) fn decides<'a>(boot: &'a [Line], name: &str) -> Option<&'a Line> {
    let winner = boot
        .iter()
        .filter(|line| sets(&line.text, name))
        .filter_map(|line| {
            let (directory, base) = line.path.rsplit_once('/')?;
            let hidden = boot.iter().any(|other| {
                other
                    .path
                    .rsplit_once('/')
                    .is_some_and(|(d, b)| b == base && rank(d) < rank(directory))
            });
            (!hidden).then_some((base, line.number, line))
        })
        .max_by_key(|(base, number, _)| (*base, *number))?;
    Some(winner.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        assert_eq!(proc_path("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(proc_path("net/ipv4/ip_forward"), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(
            proc_path("net.ipv4.conf.eth0/100.rp_filter"),
            "/proc/sys/net/ipv4/conf/eth0.100/rp_filter"
        );
    }

    #[test]
    fn a_line_is_set_in_place_and_once() {
        let file = "# c\n net/ipv4/ip_forward = 0\nbad line\nvm.swappiness=1\nnet.ipv4.ip_forward=0";
        assert_eq!(
            with(file, "net.ipv4.ip_forward", "1"),
            "# c\nnet.ipv4.ip_forward=1\nbad line\nvm.swappiness=1\n"
        );
        assert_eq!(with("a = 1\t2\n", "a", "1 2"), "a = 1\t2\n");
        assert_eq!(with("x=1", "a", "1"), "x=1\na=1\n");
        assert_eq!(with("#a=1\n", "a", "1"), "#a=1\na=1\n");
        assert_eq!(
            without(file, "net.ipv4.ip_forward"),
            "# c\nbad line\nvm.swappiness=1\n"
        );
    }

    #[test]
    fn the_later_file_wins() {
        let boot = configuration::lines(
            "/etc/sysctl.d/99-sysctl.conf:12:net.ipv4.ip_forward = 0\n\
             /etc/sysctl.d/99-k8s.conf:1:net.ipv4.ip_forward=1\n\
             /usr/lib/sysctl.d/99-zz.conf:1:vm.swappiness=5\n\
             /etc/sysctl.d/99-zz.conf:1:kernel.x=5\n",
        );
        let winner = |file, name, value| overridden(&boot, file, name, value).map(|l| l.number);
        assert_eq!(
            winner("/etc/sysctl.d/99-k8s.conf", "net.ipv4.ip_forward", "1"),
            Some(12)
        );
        assert_eq!(
            winner("/etc/sysctl.d/99-k8s.conf", "net.ipv4.ip_forward", "0"),
            None
        );
        assert_eq!(winner("/etc/sysctl.conf", "net.ipv4.ip_forward", "1"), None);
        // A file in /etc hides one of the same name in /usr/lib.
        assert_eq!(winner("/etc/sysctl.d/99-k8s.conf", "vm.swappiness", "1"), None);
        assert_eq!(winner("/root/x.conf", "net.ipv4.ip_forward", "1"), None);
    }

    #[test]
    fn words_for_truth() {
        assert_eq!(normal("True"), "1");
        assert_eq!(normal(" 5 "), "5");
        assert!(same("4096\t87380\t6291456\n", "4096 87380  6291456"));
    }
}
