//! `dag`: a task's turn comes when no host that is behind it may still do what the task has a reason to wait
//! for. [`Ties`] says what is a reason. `needs` is one under every strategy.

use std::sync::Arc;

use super::{Batch, PlayerState};
use crate::plan::{Laid, Position, Reached, Standing, Strategy, Target, Ties, lay_out_handlers};
use crate::playbook::{Action, Meta, Task};
use crate::run::scope::TaskScope;
use crate::run::values::plain_text;
use crate::run::world::Coming;
use crate::template::{Moment, Scope, TemplateError};

impl Batch<'_> {
    /// Whether every reason of a task to wait for other hosts is satisfied.
    pub(super) fn has_no_reason_to_wait(&mut self, p: usize, reached: &Reached) -> bool {
        let dag = self.goes_by_reasons();
        if dag {
            self.note_what_is_to_come();
        }
        // What has begun goes to its end.
        if self.players[p].is_at_work(&reached.position) || !dag && reached.task.needs().next().is_none() {
            return true;
        }
        let behind: Vec<usize> = (0..self.players.len())
            .filter(|q| *q != p && self.is_behind(*q, &reached.position))
            .collect();
        if behind.is_empty() {
            return true;
        }
        let ties = self.ties(&reached.task);
        behind
            .into_iter()
            .all(|q| !self.waits_for(p, &reached.position, &ties, q))
            && (!dag || self.sees_all_it_reads(p, reached, &ties))
    }

    /// Whether hosts wait for reasons, not for one another.
    pub(in crate::run) fn goes_by_reasons(&self) -> bool {
        self.pace.strategy == Strategy::Dag && !self.pace.in_step() && self.players.len() > 1
    }

    /// Rises whenever a host gets on, which may end somebody's wait.
    pub(in crate::run) fn progress(&self) -> u64 {
        let gone = self
            .players
            .iter()
            .filter(|p| p.state != PlayerState::Active)
            .count();
        let versions: u64 = self.players.iter().map(|p| p.version).sum();
        versions + u64::try_from(gone).unwrap_or(u64::MAX)
    }

    fn waits_for(&mut self, p: usize, position: &Position, ties: &Ties, q: usize) -> bool {
        // What failed has not ended before its rescue has.
        let needed = |task: &Arc<Task>| {
            let mut names = ties.task.needs().filter_map(|w| w.value.as_str());
            names.any(|name| task.is_called(name))
        };
        if self.players[q].cursor.failing().any(needed) {
            return true;
        }
        let rest = self.rest(q);
        let machine = self.machine_of(p, ties, position);
        for coming in rest.iter().take_while(|c| c.position < *position) {
            let reason = if self.goes_by_reasons() {
                let there = self.machine_of(q, &coming.ties, &coming.position);
                let earlier = Standing {
                    ties: &coming.ties,
                    host: &self.players[q].name,
                    machine: there.as_deref(),
                };
                let later = Standing {
                    ties,
                    host: &self.players[p].name,
                    machine: machine.as_deref(),
                };
                !Ties::between(&earlier, &later).is_empty()
            } else {
                !Ties::needed(&coming.ties, ties).is_empty()
            };
            if reason && self.exec.selected(&coming.ties.task, &self.players[q].name) {
                return true;
            }
        }
        false
    }

    /// The host on whose machine a task works; `None`: that cannot be said yet.
    fn machine_of(&self, p: usize, ties: &Ties, position: &Position) -> Option<Arc<str>> {
        match &ties.target {
            Target::Own => Some(self.players[p].name.clone()),
            Target::Host(name) => Some(self.exec.resolve(name)),
            Target::Unknown => {
                let written = ties.task.level.nearest(|k| k.delegate_to.as_ref())?;
                let scope = self.scope_at(p, &ties.task, position);
                let name = self
                    .exec
                    .engine
                    .render(&written.value, &scope, Moment::Ahead)
                    .ok()?;
                Some(self.exec.resolve(&plain_text(&name)))
            }
        }
    }

    /// Whether nothing that the task reads may still be set. What only shows in a loop's items or in a file is
    /// waited for when it is met.
    fn sees_all_it_reads(&self, p: usize, reached: &Reached, ties: &Ties) -> bool {
        let scope = self.scope_at(p, &reached.task, &reached.position);
        let engine = &self.exec.engine;
        let known = |error: Option<TemplateError>| !matches!(error, Some(TemplateError::Pending(_)));
        ties.conditions().iter().all(|written| {
            known(
                engine
                    .condition(&written.value, Some(&written.span), &scope, Moment::Ahead)
                    .err(),
            )
        }) && ties
            .values()
            .iter()
            .all(|value| known(engine.render(value, &scope, Moment::Ahead).err()))
    }

    /// A task's view from a place in the order, to which its host may not have come yet.
    fn scope_at(&self, p: usize, task: &Arc<Task>, position: &Position) -> Arc<dyn Scope> {
        let (world, host) = (self.exec.world.clone(), self.players[p].name.clone());
        Arc::new(TaskScope {
            place: Some(position.clone()),
            ..TaskScope::at_turn(world, host, Some(task.level.clone()))
        })
    }

    fn ties(&mut self, task: &Arc<Task>) -> Arc<Ties> {
        let known = self.ties.entry(Arc::as_ptr(task) as usize);
        known.or_insert_with(|| Arc::new(Ties::of(task))).clone()
    }

    /// What a host may still come to, in order, whatever happens on the way.
    fn rest(&mut self, q: usize) -> Arc<[Coming]> {
        let Some(head) = self
            .next_task(q)
            .filter(|_| self.players[q].state == PlayerState::Active)
        else {
            return Arc::default();
        };
        if let Some((known, rest)) = self.rests.get(&q)
            && *known == head.position
        {
            return rest.clone();
        }
        let mut laid: Vec<Laid> = Vec::new();
        for each in self.players[q].cursor.rest() {
            let flush = matches!(each.task.action, Action::Meta(Meta::FlushHandlers));
            let position = each.position.clone();
            laid.push(each);
            if flush {
                laid.extend(lay_out_handlers(&self.handlers, &position));
            }
        }
        laid.retain(|each| each.position >= head.position);
        let rest: Vec<Coming> = laid
            .into_iter()
            .map(|each| Coming {
                ties: self.ties(&each.task),
                position: each.position,
            })
            .collect();
        let rest: Arc<[Coming]> = rest.into();
        self.rests.insert(q, (head.position, rest.clone()));
        rest
    }

    /// Variables know what each host has still to do.
    fn note_what_is_to_come(&mut self) {
        for q in 0..self.players.len() {
            let rest = self.rest(q);
            let name = self.players[q].name.clone();
            let noted = self
                .exec
                .read(|w| w.play.to_come.get(&name).is_some_and(|r| Arc::ptr_eq(r, &rest)));
            if !noted {
                self.exec.note_what_is_to_come(&name, rest);
            }
        }
    }
}
