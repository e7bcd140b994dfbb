//! Runs a project in memory and keeps what can be seen of it from outside.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use vmstation::config::Gathering;
use vmstation::inventory::Inventory;
use vmstation::plan::Strategy;
use vmstation::playbook::{Level, Loader, Playbook, Written};
use vmstation::run::{Event, Executor, Parts, Settings, Sink, Summary};
use vmstation::template::{Controller, Engine};
use vmstation::vars::{Map, Value};

use crate::acts::{self, Known, find};
use crate::world::{Changed, Temper, World};

/// How a program is to be run.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Debug, Clone)]
pub struct How {
    pub ahead: bool,
    pub seed: u64,
    pub temper: Temper,
    pub hosts: usize,
    pub check: bool,
    pub forks: usize,
    pub tags: Vec<String>,
    pub force_handlers: bool,
    /// There are files on the hosts already.
    pub furnished: bool,
}

impl How {
    /// On one host that answers at once.
    pub fn ahead() -> Self {
        Self {
            ahead: true,
            seed: 1,
            temper: Temper { slowest: 0, whims: 0 },
            hosts: 1,
            check: false,
            forks: 50,
            tags: Vec::new(),
            force_handlers: false,
            furnished: false,
        }
    }

    pub fn on(hosts: usize) -> Self {
        Self {
            hosts,
            ..Self::ahead()
        }
    }
}

/// What can be seen of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// For each host, one line for everything said about it.
    pub told: BTreeMap<String, Vec<String>>,
    pub warnings: Vec<String>,
    pub files: BTreeMap<(String, String), String>,
    pub changes: Vec<Changed>,
    pub summaries: Vec<Summary>,
    pub exit: u8,
    /// An error that ended everything.
    pub error: Option<String>,
    pub trips: BTreeMap<String, Vec<String>>,
    /// Everything, in the order in which it was said.
    pub events: Vec<Event>,
    /// Rules of the doors that were broken.
    pub broken: Vec<String>,
}

struct Ears(Arc<Mutex<Seen>>, World);

impl Sink for Ears {
    fn take(&mut self, event: &Event) {
        let mut seen = self.0.lock().unwrap();
        seen.events.push(event.clone());
        let mut tell = |host: &str, line: String| seen.told.entry(host.to_string()).or_default().push(line);
        let whole = |what: &vmstation::run::Finished| {
            format!(
                "{:?}{} {} {:?} {:?}",
                what.status,
                if what.ignored { " ignored" } else { "" },
                serde_json::to_string(&what.result).unwrap(),
                what.changes,
                what.error
            )
        };
        match event {
            Event::PlayStarted { name, hosts, .. } => {
                for host in hosts {
                    tell(host, format!("play {name}"));
                }
            }
            Event::TaskStarted {
                host, task, position, ..
            } => {
                self.1.state.lock().unwrap().turn.clone_from(position);
                tell(host, format!("start {position:?} {task}"));
            }
            Event::ItemFinished {
                host,
                task,
                item,
                what,
            } => tell(host, format!("item {task} [{item}] {}", whole(what))),
            Event::TaskFinished {
                host,
                task,
                position,
                what,
                delegated_to,
                ..
            } => {
                tell(
                    host,
                    format!("task {position:?} {task} {delegated_to:?} {}", whole(what)),
                );
            }
            Event::Retrying { host, task, left } => tell(host, format!("retry {task} {left}")),
            Event::Notified { host, handler } => tell(host, format!("notified {handler}")),
            Event::HostLost {
                host,
                unreachable,
                reason,
            } => tell(host, format!("lost {unreachable} {reason}")),
            Event::Warning { host, text } => match host {
                Some(host) => tell(host, format!("warning {text}")),
                None => seen.warnings.push(text.clone()),
            },
            _ => {}
        }
    }
}

fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(Arc::new(Controller))).clone()
}

fn settings(how: &How, project: &Path) -> Settings {
    Settings {
        id: "test".to_string(),
        check: how.check,
        diff: false,
        forks: how.forks,
        run_ahead: how.ahead,
        verbosity: 0,
        tags: how.tags.clone(),
        skip_tags: Vec::new(),
        limit: None,
        inventory_sources: Vec::new(),
        config_file: None,
        remote_user: None,
        connection: "ssh".into(),
        gathering: Gathering::Explicit,
        r#become: false,
        become_user: "root".to_string(),
        become_method: "sudo".to_string(),
        become_flags: None,
        managed: "Ansible managed".to_string(),
        become_exe: None,
        become_password: None,
        force_handlers: how.force_handlers,
        any_errors_fatal: false,
        strategy: Strategy::Linear,
        roles_path: Vec::new(),
        project: project.to_path_buf(),
        own_user: "me".to_string(),
        interactive: false,
        playbooks: vec!["play.yml".to_string()],
    }
}

pub fn load(project: &Path) -> Result<Playbook, String> {
    let render = |written: &Written, _: &Arc<Level>| match &written.value {
        Value::String(text) => Ok(text.to_string()),
        _ => Err(vmstation::source::Diagnostic::error("not static")),
    };
    let mut loader = Loader {
        catalogue: &Known,
        roles_path: Vec::new(),
        project: project.to_path_buf(),
        render: &render,
        warnings: Vec::new(),
        imported: Vec::new(),
        read: Vec::new(),
    };
    loader
        .playbook(&project.join("play.yml"))
        .map_err(|d| d.to_string())
}

/// Runs the project's `play.yml` and says what was seen.
pub fn run(project: &Path, playbook: &Playbook, how: &How) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        match tokio::time::timeout(Duration::from_secs(100_000), run_async(project, playbook, how)).await {
            Ok(seen) => seen,
            Err(_) => Seen {
                error: Some("it never ended".to_string()),
                ..Seen::default()
            },
        }
    })
}

async fn run_async(project: &Path, playbook: &Playbook, how: &How) -> Seen {
    let names: Vec<String> = (1..=how.hosts).map(|n| format!("h{n}")).collect();
    let inventory = Inventory::load(&[format!("{},", names.join(","))], project)
        .unwrap()
        .inventory;
    let world = World::new(how.seed, how.temper, project);
    world.state.lock().unwrap().forks = how.forks;
    if how.furnished {
        world.furnish(how.seed);
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (_stop, interrupt) = watch::channel(false);
    let parts = Parts {
        engine: engine(),
        inventory,
        extra: Map::new(),
        catalogue: Arc::new(Known),
        modules: find,
        connect: Box::new(world.clone()),
        sinks: vec![Box::new(Ears(seen.clone(), world.clone()))],
        interrupt,
    };
    let ended = acts::ended();
    let result = Executor::new(parts, settings(how, project)).run(playbook).await;
    let mut seen = seen.lock().unwrap().clone();
    match result {
        Ok(report) => {
            seen.exit = report.exit;
            seen.summaries = report.hosts;
            for (host, trips) in report.trips {
                seen.trips
                    .insert(host.to_string(), trips.into_iter().map(|t| t.what).collect());
            }
        }
        Err(error) => seen.error = Some(error.to_string()),
    }
    let mut state = world.state.lock().unwrap();
    seen.files = std::mem::take(&mut state.files);
    seen.changes = std::mem::take(&mut state.changes);
    seen.broken = std::mem::take(&mut state.broken);
    let (sent, ended) = (state.sent, acts::ended() - ended);
    if sent != ended {
        seen.broken.push(format!(
            "{sent} scripts were sent that alter something, and {ended} of their futures went on"
        ));
    }
    for summary in &mut seen.summaries {
        summary.round_trips = 0;
    }
    seen
}
