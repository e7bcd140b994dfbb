//! A role's directory: where it is found, and what it brings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keywords;
use crate::source::{Diagnostic, Source, nearest};
use crate::vars::Map;
use crate::yaml::{self, Node};

/// A role, without its tasks: those depend on where it is used.
#[derive(Debug)]
pub struct Role {
    pub name: Arc<str>,
    pub path: PathBuf,
    pub defaults: Map,
    pub vars: Map,
    /// Whether a second use with the same parameters runs again.
    pub allow_duplicates: bool,
}

/// Which files of a role are read, where not `main`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct From {
    pub tasks: Option<String>,
    pub vars: Option<String>,
    pub defaults: Option<String>,
    pub handlers: Option<String>,
}

/// A role read from its directory, with its dependencies as written.
pub(super) struct Read {
    pub role: Role,
    pub dependencies: Vec<Node>,
    pub warnings: Vec<Diagnostic>,
}

/// The directories in which a role is looked for, first match wins.
pub(super) fn find(name: &str, paths: &[PathBuf]) -> Option<PathBuf> {
    let direct = Path::new(name);
    if direct.is_absolute() {
        return direct.is_dir().then(|| direct.to_path_buf());
    }
    paths.iter().map(|p| p.join(name)).find(|p| p.is_dir())
}

/// A role that is nowhere.
pub(super) fn missing(name: &str, paths: &[PathBuf]) -> Diagnostic {
    let there: Vec<String> = paths
        .iter()
        .filter_map(|p| std::fs::read_dir(p).ok())
        .flatten()
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    let looked: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    Diagnostic::error(format!("there is no role `{name}`"))
        .note(format!("looked in {}", looked.join(", ")))
        .did_you_mean(nearest(name, there.iter().map(String::as_str)))
}

pub(super) fn read(name: &str, path: &Path, from: &From) -> Result<Read, Diagnostic> {
    let mut warnings = Vec::new();
    let defaults = variables(&path.join("defaults"), from.defaults.as_deref(), &mut warnings)?;
    let vars = variables(&path.join("vars"), from.vars.as_deref(), &mut warnings)?;
    let (dependencies, allow_duplicates) = meta(path, &mut warnings)?;
    Ok(Read {
        role: Role {
            name: name.into(),
            path: path.to_path_buf(),
            defaults,
            vars,
            allow_duplicates,
        },
        dependencies,
        warnings,
    })
}

/// `main.yml` and its spellings, or the file that was asked for.
pub(super) fn file(directory: &Path, name: Option<&str>) -> Option<PathBuf> {
    let stem = name.unwrap_or("main");
    ["", ".yml", ".yaml", ".json"]
        .iter()
        .map(|end| directory.join(format!("{stem}{end}")))
        .find(|p| p.is_file())
}

/// A file of variables, or all files below a directory `main`.
fn variables(
    directory: &Path,
    name: Option<&str>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Map, Diagnostic> {
    let stem = name.unwrap_or("main");
    let mut files = Vec::new();
    if let Some(path) = file(directory, name) {
        files.push(path);
    }
    let folder = directory.join(stem);
    if folder.is_dir() {
        below(&folder, &mut files)?;
    }
    if files.is_empty() && name.is_some() {
        return Err(Diagnostic::error(format!(
            "there is no `{stem}` in {}",
            directory.display()
        )));
    }
    let mut all = Map::new();
    for path in files {
        let document = yaml::parse(&Source::read(&path)?)?;
        warnings.extend(document.warnings);
        if let Some(root) = document.root {
            all.extend(keywords::vars(&root)?);
        }
    }
    Ok(all)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Diagnostic> {
    let unreadable = |e: std::io::Error| {
        Diagnostic::error(format!(
            "cannot list {}: {}",
            folder.display(),
            crate::source::reason(&e)
        ))
    };
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            below(&path, files)?;
        } else if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("yml" | "yaml" | "json")
        ) {
            files.push(path);
        }
    }
    Ok(())
}

fn meta(path: &Path, warnings: &mut Vec<Diagnostic>) -> Result<(Vec<Node>, bool), Diagnostic> {
    let Some(path) = file(&path.join("meta"), None) else {
        return Ok((Vec::new(), false));
    };
    let document = yaml::parse(&Source::read(&path)?)?;
    warnings.extend(document.warnings);
    let Some(root) = document.root else {
        return Ok((Vec::new(), false));
    };
    let duplicates = root.get("allow_duplicates").is_some_and(|n| n.value().is_true());
    let Some(dependencies) = root.get("dependencies").filter(|n| !n.is_null()) else {
        return Ok((Vec::new(), duplicates));
    };
    let list = dependencies.as_list().ok_or_else(|| {
        Diagnostic::error(format!(
            "`dependencies` is a list of roles, but this is {}",
            dependencies.what()
        ))
        .at(&dependencies.span)
    })?;
    Ok((list.to_vec(), duplicates))
}
