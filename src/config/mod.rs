//! `ansible.cfg`: where it is found, and what its settings mean here.
//!
//! A setting comes from the environment, or else from the one file that is found first: `$ANSIBLE_CONFIG`,
//! `./ansible.cfg`, `~/.ansible.cfg`, `/etc/ansible/ansible.cfg`. What is set but means nothing here is kept in
//! [`Config::ignored`].

mod file;
mod settings;

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::source::{Diagnostic, Source, Span};
use settings as name;
use settings::Settings;

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// A setting's name, and where it stands.
pub type Ignored = (String, Span);

/// When facts are gathered without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathering {
    /// Unless a play says no.
    Implicit,
    /// Only if a play says so.
    Explicit,
    /// Once for each host in a run.
    Smart,
}

/// What is set, and Ansible's defaults where nothing is.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Config {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// From the root.
    pub inventory: Vec<PathBuf>,
    /// Whether anybody set the inventory, or it is Ansible's default.
    pub inventory_is_set: bool,
    pub roles_path: Vec<PathBuf>,
    pub gathering: Gathering,
    pub host_key_checking: bool,
    /// Seconds until a connection that does not come about is given up.
    pub timeout: u32,
    pub remote_user: Option<String>,
    pub remote_port: Option<u32>,
    pub private_key_file: Option<PathBuf>,
    pub ask_pass: bool,
    /// The connection of hosts that name none: `ssh`, `local`.
    pub transport: Option<String>,
    pub become_: bool,
    pub become_method: String,
    pub become_user: String,
    pub become_ask_pass: bool,
    pub become_flags: Option<String>,
    pub become_exe: Option<String>,
    /// `None`: nobody said.
    pub forks: Option<u32>,
    pub strategy: Option<String>,
    pub force_handlers: bool,
    pub any_errors_fatal: bool,
    pub diff_always: bool,
    /// The shell of `shell` and `command` tasks.
    pub executable: Option<String>,
    /// What `{{ ansible_managed }}` says.
    pub ansible_managed: String,
    pub run_tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub ssh_args: Option<String>,
    pub ssh_common_args: Option<String>,
    pub ssh_extra_args: Option<String>,
    /// How often a connection that does not come about is tried again.
    pub retries: u32,
    /// What is set and not acted on.
    pub ignored: Vec<Ignored>,
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Finds and reads the configuration for a working directory.
    pub fn load(environment: &Environment, cwd: &Path) -> Result<Self, Diagnostic> {
        let mut warnings = Vec::new();
        let file = find(environment, cwd, &mut warnings);
        let entries = match &file {
            Some(path) => {
                let text = Source::read(path)?.text.clone();
                let shown = path.strip_prefix(cwd).unwrap_or(path);
                file::parse(&Source::new(shown, text))?
            }
            None => Vec::new(),
        };
        let directory = file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(cwd)
            .to_path_buf();
        let settings = Settings {
            environment,
            entries,
            cwd,
            directory,
            used: HashSet::new(),
            warnings,
        };
        read(settings, file)
    }
}

/// The file that counts.
fn find(environment: &Environment, cwd: &Path, warnings: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    if let Some(named) = environment.get("ANSIBLE_CONFIG").filter(|n| !n.is_empty()) {
        let mut path = expanded(named, environment, cwd);
        if path.is_dir() {
            path.push("ansible.cfg");
        }
        if path.exists() {
            return Some(path);
        }
        warnings.push(Diagnostic::warning(format!(
            "ANSIBLE_CONFIG names `{named}`, which does not exist"
        )));
    }
    let here = cwd.join("ansible.cfg");
    if here.exists() {
        if !writable_by_all(cwd) {
            return Some(here);
        }
        warnings.push(
            Diagnostic::warning("`ansible.cfg` is left unread: anybody may write into this directory")
                .help("`chmod o-w .`, or name it in ANSIBLE_CONFIG"),
        );
    }
    let elsewhere = [
        expanded("~/.ansible.cfg", environment, cwd),
        "/etc/ansible/ansible.cfg".into(),
    ];
    elsewhere.into_iter().find(|p| p.exists())
}

fn expanded(path: &str, environment: &Environment, cwd: &Path) -> PathBuf {
    match (path.strip_prefix("~/"), environment.get("HOME")) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => cwd.join(path),
    }
}

fn writable_by_all(directory: &Path) -> bool {
    directory
        .metadata()
        .is_ok_and(|m| m.permissions().mode() & 0o002 != 0)
}

