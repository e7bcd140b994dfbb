//! `vmstation run`: runs playbooks.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use crate::config::{Config, Environment};
use crate::host::Secret;
use crate::inventory::{Inventory, extra_vars};
use crate::lab::{self, Place};
use crate::modules;
use crate::playbook::{Catalogue, Loader, Playbook, Signature, Written};
use crate::report::{JsonLines, Loudness, Palette, Plain, Terminal};
use crate::run::{Connections, Defaults, Executor, Journal, Parts, Settings, Sink};
use crate::source::Diagnostic;
use crate::template::{Controller, Engine, Found, Moment, Scope};
use crate::vars::{Map, Value};

/// Run playbooks
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Playbooks, one after another
    #[arg(required = true)]
    pub playbooks: Vec<PathBuf>,
    #[command(flatten)]
    pub options: RunOptions,
}

/// What every command that runs playbooks takes
#[derive(Debug, Args, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub struct RunOptions {
    /// Inventory: a file, a directory, or hosts with a comma; may be given several times
    #[arg(short, long, value_name = "SOURCE")]
    pub inventory: Vec<String>,
    /// Only these hosts, as a pattern
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,
    /// Variables that win over all others: name=value, {json}, or @file
    #[arg(short, long = "extra-vars", value_name = "VARS")]
    pub extra_vars: Vec<String>,
    /// Only tasks with these tags
    #[arg(short, long, value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No tasks with these tags
    #[arg(long, value_delimiter = ',')]
    pub skip_tags: Vec<String>,
    /// Change nothing; say what would be changed
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show what changes in files
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// The most hosts on which something is being changed at once
    #[arg(short, long)]
    pub forks: Option<usize>,
    /// Connect as this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Connect with this key
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Become another user (root, if no other is named)
    #[arg(short, long)]
    pub r#become: bool,
    /// Become this user
    #[arg(long, value_name = "USER")]
    pub become_user: Option<String>,
    /// How to become: sudo or su
    #[arg(long, value_name = "METHOD")]
    pub become_method: Option<String>,
    /// Ask for the password of sudo
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
    /// Ask for the password to connect with
    #[arg(short = 'k', long)]
    pub ask_pass: bool,
    /// Seconds until a connection that does not come about is given up
    #[arg(short = 'T', long)]
    pub timeout: Option<u32>,
    /// Say more; twice: results too
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what failed, and the end
    #[arg(short, long)]
    pub quiet: bool,
    /// Print events as lines of JSON
    #[arg(long)]
    pub json: bool,
    /// List each round trip and what it was for
    #[arg(long)]
    pub trips: bool,
    /// Use the hosts of the lab (`vmstation lab up`)
    #[arg(long, num_args = 0..=1, default_missing_value = "lab", require_equals = true, value_name = "NAME")]
    pub lab: Option<String>,
    /// Ask nothing before a task's turn: slower, same result
    #[arg(long, hide = true)]
    pub no_run_ahead: bool,
    /// Run handlers also on hosts that failed
    #[arg(long)]
    pub force_handlers: bool,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &RunArgs) -> Result<u8, Diagnostic> {
    enter_lab(&args.options)?;
    play(&args.playbooks, &args.options)
}

/// With `--lab`, goes on inside the lab's network.
pub fn enter_lab(options: &RunOptions) -> Result<(), Diagnostic> {
    let Some(name) = &options.lab else { return Ok(()) };
    lab::enter(&Place::new(name)?, std::env::args_os().skip(1))
}

/// Runs playbooks with these options.
pub fn play(playbooks: &[PathBuf], options: &RunOptions) -> Result<u8, Diagnostic> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Diagnostic::error(format!("cannot start: {}", crate::source::reason(&e))))?;
    let done = runtime.block_on(play_async(playbooks, options));
    // A prompt that nobody answers must not keep the program.
    runtime.shutdown_background();
    done
}

