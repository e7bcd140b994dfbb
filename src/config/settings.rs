//! Which settings there are, under which names, and how a value becomes what it means.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::Entry;
use super::{Environment, Ignored};
use crate::source::{Diagnostic, Source, Span, nearest};

/// The names of a setting; of several that are given, the environment wins, then the last in the list.
pub(super) struct Setting {
    pub environment: &'static [&'static str],
    /// Sections and names in the file.
    pub file: &'static [(&'static str, &'static str)],
}

macro_rules! settings {
    ($($name:ident: [$($environment:literal),*], [$(($section:literal, $key:literal)),*];)*) => {
        $(pub(super) const $name: Setting = Setting {
            environment: &[$($environment),*],
            file: &[$(($section, $key)),*],
        };)*
        /// All that the program acts on.
        pub(super) const ALL: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    INVENTORY: ["ANSIBLE_INVENTORY"], [("defaults", "inventory")];
    ROLES_PATH: ["ANSIBLE_ROLES_PATH"], [("defaults", "roles_path")];
    GATHERING: ["ANSIBLE_GATHERING"], [("defaults", "gathering")];
    HOST_KEY_CHECKING: ["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"],
        [("defaults", "host_key_checking"), ("ssh_connection", "host_key_checking")];
    TIMEOUT: ["ANSIBLE_TIMEOUT", "ANSIBLE_SSH_TIMEOUT"], [("defaults", "timeout"), ("ssh_connection", "timeout")];
    REMOTE_USER: ["ANSIBLE_REMOTE_USER"], [("defaults", "remote_user")];
    REMOTE_PORT: ["ANSIBLE_REMOTE_PORT"], [("defaults", "remote_port")];
    PRIVATE_KEY_FILE: ["ANSIBLE_PRIVATE_KEY_FILE"], [("defaults", "private_key_file")];
    ASK_PASS: ["ANSIBLE_ASK_PASS"], [("defaults", "ask_pass")];
    TRANSPORT: ["ANSIBLE_TRANSPORT"], [("defaults", "transport")];
    BECOME: ["ANSIBLE_BECOME"], [("privilege_escalation", "become")];
    BECOME_METHOD: ["ANSIBLE_BECOME_METHOD"], [("privilege_escalation", "become_method")];
    BECOME_USER: ["ANSIBLE_BECOME_USER"], [("privilege_escalation", "become_user")];
    BECOME_ASK_PASS: ["ANSIBLE_BECOME_ASK_PASS"], [("privilege_escalation", "become_ask_pass")];
    BECOME_FLAGS: ["ANSIBLE_BECOME_FLAGS"], [("privilege_escalation", "become_flags")];
    BECOME_EXE: ["ANSIBLE_BECOME_EXE"], [("privilege_escalation", "become_exe")];
    FORKS: ["ANSIBLE_FORKS"], [("defaults", "forks")];
    STRATEGY: ["ANSIBLE_STRATEGY"], [("defaults", "strategy")];
    FORCE_HANDLERS: ["ANSIBLE_FORCE_HANDLERS"], [("defaults", "force_handlers")];
    ANY_ERRORS_FATAL: ["ANSIBLE_ANY_ERRORS_FATAL"], [("defaults", "any_errors_fatal")];
    DIFF_ALWAYS: ["ANSIBLE_DIFF_ALWAYS"], [("diff", "always")];
    EXECUTABLE: ["ANSIBLE_EXECUTABLE"], [("defaults", "executable")];
    ANSIBLE_MANAGED: [], [("defaults", "ansible_managed")];
    RUN_TAGS: ["ANSIBLE_RUN_TAGS"], [("tags", "run")];
    SKIP_TAGS: ["ANSIBLE_SKIP_TAGS"], [("tags", "skip")];
    SSH_ARGS: ["ANSIBLE_SSH_ARGS"], [("ssh_connection", "ssh_args")];
    SSH_COMMON_ARGS: ["ANSIBLE_SSH_COMMON_ARGS"], [("ssh_connection", "ssh_common_args")];
    SSH_EXTRA_ARGS: ["ANSIBLE_SSH_EXTRA_ARGS"], [("ssh_connection", "ssh_extra_args")];
    RETRIES: ["ANSIBLE_SSH_RETRIES"], [("connection", "retries"), ("ssh_connection", "retries")];
    HASH_BEHAVIOUR: ["ANSIBLE_HASH_BEHAVIOUR"], [("defaults", "hash_behaviour")];
    ERROR_ON_UNDEFINED_VARS: ["ANSIBLE_ERROR_ON_UNDEFINED_VARS"], [("defaults", "error_on_undefined_vars")];
    INJECT_FACTS_AS_VARS: ["ANSIBLE_INJECT_FACT_VARS"], [("defaults", "inject_facts_as_vars")];
    JINJA2_NATIVE: ["ANSIBLE_JINJA2_NATIVE"], [("defaults", "jinja2_native")];
}

/// A value with its place, and the directory from which its relative paths count.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub text: String,
    pub name: String,
    pub span: Span,
    pub directory: PathBuf,
}

