//! From a task as it is written to a module at work, and from what the module said to a result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::{
    Attempt, Borrowed, Effective, ItemResult, ItemRun, Parked, State, TaskResult, Unfolded, Waiting,
};
use super::batch::{Batch, PlayerState};
use super::event::{Event, Finished, Status};
use super::machines::MachineKey;
use super::reach;
use super::scope::{Lent, TaskScope};
use crate::host::{
    Become, BecomeMethod, Door, Halt, Host, Identity, Lost, Outcome, Secret, Task as HostTask,
};
use crate::modules::{Argument, Arguments};
use crate::plan::{Ending, Inserted, Position};
use crate::playbook::{Action, IncludeRole, IncludeTasks, Item, Level, Loop, Meta, Task, Written};
use crate::source::Diagnostic;
use crate::template::{Found, Moment, Scope, TemplateError, omit_placeholder};
use crate::vars::{Key, Map, Value};

/// Why an evaluation has no value.
pub(super) enum Stop {
    Park(Parked),
    Unknown(Arc<str>),
    Failed(Box<Diagnostic>),
}

type Evaluated<T> = Result<T, Stop>;

/// What a return value of a command is called that did not run in a dry run.
const UNKNOWN_VALUES: &[&str] = &[
    "rc",
    "stdout",
    "stderr",
    "stdout_lines",
    "stderr_lines",
    "start",
    "end",
    "delta",
];

