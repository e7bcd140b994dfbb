//! The plan as a graph: a node is one task on one host, an edge says what waits for what, and why.
//!
//! It is as much of a run as can be known before it: what includes bring is not in it, and who is notified is
//! who may be.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};

use super::cursor::{Laid, Position, index, lay_out, lay_out_item};
use super::steps::play_steps;
use super::strategy::{Pace, Strategy};
use super::ties::Ties;
use super::web::{Shown, Web};
use crate::playbook::{Action, Meta, Play, Signature, Task, Written, each_task};
use crate::vars::Value;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub play: usize,
    /// The task's number in its play, counted along all batches; a barrier has that of the task behind it.
    pub row: usize,
    /// Where it stands in the order of its play, as in the events of a run; empty: a barrier.
    pub position: Position,
    /// `None`: a barrier, at which hosts wait for one another. One node in place of an edge from each to each.
    pub host: Option<Arc<str>>,
    pub title: String,
    pub place: String,
    pub handler: bool,
    /// The machine on which it works instead of the host, as it is written.
    pub delegated: Option<String>,
    /// How many hosts are at work on it at once, as it is written: a wait for whoever comes first, so no edge.
    pub throttle: Option<String>,
}

/// Why a step waits for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The order of the file, on one host.
    Order,
    /// Hosts keep step.
    Barrier,
    /// A play ends before the next begins.
    Play,
    /// It reads what another host registers or sets.
    Reads(Arc<str>),
    /// It runs once for all hosts.
    RunOnce,
    /// It works on the same machine, by delegation: there things go in the order of the file.
    Delegate,
    /// It needs it by name.
    Needs(Arc<str>),
    /// A dynamic include, which may bring anything that others wait for.
    Include,
    /// The batch before it.
    Serial,
    Notify,
    /// It runs only where something failed.
    Rescue,
}

pub type Graph = DiGraph<Step, Why>;

/// A play with what is known of its hosts.
pub struct Planned<'a> {
    pub play: &'a Play,
    pub batches: Vec<Vec<Arc<str>>>,
    /// The module that gathers facts, if they are gathered.
    pub gather: Option<Signature>,
    pub pace: Pace,
}

/// Lays plays out as a graph; `selected` says which tasks the tags leave.
pub fn graph(plays: &[Planned<'_>], selected: &dyn Fn(&Task) -> bool) -> Graph {
    let mut building = Building::default();
    for (number, planned) in plays.iter().enumerate() {
        building.play(number, planned, selected);
    }
    building.graph
}

/// A task on its way into the graph.
struct Row<'a> {
    laid: &'a Laid,
    hosts: &'a [Arc<str>],
    handler: bool,
}

#[derive(Default)]
struct Building {
    graph: Graph,
    number: usize,
    row: usize,
    in_step: bool,
    /// Whether one host may run a task for all.
    for_all: bool,
    /// The last step of each host of the batch.
    last: HashMap<Arc<str>, NodeIndex>,
    /// The steps of the task before, at which hosts wait for one another.
    before: Vec<NodeIndex>,
    /// What the first steps of a batch wait for.
    entrance: Option<(NodeIndex, Why)>,
    /// A `run_once` step that the others have yet to wait for, without lock-step.
    once: HashMap<Arc<str>, NodeIndex>,
    web: Web,
    shown: Shown,
    /// Handlers by number, with the steps that may notify them.
    notified: BTreeMap<usize, Vec<NodeIndex>>,
}

impl Building {
    fn play(&mut self, number: usize, planned: &Planned<'_>, selected: &dyn Fn(&Task) -> bool) {
        self.number = number;
        self.row = 0;
        for (n, batch) in planned.batches.iter().enumerate() {
            if number > 0 || n > 0 {
                let why = if n > 0 { Why::Serial } else { Why::Play };
                self.close(&why);
            }
            self.in_step = planned.pace.in_step() && batch.len() > 1;
            self.shown = match planned.pace.strategy {
                _ if planned.pace.in_step() => Shown::Telling,
                Strategy::Dag => Shown::All,
                Strategy::Linear | Strategy::Free => Shown::Needs,
            };
            self.web = Web::default();
            self.for_all = planned.pace.strategy.lets_one_run_for_all() && batch.len() > 1;
            self.batch(planned, batch, selected);
        }
    }

