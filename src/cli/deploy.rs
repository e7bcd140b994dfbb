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
    let playbook = project_playbook("deploy")?;
    args.options.hosts.enter_lab()?;
    let report = run::play(&[playbook], &args.options, None)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}

/// `playbooks/NAME.yml` of the project in the working directory.
pub fn project_playbook(name: &str) -> Result<PathBuf, Diagnostic> {
    let path = PathBuf::from(format!("playbooks/{name}.yml"));
    if path.is_file() {
        return Ok(path);
    }
    Err(
        Diagnostic::error(format!("there is no `{}` in this directory", path.display())).help(format!(
            "`vmstation {name}` runs that playbook of a project: go to the project's directory, or run \
             another playbook with `vmstation run PLAYBOOK`"
        )),
    )
}
