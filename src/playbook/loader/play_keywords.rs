//! The keywords that only a play has.

use crate::playbook::keywords::Written;
use crate::yaml::Node;

pub(super) const PLAY: &[&str] = &[
    "hosts",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "roles",
    "tasks",
    "pre_tasks",
    "post_tasks",
    "handlers",
    "vars_files",
    "serial",
    "strategy",
    "order",
    "max_fail_percentage",
    "force_handlers",
    "import_playbook",
];

#[derive(Default)]
pub(super) struct PlayKeywords {
    pub name: Option<Written>,
    pub hosts: Option<Written>,
    pub gather_facts: Option<Written>,
    pub gather_subset: Option<Written>,
    pub gather_timeout: Option<Written>,
    pub vars_files: Vec<Written>,
    pub serial: Option<Written>,
    pub strategy: Option<Written>,
    pub order: Option<Written>,
    pub max_fail_percentage: Option<Written>,
    pub force_handlers: Option<Written>,
    pub roles: Option<Node>,
    pub pre_tasks: Option<Node>,
    pub tasks: Option<Node>,
    pub post_tasks: Option<Node>,
    pub handlers: Option<Node>,
}

impl PlayKeywords {
    pub(super) fn read(&mut self, key: &Node, value: &Node) -> bool {
        let one = || Some(Written::of(value));
        match key.text().unwrap_or_default() {
            "name" => self.name = one(),
            "hosts" => self.hosts = one(),
            "gather_facts" => self.gather_facts = one(),
            "gather_subset" => self.gather_subset = one(),
            "gather_timeout" => self.gather_timeout = one(),
            "vars_files" => self.vars_files = Written::list(value),
            "serial" => self.serial = one(),
            "strategy" => self.strategy = one(),
            "order" => self.order = one(),
            "max_fail_percentage" => self.max_fail_percentage = one(),
            "force_handlers" => self.force_handlers = one(),
            "roles" => self.roles = Some(value.clone()),
            "pre_tasks" => self.pre_tasks = Some(value.clone()),
            "tasks" => self.tasks = Some(value.clone()),
            "post_tasks" => self.post_tasks = Some(value.clone()),
            "handlers" => self.handlers = Some(value.clone()),
            _ => return false,
        }
        true
    }
}
