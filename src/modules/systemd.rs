//! `systemd`: units of systemd: running, at boot, masked.
//!
//! ```yaml
//! - systemd:
//!     name: containerd
//!     state: started
//!     enabled: true
//! - systemd_service:
//!     name: systemd-oomd
//!     state: stopped
//!     enabled: false
//!     masked: true
//! - systemd:
//!     daemon_reload: true
//! - systemd:
//!     name: podman.socket
//!     scope: user
//!     enabled: true
//! ```
//!
//! With nothing but `name` it only tells the unit's `status`. A unit that is as it should be costs one question, which systemd answers for many units at once.
//!
//! Returns `name`, `status` (the properties of the unit before the task, those that are asked for in bulk), `state`,
//! `enabled`.
//!
//! In a dry run a unit that is not there is unknown where an earlier task may bring it; Ansible fails.
//!
//! Further differences to Ansible, all so that nothing changes where nothing is to be done: an alias of an enabled unit is
//! enabled; a static unit, which nothing can enable or disable, is left as it is, with a warning if it should be
//! disabled. Refused, as by Ansible: patterns as names.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use super::process::environment;
use super::{Module, Rule};
use crate::host::question::{Answer, Look, Stat, Unit, UnitScope};
use crate::host::{Change, Failure, Halt, Host, Outcome, Output, Script, Unanswered, fail, quote};
use crate::vars::{Map, Value};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Systemd {
    #[serde(alias = "service", alias = "unit")]
    name: Option<String>,
    state: Option<State>,
    enabled: Option<bool>,
    masked: Option<bool>,
    #[serde(default)]
    force: bool,
    #[serde(default, alias = "daemon-reload")]
    daemon_reload: bool,
    #[serde(default, alias = "daemon-reexec")]
    daemon_reexec: bool,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    no_block: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Started,
    Stopped,
    Restarted,
    Reloaded,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    System,
    User,
    Global,
}

impl Module for Systemd {
    const NAME: &'static str = "systemd";
    const RULES: &'static [Rule] = &[
        Rule::Needs("state", "name"),
        Rule::Needs("enabled", "name"),
        Rule::Needs("masked", "name"),
    ];
    const ALSO: &'static [&'static str] = &["ansible.builtin.systemd_service"];

    fn check(&self) -> Result<(), Halt> {
        self.refuse_patterns()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        match self.run_or_tell(host).await? {
            Ran::Done(outcome) => Ok(outcome),
            Ran::NotHere(why) => Err(fail(why)),
        }
    }
}

/// What became of a task.
pub(super) enum Ran {
    Done(Outcome),
    /// systemd does not run on the host.
    NotHere(String),
}

impl Systemd {
    /// A task that says no more than `service` can.
    pub(super) fn unit(name: &str, state: Option<State>, enabled: Option<bool>) -> Self {
        Self {
            name: Some(name.to_string()),
            state,
            enabled,
            ..Self::default()
        }
    }

    /// Runs, or says that the host has another service manager.
    pub(super) async fn run_or_tell(self, host: &Host) -> Result<Ran, Halt> {
        for (wanted, verb) in [
            (self.daemon_reload, "daemon-reload"),
            (self.daemon_reexec, "daemon-reexec"),
        ] {
            if wanted {
                self.tell_systemd(host, verb).await?;
            }
        }
        let Some(name) = &self.name else {
            let outcome = Outcome::new().with("name", Value::Null);
            return Ok(Ran::Done(outcome.with("status", Value::from(Map::new()))));
        };
        match self.look(host, name).await? {
            Ok(known) => self.bring_about(host, name, known).await.map(Ran::Done),
            Err(why) => Ok(Ran::NotHere(why)),
        }
    }

    fn refuse_patterns(&self) -> Result<(), Halt> {
        let name = self.name.as_deref().unwrap_or_default();
        match ['*', '?', '['].iter().find(|c| name.contains(**c)) {
            Some(pattern) => Err(fail(format!(
                "This module does not currently support using glob patterns, found '{pattern}' in service name: {name}"
            ))),
            None => Ok(()),
        }
    }

