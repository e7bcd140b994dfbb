//! `vmstation deploy`: runs the project's `playbooks/deploy.yml`.

use std::path::PathBuf;

use clap::Args;

use super::options::RunOptions;
use super::{run, signals};
use crate::source::Diagnostic;

/// Bring the hosts into the state that playbooks/deploy.yml describes
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &DeployArgs) -> Result<u8, Diagnostic> {
    let playbook = project_playbook("deploy", "deploy")?;
    args.options.hosts.enter_lab()?;
    let report = run::play(&[playbook], &args.options, None)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}

/// `playbooks/NAME.yml` of the project in the working directory, for a command that was given no other.
pub fn project_playbook(name: &str, command: &str) -> Result<PathBuf, Diagnostic> {
    let path = PathBuf::from(format!("playbooks/{name}.yml"));
    if path.is_file() {
        return Ok(path);
    }
    let other = match command {
        "deploy" | "reset" => "run",
        takes_playbooks => takes_playbooks,
    };
    Err(
        Diagnostic::error(format!("there is no `{}` in this directory", path.display())).help(format!(
            "`vmstation {command}` is about that playbook of a project: go to the project's directory, or name \
             another playbook: `vmstation {other} PLAYBOOK`"
        )),
    )
}
