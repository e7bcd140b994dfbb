//! The keywords that only a task has, and its loop.

use std::sync::Arc;

use crate::yaml;

use crate::playbook::keywords::{Written, unknown};
use crate::playbook::{Loop, keywords};
use crate::source::{Diagnostic, Span, nearest};
use crate::template::Engine;
use crate::vars::Value;
use crate::yaml::Node;

pub(super) const TASK: &[&str] = &[
    "action",
    "local_action",
    "args",
    "loop",
    "loop_control",
    "register",
    "until",
    "retries",
    "delay",
    "changed_when",
    "failed_when",
    "listen",
    "block",
    "with_items",
    "with_dict",
    "with_fileglob",
];

pub(super) fn is_task_keyword(name: &str) -> bool {
    TASK.contains(&name) || name.starts_with("with_")
}

#[derive(Default)]
pub(super) struct TaskKeywords {
    pub name: Option<Written>,
    pub action: Option<(Node, Node)>,
    pub local: Option<Span>,
    pub args: Option<Node>,
    pub looped: Option<Loop>,
    pub register: Option<Arc<str>>,
    pub until: Vec<Written>,
    pub retries: Option<Written>,
    pub delay: Option<Written>,
    pub changed_when: Option<Vec<Written>>,
    pub failed_when: Option<Vec<Written>>,
    pub listen: Vec<Written>,
    pub strangers: Vec<Node>,
    control: Option<Node>,
}

impl TaskKeywords {
    pub(super) fn read(&mut self, key: &Node, value: &Node, handler: bool) -> Result<bool, Diagnostic> {
        match key.text().unwrap_or_default() {
            "name" => self.name = Some(Written::of(value)).filter(|w| w.value != Value::Null),
            "args" => self.args = Some(value.clone()),
            "register" => self.register = Some(register(value)?),
            "until" => self.until = Written::list(value),
            "retries" => self.retries = Some(Written::of(value)),
            "delay" => self.delay = Some(Written::of(value)),
            "changed_when" => self.changed_when = Some(Written::list(value)),
            "failed_when" => self.failed_when = Some(Written::list(value)),
            "listen" if handler => self.listen = Written::list(value),
            "loop" => self.repeat(None, key, value)?,
            "loop_control" => {
                self.control = Some(value.clone());
                self.apply_control()?;
            }
            "action" | "local_action" => self.old_action(key, value)?,
            name => match name.strip_prefix("with_") {
                Some(lookup) => self.repeat(Some(known_loop(lookup, key)?), key, value)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn repeat(&mut self, lookup: Option<Arc<str>>, key: &Node, value: &Node) -> Result<(), Diagnostic> {
        if self.looped.is_some() {
            return Err(Diagnostic::error("a task has one loop").at(&key.span));
        }
        if lookup.is_some() && value.is_null() {
            let name = key.text().unwrap_or_default();
            return Err(Diagnostic::error(format!("`{name}` has no value")).at(&key.span));
        }
        self.looped = Some(Loop {
            lookup,
            items: Written::of(value),
            loop_var: None,
            index_var: None,
            label: None,
            pause: None,
            extended: None,
            extended_allitems: None,
        });
        self.apply_control()
    }

    /// `loop_control` may stand before or after the loop.
    fn apply_control(&mut self) -> Result<(), Diagnostic> {
        let (Some(looped), Some(control)) = (&mut self.looped, &self.control) else {
            return Ok(());
        };
        let pairs = control.as_map().ok_or_else(|| {
            Diagnostic::error(format!(
                "`loop_control` is a mapping, but this is {}",
                control.what()
            ))
            .at(&control.span)
        })?;
        let names = [
            "loop_var",
            "index_var",
            "label",
            "pause",
            "extended",
            "extended_allitems",
            "break_when",
        ];
        for (key, value) in pairs {
            let one = Some(Written::of(value));
            match key.text().unwrap_or_default() {
                "loop_var" => looped.loop_var = one,
                "index_var" => looped.index_var = one,
                "label" => looped.label = one,
                "pause" => looped.pause = one,
                "extended" => looped.extended = one,
                "extended_allitems" => looped.extended_allitems = one,
                _ => return Err(unknown(key, "`loop_control`", &names)),
            }
        }
        Ok(())
    }

    /// `action: module arguments`, as it was written long ago.
    fn old_action(&mut self, key: &Node, value: &Node) -> Result<(), Diagnostic> {
        if key.text() == Some("local_action") {
            self.local = Some(key.span.clone());
        }
        if let Some(pairs) = value.as_map() {
            let (_, name) = pairs
                .iter()
                .find(|(k, _)| k.text() == Some("module"))
                .ok_or_else(|| Diagnostic::error("which module? `module:` is missing").at(&value.span))?;
            let rest: Vec<_> = pairs
                .iter()
                .filter(|(k, _)| k.text() != Some("module"))
                .cloned()
                .collect();
            let arguments = Node {
                kind: yaml::Kind::Map(Arc::new(rest)),
                span: value.span.clone(),
            };
            self.action = Some((name.clone(), arguments));
            return Ok(());
        }
        let text = value.text().unwrap_or_default();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let node = |text: &str| Node {
            kind: yaml::Kind::String(text.into()),
            span: value.span.clone(),
        };
        self.action = Some((node(name), node(rest.trim_start())));
        Ok(())
    }
}

fn register(node: &Node) -> Result<Arc<str>, Diagnostic> {
    let Some(name) = node.text() else {
        return Err(Diagnostic::error(format!(
            "`register` is the name of a variable, but this is {}",
            node.what()
        ))
        .at(&node.span));
    };
    if keywords::is_name(name) {
        return Ok(name.into());
    }
    Err(
        Diagnostic::error(format!("`{name}` cannot be the name of a variable"))
            .at(&node.span)
            .help("names are letters, digits and underscores, and do not begin with a digit"),
    )
}

/// `with_x` loops over what the lookup `x` gives.
fn known_loop(lookup: &str, key: &Node) -> Result<Arc<str>, Diagnostic> {
    if let Some(known) = Engine::lookup(lookup) {
        return Ok(known.into());
    }
    let known = Engine::lookups();
    let error = Diagnostic::error(format!("there is no loop `with_{lookup}`")).at(&key.span);
    Err(match nearest(lookup, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `with_{near}`?")),
        None => error.help("`loop` takes any list"),
    })
}
