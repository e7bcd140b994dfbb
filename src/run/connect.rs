//! From a host's connection variables to a machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::machines::{Connect, MachineKey};
use super::values::{plain_text, truth};
use crate::config::Config;
use crate::host::{Machine, Remote};
use crate::source::Diagnostic;
use crate::transport::Local;
use crate::transport::ssh::{AskPassphrase, Client, Surroundings};
use crate::transport::{Boxed, Destination, Transport, TransportError};
use crate::vars::Map;

/// Makes machines over SSH, and this machine itself.
pub struct Connections {
    client: Client,
    defaults: Defaults,
}

/// What configuration and command line say for all hosts.
#[derive(Debug, Clone)]
pub struct Defaults {
    pub user: Option<String>,
    pub port: Option<u16>,
    pub private_key_file: Option<PathBuf>,
    pub password: Option<String>,
    pub host_key_checking: bool,
    pub timeout: Duration,
    pub common_args: Option<String>,
    pub extra_args: Option<String>,
}

impl Defaults {
    pub fn of(config: &Config) -> Self {
        Self {
            user: config.remote_user.clone(),
            port: config.remote_port.and_then(|p| u16::try_from(p).ok()),
            private_key_file: config.private_key_file.clone(),
            password: None,
            host_key_checking: config.host_key_checking,
            timeout: Duration::from_secs(config.timeout.into()),
            common_args: config.ssh_common_args.clone(),
            extra_args: config.ssh_extra_args.clone(),
        }
    }
}

impl Connections {
    pub fn new(defaults: Defaults) -> Self {
        Self {
            client: Client::new(Surroundings::of_this_process()),
            defaults,
        }
    }

    /// Asks the person for the passphrases of keys.
    #[must_use]
    pub fn asking(self, ask: AskPassphrase) -> Self {
        Self {
            client: Client::asking(Surroundings::of_this_process(), ask),
            ..self
        }
    }

    fn destination(&self, key: &MachineKey, variables: &Map) -> Result<Destination, Diagnostic> {
        let text = |names: &[&str]| names.iter().find_map(|n| variables.get(*n)).map(plain_text);
        let defaults = &self.defaults;
        let port = match text(&["ansible_port", "ansible_ssh_port"]) {
            Some(text) => Some(text.parse().map_err(|_| {
                Diagnostic::error(format!(
                    "`ansible_port` of `{}` is `{text}`, which is no port",
                    key.host
                ))
            })?),
            None => defaults.port,
        };
        let mut ssh_args = Vec::new();
        for (names, default) in [
            (&["ansible_ssh_common_args"], &defaults.common_args),
            (&["ansible_ssh_extra_args"], &defaults.extra_args),
        ] {
            if let Some(args) = text(names).or_else(|| default.clone()) {
                ssh_args.extend(
                    words(&args).map_err(|why| {
                        Diagnostic::error(format!("`{}` of `{}`: {why}", names[0], key.host))
                    })?,
                );
            }
        }
        let checking = ["ansible_host_key_checking", "ansible_ssh_host_key_checking"]
            .iter()
            .find_map(|n| variables.get(*n))
            .and_then(truth)
            .unwrap_or(defaults.host_key_checking);
        let timeout = text(&["ansible_ssh_timeout", "ansible_timeout"])
            .and_then(|t| t.parse().ok())
            .map_or(defaults.timeout, Duration::from_secs);
        let own_key = defaults
            .private_key_file
            .as_ref()
            .map(|p| p.display().to_string());
        Ok(Destination {
            name: key.host.to_string(),
            host: text(&["ansible_host", "ansible_ssh_host"]).unwrap_or_else(|| key.host.to_string()),
            port,
            user: key
                .user
                .as_ref()
                .map(ToString::to_string)
                .or_else(|| text(&["ansible_user", "ansible_ssh_user"]))
                .or_else(|| defaults.user.clone()),
            private_key_file: text(&["ansible_ssh_private_key_file", "ansible_private_key_file"]).or(own_key),
            private_key_passphrase: text(&[
                "ansible_ssh_private_key_passphrase",
                "ansible_private_key_passphrase",
            ]),
            password: text(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])
                .or_else(|| defaults.password.clone()),
            ssh_args,
            // Checking is the rule already; only its absence has to be said.
            host_key_checking: (!checking).then_some(false),
            timeout,
        })
    }
}

impl Connect for Connections {
    fn machine(&mut self, key: &MachineKey, variables: &Map) -> Result<Arc<dyn Machine>, Diagnostic> {
        let shell = variables
            .get("ansible_shell_executable")
            .or_else(|| variables.get("ansible_executable"))
            .map(plain_text);
        let remote = if key.local {
            Remote::new(
                key.host.clone(),
                Arc::new(|| Box::pin(async { Ok(Arc::new(Local::new()) as Arc<dyn Transport>) })),
            )
        } else {
            let destination = Arc::new(self.destination(key, variables)?);
            let client = self.client.clone();
            let connect = move || -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
                let (client, destination) = (client.clone(), destination.clone());
                Box::pin(async move { client.connect(&destination).await })
            };
            Remote::new(key.host.clone(), Arc::new(connect))
        };
        let remote = match shell {
            Some(path) => remote.shell(path),
            None => remote,
        };
        Ok(Arc::new(remote))
    }
}

/// Splits a line into words as a shell does, without expanding anything.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quotation mark is never closed".to_string());
    }
    all.extend(word);
    Ok(all)
}
