//! Reads playbooks, task files and roles, and resolves what is static in them.
//!
//! - [`plays`]: playbooks, plays and `import_playbook`; [`play_keywords`]: what only a play has.
//! - [`roles`]: roles and their dependencies.
//! - [`tasks`]: lists of tasks, blocks, static imports; [`task_keywords`]: what only a task has.

mod play_keywords;
mod plays;
mod roles;
mod task_keywords;
mod tasks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keywords::{Level, Written};
use super::{Item, Playbook, Role, TaskKind, WrittenArgument};
use crate::source::{Diagnostic, Source, Span, nearest_file};
use crate::yaml::{self, Node};

/// The modules there are; the room that holds them is above this one.
pub trait Catalogue: Send + Sync {
    fn find(&self, name: &str) -> Option<Signature>;
    /// Short names, for "did you mean".
    fn names(&self) -> Vec<&'static str>;
    /// What is wrong with the values of a module's options, whatever the templates in them become. `more`:
    /// further options come when the task runs.
    fn check(&self, module: &str, arguments: &[WrittenArgument], more: bool, span: &Span) -> Vec<Diagnostic>;
}

/// What reading a task needs to know of its module.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub struct Signature {
    pub name: &'static str,
    pub free_form: Option<&'static str>,
    /// `None`: any name is an option.
    pub options: Option<&'static [&'static str]>,
    pub unrendered: &'static [&'static str],
    pub fence: bool,
    pub facts: bool,
    /// Passes over options that it does not have.
    pub ignores: bool,
    /// Runs once for all hosts, whatever `run_once` says.
    pub once: bool,
}

/// Imports nested deeper than this go in circles.
const MAX_IMPORTS: usize = 64;

/// Renders what must be known before anything runs, with the variables of a level.
pub type Render<'a> = dyn Fn(&Written, &Arc<Level>) -> Result<String, Diagnostic> + Sync + 'a;

/// Reads files of a project.
pub struct Loader<'a> {
    pub catalogue: &'a dyn Catalogue,
    /// `roles_path` of the configuration, absolute.
    pub roles_path: Vec<PathBuf>,
    /// The directory of the project: where `vmstation` was called.
    pub project: PathBuf,
    /// Renders what must be known before anything runs (`import_tasks: "{{ x }}.yml"`).
    pub render: &'a Render<'a>,
    /// Duplicate keys and the like, as they are met.
    pub warnings: Vec<Diagnostic>,
    /// Roles of `import_role` in the play being read, with their handlers.
    pub imported: Vec<(Arc<Role>, Vec<Item>)>,
    /// The files of tasks and the folders of roles that were looked at, whether they are there or not.
    pub read: Vec<PathBuf>,
}

/// What a role brings where it is used.
pub struct RoleUse {
    pub level: Arc<Level>,
    pub role: Arc<Role>,
    pub tasks: Vec<Item>,
    pub handlers: Vec<Item>,
}

/// Where a list of tasks stands.
#[derive(Clone)]
struct Place<'p> {
    /// The file, for relative imports.
    file: &'p Path,
    playbook_dir: &'p Path,
    handlers: bool,
    depth: usize,
}

impl Place<'_> {
    fn kind(&self) -> TaskKind {
        if self.handlers {
            TaskKind::Handler
        } else {
            TaskKind::Listed
        }
    }
}

impl Loader<'_> {
    /// Reads a playbook with everything that it imports.
    pub fn playbook(&mut self, path: &Path) -> Result<Playbook, Diagnostic> {
        let mut plays = Vec::new();
        self.plays(path, None, 0, &mut plays)?;
        Ok(Playbook { plays })
    }

    /// Reads a file of tasks for `include_tasks`.
    pub fn tasks_file(
        &mut self,
        path: &Path,
        playbook_dir: &Path,
        level: &Arc<Level>,
        handlers: bool,
    ) -> Result<Vec<Item>, Diagnostic> {
        let place = Place {
            file: path,
            playbook_dir,
            handlers,
            depth: 0,
        };
        self.file_items(&place, level)
    }

    /// The file that an include means: relative to the role's tasks, the including file, the playbook.
    pub fn tasks_path(
        &mut self,
        name: &str,
        including: &Path,
        role: Option<&Role>,
        playbook_dir: &Path,
    ) -> Result<PathBuf, Diagnostic> {
        let beside = including.parent().unwrap_or(Path::new("."));
        let mut places = Vec::new();
        if let Some(role) = role {
            places.push(role.path.join("tasks"));
        }
        places.extend([
            beside.to_path_buf(),
            beside.join("tasks"),
            playbook_dir.to_path_buf(),
            playbook_dir.join("tasks"),
        ]);
        places.push(self.project.clone());
        // An absolute name stays what it is.
        let files: Vec<PathBuf> = places.into_iter().map(|p| p.join(name)).collect();
        for file in &files {
            let is_there = file.is_file();
            self.read.push(file.clone());
            if is_there {
                return Ok(file.clone());
            }
        }
        let near = files.iter().find_map(|file| nearest_file(file, name));
        Err(Diagnostic::error(format!("there is no file of tasks `{name}`")).did_you_mean(near.as_deref()))
    }

    pub(super) fn parse(&mut self, path: &Path) -> Result<Option<Node>, Diagnostic> {
        self.read.push(path.to_path_buf());
        let document = yaml::parse(&Source::read(path)?)?;
        self.warnings.extend(document.warnings);
        Ok(document.root)
    }
}
