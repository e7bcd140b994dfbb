//! `include_tasks` and `include_role`: what they unfold to.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use super::result::lent_of;
use super::{ItemResult, TaskResult};
use crate::playbook::{
    Action, From, IncludeRole, IncludeTasks, Item, Level, Task, TaskKind, check_included_needs,
};
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
            Some(looped) => match self.runs_of(p, i, task, looped, scope, turn)? {
                Some(runs) => runs,
                None => return Ok(()),
            },
        };
        let mut unfolded = Unfolded {
            items: Arc::from(Vec::new()),
            handlers: Vec::new(),
            times: 0,
        };
        let mut all: Vec<Item> = Vec::new();
        let (mut included, mut results) = (0, Vec::new());
        for run in &runs {
            let borrowed = self.players[p].ahead[i].borrowed.clone();
            let scope = self.scope(p, i, run.locals.clone(), turn, &borrowed);
            if let Some(condition) = self.first_false(p, task.level.conditions(), &scope, turn)? {
                results.push(ItemResult::skipped(condition));
                continue;
            }
            self.has_what_it_needs(p, task, turn)?;
            included += 1;
            let locals = run.locals.clone();
            let values = match &task.action {
                Action::IncludeTasks(include) => {
                    let name = plain_text(&self.render(p, &include.file, &scope, turn)?);
                    let found = self.included_tasks(task, include, &name, locals, turn);
                    all.extend(self.found(p, i, found)?);
                    Map::from_iter([
                        ("include".into(), name.into()),
                        ("include_args".into(), Value::from(Map::new())),
                    ])
                }
                Action::IncludeRole(include) => {
                    let name = self.role_named(p, include, &scope, turn)?;
                    let args = name.arguments();
                    let found = self.included_role(task, include, &name, locals, turn);
                    let (items, handlers) = self.found(p, i, found)?;
                    all.extend(items);
                    unfolded.handlers.extend(handlers);
                    Map::from_iter([("include_args".into(), Value::from(args))])
                }
                Action::Module { .. } | Action::Meta(_) => Map::new(),
            };
            results.push(ItemResult {
                values,
                ..ItemResult::default()
            });
        }
        unfolded.items = all.into();
        unfolded.times = included;
        self.check_included_needs(p, i, &unfolded.items, turn)?;
        let names = reach::included_for_others(&unfolded.items, &unfolded.handlers);
        if self.exec.may_set_for_others(&names) {
            self.doubt_others(p);
        }
        let mut whole = if task.looped.is_some() {
            ItemResult::of_loop(&results, &runs)
        } else {
            results.pop().unwrap_or_default()
        };
        whole.values.insert("changed".into(), false.into());
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
                .render(p, &include.file, scope, turn)
                .and_then(|name| self.included_tasks(task, include, &plain_text(&name), Map::new(), turn))
                .unwrap_or_default(),
            Action::IncludeRole(include) => self
                .role_named(p, include, scope, turn)
                .and_then(|name| self.included_role(task, include, &name, Map::new(), turn))
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

    /// What is not there is no failure of the host's that could be ignored.
    fn found<T>(&mut self, p: usize, i: usize, found: Evaluated<T>) -> Evaluated<T> {
        if let Err(Stop::Failed(_)) = found {
            self.players[p].ahead[i].misses_a_file = true;
        }
        found
    }

    fn included_tasks(
        &mut self,
        task: &Arc<Task>,
        include: &IncludeTasks,
        name: &str,
        locals: Map,
        turn: bool,
    ) -> Evaluated<Vec<Item>> {
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
            .tasks_path(name, &task.file, role.as_deref(), &directory)
            .map_err(|missing| fail(missing.at(&include.file.span)))?;
        let handlers = task.kind == TaskKind::Handler;
        let items = loader
            .tasks_file(&path, &directory, &level, handlers)
            .map_err(fail)?;
        Ok(items)
    }

    fn role_named(
        &mut self,
        p: usize,
        include: &IncludeRole,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Named> {
        Ok(Named {
            role: plain_text(&self.render(p, &include.name, scope, turn)?),
            from: From {
                tasks: self.text(p, include.tasks_from.as_ref(), scope, turn)?,
                vars: self.text(p, include.vars_from.as_ref(), scope, turn)?,
                defaults: self.text(p, include.defaults_from.as_ref(), scope, turn)?,
                handlers: self.text(p, include.handlers_from.as_ref(), scope, turn)?,
            },
            public: self
                .flag(p, include.public.as_ref(), scope, turn)?
                .unwrap_or(false),
        })
    }

    /// The tasks of the role, and its handlers.
    fn included_role(
        &mut self,
        task: &Arc<Task>,
        include: &IncludeRole,
        named: &Named,
        locals: Map,
        turn: bool,
    ) -> Evaluated<(Vec<Item>, Vec<Item>)> {
        let directory = self.play.directory.clone();
        let level = include_level(task, &include.apply, locals);
        let fail = |d: Diagnostic| {
            if turn {
                Stop::Failed(Box::new(d.within(&include.name.span)))
            } else {
                Stop::Park(Parked::Turn)
            }
        };
        if named.public && !turn {
            // What becomes public is seen by every later task: that happens in its order.
            return Err(Stop::Park(Parked::Turn));
        }
        let used = self
            .exec
            .loader()
            .role(
                &named.role,
                &include.name.span,
                &named.from,
                &directory,
                &level,
                crate::playbook::Keywords::default(),
            )
            .map_err(fail)?;
        let (mut items, mut handlers) = (Vec::new(), Vec::new());
        for one in used {
            if named.public {
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

/// Which role an include means, and which parts of it.
struct Named {
    role: String,
    from: From,
    public: bool,
}

impl Named {
    /// As `include_role` returns it.
    fn arguments(&self) -> Map {
        let From {
            tasks,
            vars,
            defaults,
            handlers,
        } = &self.from;
        let parts = [
            ("tasks_from", tasks),
            ("vars_from", vars),
            ("defaults_from", defaults),
            ("handlers_from", handlers),
        ];
        let mut all = Map::from_iter([("name".into(), self.role.as_str().into())]);
        for (name, part) in parts {
            if let Some(part) = part {
                all.insert(name.into(), part.as_str().into());
            }
        }
        all
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
