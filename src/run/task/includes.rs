//! `include_tasks` and `include_role`: what they unfold to.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use super::result::lent_of;
use super::{ItemResult, TaskResult};
use crate::playbook::{Action, IncludeRole, IncludeTasks, Item, Level, Task, TaskKind, check_included_needs};
use crate::run::attempt::{ItemRun, Parked, Unfolded};
use crate::run::batch::Batch;
use crate::run::reach;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::template::Scope;
use crate::vars::{Map, Value};

impl Batch<'_> {
    pub(super) fn prepare_include(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<()> {
        let runs = match &task.looped {
            None => vec![ItemRun::new(None, Map::new())],
            Some(looped) => {
                let items = self.loop_items(p, looped, scope, turn)?;
                self.item_runs(p, looped, &items, scope, turn)?
            }
        };
        let mut unfolded = Unfolded {
            items: Arc::from(Vec::new()),
            handlers: Vec::new(),
        };
        let mut all: Vec<Item> = Vec::new();
        let (mut included, mut last_false) = (0, None);
        for run in runs {
            let borrowed = self.players[p].ahead[i].borrowed.clone();
            let scope = self.scope(p, i, run.locals.clone(), turn, &borrowed);
            if let Some(condition) = self.first_false(p, task.level.conditions(), &scope, turn)? {
                last_false = Some(condition.clone());
                continue;
            }
            self.has_what_it_needs(p, task, turn)?;
            included += 1;
            match &task.action {
                Action::IncludeTasks(include) => {
                    all.extend(self.included_tasks(p, task, include, run.locals, &scope, turn)?);
                }
                Action::IncludeRole(include) => {
                    let (items, handlers) = self.included_role(p, task, include, run.locals, &scope, turn)?;
                    all.extend(items);
                    unfolded.handlers.extend(handlers);
                }
                Action::Module { .. } | Action::Meta(_) => {}
            }
        }
        unfolded.items = all.into();
        self.check_included_needs(p, i, &unfolded.items, turn)?;
        let names = reach::included_for_others(&unfolded.items, &unfolded.handlers);
        if self.exec.may_set_for_others(&names) {
            self.doubt_others(p);
        }
        let mut whole = match (included, &last_false) {
            (0, Some(condition)) => ItemResult::skipped(condition),
            _ => ItemResult::default(),
        };
        whole.values.insert("changed".into(), false.into());
        whole.values.insert("include".into(), task.action.name().into());
        let attempt = &mut self.players[p].ahead[i];
        attempt.unfolded = (included > 0).then_some(unfolded);
        attempt.result = Some(TaskResult {
            lent: Arc::new(lent_of(&attempt.task, &whole, false)),
            whole,
            ..TaskResult::default()
        });
        Ok(())
    }

    /// A dry run cannot know whether a task would run, or with what: what an include would bring may set
    /// names that are unknown from here on.
    pub(super) fn unknown_task(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        reason: &Arc<str>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> ItemResult {
        let mut result = ItemResult::unknown(reason, task);
        let brought = match &task.action {
            Action::IncludeTasks(include) => self
                .included_tasks(p, task, include, Map::new(), scope, turn)
                .unwrap_or_default(),
            Action::IncludeRole(include) => self
                .included_role(p, task, include, Map::new(), scope, turn)
                .map(|(items, _)| items)
                .unwrap_or_default(),
            Action::Module { .. } | Action::Meta(_) => Vec::new(),
        };
        for name in reach::set_by_tasks(&brought).names {
            result.set.insert(name.into(), Value::Unknown(reason.clone()));
        }
        result
    }

    /// What an include brings may need what stands before it, and what it brings itself.
    fn check_included_needs(&self, p: usize, i: usize, items: &[Item], turn: bool) -> Evaluated<()> {
        let player = &self.players[p];
        let Some(attempt) = player.ahead.get(i) else {
            return Ok(());
        };
        let laid = player.cursor.surroundings().into_iter();
        let before: Vec<Arc<Task>> = laid
            .filter(|each| each.position < attempt.position)
            .map(|each| each.task)
            .collect();
        check_included_needs(&before, items).map_err(|error| {
            if turn {
                Stop::Failed(Box::new(error))
            } else {
                Stop::Park(Parked::Turn)
            }
        })
    }

    fn included_tasks(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        include: &IncludeTasks,
        locals: Map,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<Item>> {
        let name = plain_text(&self.render(p, &include.file, scope, turn)?);
        let role = task.level.role().cloned();
        let directory = self.play.directory.clone();
        let fail = |d: Diagnostic| {
            if turn {
                Stop::Failed(Box::new(d.within(&include.file.span)))
            } else {
                Stop::Park(Parked::Turn)
            }
        };
        let level = include_level(task, &include.apply, locals);
        let mut loader = self.exec.loader();
        let path = loader
            .tasks_path(&name, &task.file, role.as_deref(), &directory)
            .ok_or_else(|| {
                fail(Diagnostic::error(format!("there is no file of tasks `{name}`")).at(&include.file.span))
            })?;
        let handlers = task.kind == TaskKind::Handler;
        let items = loader
            .tasks_file(&path, &directory, &level, handlers)
            .map_err(fail)?;
        Ok(items)
    }

    fn included_role(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        include: &IncludeRole,
        locals: Map,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<(Vec<Item>, Vec<Item>)> {
        let name = plain_text(&self.render(p, &include.name, scope, turn)?);
        let from = crate::playbook::From {
            tasks: self.text(p, include.tasks_from.as_ref(), scope, turn)?,
            vars: self.text(p, include.vars_from.as_ref(), scope, turn)?,
            defaults: self.text(p, include.defaults_from.as_ref(), scope, turn)?,
            handlers: self.text(p, include.handlers_from.as_ref(), scope, turn)?,
        };
        let public = self
            .flag(p, include.public.as_ref(), scope, turn)?
            .unwrap_or(false);
        let directory = self.play.directory.clone();
        let level = include_level(task, &include.apply, locals);
        let fail = |d: Diagnostic| {
            if turn {
                Stop::Failed(Box::new(d.within(&include.name.span)))
            } else {
                Stop::Park(Parked::Turn)
            }
        };
        if public && !turn {
            // What becomes public is seen by every later task: that happens in its order.
            return Err(Stop::Park(Parked::Turn));
        }
        let used = self
            .exec
            .loader()
            .role(
                &name,
                &include.name.span,
                &from,
                &directory,
                &level,
                crate::playbook::Keywords::default(),
            )
            .map_err(fail)?;
        let (mut items, mut handlers) = (Vec::new(), Vec::new());
        for one in used {
            if public {
                self.exec.publish_role(&one.role);
            }
            handlers.extend(one.handlers);
            items.push(Item::Block(Arc::new(crate::playbook::Block {
                level: one.level,
                body: one.tasks,
                rescue: Vec::new(),
                always: Vec::new(),
            })));
        }
        Ok((items, handlers))
    }
}

/// The level of what an include brings: its variables win over facts, its keywords stay with itself.
fn include_level(task: &Arc<Task>, apply: &crate::playbook::Keywords, locals: Map) -> Arc<Level> {
    let mut params = task.level.keywords.vars.clone();
    params.extend(locals);
    Arc::new(Level {
        keywords: apply.clone(),
        params,
        role: None,
        outer: task.level.outer.clone(),
    })
}
