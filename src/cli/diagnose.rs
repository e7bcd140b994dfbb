//! `vmstation diagnose`: runs the project's `playbooks/diagnose.yml`.

use clap::Args;

use super::deploy::play_project_playbook;
use super::options::RunOptions;
use crate::source::Diagnostic;

/// Collect evidence of what is wrong with the cluster, without changing anything on the hosts
///
/// Runs playbooks/diagnose.yml.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &DiagnoseArgs) -> Result<u8, Diagnostic> {
    play_project_playbook("diagnose", &args.options)
}
