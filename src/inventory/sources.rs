//! From what `-i` names to hosts and groups: which file is read how, and which are left alone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::members::{ALL, Members, UNGROUPED};
use super::{address, host_list, ini, yaml};
use crate::source::{Diagnostic, Source, Span, nearest_file, reason};
use crate::vars::Value;

/// Endings of files in an inventory directory that are no inventories.
const IGNORED_ENDINGS: [&str; 13] = [
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".ini", ".cfg", ".retry",
];
const IGNORED_NAMES: [&str; 3] = ["host_vars", "group_vars", "vars_plugins"];

/// One file (or host list) being read into the hosts and groups known so far.
pub(super) struct Reading<'a> {
    pub members: &'a mut Members,
    pub warnings: &'a mut Vec<Diagnostic>,
    pub file: Arc<Path>,
}

impl Reading<'_> {
    /// Puts the hosts that a pattern with ranges and a port stands for into a group.
    pub fn add_hosts(&mut self, pattern: &str, group: &str, at: &Span) -> Result<Vec<String>, Diagnostic> {
        let (names, port) = address::with_port(pattern);
        let hosts = address::expand(names)
            .map_err(|why| Diagnostic::error(format!("`{pattern}` names no hosts: {why}")).at(at))
            .map_err(|error| error.help("a range is `[1:3]`, `[01:20]`, `[0:10:2]` or `[a:c]`"))?;
        for host in &hosts {
            if host.is_empty() {
                return Err(Diagnostic::error("a host's name is empty").at(at));
            }
            let new = self.members.add_host(host, Some(&self.file));
            self.members.join(host, group);
            if let Some(port) = port.filter(|_| new) {
                self.members.set_host_var(host, "ansible_port", Value::Int(port));
            }
        }
        Ok(hosts)
    }

    /// A name such as `k8s-cluster` works, but not in `groups.k8s-cluster`.
    pub fn check_group_name(&mut self, name: &Span) {
        let text = name.text().trim_matches(['"', '\'']);
        let fine = !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if fine || self.members.groups.contains_key(text) {
            return;
        }
        self.warnings.push(
            Diagnostic::warning(format!("the group name `{text}` is not a variable name"))
                .at(name)
                .help(format!("in templates, write groups['{text}']")),
        );
    }
}

/// The sources of a run, as they are read.
pub(super) struct Sources<'a> {
    pub base: &'a Path,
    pub members: Members,
    pub warnings: Vec<Diagnostic>,
    /// Whether any source could be read.
    pub any: bool,
}

