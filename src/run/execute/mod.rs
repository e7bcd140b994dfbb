//! The whole run: plays one after another, and what is known at the end.
//!
//! - [`play`]: one play, batch after batch; [`hosts`]: which hosts, in which order and batches.
//! - [`settings`]: what the command line and the configuration said.
//! - [`variables`]: what tasks set, in the [world](super::world).
//! - [`ask`]: the person.

mod ask;
mod date;
mod hosts;
mod play;
mod settings;
mod variables;
mod vars_files;

pub use ask::Asker;
pub use settings::{Parts, Report, Settings};

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::event::{Event, Sink, Summary, VERSION};
use super::machines::Machines;
use super::scope::{Shared, TaskScope};
use super::values::plain_text;
use super::world::World;
use crate::modules::Entry;
use crate::plan::Tags;
use crate::playbook::{Catalogue, Level, Loader, Playbook, Render, Task, TaskKind, Written};
use crate::source::Diagnostic;
use crate::template::{Engine, Moment, Scope};
use crate::vars::Value;
pub(in crate::run) use date::now;
use play::at;

/// Runs playbooks.
pub struct Executor {
    asker: Option<Asker>,
    pub(super) engine: Engine,
    pub(super) world: Shared,
    pub(super) machines: Machines,
    pub(super) settings: Settings,
    pub(super) interrupted: Interrupted,
    pub(super) modules: fn(&str) -> Option<&'static Entry>,
    catalogue: Arc<dyn Catalogue>,
    sinks: Vec<Box<dyn Sink>>,
    summaries: HashMap<Arc<str>, Summary>,
    order: Vec<Arc<str>>,
    lost: Vec<Arc<str>>,
    /// The hosts that the pattern of the play means, also those that are lost.
    matched: Vec<Arc<str>>,
    /// What was counted for hosts before `meta: clear_host_errors`.
    forgiven: HashMap<Arc<str>, Summary>,
    gathered: Vec<Arc<str>>,
    /// Hosts with `vars_files` whose names need facts that are not there yet.
    await_facts: Vec<Arc<str>>,
    begun: Instant,
}

impl Executor {
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let world = World::new(parts.inventory, parts.extra, settings.as_options());
        Self {
            asker: None,
            engine: parts.engine,
            world: Arc::new(RwLock::new(world)),
            machines: Machines::new(parts.connect),
            settings,
            interrupted: Interrupted(parts.interrupt),
            modules: parts.modules,
            catalogue: parts.catalogue,
            sinks: parts.sinks,
            summaries: HashMap::new(),
            order: Vec::new(),
            lost: Vec::new(),
            matched: Vec::new(),
            forgiven: HashMap::new(),
            gathered: Vec::new(),
            await_facts: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// Runs a playbook to its end. An error is one that stops everything before a task could say it.
    pub async fn run(mut self, playbook: &Playbook) -> Result<Report, Diagnostic> {
        self.begun = Instant::now();
        let started = Event::RunStarted {
            version: VERSION,
            id: self.settings.id.clone(),
            playbooks: self.settings.playbooks.clone(),
            check: self.settings.check,
            started: now(),
        };
        self.tell(&started);
        let mut result = Ok(());
        for (number, play) in playbook.plays.iter().enumerate() {
            match self.play(number, play).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let report = self.close(result.is_err()).await;
        result.map(|()| report)
    }

    /// `stopped`: by an error that no task can be blamed for.
    async fn close(&mut self, stopped: bool) -> Report {
        // All at once: each takes a round trip.
        let closing: JoinSet<()> = self.machines.all().map(|(_, m)| m.close()).collect();
        let trips: Vec<_> = self
            .machines
            .all()
            .map(|(k, m)| (k.host.clone(), m.trips()))
            .collect();
        for (host, its) in &trips {
            let summary = self.summaries.entry(host.clone()).or_default();
            summary.round_trips += u32::try_from(its.len()).unwrap_or(u32::MAX);
        }
        closing.join_all().await;
        let interrupted = self.interrupted.now();
        let hosts: Vec<Summary> = self
            .order
            .iter()
            .filter_map(|name| {
                let mut summary = self.summaries.get(name).cloned()?;
                summary.host = name.to_string();
                Some(summary)
            })
            .collect();
        let exit = if interrupted {
            130
        } else if stopped {
            1
        } else if self.counts_more(&hosts, |h| h.unreachable) {
            4
        } else if self.counts_more(&hosts, |h| h.failed) {
            3
        } else {
            0
        };
        self.tell(&Event::RunFinished {
            hosts: hosts.clone(),
            milliseconds: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            interrupted,
            exit,
        });
        Report {
            hosts,
            interrupted,
            exit,
            trips,
        }
    }

    /// Whether more was counted for a host than is forgiven.
    fn counts_more(&self, hosts: &[Summary], count: impl Fn(&Summary) -> u32) -> bool {
        let forgiven = |host: &Summary| self.forgiven.get(&*host.host).map_or(0, &count);
        hosts.iter().any(|host| count(host) > forgiven(host))
    }

    /// `meta: clear_host_errors`: what has failed so far on the hosts of the play keeps none of them out of the next
    /// one, nor does the run end with it.
    pub(super) fn clear_host_errors(&mut self) {
        self.lost.retain(|host| !self.matched.contains(host));
        for host in &self.matched {
            if let Some(summary) = self.summaries.get(host) {
                self.forgiven.insert(host.clone(), summary.clone());
            }
        }
    }

    /// The one way to everything that is shown or kept.
    pub(super) fn tell(&mut self, event: &Event) {
        let secrets = self.engine.secrets();
        let masked = (!secrets.is_empty() || event.returns_secrets()).then(|| {
            let mut event = event.clone();
            event.mask(secrets);
            event
        });
        let event = masked.as_ref().unwrap_or(event);
        for sink in &mut self.sinks {
            sink.take(event);
        }
    }

    /// Whether any task so far has changed something, or would in a dry run, or may.
    pub(super) fn may_have_changed(&self) -> bool {
        self.summaries
            .values()
            .any(|host| host.changed + host.unknown > 0)
    }

    pub(super) fn count(&mut self, host: &Arc<str>, add: impl FnOnce(&mut Summary)) {
        add(self.summaries.entry(host.clone()).or_default());
    }

    /// `render` renders what an import inside an include names.
    pub(super) fn loader<'a>(&'a self, render: &'a Render<'a>) -> Loader<'a> {
        Loader {
            catalogue: self.catalogue.as_ref(),
            roles_path: self.settings.roles_path.clone(),
            project: self.settings.project.clone(),
            render,
            warnings: Vec::new(),
            imported: Vec::new(),
            read: Vec::new(),
        }
    }

