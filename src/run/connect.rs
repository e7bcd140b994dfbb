//! From a host's connection variables to a machine.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::machines::{Connect, MachineKey};
use super::values::{plain_text, truth};
use crate::config::Config;
use crate::host::{Machine, Remote};
use crate::source::Diagnostic;
use crate::transport::Local;
use crate::transport::ssh::{AskPassphrase, Client, Surroundings};
use crate::transport::{Boxed, Destination, Transport, TransportError, TransportErrorKind};
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
    pub args: Option<String>,
    pub common_args: Option<String>,
    pub extra_args: Option<String>,
    /// How often a connection that does not come about is tried again.
    pub retries: u32,
    pub shell: Option<String>,
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
            args: config.ssh_args.clone(),
            common_args: config.ssh_common_args.clone(),
            extra_args: config.ssh_extra_args.clone(),
            retries: config.retries,
            shell: config.executable.clone(),
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
        let host = &key.host;
        let text = |names: &[&str]| names.iter().find_map(|n| variables.get(*n)).map(plain_text);
        let defaults = &self.defaults;
        let checking = ["ansible_ssh_host_key_checking", "ansible_host_key_checking"]
            .iter()
            .find_map(|n| variables.get(*n))
            .and_then(truth)
            .unwrap_or(defaults.host_key_checking);
        let own_key = defaults
            .private_key_file
            .as_ref()
            .map(|p| p.display().to_string());
        Ok(Destination {
            name: host.to_string(),
            host: text(&["ansible_ssh_host", "ansible_host"]).unwrap_or_else(|| host.to_string()),
            port: number(host, variables, &["ansible_ssh_port", "ansible_port"], "port")?.or(defaults.port),
            user: text(&["ansible_ssh_user", "ansible_user"]).or_else(|| defaults.user.clone()),
            private_key_file: text(&["ansible_ssh_private_key_file", "ansible_private_key_file"]).or(own_key),
            private_key_passphrase: text(&[
                "ansible_ssh_private_key_passphrase",
                "ansible_private_key_passphrase",
            ]),
            password: text(&["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"])
                .or_else(|| defaults.password.clone()),
            ssh_args: [
                ssh_args(host, variables, "ansible_ssh_args", defaults.args.as_ref())?,
                ssh_args(
                    host,
                    variables,
                    "ansible_ssh_common_args",
                    defaults.common_args.as_ref(),
                )?,
                ssh_args(
                    host,
                    variables,
                    "ansible_ssh_extra_args",
                    defaults.extra_args.as_ref(),
                )?,
            ]
            .concat(),
            // Checking is the rule already; only its absence has to be said.
            host_key_checking: (!checking).then_some(false),
            timeout: number(
                host,
                variables,
                &["ansible_ssh_timeout", "ansible_timeout"],
                "number of seconds",
            )?
            .map_or(defaults.timeout, Duration::from_secs),
        })
    }
}

fn ssh_args(
    host: &str,
    variables: &Map,
    name: &str,
    default: Option<&String>,
) -> Result<Vec<String>, Diagnostic> {
    let Some(args) = variables.get(name).map(plain_text).or_else(|| default.cloned()) else {
        return Ok(Vec::new());
    };
    words(&args).map_err(|why| Diagnostic::error(format!("`{name}` of `{host}`: {why}")))
}

/// The first of the variables that is there.
fn number<T: FromStr>(
    host: &str,
    variables: &Map,
    names: &[&str],
    what: &str,
) -> Result<Option<T>, Diagnostic> {
    let Some((name, value)) = names.iter().find_map(|n| Some((n, variables.get(*n)?))) else {
        return Ok(None);
    };
    let text = plain_text(value);
    // Of two names with one value, the last is the one that people write.
    let name = names
        .iter()
        .rfind(|n| variables.get(**n) == Some(value))
        .unwrap_or(name);
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Diagnostic::error(format!(
            "`{name}` of `{host}` is `{text}`, which is no {what}"
        ))),
    }
}

impl Connect for Connections {
    fn machine(&mut self, key: &MachineKey, variables: &Map) -> Result<Arc<dyn Machine>, Diagnostic> {
        let shell = variables
            .get("ansible_shell_executable")
            .or_else(|| variables.get("ansible_executable"))
            .map(plain_text)
            .or_else(|| self.defaults.shell.clone());
        let remote = if key.local {
            Remote::new(
                key.host.clone(),
                Arc::new(|| Box::pin(async { Ok(Arc::new(Local::new()) as Arc<dyn Transport>) })),
            )
        } else {
            let destination = Arc::new(self.destination(key, variables)?);
            let retries = number(&key.host, variables, &["ansible_ssh_retries"], "number")?
                .unwrap_or(self.defaults.retries);
            let client = self.client.clone();
            let connect = move || -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
                let (client, destination) = (client.clone(), destination.clone());
                Box::pin(async move { connect(&client, &destination, retries).await })
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

/// Tries again as often as is wanted, after 0, 1, 3, 7 s and so on; a machine that would not let us in has answered.
async fn connect(
    client: &Client,
    destination: &Destination,
    retries: u32,
) -> Result<Arc<dyn Transport>, TransportError> {
    let mut pause = Duration::ZERO;
    for _ in 0..retries {
        match client.connect(destination).await {
            Err(error)
                if matches!(
                    error.kind,
                    TransportErrorKind::Unreachable | TransportErrorKind::Lost
                ) => {}
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2 + Duration::from_secs(1)).min(LONGEST_PAUSE);
    }
    client.connect(destination).await
}

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