async fn play_async(playbooks: &[PathBuf], options: &RunOptions) -> Result<u8, Diagnostic> {
    let project = std::env::current_dir().map_err(|e| {
        Diagnostic::error(format!(
            "there is no working directory: {}",
            crate::source::reason(&e)
        ))
    })?;
    let environment: Environment = std::env::vars().collect();
    let config = Config::load(&environment, &project)?;
    let mut notes: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    if options.verbose > 0 {
        notes.extend(
            config
                .ignored
                .iter()
                .map(|(name, span)| format!("note: `{name}` has no effect here ({span})")),
        );
    }
    let (extra, warnings) = extra_vars(&options.extra_vars)?;
    notes.extend(warnings.iter().map(ToString::to_string));
    let sources = sources(options, &config, &project)?;
    let loaded = Inventory::load(&sources, &project)?;
    notes.extend(loaded.warnings.iter().map(ToString::to_string));

    let engine = Engine::new(Arc::new(Controller));
    let catalogue: Arc<dyn Catalogue> = Arc::new(Modules);
    let (playbook, warnings) = read(playbooks, &engine, catalogue.as_ref(), &config, &project, &extra)?;
    notes.extend(warnings.iter().map(ToString::to_string));
    let mut err = io::stderr();
    for note in notes {
        let _ = writeln!(err, "{note}");
    }

    let settings = settings(options, &config, &project, sources, playbooks)?;
    let mut defaults = Defaults::of(&config);
    defaults.user = options.user.clone().or(defaults.user);
    defaults.private_key_file = options.private_key.clone().or(defaults.private_key_file);
    if let Some(seconds) = options.timeout {
        defaults.timeout = std::time::Duration::from_secs(seconds.into());
    }
    if options.ask_pass || config.ask_pass {
        defaults.password = Some(ask_password("SSH password: ")?);
    }
    let journal = Journal::create(&project, &settings.id)?;
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(journal)];
    if options.json {
        sinks.push(Box::new(JsonLines::new(io::stdout())));
    } else {
        let loudness = Loudness {
            quiet: options.quiet,
            verbosity: options.verbose,
            diff: settings.diff,
        };
        let terminal = io::stdout().is_terminal();
        let palette = Palette::detect(terminal, |name| std::env::var(name).ok());
        let dumb = std::env::var("TERM").is_ok_and(|t| t == "dumb");
        if terminal && !dumb {
            sinks.push(Box::new(Terminal::stdout(loudness, palette)));
        } else {
            sinks.push(Box::new(Plain::new(
                io::stdout(),
                io::stderr(),
                loudness,
                palette,
            )));
        }
    }
    let (stop, interrupt) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = stop.send(true);
        }
        std::future::pending::<()>().await;
    });
    let parts = Parts {
        engine,
        inventory: loaded.inventory,
        extra,
        catalogue,
        connect: Box::new(Connections::new(defaults)),
        sinks,
        interrupt,
    };
    let report = Executor::new(parts, settings).run(&playbook).await?;
    if options.trips {
        let mut out = io::stdout().lock();
        for (host, trips) in &report.trips {
            for (n, trip) in trips.iter().enumerate() {
                let _ = writeln!(
                    out,
                    "{host} {:>3}  {:>7.1} ms  {}",
                    n + 1,
                    trip.took.as_secs_f64() * 1000.0,
                    trip.what
                );
            }
        }
    }
    Ok(report.exit)
}

fn sources(options: &RunOptions, config: &Config, project: &Path) -> Result<Vec<String>, Diagnostic> {
    let mut sources = options.inventory.clone();
    if sources.is_empty() {
        sources = config.inventory.iter().map(|p| p.display().to_string()).collect();
        let own = project.join("inventory").join("hosts.yml");
        if !config.inventory_is_set && own.is_file() {
            sources = vec!["inventory/hosts.yml".to_string()];
        }
    }
    if let Some(name) = &options.lab {
        sources.push(Place::new(name)?.inventory().display().to_string());
    }
    Ok(sources)
}

fn settings(
    options: &RunOptions,
    config: &Config,
    project: &Path,
    sources: Vec<String>,
    playbooks: &[PathBuf],
) -> Result<Settings, Diagnostic> {
    let password = if options.ask_become_pass || config.become_ask_pass {
        Some(Secret::new(ask_password("BECOME password: ")?))
    } else {
        None
    };
    let list = |own: &[String], other: &[String]| {
        if own.is_empty() {
            other.to_vec()
        } else {
            own.to_vec()
        }
    };
    Ok(Settings {
        id: id(),
        check: options.check,
        diff: options.diff || config.diff_always,
        forks: options.forks.or(config.forks.map(|f| f as usize)).unwrap_or(50),
        run_ahead: !options.no_run_ahead,
        verbosity: options.verbose,
        tags: list(&options.tags, &config.run_tags),
        skip_tags: list(&options.skip_tags, &config.skip_tags),
        limit: options.limit.clone(),
        inventory_sources: sources,
        config_file: config.file.clone(),
        remote_user: options.user.clone().or_else(|| config.remote_user.clone()),
        gathering: config.gathering,
        r#become: options.r#become || config.become_,
        become_user: options
            .become_user
            .clone()
            .unwrap_or_else(|| config.become_user.clone()),
        become_method: options
            .become_method
            .clone()
            .unwrap_or_else(|| config.become_method.clone()),
        become_password: password,
        force_handlers: options.force_handlers || config.force_handlers,
        any_errors_fatal: config.any_errors_fatal,
        roles_path: config.roles_path.clone(),
        project: project.to_path_buf(),
        own_user: own_user(),
        interactive: false,
        playbooks: playbooks.iter().map(|p| p.display().to_string()).collect(),
    })
}

