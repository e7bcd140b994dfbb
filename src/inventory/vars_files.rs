//! `group_vars` and `host_vars`: which files count, and what is in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::sources::shown;
use crate::source::{Diagnostic, Source, Span, reason};
use crate::vars::Map;

/// The files, each read once.
#[derive(Debug, Default)]
pub(super) struct VarsFiles {
    base: PathBuf,
    /// By the path without its ending: `…/group_vars/web`.
    read: Mutex<HashMap<PathBuf, Arc<Map>>>,
    warnings: Mutex<Vec<Diagnostic>>,
}

impl VarsFiles {
    pub fn new(base: &Path) -> Self {
        Self {
            base: base.to_path_buf(),
            ..Self::default()
        }
    }

    /// The variables of a group or host, `folder` being `group_vars` or `host_vars`.
    pub fn get(&self, beside: &Path, folder: &str, name: &str) -> Result<Arc<Map>, Diagnostic> {
        // A host may be named by a path (a chroot); there is no file for it.
        if name.starts_with('/') {
            return Ok(Arc::default());
        }
        let path = beside.join(folder).join(name);
        if let Some(known) = lock(&self.read).get(&path) {
            return Ok(known.clone());
        }
        let mut vars = Map::new();
        for file in find(&path)? {
            vars.extend(self.file(&file)?);
        }
        let vars = Arc::new(vars);
        lock(&self.read).insert(path, vars.clone());
        Ok(vars)
    }

    /// What there was to say of the files read since the last call.
    pub fn take_warnings(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut lock(&self.warnings))
    }

    /// Forgets what was read, so that changed files are seen.
    pub fn forget(&self) {
        lock(&self.read).clear();
    }

    fn file(&self, path: &Path) -> Result<Map, Diagnostic> {
        let (vars, warnings) = mapping(&read(path, &shown(path, &self.base))?)?;
        lock(&self.warnings).extend(warnings);
        Ok(vars)
    }
}

/// A file's text under the name by which a person knows it.
fn read(path: &Path, shown: &Path) -> Result<Arc<Source>, Diagnostic> {
    let unreadable = |why: &str| Diagnostic::error(format!("cannot read `{}`: {why}", shown.display()));
    let bytes = std::fs::read(path).map_err(|e| unreadable(&reason(&e)))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text"))?;
    Ok(Source::new(shown, text))
}

/// A file of variables: a mapping in YAML or JSON, or nothing.
pub(super) fn mapping(source: &Arc<Source>) -> Result<(Map, Vec<Diagnostic>), Diagnostic> {
    if source.text.starts_with("$ANSIBLE_VAULT;") {
        let end = source.text.find('\n').unwrap_or(source.text.len());
        return Err(Diagnostic::error("vault-encrypted files are not supported yet")
            .at(&Span::new(source, 0, end))
            .help("decrypt it for now: `ansible-vault decrypt`"));
    }
    let document = crate::yaml::parse(source)?;
    let Some(root) = document.root else {
        return Ok((Map::new(), document.warnings));
    };
    match root.as_map() {
        Some(pairs) => Ok((
            pairs.iter().map(|(k, v)| (k.key(), v.value())).collect(),
            document.warnings,
        )),
        None if !root.value().is_true() => Ok((Map::new(), document.warnings)),
        None => Err(
            Diagnostic::error(format!("variables are a mapping, but this is {}", root.what()))
                .at(&root.span)
                .help("write each variable as `name: value`"),
        ),
    }
}

/// The first of `name`, `name.yml`, `name.yaml` and `name.json` that exists; of a directory, its files.
fn find(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let name = path.as_os_str();
    for ending in ["", ".yml", ".yaml", ".json"] {
        let mut candidate = name.to_os_string();
        candidate.push(ending);
        let candidate = PathBuf::from(candidate);
        if candidate.is_dir() {
            let mut files = Vec::new();
            within(&candidate, &mut files)?;
            return Ok(files);
        }
        if candidate.exists() {
            return Ok(vec![candidate]);
        }
    }
    Ok(Vec::new())
}

/// The files of a directory and of those below it, in the order of their names.
fn within(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Diagnostic> {
    let unreadable = |e: &std::io::Error| {
        Diagnostic::error(format!("cannot read `{}`: {}", directory.display(), reason(e)))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| unreadable(&e))? {
        names.push(entry.map_err(|e| unreadable(&e))?.file_name());
    }
    names.sort();
    for name in names {
        let path = directory.join(&name);
        let name = name.to_string_lossy();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        match path
            .extension()
            .map(|e| e.to_string_lossy().into_owned())
            .as_deref()
        {
            None if path.is_dir() => within(&path, files)?,
            None | Some("yml" | "yaml" | "json") if path.is_file() => files.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// A lock that a panic elsewhere left behind is as good as any: what it holds is only ever added to.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
