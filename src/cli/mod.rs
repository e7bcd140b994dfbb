//! The commands: words in, exit code out.

mod catalogue;
mod deploy;
mod diagnose;
mod graph;
mod inventory;
mod lab;
mod listing;
mod options;
mod person;
mod plan;
mod preflight;
mod print;
mod project;
mod remediate;
mod reset;
mod run;
mod show_progress;
mod signals;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use catalogue::Modules;

/// Runs Ansible playbooks over SSH as a graph of idempotent tasks
///
/// Exit codes: 0 all is well; 1 the command line or a file is wrong, and no host was touched; 2 something
/// would change (plan --detailed-exitcode); 3 a task failed; 4 a host could not be reached; 5 refused without
/// a confirmation, or by what preflight found; 130 interrupted.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Deploy(deploy::DeployArgs),
    Preflight(preflight::PreflightArgs),
    Diagnose(diagnose::DiagnoseArgs),
    Remediate(remediate::RemediateArgs),
    Reset(reset::ResetArgs),
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Graph(graph::GraphArgs),
    Inventory(inventory::InventoryArgs),
    Lab(lab::LabArgs),
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => {
            // Help is no error; a wrong word is one, and 2 means something else here.
            let code = u8::from(said.use_stderr());
            match words::wrong(&said, &Cli::command(), std::env::args_os()) {
                Some(wrong) => print::note(&wrong.to_string()),
                None => drop(said.print()),
            }
            return ExitCode::from(code);
        }
    };
    let done = match cli.command {
        Command::Deploy(args) => deploy::run(&args),
        Command::Preflight(args) => preflight::run(&args),
        Command::Diagnose(args) => diagnose::run(&args),
        Command::Remediate(args) => remediate::run(&args),
        Command::Reset(args) => reset::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Lab(args) => lab::run(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print::note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
