//! `vmstation preflight`: runs the project's `playbooks/preflight.yml`.

use clap::Args;

use super::deploy::read_project_playbook;
use super::options::RunOptions;
use super::{run, signals};
use crate::source::Diagnostic;

/// Say what of the hosts would keep Kubernetes from working, without changing anything
///
/// Runs playbooks/preflight.yml. The exit code is 5 if something was found that deploy would not mend.
#[derive(Debug, Args)]
pub struct PreflightArgs {
    #[command(flatten)]
    pub options: RunOptions,
}

/// A task failed: here, because of what it found.
const FAILED: u8 = 3;
const REFUSED: u8 = 5;

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &PreflightArgs) -> Result<u8, Diagnostic> {
    let (work, _) = read_project_playbook("preflight", "preflight", &args.options)?;
    let report = run::play(work, &args.options)?;
    let exit = report.map_or(signals::INTERRUPTED, |r| r.exit);
    Ok(if exit == FAILED { REFUSED } else { exit })
}