impl Batch<'_> {
    // ---- evaluation ------------------------------------------------------------------------------------

    pub(super) fn scope(
        &self,
        p: usize,
        i: usize,
        locals: Map,
        turn: bool,
        borrowed: &Borrowed,
    ) -> Arc<dyn Scope> {
        let player = &self.players[p];
        let earlier = if turn {
            Vec::new()
        } else {
            player
                .ahead
                .iter()
                .take(i)
                .rev()
                .map(Attempt::as_earlier)
                .collect()
        };
        Arc::new(TaskScope {
            world: self.exec.world.clone(),
            host: player.name.clone(),
            level: player.ahead.get(i).map(|a| a.task.level.clone()),
            locals,
            earlier,
            ahead: !turn,
            borrowed: borrowed.clone(),
        })
    }

    /// Ahead of its turn an error may be one only because too little is known: it waits.
    pub(super) fn stop(&self, p: usize, error: TemplateError, turn: bool) -> Stop {
        match error {
            TemplateError::Pending(_) if !turn => Stop::Park(Parked::Since(self.players[p].version)),
            TemplateError::Pending(name) => Stop::Failed(Box::new(Diagnostic::error(format!(
                "`{name}` is not known at the task's turn: a bug of vmstation"
            )))),
            TemplateError::AtTurn => Stop::Park(Parked::Turn),
            TemplateError::Unknown(reason) if turn => Stop::Unknown(reason),
            TemplateError::Undefined(d) | TemplateError::Failed(d) if turn => Stop::Failed(d),
            _ => Stop::Park(Parked::Turn),
        }
    }

    fn render(&self, p: usize, written: &Written, scope: &Arc<dyn Scope>, turn: bool) -> Evaluated<Value> {
        self.exec
            .engine
            .render(&written.value, scope, Self::moment(turn))
            .map_err(|e| match self.stop(p, e, turn) {
                Stop::Failed(d) => Stop::Failed(Box::new(d.within(&written.span))),
                other => other,
            })
    }

    /// Whether all conditions hold; the first that does not.
    fn first_false<'w>(
        &self,
        p: usize,
        conditions: impl IntoIterator<Item = &'w Written>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<&'w Written>> {
        for condition in conditions {
            let holds = self
                .exec
                .engine
                .condition(&condition.value, Some(&condition.span), scope, Self::moment(turn))
                .map_err(|e| match self.stop(p, e, turn) {
                    Stop::Failed(d) => Stop::Failed(Box::new(d.within(&condition.span))),
                    other => other,
                })?;
            if !holds {
                return Ok(Some(condition));
            }
        }
        Ok(None)
    }

    fn flag(
        &self,
        p: usize,
        written: Option<&Written>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<bool>> {
        let Some(written) = written else { return Ok(None) };
        let value = self.render(p, written, scope, turn)?;
        match truth(&value) {
            Some(b) => Ok(Some(b)),
            None if is_omitted(&value) || value == Value::Null => Ok(None),
            None => Err(Stop::Failed(Box::new(
                Diagnostic::error(format!("must be a boolean, not {}", shown(&value))).at(&written.span),
            ))),
        }
    }

    fn text(
        &self,
        p: usize,
        written: Option<&Written>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<String>> {
        let Some(written) = written else { return Ok(None) };
        let value = self.render(p, written, scope, turn)?;
        if is_omitted(&value) || value == Value::Null {
            return Ok(None);
        }
        Ok(Some(plain_text(&value)))
    }

    fn number(
        &self,
        p: usize,
        written: Option<&Written>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<f64>> {
        let Some(written) = written else { return Ok(None) };
        let value = self.render(p, written, scope, turn)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds and counts")]
        let number = match &value {
            Value::Int(n) => Some(*n as f64),
            Value::Float(f) => Some(*f),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(n) => Ok(Some(n)),
            None => Err(Stop::Failed(Box::new(
                Diagnostic::error(format!("must be a number, not {}", shown(&value))).at(&written.span),
            ))),
        }
    }

    /// What `throttle` says: how many hosts at once, 0 for all.
    pub(super) fn limit(&self, p: usize, written: &Written, task: &Arc<Task>) -> Result<usize, String> {
        let scope = self.host_scope(p, &task.level);
        let value = self.exec.engine.render(&written.value, &scope, Moment::Turn);
        let number = match &value {
            Ok(Value::Int(n)) => usize::try_from(*n).ok(),
            Ok(Value::String(s)) => s.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| {
            let found = value.map_or_else(|_| "a name that is not known".into(), |v| shown(&v));
            Diagnostic::error(format!("`throttle` must be a number of hosts, not {found}"))
                .at(&written.span)
                .to_string()
        })
    }

    /// A variable of a scope, rendered.
    fn variable(&self, p: usize, scope: &Arc<dyn Scope>, name: &str, turn: bool) -> Evaluated<Option<Value>> {
        let written = match scope.get(name) {
            Found::Value(value) => value,
            Found::Undefined => return Ok(None),
            Found::Pending(what) => return Err(self.stop(p, TemplateError::Pending(what), turn)),
            Found::Hosts(_) => return Ok(None),
        };
        self.exec
            .engine
            .render(&written, scope, Self::moment(turn))
            .map(|v| (!is_omitted(&v)).then_some(v))
            .map_err(|e| self.stop(p, e, turn))
    }

    // ---- before the module -----------------------------------------------------------------------------

    /// Finds out what items the task has, or its result where it has no module; `false`: not yet.
    pub(super) fn prepare(&mut self, p: usize, i: usize, turn: bool) -> bool {
        let task = self.players[p].ahead[i].task.clone();
        let borrowed = self.players[p].ahead[i].borrowed.clone();
        let scope = self.scope(p, i, Map::new(), turn, &borrowed);
        let prepared = match self.follows(p, i, &task, &scope, turn) {
            Ok(Some(following)) => following,
            Ok(None) => match &task.action {
                Action::Meta(_) => {
                    self.prepare_meta(p, i, &task, &scope, turn);
                    return self.players[p].ahead[i].prepared;
                }
                Action::IncludeTasks(_) | Action::IncludeRole(_) => {
                    self.prepare_include(p, i, &task, &scope, turn)
                }
                Action::Module { .. } => self.prepare_items(p, i, &task, &scope, turn),
            },
            Err(stop) => Err(stop),
        };
        self.settle_preparation(p, i, prepared)
    }

    fn settle_preparation(&mut self, p: usize, i: usize, prepared: Evaluated<()>) -> bool {
        let attempt = &mut self.players[p].ahead[i];
        match prepared {
            Ok(()) => attempt.prepared = true,
            Err(Stop::Park(why)) => {
                attempt.parked = Some(why);
                return false;
            }
            Err(Stop::Unknown(reason)) => {
                attempt.prepared = true;
                self.conclude(p, i, ItemResult::unknown(reason));
            }
            Err(Stop::Failed(d)) => {
                attempt.prepared = true;
                self.conclude(p, i, ItemResult::error(&d));
            }
        }
        true
    }

    /// A task without items has come to a result.
    fn conclude(&mut self, p: usize, i: usize, whole: ItemResult) {
        let attempt = &mut self.players[p].ahead[i];
        let mut item = ItemRun::new(None, Map::new());
        item.at_turn = true;
        item.state = State::Done(Box::new(whole));
        attempt.looped = false;
        attempt.items = vec![item];
        self.assemble(p, i);
    }

    /// A `run_once` task on a host that does not run it: it takes the other's result.
    fn follows(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<Evaluated<()>>> {
        let once = self.flag(p, task.level.nearest(|k| k.run_once.as_ref()), scope, turn)?;
        let once = once == Some(true) || task.action.runs_once();
        if !once || self.free {
            return Ok(None);
        }
        let position = self.players[p].ahead[i].position.clone();
        let Some(mut result) = self.once.get(&position).cloned() else {
            if self.runs_for_all(p, &position, turn) {
                return Ok(None);
            }
            return Err(Stop::Park(Parked::Since(self.players[p].version)));
        };
        result.whole.changes.clear();
        result.shared = true;
        let attempt = &mut self.players[p].ahead[i];
        attempt.result = Some(result);
        Ok(Some(Ok(())))
    }

    fn prepare_meta(&mut self, p: usize, i: usize, task: &Arc<Task>, scope: &Arc<dyn Scope>, turn: bool) {
        // Its effect comes at the commit; here only whether it is to have one.
        // Ansible does not look at the conditions of these.
        let unconditional = matches!(
            task.action,
            Action::Meta(Meta::FlushHandlers | Meta::Noop | Meta::RefreshInventory | Meta::ResetConnection)
        );
        let conditions = if unconditional {
            Vec::new()
        } else {
            task.level.conditions()
        };
        match self.first_false(p, conditions, scope, turn) {
            Ok(None) => self.players[p].ahead[i].result = Some(TaskResult::default()),
            Ok(Some(condition)) => {
                let skipped = ItemResult::skipped(condition);
                self.players[p].ahead[i].result = Some(TaskResult {
                    whole: skipped,
                    ..TaskResult::default()
                });
            }
            Err(stop) => {
                self.settle_preparation(p, i, Err(stop));
                return;
            }
        }
        self.players[p].ahead[i].prepared = true;
    }

    fn prepare_items(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<()> {
        let Some(looped) = &task.looped else {
            self.players[p].ahead[i].items = vec![ItemRun::new(None, Map::new())];
            return Ok(());
        };
        let items = match self.loop_items(p, looped, scope, turn) {
            Ok(items) => items,
            // A loop over something that is not there does no harm to a task that would be skipped.
            Err(Stop::Failed(d)) => match self.first_false(p, task.level.conditions(), scope, turn) {
                Ok(Some(condition)) => {
                    let skipped = ItemResult::skipped(condition);
                    self.conclude(p, i, skipped);
                    return Ok(());
                }
                _ => return Err(Stop::Failed(d)),
            },
            Err(other) => return Err(other),
        };
        let runs = self.item_runs(p, looped, items, scope, turn)?;
        let attempt = &mut self.players[p].ahead[i];
        attempt.looped = true;
        attempt.items = runs;
        if attempt.items.is_empty() {
            self.assemble(p, i);
        }
        Ok(())
    }

    fn item_runs(
        &mut self,
        p: usize,
        looped: &Loop,
        items: Vec<Value>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<ItemRun>> {
        let name = self
            .text(p, looped.loop_var.as_ref(), scope, turn)?
            .unwrap_or_else(|| "item".to_string());
        let index = self.text(p, looped.index_var.as_ref(), scope, turn)?;
        let extended = self
            .flag(p, looped.extended.as_ref(), scope, turn)?
            .unwrap_or(false);
        let count = items.len();
        let all = Value::list(items.iter().cloned());
        let runs = items.iter().enumerate().map(|(n, item)| {
            let mut locals = Map::new();
            locals.insert(name.as_str().into(), item.clone());
            locals.insert("ansible_loop_var".into(), name.as_str().into());
            if let Some(index) = &index {
                locals.insert(index.as_str().into(), int(n));
                locals.insert("ansible_index_var".into(), index.as_str().into());
            }
            if extended {
                locals.insert("ansible_loop".into(), extended_loop(&all, &items, n, count));
            }
            ItemRun::new(Some(item.clone()), locals)
        });
        Ok(runs.collect())
    }

    fn loop_items(
        &mut self,
        p: usize,
        looped: &Loop,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<Value>> {
        let value = match &looped.lookup {
            None => self.render(p, &looped.items, scope, turn)?,
            Some(lookup) => {
                let lookup: &str = lookup;
                // `with_x: name` may be a bare variable; the terms go to the lookup as a list.
                let terms = self.render(p, &looped.items, scope, turn)?;
                let terms = match terms {
                    Value::List(_) => terms,
                    other => Value::list([other]),
                };
                let locals = Value::map([("_terms", terms)]);
                let inner = Arc::new(Terms {
                    inner: scope.clone(),
                    terms: locals.get("_terms").cloned().unwrap_or(Value::Null),
                });
                let inner: Arc<dyn Scope> = inner;
                let expression = match lookup {
                    "items"
                    | "list"
                    | "flattened"
                    | "indexed_items"
                    | "dict"
                    | "nested"
                    | "cartesian"
                    | "together"
                    | "subelements"
                    | "sequence"
                    | "fileglob"
                    | "lines"
                    | "random_choice"
                    | "first_found"
                    | "env"
                    | "file"
                    | "pipe"
                    | "template"
                    | "vars"
                    | "varnames"
                    | "inventory_hostnames" => {
                        if lookup == "list" {
                            "_terms".to_string()
                        } else {
                            format!("query('{lookup}', *_terms)")
                        }
                    }
                    other => {
                        return Err(Stop::Failed(Box::new(
                            Diagnostic::error(format!("there is no loop `with_{other}`"))
                                .at(&looped.items.span),
                        )));
                    }
                };
                if lookup == "items" {
                    flatten_once(&locals)
                } else {
                    self.exec
                        .engine
                        .expression(&expression, Some(&looped.items.span), &inner, Self::moment(turn))
                        .map_err(|e| self.stop(p, e, turn))?
                }
            }
        };
        match value {
            Value::List(items) => Ok(items.to_vec()),
            Value::Unknown(reason) => Err(Stop::Unknown(reason)),
            other if turn => Err(Stop::Failed(Box::new(
                Diagnostic::error(format!(
                    "a loop needs a list, but this is a {}",
                    other.type_name()
                ))
                .at(&looped.items.span)
                .help("for a mapping use `| dict2items`"),
            ))),
            _ => Err(Stop::Park(Parked::Turn)),
        }
    }

    // ---- includes --------------------------------------------------------------------------------------

    fn prepare_include(
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
                self.item_runs(p, looped, items, scope, turn)?
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
            lent: Arc::new(lent_of(&attempt.task, &whole)),
            whole,
            ..TaskResult::default()
        });
        Ok(())
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
        let handlers = !task.listen.is_empty();
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

    // ---- an item ---------------------------------------------------------------------------------------

    /// Evaluates an item's conditions, keywords and arguments and starts the module.
    pub(super) fn start_item(&mut self, p: usize, i: usize, k: usize, turn: bool) -> bool {
        let started = self.try_start(p, i, k, turn);
        let item = &mut self.players[p].ahead[i].items[k];
        match started {
            Ok(()) => {}
            Err(Stop::Park(why)) => {
                item.state = State::Parked(why);
                // Parking again for the same reason is no step forward.
                return false;
            }
            Err(Stop::Unknown(reason)) => self.end_item(p, i, k, ItemResult::unknown(reason), turn),
            Err(Stop::Failed(_)) if !turn => item.state = State::Parked(Parked::Turn),
            Err(Stop::Failed(d)) => {
                let error = ItemResult::error(&d);
                self.end_item(p, i, k, error, turn);
            }
        }
        true
    }

    fn item_locals(&self, p: usize, i: usize, k: usize) -> Map {
        let attempt = &self.players[p].ahead[i];
        let mut locals = attempt.items[k].locals.clone();
        if is_set_fact(&attempt.task) {
            // `set_fact` in a loop builds on what the items before it have set.
            for before in attempt.items.iter().take(k).filter_map(ItemRun::result) {
                for (name, value) in &before.set {
                    if !locals.contains_key(name) || attempt.items[k].locals.get(name).is_none() {
                        locals.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        locals
    }

    fn try_start(&mut self, p: usize, i: usize, k: usize, turn: bool) -> Evaluated<()> {
        let task = self.players[p].ahead[i].task.clone();
        if is_set_fact(&task)
            && self.players[p].ahead[i]
                .items
                .iter()
                .take(k)
                .any(|r| r.result().is_none())
        {
            return Err(Stop::Park(Parked::Since(self.players[p].version)));
        }
        let borrowed = self.players[p].ahead[i].items[k].borrowed.clone();
        let scope = self.scope(p, i, self.item_locals(p, i, k), turn, &borrowed);
        if let Some(condition) = self.first_false(p, task.level.conditions(), &scope, turn)? {
            let skipped = ItemResult::skipped(condition);
            self.end_item(p, i, k, skipped, turn);
            return Ok(());
        }
        let effective = Arc::new(self.keywords(p, &task, &scope, turn)?);
        let Action::Module {
            signature,
            arguments,
            more,
            span,
        } = &task.action
        else {
            return Ok(());
        };
        let Some(entry) = (self.exec.modules)(signature.name) else {
            return Err(Stop::Failed(Box::new(
                Diagnostic::error(format!("unknown module `{}`", signature.name)).at(span),
            )));
        };
        let mut given = Vec::new();
        for argument in arguments {
            let value = if entry.unrendered.contains(&&*argument.name) {
                argument.value.clone()
            } else {
                let written = Written {
                    value: argument.value.clone(),
                    span: argument.value_span.clone(),
                };
                self.render(p, &written, &scope, turn)?
            };
            if is_omitted(&value) {
                continue;
            }
            if let Some(reason) = value
                .unknown()
                .filter(|_| signature.name != "set_fact" && signature.name != "debug")
            {
                return Err(Stop::Unknown(reason.clone()));
            }
            given.push(Argument {
                name: argument.name.clone(),
                value: without_omitted(value),
                name_span: Some(argument.name_span.clone()),
                value_span: Some(argument.value_span.clone()),
            });
        }
        if let Some(more) = more {
            let value = self.render(p, more, &scope, turn)?;
            let Some(map) = value.as_map() else {
                return Err(Stop::Failed(Box::new(
                    Diagnostic::error(format!(
                        "arguments are a mapping, but this is a {}",
                        value.type_name()
                    ))
                    .at(&more.span),
                )));
            };
            for (name, value) in map {
                if given.iter().all(|a| *a.name != *name.to_string()) && !is_omitted(value) {
                    given.push(Argument {
                        name: name.to_string().into(),
                        value: value.clone(),
                        name_span: Some(more.span.clone()),
                        value_span: Some(more.span.clone()),
                    });
                }
            }
        }
        let arguments = Arguments {
            given,
            span: Some(span.clone()),
        };
        let door = Door::default();
        let host = Host::new(
            door.clone(),
            Arc::new(HostTask {
                host: self.players[p].name.clone(),
                check: effective.check,
                diff: effective.diff,
                environment: effective.environment.clone(),
                file: Some(task.file.clone()),
                verbosity: self.exec.settings.verbosity,
                no_log: effective.no_log,
            }),
        );
        let module = (entry.start)(&arguments, host).map_err(|d| Stop::Failed(Box::new(d)))?;
        let item = &mut self.players[p].ahead[i].items[k];
        item.effective = Some(effective);
        item.state = State::Running {
            module,
            door,
            waiting: Waiting::Nothing,
        };
        Ok(())
    }

    /// The keywords in force, and the machine and identity that they mean.
    fn keywords(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Effective> {
        let level = &task.level;
        let delegate_to = self.text(p, level.nearest(|k| k.delegate_to.as_ref()), scope, turn)?;
        let host: Arc<str> = match &delegate_to {
            Some(name) => self.exec.resolve(name),
            None => self.players[p].name.clone(),
        };
        let there: Arc<dyn Scope> = if delegate_to.is_some() {
            Arc::new(TaskScope {
                world: self.exec.world.clone(),
                host: host.clone(),
                level: None,
                locals: Map::new(),
                earlier: Vec::new(),
                ahead: !turn,
                borrowed: Borrowed::default(),
            })
        } else {
            scope.clone()
        };
        if delegate_to.is_some() {
            self.exec
                .know_host(&host, &self.play.directory)
                .map_err(|d| Stop::Failed(Box::new(d)))?;
        }
        let check = self
            .flag(p, level.nearest(|k| k.check_mode.as_ref()), scope, turn)?
            .unwrap_or(self.exec.settings.check);
        let diff = self
            .flag(p, level.nearest(|k| k.diff.as_ref()), scope, turn)?
            .unwrap_or(self.exec.settings.diff);
        let machine = self.machine(p, task, &host, &there, turn)?;
        let identity = self.identity(p, task, scope, &there, &machine, turn)?;
        let mut environment = Vec::new();
        for written in level.environments() {
            let value = self.render(p, written, scope, turn)?;
            for (name, value) in value.as_map().into_iter().flatten() {
                environment.retain(|(n, _): &(String, String)| *n != name.to_string());
                environment.push((name.to_string(), plain_text(value)));
            }
        }
        Ok(Effective {
            machine,
            identity,
            check,
            diff,
            environment,
            delegate_facts: self
                .flag(p, level.nearest(|k| k.delegate_facts.as_ref()), scope, turn)?
                .unwrap_or(false),
            delegate_to: delegate_to.map(Into::into),
            no_log: self
                .flag(p, level.nearest(|k| k.no_log.as_ref()), scope, turn)?
                .unwrap_or(false),
            ignore_unreachable: self
                .flag(p, level.nearest(|k| k.ignore_unreachable.as_ref()), scope, turn)?
                .unwrap_or(false),
        })
    }

    fn machine(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        host: &Arc<str>,
        there: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<MachineKey> {
        let keyword = self.text(p, task.level.nearest(|k| k.connection.as_ref()), there, turn)?;
        let connection = match self.variable(p, there, "ansible_connection", turn)? {
            Some(value) => Some(plain_text(&value)),
            None => keyword,
        };
        let local = match connection
            .as_deref()
            .map(|c| c.strip_prefix("ansible.builtin.").unwrap_or(c))
        {
            Some("local") => true,
            None | Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.netcommon.libssh") => false,
            Some(other) => {
                return Err(Stop::Failed(Box::new(
                    Diagnostic::error(format!("the connection `{other}` is not supported"))
                        .within(&task.span)
                        .help("ssh and local are"),
                )));
            }
        };
        let user = self.text(p, task.level.nearest(|k| k.remote_user.as_ref()), there, turn)?;
        let key = MachineKey {
            host: host.clone(),
            user: user.map(Into::into),
            local,
        };
        if self.exec.machines.known(&key).is_none() {
            let mut variables = Map::new();
            for name in CONNECTION_VARIABLES {
                if let Some(value) = self.variable(p, there, name, turn)? {
                    variables.insert((*name).into(), value);
                }
            }
            self.exec
                .machines
                .make(&key, &variables)
                .map_err(|d| Stop::Failed(Box::new(d.within(&task.span))))?;
        }
        Ok(key)
    }

    fn identity(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        there: &Arc<dyn Scope>,
        machine: &MachineKey,
        turn: bool,
    ) -> Evaluated<Identity> {
        let level = &task.level;
        let settings = self.exec.settings.clone();
        let wanted = match self.variable(p, there, "ansible_become", turn)? {
            Some(value) => truth(&value),
            None => self.flag(p, level.nearest(|k| k.r#become.as_ref()), scope, turn)?,
        };
        if !wanted.unwrap_or(settings.r#become) {
            return Ok(Identity::Login);
        }
        let setting = |names: &[&str]| -> Evaluated<Option<String>> {
            for name in names {
                if let Some(value) = self.variable(p, there, name, turn)? {
                    return Ok(Some(plain_text(&value)));
                }
            }
            Ok(None)
        };
        let user = match setting(&["ansible_become_user"])? {
            Some(user) => user,
            None => self
                .text(p, level.nearest(|k| k.become_user.as_ref()), scope, turn)?
                .unwrap_or_else(|| settings.become_user.clone()),
        };
        let method = match setting(&["ansible_become_method"])? {
            Some(method) => method,
            None => self
                .text(p, level.nearest(|k| k.become_method.as_ref()), scope, turn)?
                .unwrap_or_else(|| settings.become_method.clone()),
        };
        let method = match method.strip_prefix("ansible.builtin.").unwrap_or(&method) {
            "sudo" => BecomeMethod::Sudo,
            "su" => BecomeMethod::Su,
            other => {
                return Err(Stop::Failed(Box::new(
                    Diagnostic::error(format!("the become method `{other}` is not supported"))
                        .within(&task.span)
                        .help("sudo and su are"),
                )));
            }
        };
        let flags = match setting(&["ansible_become_flags"])? {
            Some(flags) => Some(flags),
            None => self.text(p, level.nearest(|k| k.become_flags.as_ref()), scope, turn)?,
        };
        let password = setting(&[
            "ansible_become_password",
            "ansible_become_pass",
            "ansible_sudo_pass",
        ])?;
        if self.is_login_user(p, machine, there, &user, turn)? {
            return Ok(Identity::Login);
        }
        Ok(Identity::Become(Become {
            user: user.into(),
            method,
            flags: flags.map(|f| f.split_whitespace().map(ToString::to_string).collect()),
            password: password
                .map(Secret::new)
                .or_else(|| settings.become_password.clone()),
        }))
    }

    /// Whether to become that user is to stay who one is.
    fn is_login_user(
        &self,
        p: usize,
        machine: &MachineKey,
        there: &Arc<dyn Scope>,
        user: &str,
        turn: bool,
    ) -> Evaluated<bool> {
        if machine.local {
            return Ok(self.exec.settings.own_user == user);
        }
        if let Some(login) = &machine.user {
            return Ok(**login == *user);
        }
        let login = match self.variable(p, there, "ansible_user", turn)? {
            Some(value) => Some(value),
            None => self.variable(p, there, "ansible_ssh_user", turn)?,
        };
        Ok(login.is_some_and(|value| plain_text(&value) == user))
    }

    // ---- after the module ------------------------------------------------------------------------------

    /// The module has ended, one way or another.
    pub(super) fn finish_item(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        outcome: Result<Outcome, Halt>,
        turn: bool,
    ) {
        let item = &mut self.players[p].ahead[i].items[k];
        if !turn && matches!(outcome, Err(Halt::Failed(_) | Halt::Lost(_) | Halt::Unknown(_))) {
            // A failure before its turn is not one yet: it is looked at again.
            item.restart();
            item.state = State::Parked(Parked::Turn);
            return;
        }
        let changes = std::mem::take(&mut item.changes);
        let diagnostic = item.diagnostic.take();
        let mut result = match outcome {
            Ok(outcome) => ItemResult::of(outcome, changes, &self.players[p].ahead[i].task),
            Err(halt) => ItemResult::halted(halt, changes),
        };
        if result.failed && result.error.is_none() {
            result.error = diagnostic;
        }
        self.end_item(p, i, k, result, turn);
    }

    /// Keeps what a person should see of a failure that goes through the module in one line.
    pub(super) fn keep_diagnostic(&mut self, p: usize, i: usize, k: usize, diagnostic: &Diagnostic) {
        self.players[p].ahead[i].items[k].diagnostic = Some(diagnostic.to_string());
    }

    /// Applies `changed_when`, `failed_when` and `until`.
    fn end_item(&mut self, p: usize, i: usize, k: usize, mut result: ItemResult, turn: bool) {
        let task = self.players[p].ahead[i].task.clone();
        let judged = if result.skipped || result.unreachable {
            Ok(())
        } else {
            self.judge(p, i, k, &task, &mut result, turn)
        };
        if let Err(stop) = judged {
            match stop {
                Stop::Park(why) => {
                    let item = &mut self.players[p].ahead[i].items[k];
                    item.restart();
                    item.state = State::Parked(why);
                    return;
                }
                Stop::Unknown(reason) => result.unknown = Some(reason),
                Stop::Failed(d) => {
                    let error = ItemResult::error(&d);
                    result.failed = true;
                    result.values.extend(error.values);
                    result.error = error.error;
                }
            }
        }
        result.note_flags();
        if self.tries_again(p, i, k, &task, &mut result, turn) {
            return;
        }
        let item = &mut self.players[p].ahead[i].items[k];
        result.item = item.item.clone();
        result.milliseconds = item.begun.map_or(0, |b| millis(b.elapsed()));
        item.state = State::Done(Box::new(result));
    }

    fn register_scope(
        &self,
        p: usize,
        i: usize,
        k: usize,
        task: &Task,
        result: &ItemResult,
        turn: bool,
    ) -> Arc<dyn Scope> {
        let mut locals = self.item_locals(p, i, k);
        if let Some(register) = &task.register {
            locals.insert(register.clone().into(), Value::from(result.values.clone()));
        }
        let borrowed = self.players[p].ahead[i].items[k].borrowed.clone();
        self.scope(p, i, locals, turn, &borrowed)
    }

    fn judge(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        task: &Arc<Task>,
        result: &mut ItemResult,
        turn: bool,
    ) -> Evaluated<()> {
        result.note_flags();
        if let Some(conditions) = &task.changed_when {
            let scope = self.register_scope(p, i, k, task, result, turn);
            result.changed = self.first_false(p, conditions, &scope, turn)?.is_none();
            result.note_flags();
        }
        if let Some(conditions) = &task.failed_when {
            let scope = self.register_scope(p, i, k, task, result, turn);
            let failed = self.first_false(p, conditions, &scope, turn)?.is_none();
            if result.unknown.is_none() || failed {
                result.values.insert("failed_when_result".into(), failed.into());
                result.failed = failed;
            }
        }
        Ok(())
    }

    /// Whether the item is to be tried once more, after a while.
    fn tries_again(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        task: &Arc<Task>,
        result: &mut ItemResult,
        turn: bool,
    ) -> bool {
        if task.until.is_empty() && task.retries.is_none() || result.skipped || result.unknown.is_some() {
            return false;
        }
        let scope = self.register_scope(p, i, k, task, result, turn);
        let tries = match self.number(p, task.retries.as_ref(), &scope, turn) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count, clamped"
            )]
            Ok(n) => n.map_or(3, |n| n.clamp(0.0, 1e9) as u64) + 1,
            Err(Stop::Failed(d)) => {
                *result = ItemResult::error(&d);
                return false;
            }
            Err(_) => return false,
        };
        let enough = if task.until.is_empty() {
            Ok(!result.failed)
        } else {
            self.first_false(p, &task.until, &scope, turn)
                .map(|f| f.is_none())
        };
        let item = &mut self.players[p].ahead[i].items[k];
        item.tries += 1;
        let tried = item.tries;
        match enough {
            Ok(true) => {
                if tries > 1 {
                    result.values.insert("attempts".into(), int(tried));
                }
                false
            }
            Ok(false) if tried < tries => {
                let delay = match self.number(p, task.delay.as_ref(), &scope, turn) {
                    Ok(delay) => delay.unwrap_or(5.0),
                    Err(_) => 5.0,
                };
                let delay = Duration::from_secs_f64(if delay < 0.0 { 1.0 } else { delay.min(1e7) });
                let name = self.exec.rendered_name(task, &scope);
                self.exec.tell(&Event::Retrying {
                    host: self.players[p].name.to_string(),
                    task: name,
                    left: tries - tried,
                });
                let position = self.players[p].ahead[i].position.clone();
                self.end_fence(p, &position);
                let item = &mut self.players[p].ahead[i].items[k];
                item.restart();
                item.state = State::Delay(0);
                let ticket = self.put_timer(p, i, k, delay);
                self.players[p].ahead[i].items[k].state = State::Delay(ticket);
                true
            }
            Ok(false) => {
                result.failed = true;
                result.values.insert("attempts".into(), int(tried - 1));
                result.note_flags();
                false
            }
            Err(Stop::Failed(d)) => {
                let error = ItemResult::error(&d);
                result.failed = true;
                result.values.extend(error.values);
                result.error = error.error;
                false
            }
            Err(_) => false,
        }
    }

    /// How the items are called in reports: at the task's turn, when every name is known.
    fn label_items(&self, p: usize, task: &Arc<Task>, result: &mut TaskResult) {
        let Some(label) = task.looped.as_ref().and_then(|l| l.label.as_ref()) else {
            return;
        };
        // A host that takes another's result has no items of its own.
        let own = self.players[p].ahead.front().map_or(0, |a| a.items.len());
        for (k, item) in result.items.iter_mut().enumerate().take(own) {
            let scope = self.register_scope(p, 0, k, task, item, true);
            if let Ok(value) = self.render(p, label, &scope, true) {
                item.label = Some(plain_text(&value));
            }
        }
    }

    /// All items are through: the task's result.
    pub(super) fn assemble(&mut self, p: usize, i: usize) {
        let attempt = &mut self.players[p].ahead[i];
        let effective = attempt.items.iter().find_map(|r| r.effective.clone());
        let mut items: Vec<ItemResult> = attempt.items.iter().filter_map(|r| r.result().cloned()).collect();
        let whole = if attempt.looped {
            ItemResult::of_loop(&items, &attempt.items)
        } else {
            items.pop().unwrap_or_default()
        };
        let looped = attempt.looped;
        let lent = Arc::new(lent_of(&attempt.task, &whole));
        attempt.result = Some(TaskResult {
            whole,
            items: if looped { items } else { Vec::new() },
            shared: false,
            lent,
            effective,
        });
    }

    // ---- the commit ------------------------------------------------------------------------------------

    /// The head's turn has come and it is through: it takes effect.
    pub(super) fn commit(&mut self, p: usize) {
        let Some(front) = self.players[p].ahead.front_mut() else {
            return;
        };
        let Some(mut result) = front.result.take() else {
            return;
        };
        let task = front.task.clone();
        self.label_items(p, &task, &mut result);
        let Some(attempt) = self.players[p].ahead.pop_front() else {
            return;
        };
        if let Action::Meta(meta) = &task.action {
            if !result.shared && self.is_once(p, &task) {
                self.share(&attempt.position, &result);
            }
            self.commit_meta(p, *meta, &result, &attempt.position);
            return;
        }
        let position = attempt.position;
        let hidden = result.effective.as_ref().is_some_and(|e| e.no_log);
        let ignored = result.whole.failed && !result.whole.unreachable && self.ignores_errors(p, &task);
        let shares = !result.shared && self.is_once(p, &task);
        if shares {
            self.share(&position, &result);
        }
        if !result.shared {
            self.store(p, &task, &result, shares);
        }
        self.tell_result(p, &task, &position, &result, attempt.begun, ignored, hidden);
        if result.whole.changed && !result.whole.failed && !result.shared {
            self.notify(p, &task, &result);
        }
        if attempt.fence {
            self.end_fence(p, &position);
        }
        self.forget_identities(&result);
        let changed = !result.whole.changes.is_empty() || result.items.iter().any(|r| !r.changes.is_empty());
        self.widen(p, changed);
        self.step(p, &task, &position, &mut result, attempt.unfolded, ignored);
    }

    /// Where the host goes from here.
    fn step(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        position: &Position,
        result: &mut TaskResult,
        unfolded: Option<Unfolded>,
        ignored: bool,
    ) {
        let whole = &result.whole;
        if whole.unreachable {
            let ignore = result.effective.as_ref().is_some_and(|e| e.ignore_unreachable);
            if !ignore {
                let reason = whole.error.clone().unwrap_or_else(|| message(&whole.values));
                self.exec.count(&self.players[p].name, |s| s.unreachable += 1);
                self.lose(p, PlayerState::Unreachable, reason);
                self.leave_hosts(p);
                if self.is_fatal(p, task) {
                    self.doom_others(p, position, false);
                }
                return;
            }
        }
        let player = &mut self.players[p];
        if whole.failed && !ignored && !whole.unreachable {
            let rescued = player.cursor.can_be_rescued();
            if rescued {
                self.remember_failure(p, task, result);
            }
            let player = &mut self.players[p];
            // It needs no other's failure any more.
            player.doomed = None;
            player.cursor.done(Ending::Failed);
            let name = player.name.clone();
            self.forget(p);
            self.exec
                .count(&name, |s| if rescued { s.rescued += 1 } else { s.failed += 1 });
            let shared = self.is_once(p, task);
            if shared || self.is_fatal(p, task) {
                self.doom_others(p, position, shared);
            }
            if !rescued && self.players[p].cursor.failed() {
                self.leave_hosts(p);
            }
            return;
        }
        match unfolded {
            Some(unfolded) => {
                for handler in unfolded.handlers {
                    self.add_handler(handler);
                }
                self.players[p].cursor.enter(unfolded.items, &[0]);
            }
            None => player.cursor.done(Ending::Ok),
        }
    }

    /// The host leaves `ansible_play_hosts`.
    fn leave_hosts(&mut self, p: usize) {
        let name = self.players[p].name.clone();
        self.exec.leave_play(&name);
    }

    fn add_handler(&mut self, handler: Item) {
        let known = |a: &Item, b: &Item| match (a, b) {
            (Item::Task(a), Item::Task(b)) => a.span == b.span,
            _ => false,
        };
        if !self.handlers.iter().any(|h| known(h, &handler)) {
            self.handlers.push(handler);
        }
    }

    fn remember_failure(&mut self, p: usize, task: &Arc<Task>, result: &TaskResult) {
        let name = self.players[p].name.clone();
        let mut values = result.whole.values.clone();
        values.insert("failed".into(), true.into());
        let failed_task = Value::map([
            ("name", Value::from(task.title())),
            ("action", task.action.name().into()),
        ]);
        self.exec.set(&name, "ansible_failed_task", failed_task);
        self.exec.set(&name, "ansible_failed_result", Value::from(values));
    }

    fn ignores_errors(&self, p: usize, task: &Arc<Task>) -> bool {
        let Some(written) = task.level.nearest(|k| k.ignore_errors.as_ref()) else {
            return false;
        };
        let scope = self.host_scope(p, &task.level);
        self.exec
            .engine
            .render(&written.value, &scope, Moment::Turn)
            .ok()
            .and_then(|v| truth(&v))
            .unwrap_or(false)
    }

    fn is_fatal(&self, p: usize, task: &Arc<Task>) -> bool {
        let Some(written) = task.level.nearest(|k| k.any_errors_fatal.as_ref()) else {
            return self.exec.settings.any_errors_fatal;
        };
        let scope = self.host_scope(p, &task.level);
        self.exec
            .engine
            .render(&written.value, &scope, Moment::Turn)
            .ok()
            .and_then(|v| truth(&v))
            .unwrap_or(false)
    }

    /// Whether a task runs on one host for all of the batch.
    pub(super) fn is_once(&self, p: usize, task: &Arc<Task>) -> bool {
        if self.free || self.players.len() < 2 {
            return false;
        }
        if task.action.runs_once() {
            return true;
        }
        let Some(written) = task.level.nearest(|k| k.run_once.as_ref()) else {
            return false;
        };
        let scope = self.host_scope(p, &task.level);
        let once = self.exec.engine.render(&written.value, &scope, Moment::Turn).ok();
        once.and_then(|v| truth(&v)) == Some(true)
    }

    pub(super) fn host_scope(&self, p: usize, level: &Arc<Level>) -> Arc<dyn Scope> {
        Arc::new(TaskScope {
            world: self.exec.world.clone(),
            host: self.players[p].name.clone(),
            level: Some(level.clone()),
            locals: Map::new(),
            earlier: Vec::new(),
            ahead: false,
            borrowed: Borrowed::default(),
        })
    }

    /// Registers, facts and `set_fact` values take effect.
    fn store(&mut self, p: usize, task: &Arc<Task>, result: &TaskResult, shared: bool) {
        let own = match shared {
            true => self.still_reached(),
            false => vec![self.players[p].name.clone()],
        };
        let facts_of = match &result.effective {
            Some(e) if e.delegate_facts && e.delegate_to.is_some() => vec![e.machine.host.clone()],
            _ => own.clone(),
        };
        let (facts, register): (Map, Map) = result.lent.set.clone().into_iter().partition(|(name, _)| {
            is_set_fact(task)
                && result.whole.set.contains_key(name)
                && task.register.as_deref() != name.as_str()
        });
        for host in &facts_of {
            self.exec.store(host, &facts);
            if !result.lent.facts.is_empty() {
                self.exec.store_facts(host, &result.lent.facts);
            }
        }
        for host in &own {
            self.exec.store(host, &register);
        }
    }

    /// The hosts to which the result of a task goes that ran once for all.
    fn still_reached(&self) -> Vec<Arc<str>> {
        let reached = self
            .players
            .iter()
            .filter(|q| q.state != PlayerState::Unreachable);
        reached.map(|q| q.name.clone()).collect()
    }

    fn share(&mut self, position: &Position, result: &TaskResult) {
        self.once.insert(position.clone(), result.clone());
        for player in &mut self.players {
            player.version += 1;
        }
    }

    /// After a task that may have changed who a user is, its shells are opened anew.
    fn forget_identities(&mut self, result: &TaskResult) {
        let Some(effective) = &result.effective else {
            return;
        };
        let changed = !result.whole.changes.is_empty() || result.items.iter().any(|r| !r.changes.is_empty());
        if !changed {
            return;
        }
        if let Some(machine) = self.exec.machines.known(&effective.machine) {
            machine.forget_identities();
        }
    }

    fn notify(&mut self, p: usize, task: &Arc<Task>, result: &TaskResult) {
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
                Ok(value) => value,
                Err(_) => continue,
            };
            let list = match &rendered {
                Value::List(items) => items.to_vec(),
                other => vec![other.clone()],
            };
            for name in list.iter().map(plain_text) {
                self.notify_one(p, &name, &written);
            }
        }
        let _ = result;
    }

    fn notify_one(&mut self, p: usize, name: &str, written: &Written) {
        let found = self.handlers_named(p, name);
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

    fn commit_meta(&mut self, p: usize, meta: Meta, result: &TaskResult, position: &Position) {
        if result.whole.failed {
            self.players[p].cursor.done(Ending::Failed);
            let name = self.players[p].name.clone();
            self.exec.count(&name, |s| s.failed += 1);
            let reason = result.whole.error.clone().unwrap_or_default();
            self.lose(p, PlayerState::Failed, reason);
            return;
        }
        self.players[p].version += 1;
        if result.whole.skipped || result.shared {
            self.players[p].cursor.done(Ending::Ok);
            return;
        }
        match meta {
            Meta::FlushHandlers => {
                self.flush_handlers(p);
                return;
            }
            Meta::EndHost => {
                self.players[p].cursor = crate::plan::Cursor::new(Vec::new());
                return;
            }
            Meta::EndPlay | Meta::EndBatch => {
                for q in 0..self.players.len() {
                    self.players[q].cursor = crate::plan::Cursor::new(Vec::new());
                    self.forget(q);
                }
                self.end.play_ended |= meta == Meta::EndPlay;
                return;
            }
            Meta::EndRole => {
                let role = self.players[p].cursor.peek().and_then(|r| r.task.role().cloned());
                self.players[p].cursor.leave_where(|t| match (&role, t.role()) {
                    (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                    _ => false,
                });
                return;
            }
            Meta::ClearFacts => {
                for player in &self.players {
                    self.exec.clear_facts(&player.name);
                }
            }
            Meta::ResetConnection => self.reset_connection(p),
            Meta::RefreshInventory => {
                let text = "`meta: refresh_inventory` reads nothing anew yet".to_string();
                self.exec.tell(&Event::Warning { host: None, text });
            }
            Meta::Noop | Meta::ClearHostErrors => {}
        }
        self.end_fence(p, position);
        self.players[p].cursor.done(Ending::Ok);
    }

    fn reset_connection(&mut self, p: usize) {
        let name = self.players[p].name.clone();
        for (key, machine) in self.exec.machines.all() {
            if key.host == name {
                machine.forget_identities();
            }
        }
    }

    /// One pass over the handlers, in the order of their definition.
    fn flush_handlers(&mut self, p: usize) {
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

    #[expect(clippy::too_many_arguments, reason = "an event has that many parts")]
    fn tell_result(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        position: &Position,
        result: &TaskResult,
        begun: Option<Instant>,
        ignored: bool,
        hidden: bool,
    ) {
        let host = self.players[p].name.clone();
        let name = self.exec.rendered_name(task, &self.host_scope(p, &task.level));
        for item in &result.items {
            let shown = item
                .label
                .clone()
                .unwrap_or_else(|| item.item.as_ref().map(shown_item).unwrap_or_default());
            self.exec.tell(&Event::ItemFinished {
                host: host.to_string(),
                task: name.clone(),
                item: if hidden { "(hidden)".to_string() } else { shown },
                what: Box::new(item.finished(false, hidden)),
            });
        }
        let mut what = result.whole.finished(ignored, hidden);
        what.milliseconds = begun.map_or(0, |b| millis(b.elapsed()));
        if !result.items.is_empty() {
            what.changes.clear();
            what.differences.clear();
        }
        let whole = &result.whole;
        self.exec.count(&host, |s| {
            if result.shared {
                return;
            }
            if whole.unreachable || whole.failed && !ignored {
                return;
            }
            if whole.skipped {
                s.skipped += 1;
                return;
            }
            if whole.unknown.is_some() {
                s.unknown += 1;
                return;
            }
            s.ok += 1;
            s.changed += u32::from(whole.changed);
            s.ignored += u32::from(ignored);
        });
        self.exec.tell(&Event::TaskFinished {
            host: host.to_string(),
            task: name,
            role: task.role().map(|r| r.name.to_string()),
            action: task.action.name().to_string(),
            position: position.clone(),
            place: task.span.to_string(),
            delegated_to: result
                .effective
                .as_ref()
                .and_then(|e| e.delegate_to.as_ref().map(ToString::to_string)),
            shared: result.shared,
            what: Box::new(what),
        });
        if result.shared {
            return;
        }
        for warning in result
            .whole
            .warnings
            .iter()
            .chain(result.items.iter().flat_map(|r| &r.warnings))
        {
            self.exec.tell(&Event::Warning {
                host: Some(host.to_string()),
                text: warning.clone(),
            });
        }
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

/// What a task sets when it is committed.
fn lent_of(task: &Task, whole: &ItemResult) -> Lent {
    let mut lent = Lent {
        set: whole.set.clone(),
        facts: whole.facts.clone(),
    };
    if let Some(register) = &task.register {
        lent.set
            .insert(register.clone().into(), Value::from(whole.values.clone()));
    }
    lent
}

fn is_set_fact(task: &Task) -> bool {
    matches!(&task.action, Action::Module { signature, .. } if signature.name == "set_fact")
}

/// The variables that say how to reach a host.
const CONNECTION_VARIABLES: &[&str] = &[
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_args",
    "ansible_host_key_checking",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_timeout",
    "ansible_timeout",
    "ansible_shell_executable",
    "ansible_executable",
];

/// The scope in which `with_x` hands its terms to the lookup.
#[derive(Debug)]
struct Terms {
    inner: Arc<dyn Scope>,
    terms: Value,
}

impl Scope for Terms {
    fn get(&self, name: &str) -> Found {
        if name == "_terms" {
            return Found::Value(self.terms.clone());
        }
        self.inner.get(name)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.inner.names()
    }
}

/// `with_items` flattens one level.
fn flatten_once(locals: &Value) -> Value {
    let mut all = Vec::new();
    for term in locals.get("_terms").and_then(Value::as_list).unwrap_or_default() {
        match term {
            Value::List(items) => all.extend(items.iter().cloned()),
            other => all.push(other.clone()),
        }
    }
    Value::list(all)
}

fn extended_loop(all: &Value, items: &[Value], n: usize, count: usize) -> Value {
    let mut map = Map::new();
    map.insert("allitems".into(), all.clone());
    map.insert("index".into(), int(n + 1));
    map.insert("index0".into(), int(n));
    map.insert("first".into(), (n == 0).into());
    map.insert("last".into(), (n + 1 == count).into());
    map.insert("length".into(), int(count));
    map.insert("revindex".into(), int(count - n));
    map.insert("revindex0".into(), int(count - n - 1));
    if n > 0 {
        map.insert("previtem".into(), items[n - 1].clone());
    }
    if n + 1 < count {
        map.insert("nextitem".into(), items[n + 1].clone());
    }
    Value::from(map)
}

pub(super) fn int(n: impl TryInto<i64>) -> Value {
    Value::Int(n.try_into().unwrap_or(i64::MAX))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A boolean as keywords take it.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::Int(n) => Some(*n != 0),
        Value::String(s) => match s.trim().to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" | "true" | "y" | "t" => Some(true),
            "no" | "off" | "0" | "false" | "n" | "f" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn is_omitted(value: &Value) -> bool {
    value.as_str() == Some(omit_placeholder())
}

/// Members of a mapping that were omitted are dropped too.
fn without_omitted(value: Value) -> Value {
    match value {
        Value::Map(map) if map.values().any(is_omitted) => Value::from(
            map.iter()
                .filter(|(_, v)| !is_omitted(v))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Map>(),
        ),
        Value::List(items) if items.iter().any(is_omitted) => {
            Value::list(items.iter().filter(|v| !is_omitted(v)).cloned())
        }
        other => other,
    }
}

/// A scalar as text.
pub(super) fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => if *b { "True" } else { "False" }.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(f) => format!("{f:?}"),
        Value::String(s) => s.to_string(),
        Value::Template(t) => t.text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => format!("`{s}`"),
        other => format!("a {}", other.type_name()),
    }
}

/// An item of a loop in a line.
fn shown_item(value: &Value) -> String {
    let text = plain_text(value);
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn message(values: &Map) -> String {
    values.get("msg").map(plain_text).unwrap_or_default()
}

impl ItemResult {
    fn skipped(condition: &Written) -> Self {
        let shown = match &condition.value {
            Value::Bool(b) => Value::Bool(*b),
            other => plain_text(other).into(),
        };
        let mut values = Map::new();
        values.insert("skip_reason".into(), "Conditional result was False".into());
        values.insert("false_condition".into(), shown);
        let mut result = Self {
            values,
            skipped: true,
            ..Self::default()
        };
        result.note_flags();
        result
    }

    pub(super) fn error(diagnostic: &Diagnostic) -> Self {
        let mut result = Self {
            failed: true,
            error: Some(diagnostic.to_string()),
            ..Self::default()
        };
        result.values.insert("msg".into(), diagnostic.one_line().into());
        result.note_flags();
        result
    }

    fn unknown(reason: Arc<str>) -> Self {
        let mut result = Self::default();
        for name in UNKNOWN_VALUES {
            result
                .values
                .insert((*name).into(), Value::Unknown(reason.clone()));
        }
        result
            .values
            .insert("changed".into(), Value::Unknown(reason.clone()));
        result.unknown = Some(reason);
        result
    }

    fn of(outcome: Outcome, changes: Vec<crate::host::Change>, task: &Task) -> Self {
        let facts = outcome.facts.unwrap_or_default();
        let mut result = Self {
            changed: !changes.is_empty() && !outcome.unchanged,
            failed: outcome.failed,
            skipped: outcome.skipped,
            warnings: outcome.warnings,
            values: outcome.values,
            changes,
            ..Self::default()
        };
        if !facts.is_empty() {
            // A registered `setup` shows its facts under the names of their variables.
            let shown = if task.action.name() == "setup" {
                crate::facts::as_variables(&facts)
            } else {
                facts.clone()
            };
            result.values.insert("ansible_facts".into(), Value::from(shown));
        }
        if is_set_fact(task) {
            result.set = facts;
        } else {
            result.facts = facts;
        }
        result
    }

    fn halted(halt: Halt, changes: Vec<crate::host::Change>) -> Self {
        let mut result = Self {
            changed: !changes.is_empty(),
            changes,
            ..Self::default()
        };
        match halt {
            Halt::Failed(failure) => {
                result.failed = true;
                // As Ansible: a module that failed does not say "changed"; what it did is in `changes`.
                result.changed = false;
                result.values = failure.values;
                result.values.insert("msg".into(), failure.msg.into());
            }
            Halt::Lost(lost) => {
                let help = match &lost {
                    Lost::Transport(e) | Lost::During(e) => e.help.clone(),
                    Lost::Become { help, .. } => help.clone(),
                };
                result.failed = true;
                result.unreachable = !matches!(lost, Lost::Become { .. });
                let message = lost.to_string();
                result.error = Some(match help {
                    Some(help) => format!("error: {message}\nhelp: {help}"),
                    None => format!("error: {message}"),
                });
                result.values.insert("msg".into(), message.into());
            }
            Halt::WouldChange(change) => {
                result.changed = true;
                result.changes.push(change);
            }
            Halt::NotRun(what) => {
                let reason: Arc<str> = format!("`{what}` did not run").into();
                let mut unknown = Self::unknown(reason);
                unknown.values.insert("changed".into(), false.into());
                unknown.values.insert("skipped".into(), true.into());
                unknown.values.insert("failed".into(), false.into());
                return unknown;
            }
            Halt::Unknown(reason) => return Self::unknown(reason),
            Halt::Interrupted => {
                result.failed = true;
                result.values.insert("msg".into(), "interrupted".into());
            }
        }
        result
    }

    /// The result of a loop from those of its items.
    fn of_loop(items: &[Self], runs: &[ItemRun]) -> Self {
        let mut result = Self {
            changed: items.iter().any(|r| r.changed),
            failed: items.iter().any(|r| r.failed),
            skipped: items.iter().all(|r| r.skipped),
            unreachable: items.iter().any(|r| r.unreachable),
            unknown: items.iter().find_map(|r| r.unknown.clone()),
            error: items.iter().find_map(|r| r.error.clone()),
            ..Self::default()
        };
        for item in items {
            result.set.extend(item.set.clone());
            result.facts.extend(item.facts.clone());
        }
        let results = items.iter().zip(runs).map(|(item, run)| {
            let mut values = item.values.clone();
            for (name, value) in &run.locals {
                values.entry(name.clone()).or_insert_with(|| value.clone());
            }
            Value::from(values)
        });
        result.values.insert("results".into(), Value::list(results));
        let msg = match (result.failed, items.is_empty(), result.skipped) {
            (true, ..) => "One or more items failed",
            (_, true, _) => "No items in the list",
            (_, _, true) => "All items skipped",
            _ => "All items completed",
        };
        result.values.insert("msg".into(), msg.into());
        if items.is_empty() {
            result
                .values
                .insert("skipped_reason".into(), "No items in the list".into());
        }
        result.note_flags();
        result
    }

    /// `changed`, `failed`, `skipped` among the return values.
    fn note_flags(&mut self) {
        if self.unknown.is_some() {
            return;
        }
        self.values.insert("changed".into(), self.changed.into());
        self.values.insert("failed".into(), self.failed.into());
        if self.skipped {
            self.values.insert("skipped".into(), true.into());
        }
        if self.unreachable {
            self.values.insert("unreachable".into(), true.into());
        }
    }

    fn status(&self) -> Status {
        if self.unreachable {
            return Status::Unreachable;
        }
        if self.failed {
            return Status::Failed;
        }
        if self.unknown.is_some() {
            return Status::Unknown;
        }
        if self.skipped {
            return Status::Skipped;
        }
        if self.changed { Status::Changed } else { Status::Ok }
    }

    fn finished(&self, ignored: bool, hidden: bool) -> Finished {
        let unknown = || self.unknown.as_ref().map(|reason| format!("unknown: {reason}"));
        let mut result = self.values.clone();
        let mut error = self.error.clone().or_else(unknown);
        if hidden {
            result.retain(|k, _| matches!(k, Key::String(s) if matches!(&**s, "changed" | "failed" | "skipped" | "unreachable")));
            result.insert("censored".into(), "the output has been hidden due to the fact that 'no_log: true' was specified for this result".into());
            error = error.map(|_| "(hidden by no_log)".to_string());
        }
        Finished {
            status: self.status(),
            milliseconds: self.milliseconds,
            changes: if hidden {
                Vec::new()
            } else {
                self.changes.iter().map(|c| c.what.clone()).collect()
            },
            differences: if hidden {
                Vec::new()
            } else {
                self.changes.iter().flat_map(|c| c.differences.clone()).collect()
            },
            result,
            error,
            ignored,
            hidden,
        }
    }
}