    /// One node behind everything so far.
    fn close(&mut self, why: &Why) {
        let ends: Vec<NodeIndex> = self.graph.externals(petgraph::Direction::Outgoing).collect();
        if ends.is_empty() {
            return;
        }
        let end = self.graph.add_node(barrier(self.number, self.row + 1));
        for last in ends {
            self.graph.add_edge(last, end, why.clone());
        }
        self.entrance = Some((end, why.clone()));
        self.last.clear();
        self.before.clear();
        self.once.clear();
    }

    fn batch(&mut self, planned: &Planned<'_>, batch: &[Arc<str>], selected: &dyn Fn(&Task) -> bool) {
        let items = play_steps(planned.play, planned.gather);
        let mut all = Vec::new();
        lay_out(&items, &[], &mut all);
        for laid in &all {
            if let Action::Meta(Meta::FlushHandlers) = laid.task.action {
                self.handlers(planned.play, batch, &laid.position, selected);
                continue;
            }
            if matches!(laid.task.action, Action::Meta(Meta::Noop)) || !selected(&laid.task) {
                continue;
            }
            let added = self.add(&Row {
                laid,
                hosts: batch,
                handler: false,
            });
            self.note_notified(planned.play, &laid.task, &added);
        }
    }

    fn add(&mut self, row: &Row<'_>) -> Vec<NodeIndex> {
        self.row += 1;
        let task = &row.laid.task;
        let once = self.for_all && runs_once(task);
        let gate = self.gate();
        let hosts = if once { &row.hosts[..1] } else { row.hosts };
        let mut added = Vec::new();
        for host in hosts {
            let step = self.graph.add_node(self.step(row, host));
            self.arrive(step, host, row, gate, once);
            added.push(step);
        }
        let placed: Vec<_> = hosts.iter().cloned().zip(added.iter().copied()).collect();
        for (host, step) in &placed {
            self.last.insert(host.clone(), *step);
        }
        self.weave(task, placed);
        if once && !self.in_step {
            self.once
                .extend(row.hosts[1..].iter().map(|h| (h.clone(), added[0])));
        }
        if self.in_step {
            self.before.clone_from(&added);
        }
        added
    }

    fn step(&self, row: &Row<'_>, host: &Arc<str>) -> Step {
        let task = &row.laid.task;
        let title = task.described();
        Step {
            play: self.number,
            row: self.row,
            host: Some(host.clone()),
            position: row.laid.position.clone(),
            title: match task.role() {
                Some(role) => format!("{} : {title}", role.name),
                None => title,
            },
            place: task.span.to_string(),
            handler: row.handler,
            delegated: task.level.nearest(|k| k.delegate_to.as_ref()).map(as_written),
            throttle: task.level.nearest(|k| k.throttle.as_ref()).map(as_written),
        }
    }

    /// Where hosts wait for one another before the next task.
    fn gate(&mut self) -> Option<NodeIndex> {
        if !self.in_step || self.before.is_empty() {
            return None;
        }
        let gate = self.graph.add_node(barrier(self.number, self.row));
        for step in std::mem::take(&mut self.before) {
            self.graph.add_edge(step, gate, Why::Barrier);
        }
        Some(gate)
    }

    fn arrive(
        &mut self,
        step: NodeIndex,
        host: &Arc<str>,
        row: &Row<'_>,
        gate: Option<NodeIndex>,
        once: bool,
    ) {
        match (self.last.get(host), &self.entrance) {
            (Some(last), _) => {
                let why = if row.laid.rescue { Why::Rescue } else { Why::Order };
                self.graph.add_edge(*last, step, why);
            }
            (None, Some((entrance, why))) => {
                self.graph.add_edge(*entrance, step, why.clone());
            }
            (None, None) => {}
        }
        if let Some(gate) = gate {
            let why = if once { Why::RunOnce } else { Why::Barrier };
            self.graph.add_edge(gate, step, why);
        } else if once {
            for other in row.hosts.iter().filter(|h| *h != host) {
                if let Some(last) = self.last.get(other) {
                    self.graph.add_edge(*last, step, Why::RunOnce);
                }
            }
        }
        if let Some(once) = self.once.remove(host) {
            self.graph.add_edge(once, step, Why::RunOnce);
        }
    }

