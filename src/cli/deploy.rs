//! `vmstation deploy`: runs the project's `playbooks/deploy.yml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::options::RunOptions;
use super::run::{self, Work};
use super::signals;
use crate::source::Diagnostic;

/// Bring the hosts into the state that playbooks/deploy.yml describes
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &DeployArgs) -> Result<u8, Diagnostic> {
    play_project_playbook("deploy", &args.options)
}

/// Runs `playbooks/NAME.yml` for the command of that name; the exit code of the program.
pub fn play_project_playbook(name: &str, options: &RunOptions) -> Result<u8, Diagnostic> {
    run::told(options, || {
        let (work, _) = read_project_playbook(name, name, options)?;
        let report = run::play(work, options)?;
        Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
    })
}

/// `playbooks/NAME.yml` of the project in the working directory, for a command that was given no other.
pub fn project_playbook(name: &str, command: &str) -> Result<PathBuf, Diagnostic> {
    let path = PathBuf::from(format!("playbooks/{name}.yml"));
    if path.is_file() {
        return Ok(path);
    }
    Err(is_missing(&path, command))
}

/// The same, read, and its hosts: it is for some.
pub fn read_project_playbook(
    name: &str,
    command: &str,
    options: &RunOptions,
) -> Result<(Work, Vec<Arc<str>>), Diagnostic> {
    let path = project_playbook(name, command)?;
    options.hosts.enter_lab()?;
    let work = Work::with(options, std::slice::from_ref(&path))?;
    let hosts = work.hosts()?;
    if hosts.is_empty() {
        return Err(
            Diagnostic::error(format!("there is no host for `{}`", path.display())).help(
                "those that its `hosts` names must be in the inventory, which `-i` chooses, and within `--limit`",
            ),
        );
    }
    Ok((work, hosts))
}

fn is_missing(path: &Path, command: &str) -> Diagnostic {
    let other = match command {
        "deploy" | "diagnose" | "preflight" | "remediate" | "reset" => "run",
        takes_playbooks => takes_playbooks,
    };
    Diagnostic::error(format!("there is no `{}` in this directory", path.display())).help(format!(
        "`vmstation {command}` is about that playbook of a project: go to the project's directory, or name \
         another playbook: `vmstation {other} PLAYBOOK`"
    ))
}
