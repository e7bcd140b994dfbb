//! Handlers: who is notified, and when they run.

use std::sync::Arc;

use crate::plan::{Ending, Inserted};
use crate::playbook::{Item, Task, Written};
use crate::run::batch::{Batch, PlayerState};
use crate::run::event::Event;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::template::{Moment, TemplateError};
use crate::vars::Value;

impl Batch<'_> {
    pub(super) fn add_handler(&mut self, handler: Item) {
        let known = |a: &Item, b: &Item| match (a, b) {
            (Item::Task(a), Item::Task(b)) => a.span == b.span,
            _ => false,
        };
        if !self.handlers.iter().any(|h| known(h, &handler)) {
            self.handlers.push(handler);
        }
    }

    /// `doubt`: where it comes from that a dry run cannot know whether the task would change anything.
    pub(super) fn notify(&mut self, p: usize, task: &Arc<Task>, doubt: Option<&Arc<str>>) {
        let mut names: Vec<Written> = task.notify.clone();
        names.extend(
            task.level
                .chain()
                .skip(1)
                .flat_map(|l| l.keywords.notify.iter().cloned()),
        );
        let scope = self.host_scope(p, &task.level);
        for written in names {
            let rendered = match self.exec.engine.render(&written.value, &scope, Moment::Turn) {
                Ok(rendered) => rendered,
                Err(TemplateError::Unknown(reason)) => {
                    let span = &written.span;
                    self.exec.tell(&Event::Warning {
                        host: Some(self.players[p].name.to_string()),
                        text: format!("which handlers are notified is unknown because of {reason} ({span})"),
                    });
                    continue;
                }
                Err(_) => continue,
            };
            let list = match &rendered {
                Value::List(items) => items.to_vec(),
                other => vec![other.clone()],
            };
            for name in list.iter().map(plain_text) {
                self.notify_one(p, &name, &written, doubt);
            }
        }
    }

    fn notify_one(&mut self, p: usize, name: &str, written: &Written, doubt: Option<&Arc<str>>) {
        let found = self.handlers_named(p, name);
        if found.is_empty() && doubt.is_some() {
            return;
        }
        if found.is_empty() {
            let known: Vec<String> = self.handler_tasks().into_iter().map(|(_, t)| t.title()).collect();
            let error = Diagnostic::error(format!("there is no handler `{name}`"))
                .at(&written.span)
                .did_you_mean(crate::source::nearest(name, known.iter().map(String::as_str)));
            self.exec.count(&self.players[p].name.clone(), |s| s.failed += 1);
            let said = error.to_string();
            let said = said.strip_prefix("error: ").unwrap_or(&said);
            self.lose(p, PlayerState::Failed, said.to_string());
            return;
        }
        for number in found {
            let player = &mut self.players[p];
            match doubt {
                None => drop(player.doubtful.remove(&number)),
                Some(reason) if !player.notified.contains(&number) => {
                    player.doubtful.insert(number, reason.clone());
                }
                Some(_) => {}
            }
            if self.notify_handler(p, number) {
                self.exec.tell(&Event::Notified {
                    host: self.players[p].name.to_string(),
                    handler: name.to_string(),
                });
            }
        }
    }

    /// The handlers' tasks with the number of the handler that each belongs to.
    fn handler_tasks(&self) -> Vec<(usize, Arc<Task>)> {
        let mut all = Vec::new();
        for (number, item) in self.handlers.iter().enumerate() {
            crate::playbook::each_task(std::slice::from_ref(item), &mut |task| {
                all.push((number, task.clone()));
            });
        }
        all
    }

    /// Where it comes from that a dry run cannot know whether this handler would be notified.
    pub(super) fn doubt_of(&self, p: usize, task: &Arc<Task>) -> Option<Arc<str>> {
        let doubtful = &self.players[p].doubtful;
        if doubtful.is_empty() || !self.players[p].flushing {
            return None;
        }
        let (number, _) = self
            .handler_tasks()
            .into_iter()
            .find(|(_, t)| Arc::ptr_eq(t, task))?;
        doubtful.get(&number).cloned()
    }

    /// By name the last one counts, by `listen` all of them.
    fn handlers_named(&self, p: usize, name: &str) -> Vec<usize> {
        let mut by_name = None;
        let mut all = Vec::new();
        for (number, task) in self.handler_tasks() {
            let scope = self.host_scope(p, &task.level);
            let text = |w: &Written| {
                self.exec
                    .engine
                    .render(&w.value, &scope, Moment::Turn)
                    .ok()
                    .map(|v| plain_text(&v))
            };
            let own = task.name.as_ref().and_then(text);
            let with_role = own
                .as_ref()
                .zip(task.role())
                .map(|(n, r)| format!("{} : {n}", r.name));
            if own.as_deref() == Some(name) || with_role.as_deref() == Some(name) {
                by_name = Some(number);
            }
            let listens = task.listen.iter().filter_map(text).any(|l| l == name);
            if listens && !all.contains(&number) {
                all.push(number);
            }
        }
        all.extend(by_name);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// One pass over the handlers, in the order of their definition.
    pub(super) fn flush_handlers(&mut self, p: usize) {
        let player = &mut self.players[p];
        if player.flushing || player.notified.is_empty() {
            player.flushing = false;
            player.cursor.done(Ending::Ok);
            return;
        }
        player.flushing = true;
        let numbers = std::mem::take(&mut player.notified);
        let handlers = numbers
            .into_iter()
            .filter_map(|n| Some((u32::try_from(n).ok()?, self.handlers.get(n)?.clone())))
            .collect();
        player.cursor.enter_handlers(handlers);
        self.forget(p);
    }

    /// A handler that stands behind the one that runs now still comes in this pass; another waits for the next.
    fn notify_handler(&mut self, p: usize, number: usize) -> bool {
        let handler = self.handlers.get(number).cloned();
        let player = &mut self.players[p];
        if let (Some(handler), Ok(place)) = (handler, u32::try_from(number)) {
            match player.cursor.insert_handler(place, handler) {
                Inserted::Yes => {
                    self.forget(p);
                    return true;
                }
                Inserted::WasThere => return false,
                Inserted::No => {}
            }
        }
        self.players[p].notified.insert(number)
    }
}
