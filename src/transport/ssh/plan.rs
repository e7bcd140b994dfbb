//! Everything that has to be known before the first byte is sent to a destination.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::super::{Destination, TransportError, TransportErrorKind};
use super::arguments::{self, Arguments};
use super::authenticate::Credentials;
use super::config::{self, DEFAULT_KEYS, Files, Reading};
use super::expand::{Tokens, tilde};
use super::failure::Peer;
use super::known_hosts::{KnownAs, KnownKeys};
use super::options::{Family, Options, Setting, Strictness, Way};
use super::verify::Record;
use super::{Shared, Surroundings};

const GLOBAL_KNOWN_HOSTS: &[&str] = &["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
const USER_KNOWN_HOSTS: &[&str] = &["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];

/// How the stream to a destination comes about.
#[derive(Debug, Clone)]
pub(super) enum Route {
    Direct,
    /// With its tokens replaced.
    Command(String),
    /// The nearest machine first.
    Jump(Vec<String>),
}

pub(super) struct Plan {
    pub(super) peer: Peer,
    pub(super) route: Route,
    pub(super) family: Family,
    pub(super) known: KnownKeys,
    pub(super) strictness: Strictness,
    pub(super) record: Option<Record>,
    pub(super) credentials: Credentials,
    pub(super) alive_interval: Option<Duration>,
    pub(super) alive_count: Option<usize>,
    /// `-F`, which holds for the machines on the way too.
    pub(super) config_file: Option<String>,
}

impl Plan {
    pub(super) async fn make(
        shared: &Shared,
        destination: &Destination,
        route: Option<Route>,
    ) -> Result<Self, TransportError> {
        let name = &destination.name;
        let unsupported = |reason: String| {
            TransportError::new(
                TransportErrorKind::Unsupported,
                format!("cannot connect to {name} as asked: {reason}"),
            )
        };
        let arguments = arguments::read(&destination.ssh_args).map_err(unsupported)?;
        let settings = shared.settings(destination, &arguments).await;
        let options = Options::from_settings(&settings).map_err(unsupported)?;
        Self::from_options(
            &shared.surroundings,
            destination,
            &options,
            arguments.config_file,
            route,
        )
        .map_err(unsupported)
    }

    fn from_options(
        surroundings: &Surroundings,
        destination: &Destination,
        options: &Options,
        config_file: Option<String>,
        route: Option<Route>,
    ) -> Result<Self, String> {
        let (at_user, original) = address(&destination.host);
        let port = destination.port.or(options.port).unwrap_or(22);
        let user = destination
            .user
            .clone()
            .or_else(|| at_user.map(str::to_owned))
            .or_else(|| options.user.clone())
            .unwrap_or_else(|| surroundings.user.clone());
        let host = host(options, original);
        let tokens = Tokens {
            home: &surroundings.home,
            local_user: &surroundings.user,
            original,
            alias: options.host_key_alias.as_deref(),
            host: &host,
            port,
            user: &user,
        };
        let route = match (route, &options.way) {
            (Some(route), _) => route,
            (None, Way::Direct) => Route::Direct,
            (None, Way::Jump(hops)) => Route::Jump(
                hops.iter()
                    .map(|hop| tokens.tokens(hop))
                    .collect::<Result<_, _>>()?,
            ),
            (None, Way::Command(command)) => Route::Command(tokens.tokens(command)?),
        };
        let user_files = paths(options.user_known_hosts.as_deref(), USER_KNOWN_HOSTS, &tokens)?;
        let global_files = paths(options.global_known_hosts.as_deref(), GLOBAL_KNOWN_HOSTS, &tokens)?;
        let known_as = match &options.host_key_alias {
            Some(alias) => KnownAs::alias(alias),
            None => KnownAs::new(&host, port),
        };
        let files: Vec<_> = user_files.iter().chain(&global_files).cloned().collect();
        Ok(Self {
            known: KnownKeys::read(&files, known_as),
            strictness: match destination.host_key_checking {
                Some(false) => Strictness::Accept,
                Some(true) | None => options.strictness,
            },
            record: user_files.into_iter().next().map(|file| Record {
                file,
                hashed: options.hash_known_hosts,
            }),
            credentials: credentials(surroundings, destination, options, &tokens)?,
            route,
            family: options.family,
            alive_interval: options.alive_interval,
            alive_count: options.alive_count,
            config_file,
            peer: Peer {
                name: destination.name.clone(),
                host,
                port,
            },
        })
    }

    /// A machine on the way: `user@host:port`, or as a URL. Of our own arguments only `-F` holds for it, as in `ssh`.
    pub(super) fn hop(&self, text: &str, timeout: Duration) -> Result<Destination, TransportError> {
        let (user, host, port) = read_hop(text).ok_or_else(|| {
            TransportError::new(
                TransportErrorKind::Unsupported,
                format!("`{text}` on the way to {} is no machine", self.peer),
            )
        })?;
        Ok(Destination {
            name: host.clone(),
            host,
            port,
            user,
            private_key_file: None,
            private_key_passphrase: None,
            password: None,
            ssh_args: self
                .config_file
                .iter()
                .flat_map(|file| ["-F".to_owned(), file.clone()])
                .collect(),
            host_key_checking: None,
            timeout,
        })
    }
}

/// `ssh` takes `user@host` for an address, and so does whoever writes it into `ansible_host`.
fn address(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('@') {
        Some((user, host)) if !user.is_empty() => (Some(user), host),
        _ => (None, text),
    }
}

/// `HostName` may hold the name that it replaces.
fn host(options: &Options, original: &str) -> String {
    let Some(name) = &options.host_name else {
        return original.to_owned();
    };
    // Taken apart at `%%`, so that the rest of `%%h` is no token.
    let parts: Vec<_> = name
        .split("%%")
        .map(|part| part.replace("%h", original))
        .collect();
    parts.join("%")
}

fn paths(named: Option<&[String]>, default: &[&str], tokens: &Tokens<'_>) -> Result<Vec<PathBuf>, String> {
    match named {
        Some(named) => named
            .iter()
            .filter(|path| !path.eq_ignore_ascii_case("none"))
            .map(|path| tokens.path(path))
            .collect(),
        None => default.iter().map(|path| tokens.path(path)).collect(),
    }
}

fn credentials(
    surroundings: &Surroundings,
    destination: &Destination,
    options: &Options,
    tokens: &Tokens<'_>,
) -> Result<Credentials, String> {
    let mut named: Vec<PathBuf> = destination
        .private_key_file
        .iter()
        .map(|file| tilde(file, tokens.home))
        .collect();
    for file in &options.identity_files {
        if !file.eq_ignore_ascii_case("none") {
            named.push(tokens.path(file)?);
        }
    }
    // Somebody who names files means those and no others.
    let default = if named.is_empty() && options.identity_files.is_empty() {
        DEFAULT_KEYS.iter().map(|file| tilde(file, tokens.home)).collect()
    } else {
        Vec::new()
    };
    let mut certificates = Vec::new();
    for file in &options.certificate_files {
        certificates.push(tokens.path(file)?);
    }
    // With IdentitiesOnly and no file named, the default files are the ones meant.
    let (named, default) = match (options.identities_only, named.is_empty()) {
        (true, true) => (existing(default), Vec::new()),
        _ => (named, default),
    };
    Ok(Credentials {
        user: tokens.user.to_owned(),
        named,
        default,
        certificates,
        agent: agent(surroundings, options, tokens)?,
        named_only: options.identities_only,
        passphrase: destination.private_key_passphrase.clone(),
        password: destination.password.clone(),
        methods: options.methods,
    })
}

fn existing(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.retain(|file| file.exists());
    files
}

/// `IdentityAgent` before `SSH_AUTH_SOCK`.
fn agent(
    surroundings: &Surroundings,
    options: &Options,
    tokens: &Tokens<'_>,
) -> Result<Option<PathBuf>, String> {
    match options.identity_agent.as_deref() {
        None | Some("SSH_AUTH_SOCK") => Ok(surroundings.agent.clone()),
        Some(none) if none.eq_ignore_ascii_case("none") => Ok(None),
        Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(variable) => Ok(std::env::var_os(variable).map(PathBuf::from)),
            None => tokens.path(text).map(Some),
        },
    }
}

fn read_hop(text: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, behind) = bracketed.split_once(']')?;
            (host, behind.strip_prefix(':'))
        }
        None => match rest.split_once(':') {
            // More than one colon: an address of IPv6 without a port.
            Some((_, port)) if port.contains(':') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if host.is_empty() {
        return None;
    }
    let port = port.map(str::parse).transpose().ok()?;
    Some((user, host.to_owned(), port))
}