fn read(mut settings: Settings<'_>, file: Option<PathBuf>) -> Result<Config, Diagnostic> {
    let s = &mut settings;
    refuse_other_languages(s)?;
    let inventory = s.paths(&name::INVENTORY, ',');
    let gatherings = [
        ("implicit", Gathering::Implicit),
        ("explicit", Gathering::Explicit),
        ("smart", Gathering::Smart),
    ];
    let mut config = Config {
        file,
        inventory_is_set: inventory.is_some(),
        inventory: inventory.unwrap_or_else(|| vec!["/etc/ansible/hosts".into()]),
        roles_path: s
            .paths(&name::ROLES_PATH, ':')
            .unwrap_or_else(|| default_roles_path(s)),
        gathering: s
            .choice(&name::GATHERING, &gatherings)?
            .unwrap_or(Gathering::Implicit),
        host_key_checking: s.boolean(&name::HOST_KEY_CHECKING, true),
        timeout: s.number(&name::TIMEOUT, 0)?.unwrap_or(10),
        remote_user: s.text(&name::REMOTE_USER),
        remote_port: s.number(&name::REMOTE_PORT, 1)?,
        private_key_file: s.path(&name::PRIVATE_KEY_FILE),
        ask_pass: s.boolean(&name::ASK_PASS, false),
        transport: s.text(&name::TRANSPORT),
        become_: s.boolean(&name::BECOME, false),
        become_method: s.text(&name::BECOME_METHOD).unwrap_or_else(|| "sudo".into()),
        become_user: s.text(&name::BECOME_USER).unwrap_or_else(|| "root".into()),
        become_ask_pass: s.boolean(&name::BECOME_ASK_PASS, false),
        become_flags: s.text(&name::BECOME_FLAGS),
        become_exe: s.text(&name::BECOME_EXE),
        forks: s.number(&name::FORKS, 1)?,
        strategy: s.text(&name::STRATEGY),
        force_handlers: s.boolean(&name::FORCE_HANDLERS, false),
        any_errors_fatal: s.boolean(&name::ANY_ERRORS_FATAL, false),
        diff_always: s.boolean(&name::DIFF_ALWAYS, false),
        executable: s.text(&name::EXECUTABLE),
        ansible_managed: s
            .text(&name::ANSIBLE_MANAGED)
            .unwrap_or_else(|| "Ansible managed".into()),
        run_tags: s.list(&name::RUN_TAGS),
        skip_tags: s.list(&name::SKIP_TAGS),
        ssh_args: s.text(&name::SSH_ARGS),
        ssh_common_args: s.text(&name::SSH_COMMON_ARGS),
        ssh_extra_args: s.text(&name::SSH_EXTRA_ARGS),
        retries: s.number(&name::RETRIES, 0)?.unwrap_or(0),
        ignored: Vec::new(),
        warnings: Vec::new(),
    };
    config.ignored = settings.ignored();
    config.warnings = settings.warnings;
    Ok(config)
}

fn default_roles_path(settings: &Settings<'_>) -> Vec<PathBuf> {
    let home = settings
        .environment
        .get("ANSIBLE_HOME")
        .map_or("~/.ansible", String::as_str);
    [
        &format!("{home}/roles"),
        "/usr/share/ansible/roles",
        "/etc/ansible/roles",
    ]
    .map(|p| settings.resolve(p, settings.cwd))
    .into()
}

/// Settings under which playbooks would mean something else than they mean here.
fn refuse_other_languages(settings: &mut Settings<'_>) -> Result<(), Diagnostic> {
    if settings.choice(&settings::HASH_BEHAVIOUR, &[("replace", false), ("merge", true)])? == Some(true) {
        let error = Diagnostic::error(
            "`hash_behaviour = merge` is not supported: here, the last of two mappings wins",
        );
        return Err(at(error, settings, &settings::HASH_BEHAVIOUR)
            .help("merge where it is meant, with the filter `combine(recursive=true)`"));
    }
    if !settings.boolean(&settings::ERROR_ON_UNDEFINED_VARS, true) {
        let error = Diagnostic::error(
            "`error_on_undefined_vars = false` is not supported: an undefined variable is an error",
        );
        return Err(at(error, settings, &settings::ERROR_ON_UNDEFINED_VARS)
            .help("give variables that may be undefined a `default()`"));
    }
    if !settings.boolean(&settings::INJECT_FACTS_AS_VARS, true) {
        let warning =
            Diagnostic::warning("`inject_facts_as_vars = false` is not acted on: facts are variables too");
        let warning = at(warning, settings, &settings::INJECT_FACTS_AS_VARS);
        settings.warnings.push(warning);
    }
    if settings.boolean(&settings::JINJA2_NATIVE, false) {
        let warning = Diagnostic::warning(
            "`jinja2_native = true` is not acted on: templates give what they give without it",
        );
        let warning = at(warning, settings, &settings::JINJA2_NATIVE);
        settings.warnings.push(warning);
    }
    Ok(())
}

fn at(diagnostic: Diagnostic, settings: &mut Settings<'_>, setting: &settings::Setting) -> Diagnostic {
    match settings.given(setting) {
        Some(given) => diagnostic.at(&given.span),
        None => diagnostic,
    }
}
