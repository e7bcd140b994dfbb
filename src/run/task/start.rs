//! An item begins: its conditions, keywords and arguments, and the start of its module.

use std::sync::Arc;

use super::ItemResult;
use super::evaluation::{Evaluated, Stop};
use super::result::is_set_fact;
use crate::host::{Door, Host, Task as HostTask};
use crate::modules::{Argument, Arguments, Entry};
use crate::playbook::{Action, Task, Written, WrittenArgument};
use crate::run::attempt::{Parked, State, Waiting};
use crate::run::batch::Batch;
use crate::run::values::{is_omitted, plain_text, without_omitted};
use crate::source::Diagnostic;
use crate::template::{Scope, TemplateError};
use crate::vars::Value;

impl Batch<'_> {
    /// Evaluates an item's conditions, keywords and arguments and starts the module.
    pub(in crate::run) fn start_item(&mut self, p: usize, i: usize, k: usize, turn: bool) -> bool {
        let started = self.try_start(p, i, k, turn);
        let item = &mut self.players[p].ahead[i].items[k];
        match started {
            Ok(()) => {}
            Err(Stop::Park(why)) => {
                item.state = State::Parked(why);
                // Parking again for the same reason is no step forward.
                return false;
            }
            Err(Stop::Unknown(reason)) => {
                let unknown = ItemResult::unknown(&reason, &self.players[p].ahead[i].task);
                self.end_item(p, i, k, unknown, turn);
            }
            Err(Stop::Failed(_)) if !turn => item.state = State::Parked(Parked::Turn),
            Err(Stop::Failed(d)) => {
                let error = ItemResult::error(&d);
                self.end_item(p, i, k, error, turn);
            }
        }
        true
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
        self.has_what_it_needs(p, &task, turn)?;
        let effective = Arc::new(self.keywords(p, &task, &scope, turn)?);
        // Also where the arguments fail: whether they are hidden is known.
        self.players[p].ahead[i].items[k].effective = Some(effective.clone());
        let Action::Module { signature, span, .. } = &task.action else {
            return Ok(());
        };
        let Some(entry) = (self.exec.modules)(signature.name) else {
            return Err(Stop::Failed(Box::new(
                Diagnostic::error(format!("unknown module `{}`", signature.name)).at(span),
            )));
        };
        let arguments = Arguments {
            given: self.arguments(p, &task, entry, &scope, turn)?,
            span: Some(span.clone()),
        };
        let door = Door::default();
        let host = Host::new(
            door.clone(),
            Arc::new(HostTask {
                host: self.players[p].name.clone(),
                check: effective.check,
                awaits_changes: self.exec.settings.check && self.exec.may_have_changed(),
                diff: effective.diff,
                environment: effective.environment.clone(),
                file: Some(task.file.clone()),
                verbosity: self.exec.settings.verbosity,
                no_log: effective.no_log,
                local: effective.machine.local,
            }),
        );
        let module = (entry.start)(&arguments, host).map_err(|d| Stop::Failed(Box::new(d)))?;
        let item = &mut self.players[p].ahead[i].items[k];
        item.state = State::Running {
            module,
            door,
            waiting: Waiting::Nothing,
        };
        Ok(())
    }

    /// The options of the module, rendered; those that come to `omit` left out.
    fn arguments(
        &self,
        p: usize,
        task: &Task,
        entry: &Entry,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<Argument>> {
        let Action::Module { arguments, more, .. } = &task.action else {
            return Ok(Vec::new());
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
                self.argument(p, entry, &written, scope, turn)?
            };
            if is_omitted(&value) {
                continue;
            }
            given.push(Argument {
                name: self.argument_name(p, argument, scope, turn)?,
                value: without_omitted(value),
                name_span: Some(argument.name_span.clone()),
                value_span: Some(argument.value_span.clone()),
            });
        }
        if let Some(more) = more {
            self.more_arguments(p, more, &mut given, scope, turn)?;
        }
        Ok(given)
    }

    /// What is unknown is a value for `set_fact`, and `debug` shows what is known of it.
    fn argument(
        &self,
        p: usize,
        entry: &Entry,
        written: &Written,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Value> {
        if !matches!(entry.name, "set_fact" | "debug") {
            return self.render(p, written, scope, turn);
        }
        match self.render_in_part(p, written, scope, turn)? {
            Value::Unknown(reason) if entry.name == "debug" => {
                Err(self.stop(p, TemplateError::Unknown(reason), turn))
            }
            value => Ok(value),
        }
    }

    /// Where any name is an option (`set_fact`), a name may be a template.
    fn argument_name(
        &self,
        p: usize,
        argument: &WrittenArgument,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Arc<str>> {
        if !Value::is_template(&argument.name) {
            return Ok(argument.name.clone());
        }
        let written = Written {
            value: Value::written(&argument.name, Some(&argument.name_span)),
            span: argument.name_span.clone(),
        };
        Ok(plain_text(&self.render(p, &written, scope, turn)?).into())
    }

    /// `args: "{{ mapping }}"`: what the task does not write itself.
    fn more_arguments(
        &self,
        p: usize,
        more: &Written,
        given: &mut Vec<Argument>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<()> {
        let value = self.render(p, more, scope, turn)?;
        let map = value.as_map().ok_or_else(|| {
            let found = value.type_name();
            let error = Diagnostic::error(format!("arguments are a mapping, but this is a {found}"));
            Stop::Failed(Box::new(error.at(&more.span)))
        })?;
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
        Ok(())
    }
}
