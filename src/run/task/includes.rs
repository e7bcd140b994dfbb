//! `include_tasks` and `include_role`: what they unfold to.

use std::path::PathBuf;
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

/// What one include brings, and the files that it comes from.
#[derive(Default)]
struct Brought {
    items: Vec<Item>,
    handlers: Vec<Item>,
    files: Vec<PathBuf>,
}

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
        let mut seen = self.looked_at_here();
        let mut results: Vec<ItemResult> = Vec::new();
        for run in &runs {
            let borrowed = self.players[p].ahead[i].borrowed.clone();
            let scope = self.scope(p, i, run.locals.clone(), turn, &borrowed);
            if let Some(condition) = self.first_false(p, task.level.conditions(), &scope, turn)? {
                results.push(ItemResult::skipped(condition));
                continue;
            }
            self.has_what_it_needs(p, task, turn)?;
            let named = self.named(p, task, &scope, turn)?;
            let found = self.bring(p, task, &named, run.locals.clone(), turn);
            let brought = self.found(p, i, found)?;
            all.extend(brought.items);
            unfolded.handlers.extend(brought.handlers);
            for file in &brought.files {
                seen.note_tree(file);
            }
            results.push(ItemResult {
                values: named.values(),
                ..ItemResult::default()
            });
        }
        unfolded.items = all.into();
        let included = results.iter().filter(|result| !result.skipped);
        unfolded.times = u32::try_from(included.count()).unwrap_or(u32::MAX);
        self.check_included_needs(p, i, &unfolded.items, turn)?;
        let names = reach::included_for_others(&unfolded.items, &unfolded.handlers);
        if self.exec.may_set_for_others(&names) {
            self.doubt_others(p);
        }
        let is_included = unfolded.times > 0;
        let mut whole = if task.looped.is_some() {
            ItemResult::of_loop(&results, &runs)
        } else {
            results.pop().unwrap_or_default()
        };
        whole.values.insert("changed".into(), false.into());
        let attempt = &mut self.players[p].ahead[i];
        attempt.seen_here = Some(seen);
        attempt.unfolded = is_included.then_some(unfolded);
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
        let brought = self
            .named(p, task, scope, turn)
            .and_then(|named| self.bring(p, task, &named, Map::new(), turn))
            .unwrap_or_default();
        for name in reach::set_by_tasks(&brought.items).names {
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

    fn named(&mut self, p: usize, task: &Arc<Task>, scope: &Arc<dyn Scope>, turn: bool) -> Evaluated<Named> {
        Ok(match &task.action {
            Action::IncludeTasks(include) => {
                Named::Tasks(plain_text(&self.render(p, &include.file, scope, turn)?))
            }
            Action::IncludeRole(include) => Named::Role(self.role_named(p, include, scope, turn)?),
            Action::Module { .. } | Action::Meta(_) => Named::Nothing,
        })
    }

    fn bring(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        named: &Named,
        locals: Map,
        turn: bool,
    ) -> Evaluated<Brought> {
        match (&task.action, named) {
            (Action::IncludeTasks(include), Named::Tasks(name)) => {
                self.included_tasks(p, task, include, name, locals, turn)
            }
            (Action::IncludeRole(include), Named::Role(named)) => {
                self.included_role(p, task, include, named, locals, turn)
            }
            _ => Ok(Brought::default()),
        }
    }

    fn included_tasks(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        include: &IncludeTasks,
        name: &str,
        locals: Map,
        turn: bool,
    ) -> Evaluated<Brought> {
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
        let names = self.exec.names_for_imports(&self.players[p].name, turn);
        let mut loader = self.exec.loader(&names);
        let path = loader
            .tasks_path(name, &task.file, role.as_deref(), &directory)
            .map_err(|missing| fail(missing.at(&include.file.span)))?;
        let handlers = task.kind == TaskKind::Handler;
        let items = loader
            .tasks_file(&path, &directory, &level, handlers)
            .map_err(fail)?;
        Ok(Brought {
            items,
            files: loader.read,
            ..Brought::default()
        })
    }

    fn role_named(
        &mut self,
        p: usize,
        include: &IncludeRole,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<NamedRole> {
        Ok(NamedRole {
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
        p: usize,
        task: &Arc<Task>,
        include: &IncludeRole,
        named: &NamedRole,
        locals: Map,
        turn: bool,
    ) -> Evaluated<Brought> {
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
        let names = self.exec.names_for_imports(&self.players[p].name, turn);
        let mut loader = self.exec.loader(&names);
        let used = loader
            .role(
                &named.role,
                &include.name.span,
                &named.from,
                &directory,
                &level,
                crate::playbook::Keywords::default(),
            )
            .map_err(fail)?;
        let mut brought = Brought {
            files: loader.read,
            ..Brought::default()
        };
        for one in used {
            if named.public {
                self.exec.publish_role(&one.role);
            }
            brought.handlers.extend(one.handlers);
            brought.items.push(Item::Block(Arc::new(crate::playbook::Block {
                level: one.level,
                body: one.tasks,
                rescue: Vec::new(),
                always: Vec::new(),
            })));
        }
        Ok(brought)
    }
}

/// What an include names.
enum Named {
    Tasks(String),
    Role(NamedRole),
    Nothing,
}

impl Named {
    /// As the include returns it.
    fn values(&self) -> Map {
        match self {
            Self::Tasks(name) => Map::from_iter([
                ("include".into(), name.as_str().into()),
                ("include_args".into(), Value::from(Map::new())),
            ]),
            Self::Role(named) => Map::from_iter([("include_args".into(), Value::from(named.arguments()))]),
            Self::Nothing => Map::new(),
        }
    }
}

/// Which role an include means, and which parts of it.
struct NamedRole {
    role: String,
    from: From,
    public: bool,
}

impl NamedRole {
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