/// Reads the playbooks; templates in imports see the play's and the command line's variables.
pub fn read(
    playbooks: &[PathBuf],
    engine: &Engine,
    catalogue: &dyn Catalogue,
    config: &Config,
    project: &Path,
    extra: &Map,
) -> Result<(Playbook, Vec<Diagnostic>), Diagnostic> {
    let extra = Arc::new(extra.clone());
    let render = |written: &Written, level: &Arc<crate::playbook::Level>| {
        let scope: Arc<dyn Scope> = Arc::new(StaticScope {
            level: level.clone(),
            extra: extra.clone(),
        });
        match engine.render(&written.value, &scope, Moment::Turn) {
            Ok(Value::String(text)) => Ok(text.to_string()),
            Ok(other) => Err(Diagnostic::error(format!("must be text, not a {}", other.type_name())).at(&written.span)),
            Err(crate::template::TemplateError::Undefined(d) | crate::template::TemplateError::Failed(d)) => Err(d
                .within(&written.span)
                .help("an import is resolved before anything runs: only variables of the play and of `-e` are known; `include_…` is resolved when it is reached")),
            Err(_) => Err(Diagnostic::error("cannot be known before anything runs").at(&written.span)),
        }
    };
    let mut loader = Loader {
        catalogue,
        roles_path: config.roles_path.clone(),
        project: project.to_path_buf(),
        render: &render,
        warnings: Vec::new(),
        imported: Vec::new(),
    };
    let mut all = Playbook { plays: Vec::new() };
    for path in playbooks {
        if !path.is_file() {
            return Err(Diagnostic::error(format!(
                "there is no playbook `{}`",
                path.display()
            )));
        }
        all.plays.extend(loader.playbook(path)?.plays);
    }
    Ok((all, loader.warnings))
}

/// What is known before anything runs.
#[derive(Debug)]
struct StaticScope {
    level: Arc<crate::playbook::Level>,
    extra: Arc<Map>,
}

impl Scope for StaticScope {
    fn get(&self, name: &str) -> Found {
        let written = || {
            self.level
                .chain()
                .find_map(|l| l.params.get(name).or_else(|| l.keywords.vars.get(name)))
        };
        match self.extra.get(name).or_else(written) {
            Some(value) => Found::Value(value.clone()),
            None => Found::Undefined,
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.extra
            .keys()
            .filter_map(|k| k.as_str().map(Arc::from))
            .collect()
    }
}

/// The modules, as the parser knows them.
pub struct Modules;

impl Catalogue for Modules {
    fn find(&self, name: &str) -> Option<Signature> {
        modules::find(name).map(|e| Signature {
            name: e.name,
            free_form: e.free_form,
            options: (e.options)(),
            unrendered: e.unrendered,
            fence: e.fence,
            facts: e.facts,
        })
    }

    fn names(&self) -> Vec<&'static str> {
        modules::ALL.iter().map(|e| e.name).collect()
    }
}

/// Names a run: the time, and something that no other run at that time has.
fn id() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}-{}", since.as_millis(), std::process::id())
}

fn own_user() -> String {
    let uid = std::os::unix::fs::MetadataExt::uid;
    let own = std::fs::metadata("/proc/self")
        .map(|m| uid(&m))
        .unwrap_or_default();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .find_map(|l| {
            let mut fields = l.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse::<u32>().ok()? == own).then(|| name.to_string())
        })
        .unwrap_or_else(|| own.to_string())
}

/// Asks on the terminal without showing what is typed; from a pipe, takes the first line.
fn ask_password(prompt: &str) -> Result<String, Diagnostic> {
    rpassword::prompt_password(prompt).map_err(|e| {
        Diagnostic::error(format!(
            "no password could be read: {}",
            crate::source::reason(&e)
        ))
    })
}
