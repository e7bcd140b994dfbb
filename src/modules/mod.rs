//! Ansible's modules, one file each: typed arguments in, one outcome out.
//!
//! A module knows nothing of scheduling, check mode or reporting. It asks, and it changes only what differs,
//! through the doors of [`Host`]. To add one: a file, a `mod` line, a line in [`ALL`].

mod alternative_groups;
mod alternatives;
mod apt;
mod arguments;
mod assert;
mod blockinfile;
mod command;
mod configuration;
mod copy;
mod debug;
mod dnf;
mod fail;
mod file;
mod files;
mod find;
mod helm;
mod helm_repository;
mod k8s;
mod k8s_drain;
mod k8s_exec;
mod k8s_info;
mod k8s_json_patch;
mod k8s_log;
mod k8s_scale;
mod k8s_taint;
mod kubectl;
mod kubernetes;
mod lineinfile;
mod modprobe;
mod package;
mod packages;
mod pause;
mod payload;
mod ping;
mod ports;
mod preflight;
mod preflight_report;
mod process;
mod raw;
mod reboot;
mod replace;
mod script;
mod service;
mod set_fact;
mod setup;
mod shell;
mod slurp;
mod stat;
mod sysctl;
mod systemd;
mod tempfile;
mod template;
mod wait_for;
mod wait_for_connection;

use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;

pub use arguments::{Argument, Arguments, Rule, Unrendered};

use crate::host::{Halt, Host, Outcome};
use crate::source::Diagnostic;

/// What the author of a module writes; the fields of the type are its options.
pub trait Module: DeserializeOwned + Send + 'static {
    /// Ansible's short name.
    const NAME: &'static str;
    /// Where Ansible keeps it.
    const COLLECTION: &'static str = "ansible.builtin";
    /// Other names that lead here, in full (`ansible.builtin.yum`).
    const ALSO: &'static [&'static str] = &[];
    /// The option that takes text written behind the module's name: `command: uptime`.
    const FREE_FORM: Option<&'static str> = None;
    /// Options that are handed over unrendered: conditions, names of variables.
    const UNRENDERED: &'static [&'static str] = &[];
    /// Whether nothing is asked early behind it, because it waits for the world to change.
    const FENCE: bool = false;
    /// Whether it runs once for the whole batch, on its first host, and its result is every host's (`pause`).
    const ONCE: bool = false;
    /// Whether its outcome may hold facts, which later tasks read.
    const FACTS: bool = false;
    /// Whether options that it does not have are passed over, as by Ansible's.
    const IGNORES: bool = false;
    /// Which options exclude each other, and which must be there.
    const RULES: &'static [Rule] = &[];

    /// Refuses options that do not go together, each of which may be right by itself.
    fn check(&self) -> Result<(), Halt> {
        Ok(())
    }

    fn run(self, host: &Host) -> impl Future<Output = Result<Outcome, Halt>> + Send;
}

/// A module at work.
pub type Running = Pin<Box<dyn Future<Output = Result<Outcome, Halt>> + Send>>;

/// A module as the rest of the program holds it.
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub struct Entry {
    pub name: &'static str,
    pub collection: &'static str,
    pub also: &'static [&'static str],
    pub free_form: Option<&'static str>,
    pub unrendered: &'static [&'static str],
    pub fence: bool,
    pub once: bool,
    pub facts: bool,
    pub ignores: bool,
    /// The names of its options, aliases included; `None`: any name is an option (`set_fact`).
    pub options: fn() -> Option<&'static [&'static str]>,
    /// What is certainly wrong with arguments before anything runs.
    pub check: fn(&Unrendered) -> Vec<Diagnostic>,
    /// Reads the arguments and begins. An error has the place of the option that is wrong.
    pub start: fn(&Arguments, Host) -> Result<Running, Diagnostic>,
}

impl Entry {
    pub const fn of<M: Module>() -> Self {
        Self {
            name: M::NAME,
            collection: M::COLLECTION,
            also: M::ALSO,
            free_form: M::FREE_FORM,
            unrendered: M::UNRENDERED,
            fence: M::FENCE,
            once: M::ONCE,
            facts: M::FACTS,
            ignores: M::IGNORES,
            options: arguments::options::<M>,
            check: check::<M>,
            start: start::<M>,
        }
    }

    /// `collection.name`, as Ansible writes it in full.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.collection, self.name)
    }
}

fn start<M: Module>(arguments: &Arguments, host: Host) -> Result<Running, Diagnostic> {
    let module: M = if M::IGNORES {
        arguments.known::<M>().read(M::NAME, M::RULES)?
    } else {
        arguments.read(M::NAME, M::RULES)?
    };
    Ok(Box::pin(async move {
        module.check()?;
        module.run(&host).await
    }))
}

