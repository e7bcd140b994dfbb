//! `service`: services by whatever service manager the host has.
//!
//! ```yaml
//! - service:
//!     name: cron
//!     state: started
//!     enabled: true
//! - service:
//!     name: ssh
//!     state: reloaded
//! ```
//!
//! On hosts with systemd this is `systemd`; `pattern`, `runlevel`, `sleep` and `arguments` do nothing there, with a
//! warning. Elsewhere init scripts are run by `service`, and `update-rc.d` or `chkconfig` enable them. `OpenRC` and
//! other managers are refused by name.
//!
//! Returns `name`, `state`, `enabled`; with systemd also `status`.

use serde::Deserialize;

use super::Module;
use super::process::environment;
use super::systemd::{Ran, State, Systemd, sysv_enablement};
use crate::host::question::Stat;
use crate::host::{Change, Failure, Halt, Host, Outcome, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    name: String,
    state: Option<State>,
    enabled: Option<bool>,
    #[serde(rename = "use", default = "auto")]
    manager: String,
    pattern: Option<String>,
    runlevel: Option<String>,
    sleep: Option<u32>,
    #[serde(alias = "args")]
    arguments: Option<String>,
}

fn auto() -> String {
    "auto".to_string()
}

impl Module for Service {
    const NAME: &'static str = "service";

    fn check(&self) -> Result<(), Halt> {
        match self.manager.to_ascii_lowercase().as_str() {
            "auto" | "systemd" | "ansible.builtin.systemd" => self.unit().check(),
            "service" | "sysvinit" => Ok(()),
            other => Err(fail(format!(
                "`use: {other}` is not supported: `service` knows systemd and init scripts"
            ))),
        }
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if ["service", "sysvinit"].contains(&self.manager.to_ascii_lowercase().as_str()) {
            return self.run_init_script(host).await;
        }
        let unit = self.unit();
        match unit.run_or_tell(host).await? {
            Ran::Done(outcome) => Ok(self.ignored().into_iter().fold(outcome, Outcome::warn)),
            Ran::NotHere(_) => self.run_init_script(host).await,
        }
    }
}

impl Service {
    fn unit(&self) -> Systemd {
        Systemd::unit(&self.name, self.state, self.enabled)
    }

    /// What has no meaning with systemd.
    fn ignored(&self) -> Vec<String> {
        let given = [
            (self.pattern.is_some(), "pattern"),
            (self.runlevel.is_some(), "runlevel"),
            (self.sleep.is_some(), "sleep"),
            (self.arguments.is_some(), "arguments"),
        ];
        let ignored = given.iter().filter(|(given, _)| *given);
        ignored
            .map(|(_, option)| format!("Ignoring \"{option}\" as it is not used in \"systemd\""))
            .collect()
    }

    async fn run_init_script(&self, host: &Host) -> Result<Outcome, Halt> {
        if self.state.is_none() && self.enabled.is_none() {
            return Err(fail("one of the following is required: state, enabled"));
        }
        if self.runlevel.is_some() || self.pattern.is_some() {
            return Err(fail(
                "`runlevel` and `pattern` are not supported: they belong to OpenRC and `ps`",
            ));
        }
        let (script, openrc) = host
            .ask_both(
                Stat::following(format!("/etc/init.d/{}", self.name)),
                Stat::following("/sbin/openrc-run"),
            )
            .await?;
        if openrc.is_some() {
            return Err(fail("the host has OpenRC, which `service` does not support"));
        }
        if script.is_none() {
            return Err(Failure::new(format!(
                "Could not find the requested service {}: host",
                self.name
            ))
            .into());
        }
        let name = quote(&self.name);
        let mut steps = Vec::new();
        let mut outcome = Outcome::new().with("name", self.name.clone());
        if let Some(enabled) = self.enabled {
            if sysv_enablement(host, &self.name).await? != enabled {
                let (debian, rhel) = if enabled {
                    ("enable", "on")
                } else {
                    ("disable", "off")
                };
                steps.push(format!(
                    "if command -v update-rc.d >/dev/null; then update-rc.d {name} {debian}; else chkconfig {name} {rhel}; fi"
                ));
            }
            outcome = outcome.with("enabled", enabled);
        }
        if let Some(state) = self.state {
            steps.extend(self.action(host, state).await?);
            let state = if state == State::Stopped {
                "stopped"
            } else {
                "started"
            };
            outcome = outcome.with("state", state);
        }
        if !steps.is_empty() {
            let script = format!("{}{}", environment(host)?, steps.join(" && "));
            let what = format!("change the service {}", self.name);
            host.change_ok(Change::new(&*what), Script::new(what, script))
                .await?;
        }
        Ok(outcome)
    }

    /// An init script knows by itself whether it runs; asking it runs it, so that waits for the task's turn.
    async fn action(&self, host: &Host, state: State) -> Result<Option<String>, Halt> {
        let name = quote(&self.name);
        let arguments = self.arguments.as_deref().unwrap_or_default();
        let call = |verb: &str| format!("service {name} {verb} {arguments}");
        let status = Script::new("service status", call("status"));
        let runs = host.ask_now(status).await?.ok();
        let pause = match self.sleep {
            Some(seconds) => format!("sleep {seconds}; "),
            None => String::new(),
        };
        Ok(match state {
            State::Started => (!runs).then(|| call("start")),
            State::Stopped => runs.then(|| call("stop")),
            State::Restarted => Some(format!("{{ {}; {pause}{}; }}", call("stop"), call("start"))),
            State::Reloaded if runs => Some(call("reload")),
            State::Reloaded => Some(call("start")),
        })
    }
}
