//! `modprobe`: loads and unloads kernel modules, now and at boot.
//!
//! ```yaml
//! - community.general.modprobe:
//!     name: br_netfilter
//!     state: present
//!     persistent: present
//! - modprobe:
//!     name: nf_conntrack
//!     params: hashsize=32768
//! - modprobe:
//!     name: pcspkr
//!     state: absent
//!     persistent: absent
//! ```
//!
//! A module counts as loaded if the kernel shows it, if it is built in, or if `modprobe` itself says that there is
//! nothing to load. Nothing is written in a dry run. `persistent` keeps a line in
//! `/etc/modules-load.d` and options in `/etc/modprobe.d`; `absent` comments them out.
//!
//! Returns `name`, `params`, `state`. Fails, and says where, if the configuration replaces loading by a command
//! (`install x /bin/false`); warns if a module that is to be loaded at boot is blacklisted there. Modules with `-`
//! and `_` are the same.

use std::fmt::Write;

use serde::Deserialize;

use super::Module;
use super::configuration::{self, Line};
use super::process::words::split;
use crate::host::question::{Answer, Look, Question, Stat};
use crate::host::{Change, Failure, Halt, Host, Outcome, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modprobe {
    name: String,
    #[serde(default)]
    state: State,
    #[serde(default)]
    params: String,
    #[serde(default)]
    persistent: Persistent,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum Persistent {
    #[default]
    Disabled,
    Present,
    Absent,
}

const LOAD: &str = "/etc/modules-load.d";
const OPTIONS: &str = "/etc/modprobe.d";

impl Module for Modprobe {
    const NAME: &'static str = "modprobe";
    const COLLECTION: &'static str = "community.general";

    fn check(&self) -> Result<(), Halt> {
        split(&self.params).map(|_| ()).map_err(fail)
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let params = split(&self.params).map_err(fail)?;
        let (loaded, lines) = self.look(host).await?;
        let mut script = String::new();
        let mut what = Vec::new();
        match (self.state, loaded) {
            (State::Present, false) if self.is_to_be_loaded(host, &params).await? => {
                what.push(format!("load {}", self.name));
                let _ = writeln!(script, "modprobe -- {} || exit", self.words(&params));
            }
            (State::Absent, true) => {
                self.refuse_built_in(host).await?;
                what.push(format!("unload {}", self.name));
                let _ = writeln!(script, "modprobe -r -- {} || exit", quote(&self.name));
            }
            _ => {}
        }
        let mut change = Change::new("");
        for edit in self.edits(&lines) {
            what.push(format!("write {}", edit.path));
            script.push_str(&configuration::written(&edit.path, &edit.after));
            change = change.difference(edit.path, edit.before, edit.after);
        }
        if !what.is_empty() {
            change.what = what.join(", ");
            let label = change.what.clone();
            let output = host.change(change, Script::new(label, script)).await?;
            if !output.ok() {
                return Err(self.failure(&output.stderr_text(), output.status));
            }
        }
        Ok(self.outcome(&lines))
    }
}

/// A file as it is and as it should be.
struct Edit {
    path: String,
    before: String,
    after: String,
}

impl Modprobe {
    async fn look(&self, host: &Host) -> Result<(bool, Vec<Line>), Halt> {
        let shown = Stat::of(format!("/sys/module/{}", self.name.replace('-', "_")));
        // The same words for every task, here and below, so that a frame asks once.
        let built_in = Look::new(
            "built-in modules",
            "read -r r </proc/sys/kernel/osrelease; cat \"/lib/modules/$r/modules.builtin\" 2>/dev/null; :",
        );
        let mut questions: Vec<Question> = vec![shown.into(), built_in.into()];
        if self.persistent != Persistent::Disabled {
            questions.push(configuration::lines_of("module configuration", &[LOAD, OPTIONS]).into());
        }
        let mut answers = host.ask_each(questions).await?.into_iter();
        let shown = matches!(answers.next(), Some(Answer::Stat(Some(_))));
        let built_in = match answers.next() {
            Some(Answer::Look(output)) => self.is_among(&output.stdout_text()),
            _ => false,
        };
        let loaded = shown || built_in;
        let lines = match answers.next() {
            Some(Answer::Look(output)) => configuration::lines(&output.stdout_text()),
            _ => Vec::new(),
        };
        Ok((loaded, lines))
    }

    /// Whether a line of `modules.builtin` (`kernel/net/bridge/br_netfilter.ko`) is this module.
    fn is_among(&self, built_in: &str) -> bool {
        built_in
            .lines()
            .filter_map(|line| line.rsplit('/').next()?.strip_suffix(".ko"))
            .any(|name| self.is(name))
    }

    fn words(&self, params: &[String]) -> String {
        let words = std::iter::once(&self.name).chain(params);
        words.map(|word| quote(word)).collect::<Vec<_>>().join(" ")
    }

    /// Asks `modprobe` what it would do: nothing, for what is built in.
    async fn is_to_be_loaded(&self, host: &Host, params: &[String]) -> Result<bool, Halt> {
        let look = Look::new(
            "what modprobe would do",
            format!("modprobe -n -v -- {}", self.words(params)),
        );
        let output = host.ask(look).await?;
        if !output.ok() {
            return Err(self.failure(&output.stderr_text(), output.status));
        }
        let plan = output.stdout_text();
        let last = plan.lines().last().unwrap_or_default();
        if let Some(command) = last.strip_prefix("install ")
            && ["/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true"]
                .iter()
                .any(|program| command.starts_with(program))
        {
            return Err(fail(format!(
                "the configuration of the host forbids {}: `install {} {}` in {OPTIONS} or /lib/modprobe.d",
                self.name,
                self.name,
                command.trim()
            )));
        }
        Ok(!plan.trim().is_empty())
    }

    async fn refuse_built_in(&self, host: &Host) -> Result<(), Halt> {
        let look = Look::new(
            "what modprobe would do",
            format!("modprobe -n -r -- {}", quote(&self.name)),
        );
        let output = host.ask(look).await?;
        if output.ok() {
            return Ok(());
        }
        Err(self.failure(&output.stderr_text(), output.status))
    }

    fn failure(&self, stderr: &str, rc: i32) -> Halt {
        let mut msg = stderr.trim().to_string();
        if msg.contains("not found in directory") {
            msg.push_str("; on RHEL it may be in the package kernel-modules-extra of the running kernel");
        }
        Failure::new(msg)
            .with("rc", i64::from(rc))
            .with("stderr", stderr)
            .with("stdout", "")
            .with("name", self.name.clone())
            .with("params", self.params.clone())
            .into()
    }

    fn outcome(&self, lines: &[Line]) -> Outcome {
        let state = match self.state {
            State::Present => "present",
            State::Absent => "absent",
        };
        let outcome = Outcome::new()
            .with("name", self.name.clone())
            .with("params", self.params.clone())
            .with("state", state);
        let is_blacklisted = |line: &&Line| {
            let mut words = line.text.split_whitespace();
            words.next() == Some("blacklist") && words.next().is_some_and(|name| self.is(name))
        };
        match lines.iter().find(is_blacklisted) {
            Some(line) if self.persistent == Persistent::Present => outcome.warn(format!(
                "{} is blacklisted in {} line {}: it will not be loaded at boot",
                self.name, line.path, line.number
            )),
            _ => outcome,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.replace('-', "_") == name.replace('-', "_")
    }

    /// What has to be written so that the next boot does the same.
    fn edits(&self, lines: &[Line]) -> Vec<Edit> {
        let loads = |line: &Line| line.path.starts_with(LOAD) && self.is(bare(&line.text));
        let sets = |line: &Line| line.path.starts_with(OPTIONS) && self.option(&line.text).is_some();
        let mut edits = Vec::new();
        match self.persistent {
            Persistent::Disabled => {}
            Persistent::Absent => edits.extend(commented_out(lines, |line| loads(line) || sets(line))),
            Persistent::Present => {
                if !lines.iter().any(loads) {
                    edits.push(overwritten(
                        lines,
                        format!("{LOAD}/{}.conf", self.name),
                        format!("{}\n", self.name),
                    ));
                }
                let mut wanted: Vec<&str> = self.params.split_whitespace().collect();
                wanted.sort_unstable();
                let set = lines.iter().filter(|line| line.path.starts_with(OPTIONS));
                let mut set: Vec<&str> = set.filter_map(|line| self.option(&line.text)).collect();
                set.sort_unstable();
                set.dedup();
                if wanted != set {
                    let own = format!("{OPTIONS}/{}.conf", self.name);
                    let others: Vec<Line> = lines.iter().filter(|l| l.path != own).cloned().collect();
                    edits.extend(commented_out(&others, sets));
                    let mut content = String::new();
                    for param in self.params.split_whitespace() {
                        let _ = writeln!(content, "options {} {param}", self.name);
                    }
                    edits.push(overwritten(lines, own, content));
                }
            }
        }
        edits
    }

    /// The parameter that a line of `modprobe.d` sets for this module, if it sets a single one.
    fn option<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut words = bare(line).split_whitespace();
        let ours = words.next() == Some("options") && words.next().is_some_and(|name| self.is(name));
        let param = words.next().filter(|p| p.contains('='))?;
        (ours && words.next().is_none()).then_some(param)
    }
}

/// Without the comment at its end.
fn bare(line: &str) -> &str {
    line.split(['#', ';']).next().unwrap_or_default().trim()
}

fn overwritten(lines: &[Line], path: String, after: String) -> Edit {
    Edit {
        before: configuration::text_of(lines, &path),
        path,
        after,
    }
}

fn commented_out(lines: &[Line], which: impl Fn(&Line) -> bool) -> Vec<Edit> {
    let mut paths: Vec<&str> = lines
        .iter()
        .filter(|l| which(l))
        .map(|l| l.path.as_str())
        .collect();
    paths.dedup();
    let edit = |path: &str| {
        let mut after = String::new();
        for line in lines.iter().filter(|l| l.path == path) {
            let mark = if which(line) { "#" } else { "" };
            let _ = writeln!(after, "{mark}{}", line.text);
        }
        Edit {
            before: configuration::text_of(lines, path),
            path: path.to_string(),
            after,
        }
    };
    paths.into_iter().map(edit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modprobe(params: &str, persistent: Persistent) -> Modprobe {
        Modprobe {
            name: "br_netfilter".into(),
            state: State::Present,
            params: params.into(),
            persistent,
        }
    }

    fn edits(module: &Modprobe, lines: &str) -> Vec<(String, String)> {
        let edits = module.edits(&configuration::lines(lines));
        edits.into_iter().map(|e| (e.path, e.after)).collect()
    }

    #[test]
    fn a_line_for_the_next_boot_is_written_once() {
        let module = modprobe("", Persistent::Present);
        let own = (
            "/etc/modules-load.d/br_netfilter.conf".to_string(),
            "br_netfilter\n".to_string(),
        );
        assert_eq!(edits(&module, ""), [own]);
        assert!(edits(&module, "/etc/modules-load.d/k8s.conf:2:br-netfilter # bridge\n").is_empty());
    }

    #[test]
    fn parameters_replace_what_was_set_elsewhere() {
        let module = modprobe("a=1 b=2", Persistent::Present);
        let lines = "/etc/modules-load.d/x.conf:1:br_netfilter\n/etc/modprobe.d/old.conf:1:# by hand\n\
            /etc/modprobe.d/old.conf:2:options br_netfilter a=0\n";
        assert_eq!(
            edits(&module, lines),
            [
                (
                    "/etc/modprobe.d/old.conf".to_string(),
                    "# by hand\n#options br_netfilter a=0\n".to_string()
                ),
                (
                    "/etc/modprobe.d/br_netfilter.conf".to_string(),
                    "options br_netfilter a=1\noptions br_netfilter b=2\n".to_string()
                ),
            ]
        );
    }

    #[test]
    fn what_is_built_in_is_loaded() {
        let module = modprobe("", Persistent::Disabled);
        assert!(module.is_among("kernel/fs/overlayfs/overlay.ko\nkernel/net/bridge/br-netfilter.ko\n"));
        assert!(!module.is_among("kernel/net/bridge/bridge.ko\n"));
    }

    #[test]
    fn absent_comments_out() {
        let module = modprobe("", Persistent::Absent);
        let lines = "/etc/modules-load.d/k8s.conf:1:overlay\n/etc/modules-load.d/k8s.conf:2:br_netfilter\n";
        assert_eq!(
            edits(&module, lines),
            [(
                "/etc/modules-load.d/k8s.conf".to_string(),
                "overlay\n#br_netfilter\n".to_string()
            )]
        );
        assert!(edits(&module, "/etc/modules-load.d/k8s.conf:1:#br_netfilter\n").is_empty());
    }
}
