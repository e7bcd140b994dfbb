//! `vmstation remediate`: runs the project's `playbooks/remediate.yml`.

use clap::Args;

use super::deploy::play_project_playbook;
use super::options::RunOptions;
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
    play_project_playbook("remediate", &args.options)
}
