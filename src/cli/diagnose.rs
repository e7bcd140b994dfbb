//! `vmstation diagnose`: runs the project's `playbooks/diagnose.yml`.

use clap::Args;

use super::deploy::read_project_playbook;
use super::options::RunOptions;
use super::{run, signals};
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
    let (work, _) = read_project_playbook("diagnose", "diagnose", &args.options)?;
    let report = run::play(work, &args.options)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}
