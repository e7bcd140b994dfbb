//! `vmstation plan`: what a run would change, and what it cannot know; nothing is changed.

use std::path::PathBuf;

use clap::Args;

use super::deploy::read_project_playbook;
use super::options::RunOptions;
use super::project::Project;
use super::run::{self, Work};
use super::signals;
use crate::source::Diagnostic;

/// The exit code of `--detailed-exitcode` when something would change, or may.
const PENDING: u8 = 2;

/// Say what a run would change, what cannot be known before, and because of what
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Playbooks, one after another [default: playbooks/deploy.yml]
    pub playbooks: Vec<PathBuf>,
    /// Exit with 2 when something would change, or cannot be known, for scripts
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &PlanArgs) -> Result<u8, Diagnostic> {
    run::told(&args.options, || run_told(args))
}

fn run_told(args: &PlanArgs) -> Result<u8, Diagnostic> {
    let work = if args.playbooks.is_empty() {
        read_project_playbook("deploy", "plan", &args.options)?.0
    } else {
        Project::are_there(&args.playbooks, &args.options.hosts)?;
        args.options.hosts.enter_lab()?;
        Work::with(&args.options, &args.playbooks)?
    };
    let mut options = args.options.clone();
    options.check = true;
    // `-v` wants to see everything as it happens, `-q` nothing but the end.
    options.outlook = options.verbose == 0 && !options.quiet;
    let Some(report) = run::play(work, &options)? else {
        return Ok(signals::INTERRUPTED);
    };
    // What cannot be known may be a change.
    let pending = report.hosts.iter().any(|h| h.changed + h.unknown > 0);
    // A failure beats what is pending.
    if report.exit == 0 && pending && args.detailed_exitcode {
        return Ok(PENDING);
    }
    Ok(report.exit)
}
