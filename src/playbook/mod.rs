//! Playbooks, roles and task files: from YAML to plays whose static parts are all resolved.
//!
//! What Ansible resolves before the first connection is resolved here: imports, roles with their
//! dependencies, the names of modules and keywords. What it resolves while running (`include_*`, templates,
//! loops) stays as written, with its place.

mod action;
mod check;
mod keywords;
mod loader;
mod needs;
mod role;
mod start;

use std::path::PathBuf;
use std::sync::Arc;

pub use action::{Action, IncludeRole, IncludeTasks, Meta, WrittenArgument};
pub use check::{Circumstances, strategy_name};
pub use keywords::{Keywords, Level, Written};
pub use loader::{Catalogue, Loader, Render, Signature};
pub use needs::check_included as check_included_needs;
pub use role::{From, Role};

use crate::source::Span;
use crate::vars::Value;

/// A playbook with everything it imports, in order.
#[derive(Debug, Clone)]
pub struct Playbook {
    pub plays: Vec<Arc<Play>>,
}

/// One play.
#[derive(Debug, Clone)]
pub struct Play {
    pub name: Option<Written>,
    /// A pattern, or a list of patterns.
    pub hosts: Written,
    pub level: Arc<Level>,
    pub gather_facts: Option<Written>,
    pub gather_subset: Option<Written>,
    pub gather_timeout: Option<Written>,
    pub vars_files: Vec<Written>,
    pub serial: Option<Written>,
    pub strategy: Option<Written>,
    pub order: Option<Written>,
    pub max_fail_percentage: Option<Written>,
    pub force_handlers: Option<Written>,
    pub pre_tasks: Vec<Item>,
    /// In the order in which they run, dependencies first.
    pub roles: Vec<PlayRole>,
    pub tasks: Vec<Item>,
    pub post_tasks: Vec<Item>,
    /// Those of its roles, the play's own, those of `import_role`: the order in which they run.
    pub handlers: Vec<Item>,
    /// Roles of `import_role`, whose defaults and variables the whole play sees.
    pub imported_roles: Vec<Arc<Role>>,
    /// The playbook file's directory: `playbook_dir`.
    pub directory: PathBuf,
    pub span: Span,
}

/// A role as a play runs it.
#[derive(Debug, Clone)]
pub struct PlayRole {
    pub role: Arc<Role>,
    pub level: Arc<Level>,
    pub tasks: Vec<Item>,
}

/// A thing in a list of tasks.
#[derive(Debug, Clone)]
pub enum Item {
    Task(Arc<Task>),
    Block(Arc<Block>),
}

/// A block, or a static import, which is one without `rescue`.
#[derive(Debug)]
pub struct Block {
    pub level: Arc<Level>,
    pub body: Vec<Item>,
    pub rescue: Vec<Item>,
    pub always: Vec<Item>,
}

/// What a task is in its play: tags leave out only what is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    Listed,
    Handler,
    /// Not written at all: where a section ends and handlers run.
    Implicit,
}

/// One task, as written.
#[derive(Debug)]
pub struct Task {
    pub level: Arc<Level>,
    pub kind: TaskKind,
    pub name: Option<Written>,
    pub action: Action,
    pub looped: Option<Loop>,
    pub register: Option<Arc<str>>,
    pub until: Vec<Written>,
    pub retries: Option<Written>,
    pub delay: Option<Written>,
    /// `None`: as the module says.
    pub changed_when: Option<Vec<Written>>,
    pub failed_when: Option<Vec<Written>>,
    pub notify: Vec<Written>,
    /// Handlers only: further names to which it answers.
    pub listen: Vec<Written>,
    /// The first line of the task.
    pub span: Span,
    /// The file that holds it.
    pub file: PathBuf,
}

/// `loop:` or `with_…:`.
#[derive(Debug, Clone)]
pub struct Loop {
    /// `None`: `loop`; else the lookup of `with_<lookup>`.
    pub lookup: Option<Arc<str>>,
    pub items: Written,
    pub loop_var: Option<Written>,
    pub index_var: Option<Written>,
    pub label: Option<Written>,
    pub pause: Option<Written>,
    pub extended: Option<Written>,
    pub extended_allitems: Option<Written>,
}

impl Play {
    /// Everything that runs unless something fails or is notified, in order.
    pub fn lists(&self) -> impl Iterator<Item = &[Item]> {
        let roles = self.roles.iter().map(|role| role.tasks.as_slice());
        std::iter::once(self.pre_tasks.as_slice())
            .chain(roles)
            .chain([self.tasks.as_slice(), self.post_tasks.as_slice()])
    }
}

impl Task {
    pub fn role(&self) -> Option<&Arc<Role>> {
        self.level.role()
    }

    /// The name as it was written, or the module's.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => match &name.value {
                Value::Template(t) => t.text.to_string(),
                Value::String(s) => s.to_string(),
                other => serde_json::to_string(other).unwrap_or_default(),
            },
            None => self.action.name().to_string(),
        }
    }

    /// The name as it was written, or the module with its arguments: a task without a name must still be
    /// told from its neighbours.
    pub fn described(&self) -> String {
        if self.name.is_some() || self.level.nearest(|k| k.no_log.as_ref()).is_some() {
            return self.title();
        }
        match self.action.arguments_in_short() {
            Some(arguments) => format!("{}: {arguments}", self.action.name()),
            None => self.action.name().to_string(),
        }
    }

    /// Names that this task may set for later ones on its host, beside its `register`.
    pub fn sets(&self) -> Sets {
        self.action.sets()
    }
}

/// What names a task may set.
#[derive(Debug, Clone, PartialEq)]
pub enum Sets {
    Nothing,
    Names(Vec<Arc<str>>),
    /// Facts, under names that are not known before.
    Facts,
    /// Anything at all.
    Anything,
}

/// Walks all tasks of a list, in order, blocks unfolded.
pub fn each_task<'a>(items: &'a [Item], visit: &mut dyn FnMut(&'a Arc<Task>)) {
    for item in items {
        match item {
            Item::Task(task) => visit(task),
            Item::Block(block) => {
                each_task(&block.body, visit);
                each_task(&block.rescue, visit);
                each_task(&block.always, visit);
            }
        }
    }
}
