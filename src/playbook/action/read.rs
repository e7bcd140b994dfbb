//! Which action a task names.

use super::arguments::module;
use super::includes::{file_option, include_role, role_options};
use super::meta::meta;
use super::{Action, IncludeTasks};
use crate::playbook::keywords::Written;
use crate::playbook::loader::Catalogue;
use crate::source::{Diagnostic, nearest};
use crate::yaml::Node;

/// The part of a task that says what to do.
#[expect(clippy::large_enum_variant, reason = "lives for one call")]
pub(in crate::playbook) enum Found {
    Action(Action),
    ImportTasks(Written),
    ImportRole(Node),
}

const IMPORT_TASKS: &[&str] = &[
    "import_tasks",
    "ansible.builtin.import_tasks",
    "ansible.legacy.import_tasks",
];

const IMPORT_ROLE: &[&str] = &[
    "import_role",
    "ansible.builtin.import_role",
    "ansible.legacy.import_role",
];

const INCLUDE_TASKS: &[&str] = &[
    "include_tasks",
    "ansible.builtin.include_tasks",
    "ansible.legacy.include_tasks",
];

const INCLUDE_ROLE: &[&str] = &[
    "include_role",
    "ansible.builtin.include_role",
    "ansible.legacy.include_role",
];

const META: &[&str] = &["meta", "ansible.builtin.meta", "ansible.legacy.meta"];

/// Whether a task's key can be an action at all.
pub(in crate::playbook) fn is_action(name: &str, catalogue: &dyn Catalogue) -> bool {
    [IMPORT_TASKS, IMPORT_ROLE, INCLUDE_TASKS, INCLUDE_ROLE, META]
        .iter()
        .any(|names| names.contains(&name))
        || catalogue.find(name).is_some()
}

/// A task that names nothing to do, or something that does not exist.
pub(in crate::playbook) fn unknown_module(key: &Node, catalogue: &dyn Catalogue) -> Diagnostic {
    let name = key.text().unwrap_or_default();
    let names = catalogue.names();
    let special = [
        "import_tasks",
        "import_role",
        "include_tasks",
        "include_role",
        "meta",
    ];
    let short = name.rsplit('.').next().unwrap_or(name);
    let near = nearest(short, names.iter().copied().chain(special));
    Diagnostic::error(format!("unknown module `{name}`"))
        .at(&key.span)
        .did_you_mean(near)
}

/// Reads `module: arguments`, with the task's `args:`.
pub(in crate::playbook) fn read(
    key: &Node,
    value: &Node,
    args: Option<&Node>,
    catalogue: &dyn Catalogue,
) -> Result<Found, Diagnostic> {
    let name = key.text().unwrap_or_default();
    if IMPORT_TASKS.contains(&name) {
        return Ok(Found::ImportTasks(file_option(value, args)?.0));
    }
    if IMPORT_ROLE.contains(&name) {
        return Ok(Found::ImportRole(role_options(value, args)?));
    }
    if INCLUDE_TASKS.contains(&name) {
        let (file, apply) = file_option(value, args)?;
        return Ok(Found::Action(Action::IncludeTasks(IncludeTasks { file, apply })));
    }
    if INCLUDE_ROLE.contains(&name) {
        let options = role_options(value, args)?;
        return include_role(&options).map(|r| Found::Action(Action::IncludeRole(r)));
    }
    if META.contains(&name) {
        return meta(value).map(|m| Found::Action(Action::Meta(m)));
    }
    let signature = catalogue
        .find(name)
        .ok_or_else(|| unknown_module(key, catalogue))?;
    module(key, value, args, signature).map(Found::Action)
}
