//! The keywords that plays, roles, blocks and tasks share, and how the inner ones inherit from the outer.

use std::sync::Arc;

use super::{Role, needs};
use crate::source::{Diagnostic, Span, nearest};
use crate::vars::{Map, Value};
use crate::yaml::Node;

/// A value as it was written, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub value: Value,
    pub span: Span,
}

impl Written {
    pub fn of(node: &Node) -> Self {
        Self {
            value: node.value(),
            span: node.span.clone(),
        }
    }

    /// A list, or a single value as a list of one; nothing for null.
    pub fn list(node: &Node) -> Vec<Self> {
        match node.as_list() {
            Some(items) => items.iter().map(Self::of).collect(),
            None if node.is_null() => Vec::new(),
            None => vec![Self::of(node)],
        }
    }
}

/// What may stand at a play, a role, a block and a task alike.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    pub vars: Map,
    pub when: Vec<Written>,
    pub tags: Vec<Written>,
    pub environment: Vec<Written>,
    pub notify: Vec<Written>,
    pub r#become: Option<Written>,
    pub become_user: Option<Written>,
    pub become_method: Option<Written>,
    pub become_flags: Option<Written>,
    pub become_exe: Option<Written>,
    pub ignore_errors: Option<Written>,
    pub ignore_unreachable: Option<Written>,
    pub any_errors_fatal: Option<Written>,
    pub check_mode: Option<Written>,
    pub diff: Option<Written>,
    pub no_log: Option<Written>,
    pub run_once: Option<Written>,
    pub delegate_to: Option<Written>,
    pub delegate_facts: Option<Written>,
    pub connection: Option<Written>,
    pub remote_user: Option<Written>,
    pub port: Option<Written>,
    /// What must have ended before, on every host.
    pub needs: Vec<Written>,
    pub throttle: Option<Written>,
    pub timeout: Option<Written>,
}

/// Keywords with those around them: a task in its block in its role in its play.
#[derive(Debug)]
pub struct Level {
    pub keywords: Keywords,
    /// Variables that win over facts and registered results: parameters of roles and includes.
    pub params: Map,
    /// The role that begins at this level.
    pub role: Option<Arc<Role>>,
    pub outer: Option<Arc<Level>>,
}

impl Level {
    pub fn new(keywords: Keywords, outer: Option<&Arc<Level>>) -> Arc<Self> {
        Arc::new(Self {
            keywords,
            params: Map::new(),
            role: None,
            outer: outer.cloned(),
        })
    }

    /// From the inside out.
    pub fn chain(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Level>> {
        std::iter::successors(Some(self), |level| level.outer.as_ref())
    }

    /// The innermost setting of a keyword.
    pub fn nearest<'a>(
        self: &'a Arc<Self>,
        pick: impl Fn(&'a Keywords) -> Option<&'a Written>,
    ) -> Option<&'a Written> {
        self.chain().find_map(|level| pick(&level.keywords))
    }

    /// All conditions, outermost first.
    pub fn conditions(self: &Arc<Self>) -> Vec<&Written> {
        let mut levels: Vec<_> = self.chain().collect();
        levels.reverse();
        levels.into_iter().flat_map(|l| &l.keywords.when).collect()
    }

    /// All tags, outermost first.
    pub fn tags(self: &Arc<Self>) -> Vec<&Written> {
        let mut levels: Vec<_> = self.chain().collect();
        levels.reverse();
        levels.into_iter().flat_map(|l| &l.keywords.tags).collect()
    }

    /// All environments, outermost first.
    pub fn environments(self: &Arc<Self>) -> Vec<&Written> {
        let mut levels: Vec<_> = self.chain().collect();
        levels.reverse();
        levels.into_iter().flat_map(|l| &l.keywords.environment).collect()
    }

    pub fn role(self: &Arc<Self>) -> Option<&Arc<Role>> {
        self.chain().find_map(|level| level.role.as_ref())
    }
}

/// Keywords that Ansible has and that are refused by name here.
const REFUSED: &[(&str, &str)] = &[
    ("debugger", "the task debugger is not there"),
    (
        "module_defaults",
        "put the options into the tasks, or into variables",
    ),
    ("vars_prompt", "give the variables with `-e`"),
    ("fact_path", "local facts are read from /etc/ansible/facts.d"),
    ("async", "tasks run in the foreground"),
];

/// Keywords without a meaning here, which change nothing.
const WITHOUT_MEANING: &[&str] = &["collections", "poll"];

