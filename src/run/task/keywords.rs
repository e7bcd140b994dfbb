//! The keywords in force for an item, rendered.

use std::sync::Arc;
use std::time::Duration;

use super::evaluation::{Evaluated, Stop};
use crate::host::Identity;
use crate::playbook::{Task, Written};
use crate::run::batch::Batch;
use crate::run::machines::MachineKey;
use crate::run::scope::TaskScope;
use crate::run::values::plain_text;
use crate::source::Span;
use crate::template::Scope;
use crate::vars::Value;

/// The keywords in force for one item, rendered.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a keyword of its own")]
pub(in crate::run) struct Effective {
    pub machine: MachineKey,
    pub identity: Identity,
    pub check: bool,
    pub diff: bool,
    pub no_log: bool,
    pub ignore_unreachable: bool,
    /// The longest that an item may take.
    pub timeout: Option<Duration>,
    pub delegate_to: Option<Arc<str>>,
    pub delegate_facts: bool,
    pub environment: Vec<(String, String)>,
    pub notify: Vec<Notification>,
}

/// Names of handlers that one `notify` gives; or where it comes from that a dry run cannot know them.
#[derive(Debug, Clone)]
pub(in crate::run) struct Notification {
    pub names: Result<Vec<String>, Arc<str>>,
    pub span: Span,
}

impl Batch<'_> {
    /// The keywords in force, and the machine and identity that they mean.
    pub(super) fn keywords(
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
                ahead: !turn,
                place: self.place_of(p, turn),
                ..TaskScope::at_turn(self.exec.world.clone(), host.clone(), Some(level.clone()))
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
            timeout: self.time_limit(p, level.nearest(|k| k.timeout.as_ref()), scope, turn)?,
            notify: self.notifies(p, task, scope, turn)?,
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

    /// `timeout`: 0 is none.
    fn time_limit(
        &self,
        p: usize,
        written: Option<&Written>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<Duration>> {
        let seconds = self
            .number(p, written, scope, turn)?
            .filter(|seconds| *seconds > 0.0);
        Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.min(1e7))))
    }

    /// What the task and the blocks around it notify.
    pub(super) fn notifies(
        &self,
        p: usize,
        task: &Task,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<Notification>> {
        let outer = task.level.chain().skip(1).flat_map(|l| &l.keywords.notify);
        let mut all = Vec::new();
        for written in task.notify.iter().chain(outer) {
            let names = match self.render(p, written, scope, turn) {
                Ok(Value::List(items)) => Ok(items.iter().map(plain_text).collect()),
                Ok(name) => Ok(vec![plain_text(&name)]),
                Err(Stop::Unknown(reason)) => Err(reason),
                Err(other) => return Err(other),
            };
            let span = written.span.clone();
            all.push(Notification { names, span });
        }
        Ok(all)
    }
}
