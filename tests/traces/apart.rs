//! Cases played in this process, on machines of which the questions go one way and what alters another: through
//! an sshd that sees every file system read-only.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use vmstation::cli::Modules;
use vmstation::config::{Config, Environment, Gathering};
use vmstation::host::{Frame, Identity, Lost, Machine, Reply, Trip};
use vmstation::inventory::Inventory;
use vmstation::lab::Place;
use vmstation::plan::Strategy;
use vmstation::playbook::{Level, Loader, Playbook, Written};
use vmstation::report::JsonLines;
use vmstation::run::{Connect, Connections, Defaults, Event, Executor, MachineKey, Parts, Settings, Sink};
use vmstation::source::Diagnostic;
use vmstation::template::{Controller, Engine};
use vmstation::transport::Boxed;
use vmstation::vars::{Map, Value};

use super::casebook::{Case, Ran};

/// The port of the sshd that alters nothing.
pub const PORT: u16 = 2222;

/// The modules that looked at the machine.
pub type Asked = Arc<Mutex<BTreeSet<String>>>;

/// How a case is played.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A dry run, over the host's own sshd.
    Check,
    /// For real, the questions apart.
    Apart,
}

/// Both ways to a machine.
struct Apart {
    altering: Arc<dyn Machine>,
    looking: Arc<dyn Machine>,
    asked: Arc<Mutex<bool>>,
}

impl Machine for Apart {
    fn frame(&self, identity: Identity, frame: Frame) -> Boxed<'static, Result<Reply, Lost>> {
        let looks = frame.work.as_ref().is_none_or(|work| work.only_looks);
        if looks || !frame.questions.is_empty() {
            *self.asked.lock().unwrap() = true;
        }
        if looks {
            return self.looking.frame(identity, frame);
        }
        let Frame {
            work,
            questions,
            patience,
        } = frame;
        let work = Frame {
            work,
            ..Frame::default()
        };
        let questions = Frame {
            questions,
            patience,
            ..Frame::default()
        };
        let done = self.altering.frame(identity.clone(), work);
        let looking = self.looking.clone();
        Box::pin(async move {
            let mut reply = done.await?;
            if !questions.questions.is_empty() {
                reply.answers = looking.frame(identity, questions).await?.answers;
            }
            Ok(reply)
        })
    }

    fn interrupt(&self) -> Boxed<'static, ()> {
        both(self.altering.interrupt(), self.looking.interrupt())
    }

    fn forget_identities(&self) {
        self.altering.forget_identities();
        self.looking.forget_identities();
    }

    fn close(&self) -> Boxed<'static, ()> {
        both(self.altering.close(), self.looking.close())
    }

    fn trips(&self) -> Vec<Trip> {
        [self.altering.trips(), self.looking.trips()].concat()
    }
}

fn both(one: Boxed<'static, ()>, other: Boxed<'static, ()>) -> Boxed<'static, ()> {
    Box::pin(async move {
        one.await;
        other.await;
    })
}

struct Connected {
    connections: Connections,
    how: How,
    asked: Arc<Mutex<bool>>,
}

impl Connect for Connected {
    fn machine(&mut self, key: &MachineKey, variables: &Map) -> Result<Arc<dyn Machine>, Diagnostic> {
        let altering = self.connections.machine(key, variables)?;
        if key.local || self.how == How::Check {
            return Ok(altering);
        }
        let mut elsewhere = variables.clone();
        let arguments =
            "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes";
        elsewhere.insert("ansible_port".into(), Value::from(i64::from(PORT)));
        elsewhere.insert("ansible_host_key_checking".into(), Value::from(false));
        elsewhere.insert("ansible_ssh_common_args".into(), Value::from(arguments));
        Ok(Arc::new(Apart {
            altering,
            looking: self.connections.machine(key, &elsewhere)?,
            asked: self.asked.clone(),
        }))
    }
}

/// Whatever looked since the task before ended was the task's doing: nothing runs ahead here.
struct Attribution {
    asked: Arc<Mutex<bool>>,
    all: Asked,
}

impl Sink for Attribution {
    fn take(&mut self, event: &Event) {
        if let Event::TaskFinished { action, .. } = event
            && std::mem::take(&mut *self.asked.lock().unwrap())
        {
            self.all.lock().unwrap().insert(action.clone());
        }
    }
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Plays a case on one host.
pub fn play(lab: &str, host: &str, case: &Case, w: &str, how: How, asked: &Asked) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let project = tempfile::tempdir().unwrap();
    let inventory = Place::new(lab).unwrap().inventory().display().to_string();
    let looked = Arc::new(Mutex::new(false));
    let printed = Printed::default();
    let config = Config::load(&Environment::default(), project.path()).unwrap();
    let connect = Connected {
        connections: Connections::new(Defaults::of(&config)),
        how,
        asked: looked.clone(),
    };
    let attribution = Attribution {
        asked: looked,
        all: asked.clone(),
    };
    let (_stop, interrupt) = watch::channel(false);
    let mut extra = Map::new();
    extra.insert("w".into(), Value::from(w));
    let parts = Parts {
        engine: Engine::new(Arc::new(Controller)),
        inventory: Inventory::load(&[inventory], project.path()).unwrap().inventory,
        extra,
        catalogue: Arc::new(Modules),
        modules: vmstation::modules::find,
        connect: Box::new(connect),
        sinks: vec![Box::new(attribution), Box::new(JsonLines::new(printed.clone()))],
        interrupt,
    };
    let settings = settings(host, case, how, project.path());
    let playbook = load(case, project.path());
    let ended = runtime.block_on(Executor::new(parts, settings).run(&playbook));
    let text = String::from_utf8_lossy(&printed.0.lock().unwrap()).into_owned();
    match ended {
        Ok(report) => Ran::of(report.exit.into(), text, w),
        Err(error) => Ran::of(1, format!("{text}{error}"), w),
    }
}

fn load(case: &Case, project: &Path) -> Playbook {
    let render = |written: &Written, _: &Arc<Level>| match &written.value {
        Value::String(text) => Ok(text.to_string()),
        _ => Err(Diagnostic::error("not static")),
    };
    let mut loader = Loader {
        catalogue: &Modules,
        roles_path: Vec::new(),
        project: project.to_path_buf(),
        render: &render,
        warnings: Vec::new(),
        imported: Vec::new(),
        read: Vec::new(),
    };
    loader.playbook(&case.path).unwrap()
}

fn settings(host: &str, case: &Case, how: How, project: &Path) -> Settings {
    Settings {
        id: "test".to_string(),
        check: how == How::Check,
        diff: false,
        forks: 50,
        // One by one when it matters who asked.
        run_ahead: how == How::Check,
        verbosity: 0,
        tags: Vec::new(),
        skip_tags: Vec::new(),
        limit: Some(host.to_string()),
        inventory_sources: Vec::new(),
        config_file: None,
        remote_user: None,
        connection: "ssh".into(),
        gathering: Gathering::Implicit,
        r#become: false,
        become_user: "root".to_string(),
        become_method: "sudo".to_string(),
        become_flags: None,
        managed: "Ansible managed".to_string(),
        become_exe: None,
        become_password: None,
        force_handlers: false,
        any_errors_fatal: false,
        strategy: Strategy::Linear,
        roles_path: Vec::new(),
        project: project.to_path_buf(),
        own_user: "root".to_string(),
        interactive: false,
        playbooks: vec![case.path.display().to_string()],
    }
}