/// Reads one shared keyword; `false`: it is none.
pub(super) fn read(keywords: &mut Keywords, key: &Node, value: &Node) -> Result<bool, Diagnostic> {
    let one = || (!value.is_null()).then(|| Written::of(value));
    let name = key.text().unwrap_or_default();
    match name {
        "vars" => keywords.vars = vars(value)?,
        "when" => keywords.when = Written::list(value),
        "tags" => keywords.tags = tags(value)?,
        "environment" => keywords.environment = environment(value)?,
        "notify" => keywords.notify = Written::list(value),
        "become" => keywords.r#become = one(),
        "become_user" => keywords.become_user = one(),
        "become_method" => keywords.become_method = one(),
        "become_flags" => keywords.become_flags = one(),
        "become_exe" => keywords.become_exe = one(),
        "ignore_errors" => keywords.ignore_errors = one(),
        "ignore_unreachable" => keywords.ignore_unreachable = one(),
        "any_errors_fatal" => keywords.any_errors_fatal = one(),
        "check_mode" => keywords.check_mode = one(),
        "diff" => keywords.diff = one(),
        "no_log" => keywords.no_log = one(),
        "run_once" => keywords.run_once = one(),
        "delegate_to" => keywords.delegate_to = one(),
        "delegate_facts" => keywords.delegate_facts = one(),
        "connection" => keywords.connection = one(),
        "remote_user" | "user" => keywords.remote_user = one(),
        "port" => keywords.port = one(),
        "needs" => keywords.needs = needs::read(value)?,
        "throttle" => keywords.throttle = one(),
        "timeout" => keywords.timeout = one(),
        _ if WITHOUT_MEANING.contains(&name) => {}
        _ => {
            if let Some((_, why)) = REFUSED.iter().find(|(n, _)| *n == name) {
                return Err(
                    Diagnostic::error(format!("the keyword `{name}` is not supported yet"))
                        .at(&key.span)
                        .help(*why),
                );
            }
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names for "did you mean".
pub(super) const SHARED: &[&str] = &[
    "name",
    "vars",
    "when",
    "tags",
    "environment",
    "notify",
    "become",
    "become_user",
    "become_method",
    "become_flags",
    "become_exe",
    "ignore_errors",
    "ignore_unreachable",
    "any_errors_fatal",
    "check_mode",
    "diff",
    "no_log",
    "run_once",
    "delegate_to",
    "delegate_facts",
    "connection",
    "remote_user",
    "port",
    "needs",
    "throttle",
    "timeout",
];

/// Whether a task takes this keyword beside its module.
pub(super) fn is_of_a_task(name: &str) -> bool {
    let own = [
        "loop",
        "register",
        "until",
        "retries",
        "delay",
        "changed_when",
        "failed_when",
        "listen",
    ];
    own.contains(&name) || SHARED.contains(&name) || name.starts_with("with_")
}

/// A keyword that does not exist at this place.
pub(super) fn unknown(key: &Node, place: &str, own: &[&str]) -> Diagnostic {
    let name = key.text().unwrap_or_default();
    let near = nearest(name, own.iter().chain(SHARED).copied());
    Diagnostic::error(format!("unknown keyword `{name}` in {place}"))
        .at(&key.span)
        .did_you_mean(near)
}

/// `vars:` as a mapping; Ansible also takes a list of mappings.
pub(super) fn vars(node: &Node) -> Result<Map, Diagnostic> {
    if node.is_null() {
        return Ok(Map::new());
    }
    let wrong = |n: &Node| {
        Diagnostic::error(format!(
            "variables are a mapping of names to values, but this is {}",
            n.what()
        ))
        .at(&n.span)
    };
    let maps = match node.as_list() {
        Some(items) => items.iter().collect(),
        None => vec![node],
    };
    let mut all = Map::new();
    for map in maps {
        for (key, value) in map.as_map().ok_or_else(|| wrong(map))? {
            let name = key.text().unwrap_or_default();
            if !is_name(name) {
                return Err(
                    Diagnostic::error(format!("`{name}` cannot be the name of a variable"))
                        .at(&key.span)
                        .help("names are letters, digits and underscores, and do not begin with a digit"),
                );
            }
            all.insert(key.key(), value.value());
        }
    }
    Ok(all)
}

pub(super) fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn tags(node: &Node) -> Result<Vec<Written>, Diagnostic> {
    let mut all = Vec::new();
    for written in Written::list(node) {
        match &written.value {
            Value::List(_) | Value::Map(_) => {
                return Err(Diagnostic::error("a tag is a word").at(&written.span));
            }
            Value::String(text) if text.contains(',') => {
                all.extend(text.split(',').map(|t| Written {
                    value: t.trim().into(),
                    span: written.span.clone(),
                }));
            }
            _ => all.push(written),
        }
    }
    Ok(all)
}

/// A mapping, a template that gives one, or a list of those.
fn environment(node: &Node) -> Result<Vec<Written>, Diagnostic> {
    let all = Written::list(node);
    for written in &all {
        if !matches!(written.value, Value::Map(_) | Value::Template(_)) {
            return Err(Diagnostic::error("`environment` is a mapping of names to values").at(&written.span));
        }
    }
    Ok(all)
}
