//! `vmstation run`: runs playbooks.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use super::listing::{self, Listing};
use super::options::RunOptions;
use super::project::Project;
use super::{person, print, signals};
use crate::config::Config;
use crate::host::Secret;
use crate::playbook::Playbook;
use crate::report::{BottomLines, JsonLines, Junit, Loudness, Outlook, Palette, Plain, Terminal};
use crate::run::{Connections, Defaults, Executor, Journal, Parts, Report, Settings, Sink, new_id};
use crate::source::{Diagnostic, reason};
use crate::transport::ssh::{AskPassphrase, Passphrase};
use crate::vars::Secrets;

/// Run playbooks
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Playbooks, one after another
    #[arg(required = true)]
    pub playbooks: Vec<PathBuf>,
    #[command(flatten)]
    pub listing: Listing,
    /// Begin with the task of this name
    #[arg(long, value_name = "TASK")]
    pub start_at_task: Option<String>,
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &RunArgs) -> Result<u8, Diagnostic> {
    told(&args.options, || run_told(args))
}

fn run_told(args: &RunArgs) -> Result<u8, Diagnostic> {
    Project::are_there(&args.playbooks, &args.options.hosts)?;
    args.options.hosts.enter_lab()?;
    if args.listing.is_wanted() {
        return listing::list(args.listing, &args.playbooks, &args.options);
    }
    let mut work = Work::with(&args.options, &args.playbooks)?;
    if let Some(task) = &args.start_at_task {
        work.playbook = work.playbook.starting_at(task)?;
    }
    let report = play(work, &args.options)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}

/// Does it. Where a file for `--junit` is wanted, it never tells of another run, and tells the error before this one.
pub fn told(options: &RunOptions, work: impl FnOnce() -> Result<u8, Diagnostic>) -> Result<u8, Diagnostic> {
    let Some(path) = &options.junit else {
        return work();
    };
    Junit::make_room(path)?;
    work().inspect_err(|error| {
        if let Err(error) = Junit::tell_why(path, error) {
            print::note(&error.to_string());
        }
    })
}

/// What is to be run, read and not yet begun.
pub struct Work {
    paths: Vec<PathBuf>,
    project: Project,
    playbook: Playbook,
}

impl Work {
    pub fn with(options: &RunOptions, playbooks: &[PathBuf]) -> Result<Self, Diagnostic> {
        let project = Project::load(&options.hosts, options.verbose > 0)?;
        let playbook = project.playbook(playbooks)?;
        Ok(Self {
            paths: playbooks.to_vec(),
            project,
            playbook,
        })
    }

    /// The hosts of all plays, as far as they are known before anything runs.
    pub fn hosts(&self) -> Result<Vec<Arc<str>>, Diagnostic> {
        let mut all = Vec::new();
        for play in &self.playbook.plays {
            for host in self.project.silently_hosts(play)? {
                if !all.contains(&host) {
                    all.push(host);
                }
            }
        }
        Ok(all)
    }
}

/// Runs playbooks with these options; `None`: somebody stopped it before it began.
pub fn play(work: Work, options: &RunOptions) -> Result<Option<Report>, Diagnostic> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Diagnostic::error(format!("cannot start: {}", reason(&e))))?;
    let done = runtime.block_on(play_async(work, options));
    // A prompt that nobody answers must not keep the program.
    runtime.shutdown_background();
    if matches!(&done, Ok(None)) || matches!(&done, Ok(Some(report)) if report.interrupted) {
        person::show_typing();
    }
    done
}