    /// `systemctl` with the options of the task; `--user` finds its manager by a variable.
    fn systemctl(&self) -> String {
        let mut command = String::from("systemctl");
        match self.scope {
            Scope::System => {}
            Scope::User => command.push_str(" --user"),
            Scope::Global => command.push_str(" --global"),
        }
        for (on, option) in [(self.no_block, " --no-block"), (self.force, " --force")] {
            if on {
                command.push_str(option);
            }
        }
        command
    }

    fn prelude(&self, host: &Host) -> Result<String, Halt> {
        let mut lines = environment(host)?;
        if self.scope == Scope::User {
            lines.push_str(": \"${XDG_RUNTIME_DIR:=/run/user/$(id -u)}\"; export XDG_RUNTIME_DIR\n");
        }
        Ok(lines)
    }

    async fn tell_systemd(&self, host: &Host, verb: &str) -> Result<(), Halt> {
        let script = format!("{}{} {verb}", self.prelude(host)?, self.systemctl());
        let output = host.act(Script::new(verb, script)).await?;
        if output.ok() {
            return Ok(());
        }
        Err(fail(format!(
            "failure {} during {verb}: {}",
            output.status,
            output.stderr_text()
        )))
    }

    /// The unit's properties, and whether there is an init script of its name; `Err`: there is no systemd.
    async fn look(&self, host: &Host, name: &str) -> Result<Result<Known, String>, Halt> {
        let unit = Unit {
            name: name.to_string(),
            scope: match self.scope {
                Scope::System => UnitScope::System,
                Scope::User => UnitScope::User,
                Scope::Global => UnitScope::Global,
            },
        };
        let script = Stat::following(format!("/etc/init.d/{name}"));
        let answers = host.ask_if_possible(vec![unit.into(), script.into()]).await?;
        let mut status = BTreeMap::new();
        let mut init_script = false;
        for answer in answers {
            match answer {
                Ok(Answer::Unit(properties)) => status = properties,
                Ok(Answer::Stat(stat)) => init_script = stat.is_some(),
                Err(Unanswered::Impossible(why)) => return Ok(Err(why)),
                Err(Unanswered::TooSlow) => return Err(fail("systemd took too long to answer")),
                Err(denied @ Unanswered::Denied(_)) => return Err(denied.into()),
                Ok(_) => {}
            }
        }
        Ok(Ok(Known { status, init_script }))
    }

    async fn bring_about(&self, host: &Host, name: &str, known: Known) -> Result<Outcome, Halt> {
        known.refuse_broken(name)?;
        let mut steps = Vec::new();
        let mut warnings = Vec::new();
        if known.init_script && known.load_state() == "not-found" {
            warnings.push(format!(
                "The service ({name}) is actually an init script but the system is managed by systemd"
            ));
        }
        if let Some(masked) = self.masked
            && masked != known.is_masked()
        {
            steps.push(if masked { "mask" } else { "unmask" });
        }
        let mut outcome = Outcome::new().with("name", name).with(
            "status",
            Value::map(
                known
                    .status
                    .iter()
                    .map(|(k, v)| (k.clone(), Value::from(v.as_str()))),
            ),
        );
        if self.enabled.is_some() || self.state.is_some() {
            let what = format!("the service {name}, which is not there");
            known
                .refuse_missing(name, self.scope)
                .map_err(|failure| host.lacks(what, failure))?;
        }
        if let Some(enabled) = self.enabled {
            match known.enablement(host, name).await? {
                Enablement::Fixed if !enabled => warnings.push(format!(
                    "{name} is static: other units start it, and it cannot be disabled; mask it to keep it from running"
                )),
                Enablement::Fixed => {}
                Enablement::Is(is) if is == enabled => {}
                _ => steps.push(if enabled { "enable" } else { "disable" }),
            }
            outcome = outcome.with("enabled", enabled);
        }
        if let Some(state) = self.state {
            steps.extend(known.action(state));
            outcome = outcome.with("state", reported(state));
        }
        outcome.warnings = warnings;
        if steps.is_empty() {
            return Ok(outcome);
        }
        self.change(host, name, &known, &steps).await?;
        Ok(outcome)
    }