fn check<M: Module>(written: &Unrendered) -> Vec<Diagnostic> {
    let mut found = written.oddities::<M>(M::NAME);
    let known = written.arguments.known::<M>();
    let written = Unrendered {
        arguments: &known,
        more: written.more,
    };
    match written.check::<M>(M::NAME, M::RULES, M::UNRENDERED) {
        Ok(Some(module)) => {
            if let Err(Halt::Failed(failure)) = module.check() {
                let mut error = Diagnostic::error(failure.msg);
                error.span.clone_from(&written.arguments.span);
                found.push(error);
            }
        }
        Ok(None) => {}
        Err(error) => found.push(error),
    }
    found
}

/// Every module there is.
pub const ALL: &[Entry] = &[
    Entry::of::<alternatives::Alternatives>(),
    Entry::of::<apt::Apt>(),
    Entry::of::<assert::Assert>(),
    Entry::of::<blockinfile::Blockinfile>(),
    Entry::of::<command::Command>(),
    Entry::of::<copy::Copy>(),
    Entry::of::<debug::Debug>(),
    Entry::of::<dnf::Dnf>(),
    Entry::of::<fail::Fail>(),
    Entry::of::<file::File>(),
    Entry::of::<find::Find>(),
    Entry::of::<helm::Helm>(),
    Entry::of::<helm_repository::HelmRepository>(),
    Entry::of::<k8s::K8s>(),
    Entry::of::<k8s_drain::K8sDrain>(),
    Entry::of::<k8s_exec::K8sExec>(),
    Entry::of::<k8s_info::K8sInfo>(),
    Entry::of::<k8s_json_patch::K8sJsonPatch>(),
    Entry::of::<k8s_log::K8sLog>(),
    Entry::of::<k8s_scale::K8sScale>(),
    Entry::of::<k8s_taint::K8sTaint>(),
    Entry::of::<kubectl::Kubectl>(),
    Entry::of::<lineinfile::Lineinfile>(),
    Entry::of::<modprobe::Modprobe>(),
    Entry::of::<package::Package>(),
    Entry::of::<pause::Pause>(),
    Entry::of::<ping::Ping>(),
    Entry::of::<preflight::Preflight>(),
    Entry::of::<preflight_report::PreflightReport>(),
    Entry::of::<raw::Raw>(),
    Entry::of::<reboot::Reboot>(),
    Entry::of::<replace::Replace>(),
    Entry::of::<script::Script>(),
    Entry::of::<service::Service>(),
    Entry::of::<set_fact::SetFact>(),
    Entry::of::<setup::Setup>(),
    Entry::of::<shell::Shell>(),
    Entry::of::<slurp::Slurp>(),
    Entry::of::<stat::Stat>(),
    Entry::of::<sysctl::Sysctl>(),
    Entry::of::<systemd::Systemd>(),
    Entry::of::<tempfile::Tempfile>(),
    Entry::of::<template::Template>(),
    Entry::of::<wait_for::WaitFor>(),
    Entry::of::<wait_for_connection::WaitForConnection>(),
];

/// The module of this name: short, in full, or by one of Ansible's redirects.
///
/// Modules that left `ansible.builtin` for a collection still answer to their old full name, as they do in
/// Ansible.
pub fn find(name: &str) -> Option<&'static Entry> {
    let short = name
        .strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name);
    ALL.iter().find(|e| {
        e.name == short
            || e.also.contains(&name)
            || e.also
                .iter()
                .any(|a| a.strip_prefix("ansible.builtin.") == Some(short))
            || name
                .strip_suffix(e.name)
                .and_then(|head| head.strip_suffix('.'))
                .is_some_and(|collection| collection == e.collection)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Value;

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<_> = ALL.iter().map(|e| e.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// What is not known yet must not look wrong.
    #[test]
    fn every_option_may_be_a_template() {
        let template = Value::written("{{ x }}", None);
        for entry in ALL {
            for name in (entry.options)().into_iter().flatten() {
                let argument = Argument {
                    name: (*name).into(),
                    value: template.clone(),
                    name_span: None,
                    value_span: None,
                };
                let arguments = Arguments {
                    given: vec![argument],
                    span: None,
                };
                let written = Unrendered {
                    arguments: &arguments,
                    more: true,
                };
                assert_eq!((entry.check)(&written), [], "{} {name}", entry.name);
            }
        }
    }

    #[test]
    fn all_spellings_lead_to_the_module() {
        for entry in ALL {
            for name in [
                entry.name.to_string(),
                entry.full_name(),
                format!("ansible.builtin.{}", entry.name),
            ] {
                assert_eq!(find(&name).map(|e| e.name), Some(entry.name), "{name}");
            }
        }
        assert!(find("community.general.ping").is_none());
        assert!(find("no_such_module").is_none());
    }
}
