//! `vmstation reset`: runs the project's `playbooks/reset.yml`, after asking.

use std::path::{Path, PathBuf};

use clap::Args;

use super::deploy::project_playbook;
use super::options::RunOptions;
use super::project::Project;
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
    let playbook = project_playbook("reset", "reset")?;
    args.options.hosts.enter_lab()?;
    // A dry run undoes nothing.
    let sure = args.yes || args.options.check || confirmed(&playbook, args)?;
    if !sure {
        return Ok(REFUSED);
    }
    let report = run::play(&[playbook], &args.options, None)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}

fn confirmed(playbook: &Path, args: &ResetArgs) -> Result<bool, Diagnostic> {
    let hosts = hosts(playbook, args)?;
    if !person::is_there() {
        print::note(&format!(
            "error: reset undoes the deployment on {hosts}, and there is nobody to confirm it\n\
             help: `vmstation reset --yes` does not ask"
        ));
        return Ok(false);
    }
    let question = format!("This undoes the deployment on {hosts}. Type `{WORD}` to go on:");
    if person::ask(&question, true).is_some_and(|typed| typed.trim() == WORD) {
        return Ok(true);
    }
    print::note("nothing was done");
    Ok(false)
}

fn hosts(playbook: &Path, args: &ResetArgs) -> Result<String, Diagnostic> {
    let project = Project::load(&args.options.hosts, false)?;
    let mut all = Vec::new();
    for play in project.playbook(&[PathBuf::from(playbook)])?.plays {
        for host in project.hosts(&play)? {
            if !all.contains(&host) {
                all.push(host);
            }
        }
    }
    Ok(match all.len() {
        0 => "no host".to_string(),
        1..=10 => all.join(", "),
        n => format!("{n} hosts"),
    })
}
