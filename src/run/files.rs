//! Files of the controlling machine: read for `copy` and `template`.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::values::plain_text;
use crate::host::LocalFile;
use crate::source::reason;
use crate::template::FileOptions;
use crate::vars::{Map, Template, Value};

/// `~/…` on the controlling machine.
pub(super) fn expand_home(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(name),
    }
}

pub(super) fn read_file(path: &Path, shown: &Path) -> Result<LocalFile, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |e: std::io::Error| format!("cannot read `{}`: {}", path.display(), reason(&e));
    let meta = std::fs::metadata(path).map_err(failed)?;
    let bytes = if meta.is_dir() {
        None
    } else {
        Some(std::fs::read(path).map_err(failed)?.into())
    };
    Ok(LocalFile {
        path: shown.to_path_buf(),
        bytes,
        mode: meta.permissions().mode() & 0o7777,
        link: None,
    })
}

/// Everything below a directory, sorted, directories before what is in them.
pub(super) fn read_tree(root: &Path) -> Result<Vec<LocalFile>, String> {
    let mut all = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let full = root.join(&folder);
        let failed = |e: std::io::Error| format!("cannot list `{}`: {}", full.display(), reason(&e));
        for entry in std::fs::read_dir(&full).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let relative = folder.join(entry.file_name());
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            let mut file = if kind.is_symlink() && !path.exists() {
                LocalFile {
                    path: relative.clone(),
                    bytes: None,
                    mode: 0o777,
                    link: None,
                }
            } else {
                read_file(&path, &relative)?
            };
            if kind.is_symlink() {
                file.link = std::fs::read_link(&path).ok().map(|t| t.display().to_string());
            }
            if kind.is_dir() {
                open.push(relative);
            }
            all.push(file);
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// `ansible_managed`, `template_path` and their kin.
pub(super) fn template_variables(name: &str, path: &Path, managed: &str) -> Map {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let text = full.display().to_string();
    let found = std::fs::metadata(path).ok();
    let owner = found.as_ref().map(|f| owner(f.uid())).unwrap_or_default();
    let changed = found.map(|f| f.mtime()).unwrap_or_default();
    let mut vars = Map::new();
    vars.insert(
        "ansible_managed".into(),
        managed_by(managed, name, &owner, changed),
    );
    vars.insert("template_path".into(), name.into());
    vars.insert("template_fullpath".into(), text.as_str().into());
    vars.insert("template_destpath".into(), Value::Null);
    vars.insert("template_host".into(), hostname().into());
    vars.insert("template_uid".into(), owner.into());
    vars
}

/// `ansible_managed` of the configuration: `{file}`, `{host}` and `{uid}`, and the codes of `strftime` for the time
/// at which the template was changed.
fn managed_by(text: &str, file: &str, owner: &str, changed: i64) -> Value {
    let host = hostname();
    let named = [("{file}", file), ("{host}", &host), ("{uid}", owner)]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, &value.replace('%', "%%"))
        });
    if !named.contains('%') {
        return named.into();
    }
    let quoted = serde_json::Value::from(named).to_string();
    Value::Template(Arc::new(Template {
        text: format!("{{{{ {quoted} | strftime({changed}) }}}}").into(),
        span: None,
    }))
}

fn owner(id: u32) -> String {
    let id = id.to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    name.unwrap_or(id)
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|s| s.trim().to_string())
        .unwrap_or_default()
}

pub(super) fn file_options(options: &Map, path: &Path) -> FileOptions {
    let mut all = FileOptions::default();
    let flag = |name: &str, default: bool| options.get(name).map_or(default, Value::is_true);
    let text = |name: &str| options.get(name).filter(|v| **v != Value::Null).map(plain_text);
    all.trim_blocks = flag("trim_blocks", all.trim_blocks);
    all.lstrip_blocks = flag("lstrip_blocks", all.lstrip_blocks);
    if let Some(newline) = text("newline_sequence") {
        all.newline_sequence = newline.replace("\\n", "\n").replace("\\r", "\r");
    }
    let set = |slot: &mut String, name: &str| {
        if let Some(value) = text(name) {
            *slot = value;
        }
    };
    set(&mut all.delimiters.block.0, "block_start_string");
    set(&mut all.delimiters.block.1, "block_end_string");
    set(&mut all.delimiters.variable.0, "variable_start_string");
    set(&mut all.delimiters.variable.1, "variable_end_string");
    set(&mut all.delimiters.comment.0, "comment_start_string");
    set(&mut all.delimiters.comment.1, "comment_end_string");
    all.search_path.extend(path.parent().map(Path::to_path_buf));
    all
}