/// Reads settings one by one and keeps account of those that nobody asked for.
pub(super) struct Settings<'a> {
    pub environment: &'a Environment,
    pub entries: Vec<Entry>,
    pub cwd: &'a Path,
    /// The directory of the file.
    pub directory: PathBuf,
    pub used: HashSet<String>,
    pub warnings: Vec<Diagnostic>,
}

impl Settings<'_> {
    pub fn given(&mut self, setting: &Setting) -> Option<Given> {
        self.used
            .extend(setting.environment.iter().map(ToString::to_string));
        self.used.extend(setting.file.iter().map(|(s, n)| dotted(s, n)));
        let from_environment = setting
            .environment
            .iter()
            .rev()
            .find_map(|name| self.environment.get(*name).map(|text| (name, text)));
        if let Some((name, text)) = from_environment {
            let source = Source::new(*name, text.as_str());
            return Some(Given {
                text: text.clone(),
                name: (*name).to_string(),
                span: Span::new(&source, 0, text.len()),
                directory: self.cwd.to_path_buf(),
            });
        }
        let of_file = |(section, name): &(&str, &str)| {
            self.entries
                .iter()
                .find(|e| e.section == *section && e.name == *name)
        };
        let entry = setting.file.iter().rev().find_map(of_file)?;
        Some(Given {
            text: unquoted(&entry.value).to_string(),
            name: entry.name.clone(),
            span: entry.value_span.clone(),
            directory: self.directory.clone(),
        })
    }

    pub fn text(&mut self, setting: &Setting) -> Option<String> {
        Some(self.given(setting)?.text)
    }

    /// What is no boolean counts as false, as it does in Ansible, but not silently.
    pub fn boolean(&mut self, setting: &Setting, default: bool) -> bool {
        let Some(given) = self.given(setting) else {
            return default;
        };
        match given.text.trim().to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => true,
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => false,
            _ => {
                let warning = Diagnostic::warning(format!(
                    "`{}` is a boolean; `{}` is taken for false",
                    given.name, given.text
                ));
                self.warnings
                    .push(warning.at(&given.span).help("write `true` or `false`"));
                false
            }
        }
    }

    pub fn number(&mut self, setting: &Setting, least: u32) -> Result<Option<u32>, Diagnostic> {
        let Some(given) = self.given(setting) else {
            return Ok(None);
        };
        let text = given.text.trim();
        let whole = text
            .split_once('.')
            .map_or(text, |(w, f)| if f.bytes().all(|b| b == b'0') { w } else { text });
        match whole.parse() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(Diagnostic::error(format!(
                "`{}` is a whole number from {least}, but this is `{}`",
                given.name, given.text
            ))
            .at(&given.span)),
        }
    }

    /// One of some words.
    pub fn choice<T: Copy>(
        &mut self,
        setting: &Setting,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, Diagnostic> {
        let Some(given) = self.given(setting) else {
            return Ok(None);
        };
        let text = given.text.trim();
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let error = Diagnostic::error(format!("`{text}` is no value for `{}`", given.name)).at(&given.span);
        Err(match nearest(text, words.iter().copied()) {
            Some(near) => error.did_you_mean(Some(near)),
            None => error.help(format!("it is {}", or(&words))),
        })
    }

    pub fn path(&mut self, setting: &Setting) -> Option<PathBuf> {
        let given = self.given(setting)?;
        Some(self.resolve(&given.text, &given.directory))
    }

    /// Paths, each from the directory of what names it.
    pub fn paths(&mut self, setting: &Setting, separator: char) -> Option<Vec<PathBuf>> {
        let given = self.given(setting)?;
        let parts = given
            .text
            .split(separator)
            .map(str::trim)
            .filter(|p| !p.is_empty());
        Some(parts.map(|p| self.resolve(p, &given.directory)).collect())
    }

    pub fn list(&mut self, setting: &Setting) -> Vec<String> {
        let text = self.text(setting).unwrap_or_default();
        let words = text.split(',').map(|w| unquoted(w.trim()));
        words.filter(|w| !w.is_empty()).map(String::from).collect()
    }

    /// `~`, `$NAME`, `${NAME}` and `{{CWD}}` stand for what they name.
    pub fn resolve(&self, path: &str, directory: &Path) -> PathBuf {
        let path = path.replace("{{CWD}}", &self.cwd.to_string_lossy());
        let path = with_variables(&path, self.environment);
        let home = || self.environment.get("HOME").map(PathBuf::from);
        let path = match path
            .strip_prefix('~')
            .filter(|r| r.is_empty() || r.starts_with('/'))
        {
            Some(rest) => {
                home().map_or_else(|| directory.join(&path), |h| h.join(rest.trim_start_matches('/')))
            }
            None => directory.join(&path),
        };
        without_dots(&path)
    }

    /// The rest: what is set, but not acted on. A name that is nearly right is a warning besides.
    pub fn ignored(&mut self) -> Vec<Ignored> {
        let mut ignored = Vec::new();
        for entry in &self.entries {
            if self.used.contains(&dotted(&entry.section, &entry.name)) {
                continue;
            }
            self.warnings.extend(misplaced(entry));
            ignored.push((
                format!("[{}] {}", entry.section, entry.name),
                entry.name_span.clone(),
            ));
        }
        for (name, text) in self.environment {
            let acts = self.used.contains(name) || OTHERS.contains(&name.as_str());
            if name.starts_with("ANSIBLE_") && !acts {
                let source: Arc<Source> = Source::new(name.as_str(), text.as_str());
                ignored.push((name.clone(), Span::new(&source, 0, text.len())));
            }
        }
        ignored
    }
}

