//! Requests to the controlling machine: templates, files of the project, waiting, the person.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attempt::{ItemResult, Parked};
use super::batch::Batch;
use super::settle::{Stop, plain_text};
use crate::host::{FileSearch, Halt, Local, LocalAnswer, LocalFile, Request, Response};
use crate::playbook::Task;
use crate::source::{Diagnostic, Source, reason};
use crate::template::{FileOptions, Moment};
use crate::vars::{Map, Value};

impl Batch<'_> {
    /// Answers a request, or leaves it in the door until it can be.
    pub(super) fn meet_local(&mut self, p: usize, i: usize, k: usize, local: Local, turn: bool) {
        if let Local::Sleep(time) = &local {
            let ticket = self.put_timer(p, i, k, *time);
            self.wait_for_ticket(p, i, k, ticket);
            return;
        }
        if let Local::Prompt { text, echo } = &local
            && self.exec.can_ask()
        {
            let ticket = self.put_prompt(p, i, k, text, *echo);
            self.wait_for_ticket(p, i, k, ticket);
            return;
        }
        match self.answer_local(p, i, k, &local, turn) {
            Ok(answer) => self.respond(p, i, k, Response::Local(answer)),
            Err(Stop::Park(why)) => self.park(p, i, k, Request::Local(local), why),
            Err(Stop::Unknown(reason)) => self.respond(p, i, k, Response::Halt(Halt::Unknown(reason))),
            Err(Stop::Failed(d)) => {
                let error = ItemResult::error(&d);
                let msg = error.values.get("msg").map(plain_text).unwrap_or_default();
                let failure = crate::host::Failure::new(msg);
                self.keep_diagnostic(p, i, k, &d);
                self.respond(p, i, k, Response::Halt(Halt::Failed(failure)));
            }
        }
    }

    fn answer_local(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        local: &Local,
        turn: bool,
    ) -> Result<Result<LocalAnswer, String>, Stop> {
        let task = self.players[p].ahead[i].task.clone();
        let attempt = &self.players[p].ahead[i];
        let borrowed = attempt.items[k].borrowed.clone();
        let mut locals = attempt.items[k].locals.clone();
        let moment = if turn { Moment::Turn } else { Moment::Ahead };
        if let Local::Template { .. } | Local::File { .. } | Local::Tree { .. } = local
            && !turn
            && self.exec.controller_may_change
        {
            return Err(Stop::Park(Parked::Turn));
        }
        if let Local::Template { name, .. } = local {
            let found = self
                .find_file(&task, FileSearch::Templates, name)
                .map_err(|d| self.late(*d, turn))?;
            locals.extend(template_variables(&found));
        }
        let scope = self.scope(p, i, locals, turn, &borrowed);
        let engine = self.exec.engine.clone();
        Ok(match local {
            Local::Render(value) => Ok(LocalAnswer::Value(
                engine
                    .render(value, &scope, moment)
                    .map_err(|e| self.stop(p, e, turn))?,
            )),
            Local::Expression(value) => {
                let (text, span) = match value {
                    Value::Template(t) => (t.text.to_string(), t.span.clone()),
                    other => (plain_text(other), None),
                };
                let value = if Value::is_template(&text) {
                    engine.render(value, &scope, moment)
                } else {
                    engine.expression(&text, span.as_ref().or(Some(&task.span)), &scope, moment)
                };
                Ok(LocalAnswer::Value(value.map_err(|e| self.stop(p, e, turn))?))
            }
            Local::Condition(value) => {
                let holds = engine
                    .condition(value, Some(&task.span), &scope, moment)
                    .map_err(|e| self.stop(p, e, turn))?;
                Ok(LocalAnswer::Truth(holds))
            }
            Local::File { kind, name } => {
                let path = self
                    .find_file(&task, *kind, name)
                    .map_err(|d| self.late(*d, turn))?;
                read_file(&path, &path).map(LocalAnswer::File)
            }
            Local::Tree { kind, name } => {
                let path = self
                    .find_file(&task, *kind, name)
                    .map_err(|d| self.late(*d, turn))?;
                read_tree(&path).map(LocalAnswer::Tree)
            }
            Local::Template { name, options } => {
                let path = self
                    .find_file(&task, FileSearch::Templates, name)
                    .map_err(|d| self.late(*d, turn))?;
                let source = Source::read(&path).map_err(|d| self.late(d, turn))?;
                let options = file_options(options, &path);
                let text = engine
                    .file(&source, &options, &scope, moment)
                    .map_err(|e| self.stop(p, e, turn))?;
                Ok(LocalAnswer::Text(text))
            }
            // Nobody is there.
            Local::Prompt { .. } => Ok(LocalAnswer::Typed(None)),
            Local::Facts | Local::Sleep(_) => Ok(LocalAnswer::Nothing),
        })
    }

    fn late(&self, d: Diagnostic, turn: bool) -> Stop {
        if turn {
            Stop::Failed(Box::new(d))
        } else {
            Stop::Park(Parked::Turn)
        }
    }

    /// Where Ansible looks for a file, then the project's own top-level folder.
    fn find_file(&self, task: &Arc<Task>, kind: FileSearch, name: &str) -> Result<PathBuf, Box<Diagnostic>> {
        let folder = match kind {
            FileSearch::Files => "files",
            FileSearch::Templates => "templates",
        };
        let direct = expand_home(name);
        let mut places: Vec<PathBuf> = Vec::new();
        if direct.is_absolute() {
            places.push(direct);
        } else {
            let beside = task.file.parent().unwrap_or(Path::new("."));
            if let Some(role) = task.role() {
                places.extend([
                    role.path.join(folder).join(name),
                    role.path.join(name),
                    role.path.join("tasks").join(folder).join(name),
                ]);
            }
            places.extend([beside.join(folder).join(name), beside.join(name)]);
            let playbook = &self.play.directory;
            places.extend([playbook.join(folder).join(name), playbook.join(name)]);
            places.push(self.exec.settings.project.join(folder).join(name));
        }
        if let Some(found) = places.iter().find(|path| path.exists()) {
            return Ok(found.clone());
        }
        let project = &self.exec.settings.project;
        let mut once: Vec<String> = Vec::new();
        for place in &places {
            let shown = place
                .strip_prefix(project)
                .or(place.strip_prefix("."))
                .unwrap_or(place);
            let shown = shown.display().to_string();
            if !once.contains(&shown) {
                once.push(shown);
            }
        }
        Err(Box::new(
            Diagnostic::error(format!("there is no file `{name}`"))
                .within(task.action.argument("src").unwrap_or(&task.span))
                .note(format!("looked for {}", once.join(", "))),
        ))
    }
}

/// `~/…` on the controlling machine.
fn expand_home(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(name),
    }
}

fn read_file(path: &Path, shown: &Path) -> Result<LocalFile, String> {
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
fn read_tree(root: &Path) -> Result<Vec<LocalFile>, String> {
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
fn template_variables(path: &Path) -> Map {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let text = full.display().to_string();
    let mut vars = Map::new();
    vars.insert("ansible_managed".into(), "Ansible managed".into());
    vars.insert("template_path".into(), text.as_str().into());
    vars.insert("template_fullpath".into(), text.as_str().into());
    vars.insert("template_destpath".into(), Value::Null);
    vars.insert("template_host".into(), hostname().into());
    vars
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|s| s.trim().to_string())
        .unwrap_or_default()
}

fn file_options(options: &Map, path: &Path) -> FileOptions {
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