async fn play_async(work: Work, options: &RunOptions) -> Result<Option<Report>, Diagnostic> {
    let interrupt = signals::watch()?;
    let Work {
        paths,
        project,
        playbook,
    } = work;
    project.check(&playbook, &options.selection(&project.config).tags())?;
    let Some(passwords) = passwords(options, &project.config, interrupt.clone()).await? else {
        return Ok(None);
    };
    let secrets = project.engine.secrets().clone();
    passwords.keep_from_sight(&secrets);
    mask_panics(secrets.clone());
    let settings = settings(options, &project, &paths, passwords.sudo)?;
    let mut defaults = defaults(options, &project.config);
    defaults.password = passwords.login;
    let tell = Box::new(|said: &Diagnostic| print::note(&said.to_string()));
    let journal = Journal::create(&project.directory, &settings.id, tell)?;
    let (shown, ask) = shown(options, settings.diff, &secrets);
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(journal), shown];
    if let Some(path) = &options.junit {
        let tell = Box::new(|said: &Diagnostic| print::note(&said.to_string()));
        sinks.push(Box::new(Junit::new(path, tell)));
    }
    let connections = Connections::new(defaults);
    let connections = match ask {
        Some(ask) => connections.asking(ask),
        None => connections,
    };
    let parts = Parts {
        engine: project.engine,
        inventory: project.inventory,
        extra: project.extra,
        catalogue: project.catalogue,
        modules: crate::modules::find,
        connect: Box::new(connections),
        sinks,
        interrupt,
    };
    let report = perform(parts, settings, &playbook)
        .await
        .map_err(|error| masked(error, &secrets))?;
    if options.trips {
        print::data(&secrets.mask(&trips(&report)));
    }
    Ok(Some(report))
}

async fn perform(parts: Parts, settings: Settings, playbook: &Playbook) -> Result<Report, Diagnostic> {
    let executor = Executor::new(parts, settings).asking(Arc::new(person::ask));
    executor.run(playbook).await
}

/// An error as it is shown: a caret's line may hold a secret too.
fn masked(error: Diagnostic, secrets: &Secrets) -> Diagnostic {
    let text = error.to_string();
    match secrets.mask(&text) {
        Cow::Owned(masked) => {
            Diagnostic::error(masked.strip_prefix("error: ").unwrap_or(&masked).to_string())
        }
        Cow::Borrowed(_) => error,
    }
}

/// What the program says when it breaks down is shown, too.
fn mask_panics(secrets: Secrets) {
    std::panic::set_hook(Box::new(move |info| {
        print::note(&secrets.mask(&info.to_string()));
    }));
}

fn defaults(options: &RunOptions, config: &Config) -> Defaults {
    let mut defaults = Defaults::of(config);
    defaults.user = options.user.clone().or(defaults.user);
    defaults.private_key_file = options.private_key.clone().or(defaults.private_key_file);
    defaults.common_args = options.ssh_common_args.clone().or(defaults.common_args);
    defaults.extra_args = options.ssh_extra_args.clone().or(defaults.extra_args);
    if let Some(seconds) = options.timeout {
        defaults.timeout = std::time::Duration::from_secs(seconds.into());
    }
    defaults
}

/// Who shows what happens, and how the passphrases of keys are asked for meanwhile; `None`: not at all.
fn shown(options: &RunOptions, diff: bool, secrets: &Secrets) -> (Box<dyn Sink>, Option<AskPassphrase>) {
    if options.json {
        return (Box::new(JsonLines::new(io::stdout())), None);
    }
    let (sink, lines) = if options.outlook {
        (outlook(diff), None)
    } else {
        reporter(Loudness {
            quiet: options.quiet,
            verbosity: options.verbose,
            diff,
        })
    };
    if !person::is_there() {
        return (sink, None);
    }
    let secrets = secrets.clone();
    let ask = move |wanted: &Passphrase| {
        let typed = match &lines {
            Some(lines) => lines.put_away_while(|| person::passphrase(wanted)),
            None => person::passphrase(wanted),
        };
        typed.inspect(|typed| secrets.add(typed))
    };
    (sink, Some(Arc::new(ask)))
}

fn outlook(diff: bool) -> Box<dyn Sink> {
    let palette = Palette::detect(io::stdout().is_terminal(), |name| std::env::var(name).ok());
    Box::new(Outlook::new(io::stdout(), io::stderr(), diff, palette))
}

/// What fits standard output, and the lines at the bottom of it, if it has such.
pub fn reporter(loudness: Loudness) -> (Box<dyn Sink>, Option<BottomLines>) {
    let variable = |name: &str| std::env::var(name).ok();
    let terminal = io::stdout().is_terminal();
    let palette = Palette::detect(terminal, variable);
    // A terminal that cannot move its cursor is paper.
    if terminal && variable("TERM").is_some_and(|t| t != "dumb") {
        let terminal = Terminal::stdout(loudness, palette);
        let lines = terminal.bottom_lines();
        return (Box::new(terminal), Some(lines));
    }
    let plain = Plain::new(io::stdout(), io::stderr(), loudness, palette);
    (Box::new(plain), None)
}

