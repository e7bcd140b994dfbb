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

/// Whether Ansible has an action of this name that is not written yet.
pub(in crate::playbook) fn is_missing(name: &str) -> bool {
    NOT_YET.contains(&name)
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
    if NOT_YET.contains(&short) {
        return Diagnostic::error(format!("the module `{name}` is not there yet"))
            .at(&key.span)
            .help(INSTEAD);
    }
    let mut known = names.iter().copied().chain(special);
    let near = if known.clone().any(|known| known == short) {
        // What is wrong is the collection.
        Some(short)
    } else {
        nearest(short, &mut known)
    };
    let unknown = Diagnostic::error(format!("unknown module `{name}`")).at(&key.span);
    match near {
        Some(near) => unknown.did_you_mean(Some(near)),
        None => unknown.help(INSTEAD),
    }
}

/// For what has no module.
const INSTEAD: &str = "`command` and `shell` run any program; `creates`, `removes` and `changed_when` tell whether it \
                       changes something";

/// The modules of ansible-core that are not written yet: their names are no typing mistakes.
const NOT_YET: &[&str] = &[
    "add_host",
    "apt_key",
    "apt_repository",
    "assemble",
    "async_status",
    "cron",
    "deb822_repository",
    "debconf",
    "dpkg_selections",
    "expect",
    "fetch",
    "gather_facts",
    "get_url",
    "getent",
    "git",
    "group",
    "group_by",
    "hostname",
    "include_vars",
    "iptables",
    "known_hosts",
    "mount_facts",
    "package_facts",
    "pip",
    "rpm_key",
    "service_facts",
    "set_stats",
    "subversion",
    "sysvinit",
    "unarchive",
    "uri",
    "user",
    "validate_argument_spec",
    "yum_repository",
];

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
