//! Written values and conditions, rendered in a task's scope; and why one has no value.

use std::sync::Arc;

use crate::plan::Position;
use crate::playbook::{Keywords, Level, Task, Written};
use crate::run::attempt::{Attempt, Borrowed, Parked};
use crate::run::batch::Batch;
use crate::run::scope::TaskScope;
use crate::run::values::{is_omitted, plain_text, shown, truth};
use crate::source::{Diagnostic, Span};
use crate::template::{Found, Moment, Scope, TemplateError, is_password};
use crate::vars::{Map, Value};

/// Why an evaluation has no value.
pub(in crate::run) enum Stop {
    Park(Parked),
    Unknown(Arc<str>),
    Failed(Box<Diagnostic>),
}

pub(super) type Evaluated<T> = Result<T, Stop>;

impl Batch<'_> {
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
            world: self.world_of(p, turn),
            host: player.name.clone(),
            level: player.ahead.get(i).map(|a| a.task.level.clone()),
            locals,
            earlier,
            ahead: !turn,
            place: self.place_of(p, turn),
            borrowed: borrowed.clone(),
        })
    }

    /// Where a task stands whose turn has come, if other hosts may be behind it.
    pub(super) fn place_of(&self, p: usize, turn: bool) -> Option<Position> {
        let front = self.players[p]
            .ahead
            .front()
            .filter(|_| turn && self.goes_by_reasons());
        front.map(|attempt| attempt.position.clone())
    }

    pub(in crate::run) fn host_scope(&self, p: usize, level: &Arc<Level>) -> Arc<dyn Scope> {
        Arc::new(TaskScope::at_turn(
            self.world_of(p, true),
            self.players[p].name.clone(),
            Some(level.clone()),
        ))
    }

    /// A boolean keyword of a task as it is at its turn, without its loop's variables; `None`: not written,
    /// or it cannot be evaluated.
    pub(super) fn keyword(
        &self,
        p: usize,
        task: &Arc<Task>,
        which: impl Fn(&Keywords) -> Option<&Written>,
    ) -> Option<bool> {
        let written = task.level.nearest(which)?;
        let scope = self.host_scope(p, &task.level);
        let value = self.exec.engine.render(&written.value, &scope, Moment::Turn);
        truth(&value.ok()?)
    }

    /// Ahead of its turn an error may be one only because too little is known: it waits.
    pub(super) fn stop(&self, p: usize, error: TemplateError, turn: bool) -> Stop {
        match error {
            TemplateError::Pending(_) if turn && self.goes_by_reasons() => {
                Stop::Park(Parked::Others(self.progress()))
            }
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

    pub(super) fn moment(at_turn: bool) -> Moment {
        if at_turn { Moment::Turn } else { Moment::Ahead }
    }

    pub(super) fn render(
        &self,
        p: usize,
        written: &Written,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Value> {
        self.exec
            .engine
            .render(&written.value, scope, Self::moment(turn))
            .map_err(|e| self.stop_within(p, e, &written.span, turn))
    }

    /// The same, where what is unknown stays in its place.
    pub(super) fn render_in_part(
        &self,
        p: usize,
        written: &Written,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Value> {
        self.exec
            .engine
            .render_in_part(&written.value, scope, Self::moment(turn))
            .map_err(|e| self.stop_within(p, e, &written.span, turn))
    }

    fn stop_within(&self, p: usize, error: TemplateError, span: &Span, turn: bool) -> Stop {
        match self.stop(p, error, turn) {
            Stop::Failed(d) => Stop::Failed(Box::new(d.within(span))),
            other => other,
        }
    }

    /// Whether all conditions hold; the first that does not.
    pub(super) fn first_false<'w>(
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
                .map_err(|e| self.stop_within(p, e, &condition.span, turn))?;
            if !holds {
                return Ok(Some(condition));
            }
        }
        Ok(None)
    }

    pub(super) fn flag(
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

    pub(super) fn text(
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

    pub(super) fn number(
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

    /// A variable of a scope, rendered.
    pub(super) fn variable(
        &self,
        p: usize,
        scope: &Arc<dyn Scope>,
        name: &str,
        turn: bool,
    ) -> Evaluated<Option<Value>> {
        let written = match scope.get(name) {
            Found::Value(value) => value,
            Found::Undefined => return Ok(None),
            Found::Pending(what) => return Err(self.stop(p, TemplateError::Pending(what), turn)),
            Found::Failed(why) => return Err(self.stop(p, TemplateError::Failed(why), turn)),
            Found::Hosts(_) => return Ok(None),
        };
        self.exec
            .engine
            .render(&written, scope, Self::moment(turn))
            .map(|v| (!is_omitted(&v)).then_some(v))
            .inspect(|v| {
                if let Some(value) = v.as_ref().filter(|_| is_password(name)) {
                    self.exec.engine.secrets().add_all(value);
                }
            })
            .map_err(|e| self.stop(p, e, turn))
    }
}