fn trips(report: &Report) -> String {
    let mut text = String::new();
    for (host, trips) in &report.trips {
        for (n, trip) in trips.iter().enumerate() {
            let took = trip.took.as_secs_f64() * 1000.0;
            let _ = writeln!(text, "{host} {:>3}  {took:>7.1} ms  {}", n + 1, trip.what);
        }
    }
    text
}

/// What was typed before anything began.
struct Passwords {
    login: Option<String>,
    sudo: Option<Secret>,
}

impl Passwords {
    fn keep_from_sight(&self, secrets: &Secrets) {
        let sudo = self.sudo.as_ref().map(Secret::reveal);
        for password in self.login.as_deref().into_iter().chain(sudo) {
            secrets.add(password);
        }
    }
}

/// `None`: stopped meanwhile.
async fn passwords(
    options: &RunOptions,
    config: &Config,
    mut interrupt: watch::Receiver<bool>,
) -> Result<Option<Passwords>, Diagnostic> {
    let login = options.ask_pass || config.ask_pass;
    let sudo = options.ask_become_pass || config.become_ask_pass;
    if !login && !sudo {
        let none = Passwords {
            login: None,
            sudo: None,
        };
        return Ok(Some(none));
    }
    let asked = tokio::task::spawn_blocking(move || ask_passwords(login, sudo));
    let typed = tokio::select! {
        _ = interrupt.wait_for(|stop| *stop) => return Ok(None),
        typed = asked => typed.unwrap_or_else(|_| Err(Diagnostic::error("no password could be read"))),
    };
    // What stops the program may break off the reading first.
    if typed.is_err() && stops_soon(interrupt).await {
        return Ok(None);
    }
    typed.map(Some)
}

async fn stops_soon(mut interrupt: watch::Receiver<bool>) -> bool {
    let soon = std::time::Duration::from_millis(200);
    let stopped = tokio::time::timeout(soon, interrupt.wait_for(|stop| *stop)).await;
    stopped.is_ok_and(|waited| waited.is_ok())
}

fn ask_passwords(login: bool, sudo: bool) -> Result<Passwords, Diagnostic> {
    let login = login.then(|| person::password("SSH password: ")).transpose()?;
    let prompt = match login {
        Some(_) => "BECOME password (empty: the SSH password): ",
        None => "BECOME password: ",
    };
    let sudo = sudo.then(|| person::password(prompt)).transpose()?;
    let sudo = match sudo {
        Some(typed) if typed.is_empty() => login.clone(),
        other => other,
    };
    Ok(Passwords {
        login,
        sudo: sudo.map(Secret::new),
    })
}

fn settings(
    options: &RunOptions,
    project: &Project,
    playbooks: &[PathBuf],
    password: Option<Secret>,
) -> Result<Settings, Diagnostic> {
    let config = &project.config;
    let selection = options.selection(config);
    let or = |own: &Option<String>, other: &String| own.clone().unwrap_or_else(|| other.clone());
    Ok(Settings {
        id: new_id(),
        check: options.check,
        diff: options.diff || config.diff_always,
        forks: options.forks.or(config.forks.map(|f| f as usize)).unwrap_or(50),
        run_ahead: !options.no_run_ahead,
        verbosity: options.verbose,
        tags: selection.wanted,
        skip_tags: selection.skipped,
        limit: options.hosts.limit.clone(),
        inventory_sources: project.sources.clone(),
        config_file: config.file.clone(),
        remote_user: options.user.clone().or_else(|| config.remote_user.clone()),
        connection: options
            .connection
            .clone()
            .or_else(|| config.transport.clone())
            .filter(|name| name != "smart")
            .unwrap_or_else(|| "ssh".to_owned()),
        gathering: config.gathering,
        r#become: options.r#become || config.become_,
        become_user: or(&options.become_user, &config.become_user),
        become_method: or(&options.become_method, &config.become_method),
        become_flags: config.become_flags.clone(),
        become_exe: config.become_exe.clone(),
        become_password: password,
        force_handlers: options.force_handlers || config.force_handlers,
        any_errors_fatal: config.any_errors_fatal,
        strategy: project.strategy()?,
        roles_path: config.roles_path.clone(),
        project: project.directory.clone(),
        own_user: own_user(),
        managed: config.ansible_managed.clone(),
        interactive: person::is_there(),
        playbooks: playbooks.iter().map(|p| p.display().to_string()).collect(),
    })
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
