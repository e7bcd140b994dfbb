//! Whose turn it is. A task changes, runs commands, waits and reports at its turn; it may ask before.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use super::{Batch, PlayerState};
use crate::plan::{Position, Reached};
use crate::playbook::{Task, Written};
use crate::run::scope::Shared;
use crate::run::values::shown;
use crate::source::Diagnostic;
use crate::template::Moment;
use crate::vars::Value;

/// Where the hosts stand that are in: to ask every host for every other would take its square.
#[derive(Default)]
pub(super) struct Standings {
    /// By the host's number; those that are through or out are not there.
    hosts: HashMap<usize, Position>,
    /// How many hosts stand at a place.
    places: BTreeMap<Position, usize>,
}

impl Standings {
    pub fn put(&mut self, host: usize, place: Option<Position>) {
        if self.hosts.get(&host) == place.as_ref() {
            return;
        }
        if let Some(old) = self.hosts.remove(&host)
            && let Entry::Occupied(mut there) = self.places.entry(old)
        {
            *there.get_mut() -= 1;
            if *there.get() == 0 {
                there.remove();
            }
        }
        if let Some(new) = place {
            *self.places.entry(new.clone()).or_default() += 1;
            self.hosts.insert(host, new);
        }
    }

    pub fn place_of(&self, host: usize) -> Option<&Position> {
        self.hosts.get(&host)
    }

    /// Whether other hosts stand where this one does.
    fn has_company(&self, host: usize) -> bool {
        let place = self.hosts.get(&host);
        place.is_some_and(|place| self.places.get(place).is_some_and(|count| *count > 1))
    }

    pub fn is_anyone_before(&self, position: &Position) -> bool {
        self.places
            .first_key_value()
            .is_some_and(|(first, _)| first < position)
    }
}

impl Batch<'_> {
    /// The rule of turns: where hosts keep step, no host is behind; else there is no reason to wait.
    pub(super) fn has_turn(&mut self, p: usize, reached: &Reached) -> bool {
        if !self.pace.in_step() {
            return self.has_no_reason_to_wait(p, reached);
        }
        !self.standings.is_anyone_before(&reached.position)
    }

    /// The first result of a turn takes effect: what hosts knew of one another before is kept for those that are
    /// still at the task, as if it began on all of them at once.
    pub(in crate::run) fn keep_what_was_known(&mut self, p: usize) {
        let place = self.standings.place_of(p).filter(|_| self.pace.in_step());
        if self.known_before.as_ref().map(|(known, _)| known) == place {
            return;
        }
        let place = place.filter(|_| self.standings.has_company(p)).cloned();
        self.known_before = place.map(|place| (place, self.exec.read(|w| Arc::new(RwLock::new(w.clone())))));
    }

    /// The variables as a task sees them on a host.
    pub(in crate::run) fn world_of(&self, p: usize, turn: bool) -> Shared {
        match &self.known_before {
            Some((place, world)) if turn && self.standings.place_of(p) == Some(place) => world.clone(),
            _ => self.exec.world.clone(),
        }
    }

    /// Notes where a host has come to.
    pub(in crate::run) fn note_standing(&mut self, p: usize) {
        let active = self.players[p].state == PlayerState::Active;
        let reached = if active { self.next_task(p) } else { None };
        self.standings.put(p, reached.map(|r| r.position));
    }

    /// Whether a host has still to come to a position.
    pub(super) fn is_behind(&mut self, q: usize, position: &Position) -> bool {
        self.players[q].state == PlayerState::Active
            && self
                .next_task(q)
                .is_some_and(|reached| reached.position < *position)
    }

    /// `throttle`: at most so many hosts are at work on a task at once.
    pub(super) fn has_slot(&self, p: usize, reached: &Reached) -> Result<bool, String> {
        let Some(written) = throttle(&reached.task) else {
            return Ok(true);
        };
        // Who only waits for the one host that runs it for all does not stand in its way.
        if self.players[p].is_at_work(&reached.position) || self.is_once(p, &reached.task) {
            return Ok(true);
        }
        let limit = self.limit(p, written, &reached.task)?;
        let at_work = self.players.iter().filter(|q| q.is_at_work(&reached.position));
        Ok(limit == 0 || at_work.count() < limit)
    }

    /// What `throttle` says: how many hosts at once, 0 for all.
    fn limit(&self, p: usize, written: &Written, task: &Arc<Task>) -> Result<usize, String> {
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

    /// The hosts that are still in, as `ansible_play_hosts` has them.
    pub(in crate::run) fn active(&self) -> Vec<usize> {
        (0..self.players.len())
            .filter(|q| self.players[*q].state == PlayerState::Active)
            .collect()
    }
}

pub(super) fn throttle(task: &crate::playbook::Task) -> Option<&crate::playbook::Written> {
    task.level.nearest(|k| k.throttle.as_ref())
}