    /// What an import names that an include brings, as a host knows it at the include's turn.
    pub(super) fn names_for_imports(
        &self,
        host: &Arc<str>,
        turn: bool,
    ) -> impl Fn(&Written, &Arc<Level>) -> Result<String, Diagnostic> + Sync + use<'_> {
        let (engine, world, host) = (&self.engine, self.world.clone(), host.clone());
        move |written, level| match &written.value {
            Value::Template(_) if !turn => Err(Diagnostic::error("it is not its turn").at(&written.span)),
            Value::Template(_) => {
                let scope = TaskScope::at_turn(world.clone(), host.clone(), Some(level.clone()));
                let scope: Arc<dyn Scope> = Arc::new(scope);
                let name = engine.render(&written.value, &scope, Moment::Turn);
                name.map(|name| plain_text(&name))
                    .map_err(|e| at(e, &written.span))
            }
            other => Ok(plain_text(other)),
        }
    }

    pub(super) fn rendered_name(&self, task: &Arc<Task>, scope: &Arc<dyn Scope>) -> String {
        match &task.name {
            Some(name) => self
                .engine
                .render(&name.value, scope, Moment::Turn)
                .map_or_else(|_| task.title(), |v| plain_text(&v)),
            None => task.described(),
        }
    }

    /// Whether the tags let a task run.
    pub(super) fn selected(&self, task: &Arc<Task>, host: &Arc<str>) -> bool {
        if task.kind != TaskKind::Listed {
            return true;
        }
        let (wanted, skipped) = (&self.settings.tags, &self.settings.skip_tags);
        let mut tags: Vec<String> = Vec::new();
        let written = task.level.tags();
        if !written.is_empty() {
            let scope = self.scope_of(host, &task.level);
            for tag in written {
                match self.engine.render(&tag.value, &scope, Moment::Turn) {
                    Ok(Value::List(items)) => tags.extend(items.iter().map(plain_text)),
                    Ok(value) => tags.push(plain_text(&value)),
                    Err(_) => tags.push(plain_text(&tag.value)),
                }
            }
        }
        Tags { wanted, skipped }.select(&tags)
    }
}

/// Set once, when the person wants to stop.
#[derive(Clone)]
pub struct Interrupted(watch::Receiver<bool>);

impl Interrupted {
    pub async fn wait(mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn now(&self) -> bool {
        *self.0.borrow()
    }
}