    /// All steps in one script; which one failed, its status says.
    async fn change(&self, host: &Host, name: &str, known: &Known, steps: &[&str]) -> Result<(), Halt> {
        let systemctl = self.systemctl();
        let mut script = self.prelude(host)?;
        for (step, number) in steps.iter().zip(FIRST_STEP..) {
            let _ = writeln!(script, "{systemctl} {step} -- {} || exit {number}", quote(name));
        }
        let what = format!("{} {name}", steps.join(" and "));
        let unmasked = steps.contains(&"unmask");
        let after: Vec<&str> = steps.iter().map(|step| became(step)).collect();
        let change =
            Change::new(&*what).difference(name, known.in_words(), format!("{}\n", after.join("\n")));
        let output = host.change(change, Script::new(what, script)).await?;
        let failed = usize::try_from(output.status - FIRST_STEP).ok();
        match failed.and_then(|number| steps.get(number)) {
            _ if output.ok() => Ok(()),
            Some(step) => Err(step_failed(step, name, known, unmasked, &output)),
            None => Err(fail(format!(
                "cannot {}: {}",
                steps.join(" and "),
                output.stderr_text()
            ))),
        }
    }
}

/// The status that the script ends with when its first step fails; systemctl's own are lower.
const FIRST_STEP: i32 = 101;

fn step_failed(step: &str, name: &str, known: &Known, unmasked: bool, output: &Output) -> Halt {
    let stderr = output.stderr_text();
    let said = stderr.trim();
    let msg = match step {
        "mask" | "unmask" if !known.exists() => not_found(name),
        "mask" | "unmask" => format!("Failed to {step} the service ({name}): {said}"),
        _ => format!("Unable to {step} service {name}: {stderr}"),
    };
    let mut failure = Failure::new(msg)
        .with("name", name)
        .with("stderr", stderr.clone());
    if known.is_masked() && !unmasked {
        failure.msg.push_str("; it is masked: `masked: false` unmasks it");
    }
    failure.into()
}

fn not_found(name: &str) -> String {
    format!("Could not find the requested service {name}: host")
}

/// The state that Ansible reports.
fn reported(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Started | State::Restarted | State::Reloaded => "started",
    }
}

fn became(step: &str) -> &'static str {
    match step {
        "mask" => "masked",
        "unmask" => "not masked",
        "enable" => "enabled",
        "disable" => "disabled",
        "start" => "active",
        "stop" => "inactive",
        "restart" => "active, restarted",
        _ => "active, reloaded",
    }
}

/// What systemd says of a unit.
struct Known {
    status: BTreeMap<String, String>,
    init_script: bool,
}

/// Whether a unit is started at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enablement {
    Is(bool),
    /// Neither `enable` nor `disable` does anything.
    Fixed,
    /// Only for this boot, or by way of other units: `enable` has to say.
    Partly,
}

impl Known {
    fn property(&self, name: &str) -> &str {
        self.status.get(name).map_or("", String::as_str)
    }

    fn load_state(&self) -> &str {
        self.property("LoadState")
    }

    fn exists(&self) -> bool {
        self.init_script || !["not-found", ""].contains(&self.load_state())
    }

    fn is_masked(&self) -> bool {
        self.load_state() == "masked" || self.property("UnitFileState") == "masked"
    }

    fn refuse_broken(&self, name: &str) -> Result<(), Halt> {
        if !["error", "bad-setting"].contains(&self.load_state()) {
            return Ok(());
        }
        let why = self.property("LoadError");
        Err(fail(format!("Error loading unit file '{name}': {why}")))
    }

