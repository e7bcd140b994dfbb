//! Handlers: who is notified, and when they run.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::keywords::Notification;
use crate::plan::{Ending, Inserted};
use crate::playbook::{Item, Task};
use crate::run::attempt::Attempt;
use crate::run::batch::{Batch, Notified, PlayerState, note};
use crate::run::event::Event;
use crate::run::values::plain_text;
use crate::source::{Diagnostic, Span};
use crate::template::Moment;

impl Batch<'_> {
    /// A handler that an included role brings. Where the role was there before, its handlers are from here on
    /// those of this use of it, with its variables.
    pub(super) fn add_handler(&mut self, handler: Item) {
        let same = |known: &&mut Item| match (known, &handler) {
            (Item::Task(known), Item::Task(new)) => known.span == new.span,
            _ => false,
        };
        match self.handlers.iter_mut().find(same) {
            Some(known) => *known = handler,
            None => self.handlers.push(handler),
        }
    }

    /// Everything that a task names which changed something, each item of its loop for itself. `doubt`: where
    /// it comes from that a dry run cannot know whether it would.
    pub(super) fn notify(&mut self, p: usize, attempt: &Attempt, doubt: Option<&Arc<str>>) {
        let begun: Vec<_> = attempt.items.iter().filter_map(|i| i.effective.clone()).collect();
        let mut notifications: Vec<Notification> = begun.iter().flat_map(|e| e.notify.clone()).collect();
        if begun.is_empty() && doubt.is_some() {
            let scope = self.host_scope(p, &attempt.task.level);
            notifications = self.notifies(p, &attempt.task, &scope, true).unwrap_or_default();
        }
        for Notification { names, span } in &notifications {
            match names {
                Ok(names) => {
                    for name in names {
                        self.notify_one(p, name, span, doubt);
                    }
                }
                Err(reason) => self.exec.tell(&Event::Warning {
                    host: Some(self.players[p].name.to_string()),
                    text: format!("which handlers are notified is unknown because of {reason} ({span})"),
                }),
            }
        }
    }

    fn notify_one(&mut self, p: usize, name: &str, span: &Span, doubt: Option<&Arc<str>>) {
        let found = self.handlers_named(p, name);
        if found.is_empty() && doubt.is_some() {
            return;
        }
        if found.is_empty() {
            let known: Vec<String> = self.handler_tasks().into_iter().map(|(_, t)| t.title()).collect();
            let error = Diagnostic::error(format!("there is no handler `{name}`"))
                .at(span)
                .did_you_mean(crate::source::nearest(name, known.iter().map(String::as_str)));
            self.exec.count(&self.players[p].name.clone(), |s| s.failed += 1);
            let said = error.to_string();
            let said = said.strip_prefix("error: ").unwrap_or(&said);
            self.lose(p, PlayerState::Failed, said.to_string());
            return;
        }
        let new = if self.players[p].flushing {
            let added = found
                .into_iter()
                .filter(|number| self.notify_handler(p, *number, doubt));
            added.count() > 0
        } else {
            let names = &mut self.players[p].notified.names;
            note(names, name.to_string(), doubt.cloned())
        };
        if new {
            self.exec.tell(&Event::Notified {
                host: self.players[p].name.to_string(),
                handler: name.to_string(),
            });
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

    /// One by its name, all that listen; of those of the same name the first in the last list that has it.
    fn handlers_named(&self, p: usize, name: &str) -> Vec<usize> {
        let tasks = self.handler_tasks();
        let mut named: Option<(usize, &Task)> = None;
        let mut listening: Vec<(usize, &Task, Option<String>)> = Vec::new();
        for (number, task) in &tasks {
            let own = self.handler_name(p, task);
            let full = own.as_ref().map(|own| full_name(task, own));
            let is_it = own.as_deref() == Some(name) || full.as_deref() == Some(name);
            if is_it && !named.is_some_and(|(_, other)| in_one_list(other, task)) {
                named = Some((*number, task));
            }
            if !task.listen.iter().any(|topic| plain_text(&topic.value) == name) {
                continue;
            }
            match listening
                .iter_mut()
                .find(|(.., other)| full.is_some() && *other == full)
            {
                Some((_, other, _)) if in_one_list(other, task) => {}
                Some(same) => *same = (*number, task, full),
                None => listening.push((*number, task, full)),
            }
        }
        let listening = listening.into_iter().map(|(number, ..)| number);
        let all: BTreeSet<usize> = listening.chain(named.map(|(number, _)| number)).collect();
        all.into_iter().collect()
    }

    fn handler_name(&self, p: usize, task: &Arc<Task>) -> Option<String> {
        let written = task.name.as_ref()?;
        let scope = self.host_scope(p, &task.level);
        let name = self.exec.engine.render(&written.value, &scope, Moment::Turn);
        name.ok().map(|name| plain_text(&name))
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
        let Notified { names, mut numbers } = std::mem::take(&mut player.notified);
        // Which handler a name means is seen only here: an include may have brought another since.
        for (name, doubt) in names {
            for number in self.handlers_named(p, &name) {
                note(&mut numbers, number, doubt.clone());
            }
        }
        let handlers = numbers
            .keys()
            .filter_map(|n| Some((u32::try_from(*n).ok()?, self.handlers.get(*n)?.clone())))
            .collect();
        let doubtful = numbers.into_iter().filter_map(|(n, doubt)| Some((n, doubt?)));
        let player = &mut self.players[p];
        player.doubtful = doubtful.collect();
        player.cursor.enter_handlers(handlers);
        self.forget(p);
    }

    /// A handler that stands behind the one that runs now still comes in this pass; another waits for the next.
    fn notify_handler(&mut self, p: usize, number: usize, doubt: Option<&Arc<str>>) -> bool {
        let handler = self.handlers.get(number).cloned();
        let player = &mut self.players[p];
        if let (Some(handler), Ok(place)) = (handler, u32::try_from(number)) {
            match player.cursor.insert_handler(place, handler) {
                Inserted::Yes => {
                    if let Some(reason) = doubt {
                        player.doubtful.insert(number, reason.clone());
                    }
                    self.forget(p);
                    return true;
                }
                Inserted::WasThere => {
                    if doubt.is_none() {
                        player.doubtful.remove(&number);
                    }
                    return false;
                }
                Inserted::No => {}
            }
        }
        note(&mut self.players[p].notified.numbers, number, doubt.cloned())
    }
}

fn full_name(task: &Task, name: &str) -> String {
    match task.role() {
        Some(role) => format!("{} : {name}", role.name),
        None => name.to_string(),
    }
}

/// Whether two handlers are the same role's, or both the play's.
fn in_one_list(a: &Task, b: &Task) -> bool {
    match (a.role(), b.role()) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
