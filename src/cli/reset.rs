//! `vmstation reset`: runs the project's `playbooks/reset.yml`, after asking.

use std::sync::Arc;

use clap::Args;

use super::deploy::read_project_playbook;
use super::options::RunOptions;
use super::{person, print, run, signals};
use crate::source::Diagnostic;

/// The exit code where a guard said no.
const REFUSED: u8 = 5;

/// What has to be typed.
const WORD: &str = "reset";

/// Undo on the hosts what deploy did, as playbooks/reset.yml describes it
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Do not ask, for scripts
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &ResetArgs) -> Result<u8, Diagnostic> {
    run::told(&args.options, || run_told(args))
}

fn run_told(args: &ResetArgs) -> Result<u8, Diagnostic> {
    let (work, hosts) = read_project_playbook("reset", "reset", &args.options)?;
    // A dry run undoes nothing.
    let sure = args.yes || args.options.check || is_confirmed(&hosts);
    if !sure {
        return Ok(REFUSED);
    }
    let report = run::play(work, &args.options)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}

fn is_confirmed(hosts: &[Arc<str>]) -> bool {
    let hosts = match hosts.len() {
        0..=10 => hosts.join(", "),
        n => format!("{n} hosts"),
    };
    if !person::is_there() {
        print::note(&format!(
            "error: reset undoes the deployment on {hosts}, and there is nobody to confirm it\n\
             help: `vmstation reset --yes` does not ask"
        ));
        return false;
    }
    let question = format!("This undoes the deployment on {hosts}. Type `{WORD}` to go on:");
    if person::ask(&question, true).is_some_and(|typed| typed.trim() == WORD) {
        return true;
    }
    print::note("nothing was done");
    false
}