    /// What the steps of a row wait for on other hosts.
    fn weave(&mut self, task: &Arc<Task>, placed: Vec<(Arc<str>, NodeIndex)>) {
        for link in self.web.add(Ties::of(task), self.row, placed, self.shown) {
            if let ([from], [to]) = (&link.from[..], &link.to[..]) {
                self.graph.add_edge(*from, *to, link.why);
                continue;
            }
            let gate = self.graph.add_node(barrier(self.number, link.row));
            for from in link.from {
                self.graph.add_edge(from, gate, link.why.clone());
            }
            for to in link.to {
                self.graph.add_edge(gate, to, link.why.clone());
            }
        }
    }

    fn note_notified(&mut self, play: &Play, task: &Task, steps: &[NodeIndex]) {
        for written in task
            .level
            .chain()
            .flat_map(|l| &l.keywords.notify)
            .chain(&task.notify)
        {
            let Some(name) = written.value.as_str() else {
                continue;
            };
            for (number, handler) in play.handlers.iter().enumerate() {
                let mut answers = false;
                each_task(std::slice::from_ref(handler), &mut |t| {
                    answers |= answers_to(t, name);
                });
                if answers {
                    self.notified.entry(number).or_default().extend(steps);
                }
            }
        }
    }

    /// Handlers run in the order in which they are written; one that notifies another before it has to wait
    /// for the next time.
    fn handlers(
        &mut self,
        play: &Play,
        batch: &[Arc<str>],
        flush: &Position,
        selected: &dyn Fn(&Task) -> bool,
    ) {
        for number in 0..play.handlers.len() {
            let Some(notifiers) = self.notified.remove(&number) else {
                continue;
            };
            let on = |host: &Arc<str>| {
                notifiers
                    .iter()
                    .any(|n| self.graph[*n].host.as_ref() == Some(host))
            };
            let hosts: Vec<Arc<str>> = batch.iter().filter(|h| on(h)).cloned().collect();
            let mut tasks = Vec::new();
            lay_out_item(
                &play.handlers[number],
                [&flush[..], &[index(number)]].concat(),
                &mut tasks,
            );
            for laid in tasks.iter().filter(|l| selected(&l.task)) {
                let added = self.add(&Row {
                    laid,
                    hosts: &hosts,
                    handler: true,
                });
                self.note_notifiers(&added, &notifiers);
                self.note_notified(play, &laid.task, &added);
            }
        }
    }

    fn note_notifiers(&mut self, steps: &[NodeIndex], notifiers: &[NodeIndex]) {
        for step in steps {
            for notifier in notifiers {
                if self.graph[*notifier].host == self.graph[*step].host {
                    self.graph.add_edge(*notifier, *step, Why::Notify);
                }
            }
        }
    }
}

fn as_written(written: &Written) -> String {
    match &written.value {
        Value::Template(template) => template.text.to_string(),
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn barrier(play: usize, row: usize) -> Step {
    Step {
        play,
        row,
        position: Position::new(),
        host: None,
        title: String::new(),
        place: String::new(),
        handler: false,
        delegated: None,
        throttle: None,
    }
}

fn answers_to(handler: &Task, name: &str) -> bool {
    let title = handler.title();
    title == name
        || handler
            .role()
            .is_some_and(|r| format!("{} : {title}", r.name) == name)
        || handler.listen.iter().any(|l| l.value.as_str() == Some(name))
}

fn runs_once(task: &Task) -> bool {
    let written = task.level.nearest(|k| k.run_once.as_ref());
    let said = written.is_some_and(|w| match &w.value {
        crate::vars::Value::Bool(once) => *once,
        other => matches!(other.as_str(), Some("yes" | "true" | "True" | "on")),
    });
    said || task.action.runs_once()
}
