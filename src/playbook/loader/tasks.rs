//! Lists of tasks: blocks, tasks, and the imports that are resolved before anything runs.

use std::sync::Arc;

use super::task_keywords::{TASK, TaskKeywords, is_task_keyword};
use super::{Loader, MAX_IMPORTS, Place};
use crate::playbook::action::Found;
use crate::playbook::keywords::{Keywords, Level, Written, unknown};
use crate::playbook::role::From;
use crate::playbook::{Block, Item, Loop, Role, Task, action, keywords};
use crate::source::{Diagnostic, Span};
use crate::yaml::Node;

impl Loader<'_> {
    pub(super) fn file_items(
        &mut self,
        place: &Place<'_>,
        level: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        match self.parse(place.file)? {
            Some(root) => self.items(&root, place, level),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn items(
        &mut self,
        node: &Node,
        place: &Place<'_>,
        level: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        if node.is_null() {
            return Ok(Vec::new());
        }
        let list = node.as_list().ok_or_else(|| {
            Diagnostic::error(format!("expected a list of tasks, found {}", node.what()))
                .at(&node.span)
                .help("each task begins with `- `")
        })?;
        let mut items = Vec::new();
        for entry in list {
            let pairs = entry.as_map().ok_or_else(|| {
                Diagnostic::error(format!("a task is a mapping, but this is {}", entry.what()))
                    .at(&entry.span)
            })?;
            if pairs.iter().any(|(k, _)| k.text() == Some("block")) {
                items.push(self.block(pairs, place, level)?);
            } else {
                items.extend(self.task(entry, pairs, place, level)?);
            }
        }
        Ok(items)
    }

    fn block(
        &mut self,
        pairs: &[(Node, Node)],
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Item, Diagnostic> {
        let mut keywords = Keywords::default();
        let (mut body, mut rescue, mut always) = (None, None, None);
        for (key, value) in pairs {
            match key.text() {
                Some("block") => body = Some(value),
                Some("rescue") => rescue = Some(value),
                Some("always") => always = Some(value),
                Some("name") => {}
                _ if keywords::read(&mut keywords, key, value)? => {}
                Some(name) if is_task_keyword(name) => {
                    return Err(
                        unknown(key, "a block", &[]).help("a block has none: write it at the tasks in it")
                    );
                }
                _ => return Err(unknown(key, "a block", &["block", "rescue", "always"])),
            }
        }
        let level = Level::new(keywords, Some(outer));
        let mut list = |n: Option<&Node>| n.map_or(Ok(Vec::new()), |n| self.items(n, place, &level));
        Ok(Item::Block(Arc::new(Block {
            body: list(body)?,
            rescue: list(rescue)?,
            always: list(always)?,
            level,
        })))
    }

    fn task(
        &mut self,
        node: &Node,
        pairs: &[(Node, Node)],
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        let mut own = TaskKeywords::default();
        let mut keywords = Keywords::default();
        for (key, value) in pairs {
            let name = key.text().unwrap_or_default();
            // In a play it is the older name of `remote_user`; in a task, a module.
            let is_module = name == "user";
            if !is_module
                && (own.read(key, value, place.handlers)? || keywords::read(&mut keywords, key, value)?)
            {
                continue;
            }
            if !action::is_action(name, self.catalogue) {
                own.strangers.push(key.clone());
                continue;
            }
            if let Some((first, _)) = &own.action {
                return Err(Diagnostic::error(format!(
                    "a task has one action, but here are `{}` and `{name}`",
                    first.text().unwrap_or_default()
                ))
                .at(&key.span)
                .help("begin the second with `- `"));
            }
            own.action = Some((key.clone(), value.clone()));
        }
        if let Some(stranger) = own.strangers.first() {
            return Err(self.stranger(stranger, own.action.is_some(), place.handlers));
        }
        if let Some(local) = own.local {
            keywords.delegate_to = Some(Written {
                value: "localhost".into(),
                span: local,
            });
        }
        let (key, value) = own.action.ok_or_else(|| {
            Diagnostic::error("a task without anything to do")
                .at(&node.span)
                .help("name a module")
        })?;
        let notify = std::mem::take(&mut keywords.notify);
        match action::read(&key, &value, own.args.as_ref(), self.catalogue)? {
            Found::ImportTasks(file) => {
                refuse_loop(own.looped.as_ref(), "import_tasks", "include_tasks")?;
                self.import_tasks(&file, keywords, place, outer)
            }
            Found::ImportRole(options) => {
                refuse_loop(own.looped.as_ref(), "import_role", "include_role")?;
                self.import_role(&options, keywords, place, outer)
            }
            Found::Action(action) => Ok(vec![Item::Task(Arc::new(Task {
                level: Level::new(keywords, Some(outer)),
                kind: place.kind(),
                name: own.name,
                action,
                looped: own.looped,
                register: own.register,
                until: own.until,
                retries: own.retries,
                delay: own.delay,
                changed_when: own.changed_when,
                failed_when: own.failed_when,
                notify,
                listen: own.listen,
                span: first_line(node, pairs),
                file: place.file.to_path_buf(),
            }))]),
        }
    }

    /// A key that is neither keyword nor module.
    fn stranger(&self, key: &Node, has_action: bool, handler: bool) -> Diagnostic {
        let keyword = unknown(key, if handler { "a handler" } else { "a task" }, TASK);
        // Beside an action it can only be a keyword; alone, whichever is nearer.
        let name = key.text().unwrap_or_default();
        let may_be_keyword = keyword.help.is_some() && !name.contains('.') && !action::is_missing(name);
        if has_action || may_be_keyword {
            return keyword;
        }
        action::unknown_module(key, self.catalogue)
    }

    fn import_tasks(
        &mut self,
        file: &Written,
        keywords: Keywords,
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        let level = with_params(keywords, None, outer);
        let name = (self.render)(file, &level)?;
        let path = self
            .tasks_path(
                &name,
                place.file,
                outer.role().map(AsRef::as_ref),
                place.playbook_dir,
            )
            .map_err(|missing| missing.at(&file.span))?;
        if place.depth >= MAX_IMPORTS {
            return Err(Diagnostic::error(format!("`{name}` imports itself")).at(&file.span));
        }
        let inner = Place {
            file: &path,
            depth: place.depth + 1,
            ..place.clone()
        };
        let body = self.file_items(&inner, &level)?;
        // Each handler is notified for itself, wherever it is written.
        Ok(if place.handlers {
            body
        } else {
            vec![static_block(level, body)]
        })
    }

    fn import_role(
        &mut self,
        options: &Node,
        keywords: Keywords,
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        let mut from = From::default();
        for (key, value) in options.as_map().unwrap_or_default() {
            let text = || value.text().map(ToString::to_string);
            match key.text() {
                Some("name" | "role" | "allow_duplicates" | "rolespec_validate" | "public") => {}
                Some("tasks_from") => from.tasks = text(),
                Some("vars_from") => from.vars = text(),
                Some("defaults_from") => from.defaults = text(),
                Some("handlers_from") => from.handlers = text(),
                _ => return Err(action::unknown_role_option(key)),
            }
        }
        let name = action::role_name(options)?;
        let level = with_params(keywords, None, outer);
        let rendered = (self.render)(&name, &level)?;
        let used = self.role(
            &rendered,
            &name.span,
            &from,
            place.playbook_dir,
            &level,
            Keywords::default(),
        )?;
        let mut items = Vec::new();
        for one in used {
            self.imported.push((one.role, one.handlers));
            items.push(static_block(one.level, one.tasks));
        }
        Ok(items)
    }
}

/// A level whose variables are parameters: those of an import win over facts.
fn with_params(mut keywords: Keywords, role: Option<Arc<Role>>, outer: &Arc<Level>) -> Arc<Level> {
    let params = std::mem::take(&mut keywords.vars);
    Arc::new(Level {
        keywords,
        params,
        role,
        outer: Some(outer.clone()),
    })
}

fn static_block(level: Arc<Level>, body: Vec<Item>) -> Item {
    Item::Block(Arc::new(Block {
        level,
        body,
        rescue: Vec::new(),
        always: Vec::new(),
    }))
}

fn refuse_loop(looped: Option<&Loop>, name: &str, other: &str) -> Result<(), Diagnostic> {
    match looped {
        None => Ok(()),
        Some(l) => Err(Diagnostic::error(format!(
            "`{name}` cannot be looped: it is resolved before anything runs"
        ))
        .at(&l.items.span)
        .help(format!("use `{other}`"))),
    }
}

fn first_line(node: &Node, pairs: &[(Node, Node)]) -> Span {
    let start = pairs.first().map_or(node.span.start, |(k, _)| k.span.start);
    let text = node.span.source.text.get(start..).unwrap_or_default();
    let end = start + text.find('\n').unwrap_or(text.len());
    Span::new(&node.span.source, start, end)
}