    /// Of the global scope only the state of unit files is known.
    fn refuse_missing(&self, name: &str, scope: Scope) -> Result<(), Halt> {
        let known_by_file =
            scope == Scope::Global && !["", "not-found"].contains(&self.property("UnitFileState"));
        if self.exists() || known_by_file {
            return Ok(());
        }
        Err(Failure::new(not_found(name)).with("name", name).into())
    }

    async fn enablement(&self, host: &Host, name: &str) -> Result<Enablement, Halt> {
        let state = self.property("UnitFileState");
        if state == "generated" || (state.is_empty() && self.init_script) {
            return sysv_enablement(host, name).await.map(Enablement::Is);
        }
        Ok(enablement_of(state))
    }

    /// What `systemctl` has to do for a state.
    fn action(&self, state: State) -> Option<&'static str> {
        let active = self.property("ActiveState");
        let runs = ["active", "activating", "reloading", "refreshing"].contains(&active);
        match state {
            State::Started => (!runs).then_some("start"),
            State::Stopped => (runs || active == "deactivating").then_some("stop"),
            State::Restarted if runs => Some("restart"),
            State::Reloaded if runs => Some("reload"),
            State::Restarted | State::Reloaded => Some("start"),
        }
    }

    fn in_words(&self) -> String {
        let of = |name| match self.property(name) {
            "" => "unknown",
            state => state,
        };
        format!("{}\n{}\n", of("UnitFileState"), of("ActiveState"))
    }
}

fn enablement_of(unit_file_state: &str) -> Enablement {
    match unit_file_state {
        "enabled" | "alias" => Enablement::Is(true),
        "static" | "transient" => Enablement::Fixed,
        "enabled-runtime" | "indirect" => Enablement::Partly,
        _ => Enablement::Is(false),
    }
}

/// An init script is started at boot if a runlevel links to it.
pub(super) async fn sysv_enablement(host: &Host, name: &str) -> Result<bool, Halt> {
    let name = name.trim_end_matches(".service");
    let script = format!(
        "for f in /etc/rc[2345].d/S??{}; do [ -e \"$f\" ] && exit; done; exit 1",
        quote(name)
    );
    Ok(host.ask(Look::new("runlevels", script)).await?.ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(properties: &[(&str, &str)]) -> Known {
        let owned = properties
            .iter()
            .map(|(k, v)| ((*k).to_string(), (*v).to_string()));
        Known {
            status: owned.collect(),
            init_script: false,
        }
    }

    #[test]
    fn what_a_state_takes() {
        let active = known(&[("ActiveState", "active")]);
        let failed = known(&[("ActiveState", "failed")]);
        assert_eq!(active.action(State::Started), None);
        assert_eq!(active.action(State::Stopped), Some("stop"));
        assert_eq!(active.action(State::Reloaded), Some("reload"));
        assert_eq!(failed.action(State::Restarted), Some("start"));
        assert_eq!(failed.action(State::Stopped), None);
        assert_eq!(
            known(&[("ActiveState", "deactivating")]).action(State::Stopped),
            Some("stop")
        );
    }

    #[test]
    fn not_all_states_of_unit_files_are_yes_or_no() {
        assert_eq!(enablement_of("enabled"), Enablement::Is(true));
        assert_eq!(enablement_of("alias"), Enablement::Is(true));
        assert_eq!(enablement_of("static"), Enablement::Fixed);
        assert_eq!(enablement_of("indirect"), Enablement::Partly);
        assert_eq!(enablement_of("masked"), Enablement::Is(false));
        assert_eq!(enablement_of("disabled"), Enablement::Is(false));
    }

    #[test]
    fn what_does_not_exist_is_said_as_ansible_says_it() {
        let missing = known(&[("LoadState", "not-found")]);
        let Err(Halt::Failed(failure)) = missing.refuse_missing("nope", Scope::System) else {
            panic!("it does not exist");
        };
        assert_eq!(failure.msg, "Could not find the requested service nope: host");
        assert!(known(&[("LoadState", "masked")]).is_masked());
    }
}
