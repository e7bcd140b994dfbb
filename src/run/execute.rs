//! The whole run: plays one after another, each in its batches, and what is known at the end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::batch::{Batch, BatchEnd};
use super::event::{Event, Sink, Summary, VERSION};
use super::machines::{Connect, Machines};
use super::reach;
use super::scope::{Shared, TaskScope};
use super::settle::{plain_text, truth};
use super::world::{MaySet, Options, PlayNames, World};
use crate::config::Gathering;
use crate::host::{Secret, Trip};
use crate::inventory::Inventory;
use crate::modules::Entry;
use crate::plan::{Tags, play_steps};
use crate::playbook::{
    Catalogue, Item, Level, Loader, Play, Playbook, Role, Signature, Task, Written, each_task,
};
use crate::source::{Diagnostic, Span};
use crate::template::{Engine, Moment, Scope};
use crate::vars::{Map, Value};
use crate::yaml;

/// What the command line and the configuration said about how to run.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    pub id: String,
    pub check: bool,
    pub diff: bool,
    pub forks: usize,
    pub run_ahead: bool,
    pub verbosity: u8,
    pub tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub limit: Option<String>,
    pub inventory_sources: Vec<String>,
    pub config_file: Option<PathBuf>,
    pub remote_user: Option<String>,
    pub gathering: Gathering,
    pub r#become: bool,
    pub become_user: String,
    pub become_method: String,
    pub become_password: Option<Secret>,
    pub force_handlers: bool,
    pub any_errors_fatal: bool,
    pub roles_path: Vec<PathBuf>,
    /// Where `vmstation` was called; its `roles`, `templates` and `files` are searched too.
    pub project: PathBuf,
    /// Who runs us, for `connection: local`.
    pub own_user: String,
    /// Whether somebody is there to be asked.
    pub interactive: bool,
    pub playbooks: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Report {
    pub hosts: Vec<Summary>,
    pub interrupted: bool,
    /// The program's exit code: 0, 3, 4 or 130.
    pub exit: u8,
    /// The round trips to each host, oldest first.
    pub trips: Vec<(Arc<str>, Vec<Trip>)>,
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

/// Shows a text to a person and gives what they typed; whether it is shown as they type. `None`: no answer.
pub type Asker = Arc<dyn Fn(&str, bool) -> Option<String> + Send + Sync>;

/// Runs playbooks.
pub struct Executor {
    asker: Option<Asker>,
    pub(super) engine: Engine,
    pub(super) world: Shared,
    pub(super) machines: Machines,
    pub(super) settings: Settings,
    pub(super) interrupted: Interrupted,
    /// Whether tasks of the play may write on the controlling machine.
    pub(super) controller_may_change: bool,
    pub(super) modules: fn(&str) -> Option<&'static Entry>,
    catalogue: Arc<dyn Catalogue>,
    sinks: Vec<Box<dyn Sink>>,
    summaries: HashMap<Arc<str>, Summary>,
    order: Vec<Arc<str>>,
    lost: Vec<Arc<str>>,
    gathered: Vec<Arc<str>>,
    begun: Instant,
}

/// Everything that an executor needs.
pub struct Parts {
    pub engine: Engine,
    pub inventory: Inventory,
    pub extra: Map,
    pub catalogue: Arc<dyn Catalogue>,
    /// Finds a module by its name: [`modules::find`](crate::modules::find), or a test's own.
    pub modules: fn(&str) -> Option<&'static Entry>,
    pub connect: Box<dyn Connect>,
    pub sinks: Vec<Box<dyn Sink>>,
    /// Turns true when the run is to stop.
    pub interrupt: watch::Receiver<bool>,
}

impl Executor {
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let options = Options {
            check: settings.check,
            diff: settings.diff,
            forks: settings.forks,
            verbosity: settings.verbosity,
            run_tags: if settings.tags.is_empty() {
                vec!["all".to_string()]
            } else {
                settings.tags.clone()
            },
            skip_tags: settings.skip_tags.clone(),
            limit: settings.limit.clone(),
            inventory_sources: settings.inventory_sources.clone(),
            config_file: settings.config_file.clone(),
            remote_user: settings.remote_user.clone(),
        };
        let world = World {
            inventory: Arc::new(parts.inventory),
            extra: Arc::new(parts.extra),
            hosts: HashMap::new(),
            play: Arc::default(),
            options: Arc::new(options),
        };
        Self {
            asker: None,
            engine: parts.engine,
            world: Arc::new(RwLock::new(world)),
            machines: Machines::new(parts.connect),
            settings,
            interrupted: Interrupted(parts.interrupt),
            controller_may_change: false,
            modules: parts.modules,
            catalogue: parts.catalogue,
            sinks: parts.sinks,
            summaries: HashMap::new(),
            order: Vec::new(),
            lost: Vec::new(),
            gathered: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// With a way to ask the person, for `Settings::interactive`.
    #[must_use]
    pub fn asking(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
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
        } else if hosts.iter().any(|h| h.unreachable > 0) {
            4
        } else if hosts.iter().any(|h| h.failed > 0) {
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

    // ---- plays -----------------------------------------------------------------------------------------

    /// Runs a play; `false`: the run ends here.
    async fn play(&mut self, number: usize, play: &Arc<Play>) -> Result<bool, Diagnostic> {
        let (hosts, matched) = self.hosts(play)?;
        let name = self.play_name(play);
        if hosts.is_empty() {
            let reason = if matched {
                "all its hosts have failed before".to_string()
            } else {
                "no hosts matched".to_string()
            };
            self.tell(&Event::PlaySkipped { name, reason });
            return Ok(!matched);
        }
        self.begin_play(play, &hosts)?;
        let free = self.is_free(play, &hosts[0])?;
        let batches = self.batches(play, &hosts)?;
        for host in &hosts {
            self.summaries.entry(host.clone()).or_default();
            if !self.order.contains(host) {
                self.order.push(host.clone());
            }
        }
        let mut tasks = 0;
        self.count_tasks(play, &mut tasks);
        self.tell(&Event::PlayStarted {
            play: number,
            name,
            hosts: hosts.iter().map(ToString::to_string).collect(),
            tasks,
        });
        for batch in batches {
            self.set_play_hosts(&hosts, &batch);
            let gather = self.gathers(play, &batch)?;
            let items: Arc<[Item]> = play_steps(play, gather).into();
            let end = Batch::new(self, play.clone(), &batch, &items, free).run().await;
            if !self.goes_on(play, &batch, &end)? {
                return Ok(false);
            }
            if end.play_ended {
                break;
            }
        }
        Ok(true)
    }

    /// Whether anything comes behind this batch.
    fn goes_on(&mut self, play: &Arc<Play>, batch: &[Arc<str>], end: &BatchEnd) -> Result<bool, Diagnostic> {
        self.lost
            .extend(end.failed.iter().chain(&end.unreachable).cloned());
        if end.interrupted {
            return Ok(false);
        }
        let gone = end.failed.len() + end.unreachable.len();
        if gone >= batch.len() {
            return Ok(false);
        }
        if let Some(written) = &play.max_fail_percentage {
            let value = self.render_for_play(play, &batch[0], written)?;
            let limit: f64 = plain_text(&value)
                .parse()
                .map_err(|_| Diagnostic::error("`max_fail_percentage` is a number").at(&written.span))?;
            #[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
            let share = gone as f64 * 100.0 / batch.len() as f64;
            if share > limit {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The hosts of a play that are still in, and whether the pattern matched any at all.
    fn hosts(&mut self, play: &Arc<Play>) -> Result<(Vec<Arc<str>>, bool), Diagnostic> {
        let localhost: Arc<str> = "localhost".into();
        let scope = self.scope_of(&localhost, &play.level);
        let pattern = self
            .engine
            .render(&play.hosts.value, &scope, Moment::Turn)
            .map_err(|e| at(e, &play.hosts.span))?;
        let patterns: Vec<String> = match &pattern {
            Value::List(items) => items.iter().map(plain_text).collect(),
            other => vec![plain_text(other)],
        };
        let words: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let inventory = self.inventory();
        let (selected, warnings) = inventory
            .select_all(&words, None)
            .map_err(|d| d.within(&play.hosts.span))?;
        // What is wrong with the limit itself was said before the first play.
        let selected = match self.settings.limit.as_deref() {
            None => selected,
            limit => inventory.select_all(&words, limit)?.0,
        };
        for warning in warnings {
            self.tell(&Event::Warning {
                host: None,
                text: warning.within(&play.hosts.span).to_string(),
            });
        }
        let matched = !selected.is_empty();
        let mut hosts: Vec<_> = selected.into_iter().filter(|h| !self.lost.contains(h)).collect();
        self.put_in_order(play, &mut hosts)?;
        Ok((hosts, matched))
    }

    fn put_in_order(&self, play: &Arc<Play>, hosts: &mut [Arc<str>]) -> Result<(), Diagnostic> {
        let Some(written) = &play.order else { return Ok(()) };
        match plain_text(&written.value).as_str() {
            "inventory" => {}
            "reverse_inventory" => hosts.reverse(),
            "sorted" => hosts.sort(),
            "reverse_sorted" => {
                hosts.sort();
                hosts.reverse();
            }
            other => {
                return Err(Diagnostic::error(format!("the order `{other}` is not supported"))
                    .at(&written.span)
                    .help("inventory, reverse_inventory, sorted and reverse_sorted are"));
            }
        }
        Ok(())
    }

    /// The play's batches by `serial`: a number, a percentage, or a list of those.
    fn batches(&self, play: &Arc<Play>, hosts: &[Arc<str>]) -> Result<Vec<Vec<Arc<str>>>, Diagnostic> {
        let Some(written) = &play.serial else {
            return Ok(vec![hosts.to_vec()]);
        };
        let value = self.render_for_play(play, &hosts[0], written)?;
        crate::plan::batches(&value, hosts).map_err(|d| d.within(&written.span))
    }

    fn is_free(&self, play: &Arc<Play>, host: &Arc<str>) -> Result<bool, Diagnostic> {
        let Some(written) = &play.strategy else {
            return Ok(false);
        };
        let value = plain_text(&self.render_for_play(play, host, written)?);
        match value.strip_prefix("ansible.builtin.").unwrap_or(&value) {
            "linear" => Ok(false),
            "free" | "host_pinned" => Ok(true),
            other => Err(
                Diagnostic::error(format!("the strategy `{other}` is not supported"))
                    .at(&written.span)
                    .help("linear, free and host_pinned are"),
            ),
        }
    }

    /// The module that gathers facts, if this play gathers them.
    fn gathers(&mut self, play: &Arc<Play>, batch: &[Arc<str>]) -> Result<Option<Signature>, Diagnostic> {
        let wanted = match &play.gather_facts {
            Some(written) => {
                let value = self.render_for_play(play, &batch[0], written)?;
                truth(&value)
                    .ok_or_else(|| Diagnostic::error("`gather_facts` is a boolean").at(&written.span))?
            }
            None => match self.settings.gathering {
                Gathering::Implicit => true,
                Gathering::Explicit => false,
                Gathering::Smart => batch.iter().any(|h| !self.gathered.contains(h)),
            },
        };
        if !wanted {
            return Ok(None);
        }
        self.gathered.extend(batch.iter().cloned());
        self.catalogue
            .find("setup")
            .map(Some)
            .ok_or_else(|| Diagnostic::error("the module `setup` is missing: a bug of vmstation"))
    }

    fn play_name(&self, play: &Play) -> String {
        match &play.name {
            Some(name) => plain_text(&name.value),
            None => plain_text(&play.hosts.value),
        }
    }

    fn begin_play(&mut self, play: &Arc<Play>, hosts: &[Arc<str>]) -> Result<(), Diagnostic> {
        for host in hosts {
            self.know_host(host, &play.directory)?;
        }
        let may_set = reach::set_by_play(play);
        let mut roles: Vec<Arc<Role>> = play.roles.iter().map(|r| r.role.clone()).collect();
        roles.extend(play.imported_roles.iter().cloned());
        let names = PlayNames {
            name: self.play_name(play),
            directory: play.directory.clone(),
            level: Some(play.level.clone()),
            all: hosts.to_vec(),
            hosts: hosts.to_vec(),
            batch: hosts.to_vec(),
            roles,
            may_set,
            foreign: reach::set_for_others(play),
        };
        self.write(|w| w.play = Arc::new(names));
        for host in hosts {
            let vars = self.vars_files(play, host)?;
            self.write(|w| w.host_mut(host).vars_files = Arc::new(vars));
        }
        self.controller_may_change = self.controller_may_change_in(play, hosts);
        Ok(())
    }

    /// Whether a task of the play may write here: it runs here, or brings files here.
    fn controller_may_change_in(&self, play: &Play, hosts: &[Arc<str>]) -> bool {
        let local_host = hosts.iter().any(|h| {
            let connection = self.read(|w| {
                w.host(h)
                    .and_then(|v| v.inventory.get("ansible_connection").cloned())
            });
            connection.is_some_and(|c| plain_text(&c) == "local")
        });
        let mut found = local_host || play.level.nearest(|k| k.connection.as_ref()).is_some();
        let mut look = |task: &Arc<Task>| {
            found |= task.level.nearest(|k| k.delegate_to.as_ref()).is_some()
                || task.level.nearest(|k| k.connection.as_ref()).is_some()
                || matches!(task.action.name(), "fetch" | "include_tasks" | "include_role");
        };
        for items in all_lists(play) {
            each_task(items, &mut |task| look(task));
        }
        found
    }

    fn vars_files(&self, play: &Arc<Play>, host: &Arc<str>) -> Result<Map, Diagnostic> {
        let mut all = Map::new();
        for written in &play.vars_files {
            let value = self.render_for_play(play, host, written)?;
            // A list means: the first that exists.
            let (names, first_found) = match &value {
                Value::List(items) => (items.iter().map(plain_text).collect(), true),
                other => (vec![plain_text(other)], false),
            };
            let path = names
                .iter()
                .flat_map(|n| [play.directory.join("vars").join(n), play.directory.join(n)])
                .find(|p| p.is_file());
            let Some(path) = path else {
                let _ = first_found;
                return Err(Diagnostic::error(format!(
                    "there is no file of variables `{}`",
                    names.join("`, `")
                ))
                .at(&written.span));
            };
            let document = yaml::parse(&crate::source::Source::read(&path)?)?;
            let Some(root) = document.root else { continue };
            match root.value() {
                Value::Map(map) => all.extend(map.iter().map(|(k, v)| (k.clone(), v.clone()))),
                _ => {
                    return Err(Diagnostic::error(format!(
                        "variables are a mapping of names to values, but this is {}",
                        root.what()
                    ))
                    .at(&root.span));
                }
            }
        }
        Ok(all)
    }

    fn count_tasks(&self, play: &Play, count: &mut usize) {
        for items in play.lists() {
            each_task(items, &mut |_| *count += 1);
        }
    }

    fn set_play_hosts(&mut self, hosts: &[Arc<str>], batch: &[Arc<str>]) {
        let lost = self.lost.clone();
        self.write(|w| {
            let play = Arc::make_mut(&mut w.play);
            play.hosts = hosts.iter().filter(|h| !lost.contains(h)).cloned().collect();
            play.batch = batch.to_vec();
        });
    }

    // ---- for the batch ---------------------------------------------------------------------------------

    pub(super) fn tell(&mut self, event: &Event) {
        for sink in &mut self.sinks {
            sink.take(event);
        }
    }

    pub(super) fn count(&mut self, host: &Arc<str>, add: impl FnOnce(&mut Summary)) {
        add(self.summaries.entry(host.clone()).or_default());
    }

    pub(super) fn set(&self, host: &Arc<str>, name: &str, value: Value) {
        self.write(|w| {
            w.host_mut(host).set.insert(name.into(), value);
        });
    }

    pub(super) fn store(&self, host: &Arc<str>, set: &Map) {
        if set.is_empty() {
            return;
        }
        self.write(|w| {
            w.host_mut(host)
                .set
                .extend(set.iter().map(|(k, v)| (k.clone(), v.clone())));
        });
    }

    pub(super) fn store_facts(&self, host: &Arc<str>, facts: &Map) {
        self.write(|w| {
            w.host_mut(host)
                .facts
                .extend(facts.iter().map(|(k, v)| (k.clone(), v.clone())));
        });
    }

    /// Tasks that an include brought may set these on other hosts; whether any of it is new.
    pub(super) fn may_set_for_others(&self, names: &MaySet) -> bool {
        let new = self.read(|w| !w.play.foreign.covers(names));
        if new {
            self.write(|w| Arc::make_mut(&mut w.play).foreign.add(names));
        }
        new
    }

    pub(super) fn clear_facts(&self, host: &Arc<str>) {
        self.write(|w| w.host_mut(host).facts.clear());
    }

    pub(super) fn publish_role(&self, role: &Arc<Role>) {
        self.write(|w| Arc::make_mut(&mut w.play).roles.push(role.clone()));
    }

    pub(super) fn leave_play(&self, host: &Arc<str>) {
        self.write(|w| {
            let play = Arc::make_mut(&mut w.play);
            play.hosts.retain(|h| h != host);
            play.batch.retain(|h| h != host);
        });
    }

    pub(super) fn resolve(&self, name: &str) -> Arc<str> {
        self.read(|w| w.inventory.resolve(name))
            .unwrap_or_else(|| name.into())
    }

    /// Reads a host's variables from the inventory, once.
    pub(super) fn know_host(&mut self, host: &Arc<str>, playbook_dir: &Path) -> Result<(), Diagnostic> {
        let known = self.read(|w| w.host(host).is_some_and(|h| !h.inventory.is_empty()));
        if known {
            return Ok(());
        }
        let inventory = self.inventory();
        let vars = if inventory.knows(host) {
            inventory.vars(host, Some(playbook_dir))?
        } else {
            Map::new()
        };
        for warning in inventory.take_warnings() {
            self.tell(&Event::Warning {
                host: None,
                text: warning.to_string(),
            });
        }
        self.write(|w| w.host_mut(host).inventory = Arc::new(vars));
        Ok(())
    }

    /// Whether the tags let a task run.
    pub(super) fn selected(&self, task: &Arc<Task>, host: &Arc<str>) -> bool {
        let (wanted, skipped) = (&self.settings.tags, &self.settings.skip_tags);
        let implicit = matches!(task.action, crate::playbook::Action::Meta(_));
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
        Tags { wanted, skipped }.select(&tags, implicit)
    }

    pub(super) fn forces_handlers(&self, play: &Play) -> bool {
        let own = play.force_handlers.as_ref().and_then(|w| truth(&w.value));
        self.settings.force_handlers || own.unwrap_or(false)
    }

    pub(super) fn loader(&self) -> Loader<'_> {
        Loader {
            catalogue: self.catalogue.as_ref(),
            roles_path: self.settings.roles_path.clone(),
            project: self.settings.project.clone(),
            render: &not_static,
            warnings: Vec::new(),
            imported: Vec::new(),
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

    /// Whether somebody is there to be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.settings.interactive && self.asker.is_some()
    }

    /// Asks the person who called us; `None`: there was no answer.
    pub(super) fn ask(
        &self,
        text: &str,
        echo: bool,
    ) -> impl Future<Output = Option<String>> + Send + 'static {
        let asker = self.asker.clone();
        let text = text.to_string();
        async move {
            let asker = asker?;
            // A person takes their time, which is nobody else's.
            tokio::task::spawn_blocking(move || asker(&text, echo))
                .await
                .ok()?
        }
    }

    fn inventory(&self) -> Arc<Inventory> {
        self.read(|w| w.inventory.clone())
    }

    fn scope_of(&self, host: &Arc<str>, level: &Arc<Level>) -> Arc<dyn Scope> {
        Arc::new(TaskScope {
            world: self.world.clone(),
            host: host.clone(),
            level: Some(level.clone()),
            locals: Map::new(),
            earlier: Vec::new(),
            ahead: false,
            borrowed: Arc::default(),
        })
    }

    fn render_for_play(
        &self,
        play: &Arc<Play>,
        host: &Arc<str>,
        written: &Written,
    ) -> Result<Value, Diagnostic> {
        let scope = self.scope_of(host, &play.level);
        self.engine
            .render(&written.value, &scope, Moment::Turn)
            .map_err(|e| at(e, &written.span))
    }

    fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, alter: impl FnOnce(&mut World) -> T) -> T {
        alter(&mut self.world.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn all_lists(play: &Play) -> impl Iterator<Item = &[Item]> {
    [&play.pre_tasks, &play.tasks, &play.post_tasks, &play.handlers]
        .into_iter()
        .map(Vec::as_slice)
        .chain(play.roles.iter().map(|r| r.tasks.as_slice()))
}

/// Dynamic includes render their names themselves; imports inside of them must be literal.
fn not_static(written: &Written, _: &Arc<Level>) -> Result<String, Diagnostic> {
    match &written.value {
        Value::Template(_) => Err(
            Diagnostic::error("an import inside an include cannot be a template")
                .at(&written.span)
                .help("use `include_tasks` or `include_role`"),
        ),
        other => Ok(plain_text(other)),
    }
}

/// The diagnostic of a template that must have a value now.
pub(super) fn at(error: crate::template::TemplateError, span: &Span) -> Diagnostic {
    use crate::template::TemplateError;
    match error {
        TemplateError::Undefined(d) | TemplateError::Failed(d) => d.within(span),
        TemplateError::Unknown(reason) => {
            Diagnostic::error(format!("not known in a dry run: {reason}")).at(span)
        }
        TemplateError::Pending(name) => Diagnostic::error(format!("`{name}` is not known yet")).at(span),
        TemplateError::AtTurn => Diagnostic::error("this cannot be evaluated here").at(span),
    }
}

/// The time in UTC, as ISO 8601 writes it.
fn now() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}
