//! `vmstation preflight`: runs the project's `playbooks/preflight.yml`.

use clap::Args;

use super::deploy::play_project_playbook;
use super::options::RunOptions;
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
    let exit = play_project_playbook("preflight", &args.options)?;
    Ok(if exit == FAILED { REFUSED } else { exit })
}