impl Shared {
    /// Arguments, then the files: the first that names a keyword wins.
    async fn settings(&self, destination: &Destination, arguments: &Arguments) -> Vec<Setting> {
        let mut settings = arguments.settings.clone();
        for setting in &arguments.settings {
            self.tell_if_missing(destination, setting);
        }
        let files = self.files(arguments);
        let host = address(&destination.host).1;
        let reading = config::read(&files, host, &self.surroundings.home);
        if reading.unsure.is_some()
            && let Some(asked) = self.ask_ssh(destination, arguments, &files).await
        {
            settings.extend(asked.iter().cloned());
            return settings;
        }
        self.tell_ignored(&reading);
        settings.extend(reading.settings);
        settings
    }

    fn files(&self, arguments: &Arguments) -> Files {
        match arguments.config_file.as_deref() {
            Some("none") => Files {
                user: None,
                system: None,
            },
            Some(file) => Files {
                user: Some(tilde(file, &self.surroundings.home)),
                system: None,
            },
            None => Files {
                user: Some(self.surroundings.config.clone()),
                system: Some(self.surroundings.system_config.clone()),
            },
        }
    }

    async fn ask_ssh(
        &self,
        destination: &Destination,
        arguments: &Arguments,
        files: &Files,
    ) -> Option<Arc<Vec<Setting>>> {
        let program = self.surroundings.ssh.as_deref()?;
        let mut line = destination.ssh_args.clone();
        // `ssh` looks for the user's file where the account says, whatever HOME is.
        let usual = own_account().map(|account| account.home.join(".ssh/config"));
        if arguments.config_file.is_none()
            && files.user != usual
            && let Some(file) = &files.user
        {
            line.extend(["-F".to_owned(), file.display().to_string()]);
        }
        if let Some(port) = destination.port {
            line.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &destination.user {
            line.extend(["-l".to_owned(), user.clone()]);
        }
        let mut key = line.clone();
        key.push(destination.host.clone());
        if let Some(known) = self.asked().get(&key) {
            return Some(Arc::clone(known));
        }
        let mut settings = config::ask_ssh(program, &line, &destination.host).await?;
        if let Some(usual) = usual {
            settings.retain(|setting| !is_default_file(setting, &usual));
        }
        let settings = Arc::new(settings);
        self.asked().insert(key, Arc::clone(&settings));
        Some(settings)
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<Vec<String>, Arc<Vec<Setting>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_if_missing(&self, destination: &Destination, setting: &Setting) {
        use super::keywords::{Meaning, meaning};
        if meaning(&setting.keyword) == Meaning::Missing {
            self.notices.add(format!(
                "the ssh argument `{}={}` of {} has no effect here",
                setting.keyword, setting.value, destination.name
            ));
        }
    }

    fn tell_ignored(&self, reading: &Reading) {
        for line in &reading.ignored {
            self.notices.add(format!("{line} has no effect here"));
        }
    }
}

/// `ssh -G` prints the default as if somebody had named it, in the home that the account says.
fn is_default_file(setting: &Setting, usual: &Path) -> bool {
    setting.keyword == "userknownhostsfile"
        && setting.words().iter().all(|file| {
            let file = Path::new(file);
            file == usual.with_file_name("known_hosts") || file == usual.with_file_name("known_hosts2")
        })
}

pub(super) fn surroundings() -> Surroundings {
    let account = own_account();
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(|| account.as_ref().map(|account| account.home.clone()))
        .unwrap_or_else(|| PathBuf::from("/"));
    let user = account
        .map(|account| account.name)
        .or_else(|| std::env::var("LOGNAME").ok())
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_default();
    Surroundings {
        config: home.join(".ssh/config"),
        home,
        user,
        agent: std::env::var_os("SSH_AUTH_SOCK")
            .filter(|socket| !socket.is_empty())
            .map(PathBuf::from),
        system_config: PathBuf::from("/etc/ssh/ssh_config"),
        ssh: program("ssh"),
    }
}

struct Account {
    name: String,
    home: PathBuf,
}

/// The line of `/etc/passwd` for the user who runs us.
fn own_account() -> Option<Account> {
    let me = fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?;
        let home = fields.nth(2)?;
        (uid == me).then(|| Account {
            name: name.to_owned(),
            home: PathBuf::from(home),
        })
    })
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_have_users_and_ports() {
        let hop =
            |user: Option<&str>, host: &str, port| Some((user.map(str::to_owned), host.to_owned(), port));
        assert_eq!(read_hop("jump"), hop(None, "jump", None));
        assert_eq!(read_hop("me@jump:2222"), hop(Some("me"), "jump", Some(2222)));
        assert_eq!(read_hop("ssh://a@b@jump"), hop(Some("a@b"), "jump", None));
        assert_eq!(read_hop("[::1]:22"), hop(None, "::1", Some(22)));
        assert_eq!(read_hop("fe80::1"), hop(None, "fe80::1", None));
        assert_eq!(read_hop("jump:x"), None);
        assert_eq!(read_hop("@"), None);
    }
}