impl Sources<'_> {
    /// The directory beside which `group_vars` and `host_vars` lie; a host list has none.
    pub fn read(&mut self, source: &str) -> Result<Option<PathBuf>, Diagnostic> {
        let path = absolute(source, self.base);
        if host_list::is_list(source) && !path.exists() {
            self.list(source);
            return Ok(None);
        }
        if path.is_dir() {
            self.directory(&path)?;
            return Ok(Some(path));
        }
        if path.exists() {
            self.file(&path)?;
        } else {
            self.missing(source, &path);
        }
        Ok(path.parent().map(Path::to_path_buf))
    }

    fn list(&mut self, text: &str) {
        let mut reading = Reading {
            members: &mut self.members,
            warnings: &mut self.warnings,
            file: Path::new(text).into(),
        };
        host_list::read(&mut reading, text);
        self.any = true;
    }

    fn missing(&mut self, source: &str, path: &Path) {
        // Nobody asked for Ansible's own default by name.
        if path == Path::new("/etc/ansible/hosts") {
            return;
        }
        let missing = Diagnostic::warning(format!("there is no inventory `{source}`"));
        self.warnings.push(match nearest_file(path, source) {
            Some(near) => missing.did_you_mean(Some(&near)),
            None => missing.help("a host list needs a comma: `-i host,`"),
        });
    }

    /// Files in the order of their names; one that cannot be read is a warning, as others may.
    fn directory(&mut self, path: &Path) -> Result<(), Diagnostic> {
        for entry in entries(path)? {
            if entry.is_dir() {
                self.directory(&entry)?;
            } else if let Err(error) = self.file(&entry) {
                self.warnings.push(Diagnostic {
                    severity: crate::source::Severity::Warning,
                    message: format!("`{}` is skipped: {}", self.shown(&entry).display(), error.message),
                    ..error
                });
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Diagnostic> {
        let bytes = std::fs::read(path).map_err(|e| self.unreadable(path, &reason(&e)))?;
        if bytes.starts_with(b"#!") {
            return Err(self.is_script(path));
        }
        let executable = path.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) if executable => return Err(self.is_script(path)),
            Err(_) => return Err(self.unreadable(path, "it is not UTF-8 text")),
        };
        if text.starts_with("$ANSIBLE_VAULT;") {
            return Err(self.unreadable(path, "vault-encrypted files are not supported yet"));
        }
        let source = Source::new(self.shown(path), text);
        let result = self.text(path, &source);
        match result {
            Ok(()) => {
                self.any = true;
                Ok(())
            }
            Err(_) if executable => Err(self.is_script(path)),
            Err(error) => Err(error),
        }
    }

    /// YAML where the file's name allows it, then INI; the error is that of the format it looks like.
    fn text(&mut self, path: &Path, source: &Arc<Source>) -> Result<(), Diagnostic> {
        let ending = path.extension().and_then(|e| e.to_str());
        if ending == Some("toml") {
            return Err(self.unreadable(path, "TOML inventories are not supported yet"));
        }
        let named_yaml = matches!(ending, Some("yml" | "yaml" | "json"));
        let mut yaml_error = None;
        if named_yaml || ending.is_none() {
            match self.yaml(path, source) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => yaml_error = Some(error),
            }
        }
        let ini_error = match self.attempt(path, |reading| ini::read(reading, source)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match yaml_error {
            Some(error) if named_yaml || looks_like_yaml(source) => Err(error),
            None if named_yaml => Err(no_groups(source)),
            _ => Err(ini_error),
        }
    }

    /// `false`: a YAML text, but of something else than groups.
    fn yaml(&mut self, path: &Path, source: &Arc<Source>) -> Result<bool, Diagnostic> {
        let document = crate::yaml::parse(source)?;
        let Some(root) = document.root.filter(yaml::is_inventory) else {
            return Ok(false);
        };
        self.attempt(path, |reading| yaml::read(reading, &root))?;
        self.warnings.extend(document.warnings);
        Ok(true)
    }

    /// Reads into a copy, so that a format that gives up leaves nothing behind.
    fn attempt(
        &mut self,
        path: &Path,
        read: impl FnOnce(&mut Reading<'_>) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let mut members = self.members.clone();
        let mut warnings = Vec::new();
        read(&mut Reading {
            members: &mut members,
            warnings: &mut warnings,
            file: path.into(),
        })?;
        self.members = members;
        self.warnings.append(&mut warnings);
        Ok(())
    }

    fn shown(&self, path: &Path) -> PathBuf {
        shown(path, self.base)
    }

    fn unreadable(&self, path: &Path, why: &str) -> Diagnostic {
        Diagnostic::error(format!(
            "cannot read the inventory `{}`: {why}",
            self.shown(path).display()
        ))
    }

    fn is_script(&self, path: &Path) -> Diagnostic {
        Diagnostic::error(format!(
            "`{}` is a program, and dynamic inventory scripts are not supported yet",
            self.shown(path).display()
        ))
        .help("write its result into a file: `ansible-inventory --list --yaml --output hosts.yml`")
    }
}

/// What an inventory directory holds, without what is known to be no inventory.
fn entries(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let unreadable = |e: &std::io::Error| {
        Diagnostic::error(format!(
            "cannot read the inventory `{}`: {}",
            path.display(),
            reason(e)
        ))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| unreadable(&e))? {
        names.push(entry.map_err(|e| unreadable(&e))?.file_name());
    }
    names.sort();
    let kept = |name: &str| {
        !name.starts_with('.')
            && !IGNORED_NAMES.contains(&name)
            && !IGNORED_ENDINGS.iter().any(|ending| name.ends_with(ending))
    };
    Ok(names
        .iter()
        .filter(|n| kept(&n.to_string_lossy()))
        .map(|n| path.join(n))
        .collect())
}

/// The first line that says something ends in a colon, or is `---` or `{`.
fn looks_like_yaml(source: &Source) -> bool {
    source
        .text
        .lines()
        .map(str::trim)
        .find(|l| !l.is_empty() && !l.starts_with(['#', ';']))
        .is_some_and(|l| l == "---" || l.ends_with(':') || l.starts_with('{') || l.contains(": "))
}

fn no_groups(source: &Arc<Source>) -> Diagnostic {
    let start = source.text.len() - source.text.trim_start().len();
    let end = source.text[start..]
        .find('\n')
        .map_or(source.text.len(), |i| start + i);
    Diagnostic::error("a YAML inventory is a mapping of groups, this is something else")
        .at(&Span::new(source, start, end))
        .help(format!(
            "begin with `{ALL}:`, and below it `hosts:`; hosts without a group are `{UNGROUPED}`"
        ))
}

/// The path from the root, `~` and `..` resolved, links left as they are.
pub(super) fn absolute(path: &str, base: &Path) -> PathBuf {
    let path = match path
        .strip_prefix("~")
        .filter(|r| r.is_empty() || r.starts_with('/'))
    {
        Some(rest) => match std::env::home_dir() {
            Some(home) => home.join(rest.trim_start_matches('/')),
            None => PathBuf::from(path),
        },
        None => base.join(path),
    };
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

/// As a person knows it: from the working directory where it lies below.
pub(super) fn shown(path: &Path, base: &Path) -> PathBuf {
    path.strip_prefix(base).unwrap_or(path).to_path_buf()
}