/// Variables that others act on: what chooses the file, and what chooses the colours.
const OTHERS: [&str; 3] = ["ANSIBLE_CONFIG", "ANSIBLE_FORCE_COLOR", "ANSIBLE_NOCOLOR"];

/// A setting in the wrong section, or with a name that is nearly one.
fn misplaced(entry: &Entry) -> Option<Diagnostic> {
    let known = || ALL.iter().flat_map(|s| s.file);
    let warning = |text: String| Diagnostic::warning(text).at(&entry.name_span);
    if let Some((section, name)) = known().find(|(_, name)| *name == entry.name) {
        // Sections of other programs and plugins have such names too.
        return (entry.section == "defaults"
            || entry.section == "ssh_connection"
            || entry.section == *section)
            .then(|| {
                warning(format!("`{name}` means nothing in `[{}]`", entry.section))
                    .help(format!("it belongs under `[{section}]`"))
            });
    }
    let here = known()
        .filter(|(section, _)| *section == entry.section)
        .map(|(_, name)| *name);
    let near = nearest(&entry.name, here).filter(|_| !HARMLESS.contains(&&*entry.name))?;
    Some(warning(format!("`{}` is no setting in `[{}]`", entry.name, entry.section)).did_you_mean(Some(near)))
}

/// Ansible's own whose names are near to those above.
const HARMLESS: [&str; 4] = [
    "poll_interval",
    "role_skeleton",
    "task_timeouts",
    "become_plugins",
];

fn or(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

fn dotted(section: &str, name: &str) -> String {
    format!("[{section}]{name}")
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q))
        .unwrap_or(text)
}

/// A variable that is not set stays as it is written.
fn with_variables(text: &str, environment: &Environment) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let word = |s: &str| {
            s.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(s.len())
        };
        let (name, length) = match after.strip_prefix('{').and_then(|a| a.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => (&after[..word(after)], word(after)),
        };
        match environment.get(name) {
            Some(value) => out.push_str(value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}
