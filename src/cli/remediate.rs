//! `vmstation remediate`: runs the project's `playbooks/remediate.yml`.

use clap::Args;

use super::deploy::read_project_playbook;
use super::options::RunOptions;
use super::{run, signals};
use crate::source::Diagnostic;

/// Prove that the cluster's network works, and mend it where it does not
///
/// Runs playbooks/remediate.yml. The exit code is 3 if it could not be mended; the evidence is kept then.
#[derive(Debug, Args)]
pub struct RemediateArgs {
    #[command(flatten)]
    pub options: RunOptions,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &RemediateArgs) -> Result<u8, Diagnostic> {
    let (work, _) = read_project_playbook("remediate", "remediate", &args.options)?;
    let report = run::play(work, &args.options)?;
    Ok(report.map_or(signals::INTERRUPTED, |r| r.exit))
}
