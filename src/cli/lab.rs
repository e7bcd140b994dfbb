//! `vmstation lab`: throwaway machines to try playbooks on.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};

use crate::lab::{self, Accelerator, Cluster, HostsAre, Place};
use crate::source::Diagnostic;

/// Throwaway machines to try playbooks on: two Debian 12, a RHEL 10 look-alike and
/// one without Python, as containers or virtual machines in a network with no way out
#[derive(Debug, Args)]
pub struct LabArgs {
    /// Which lab, when there are several
    #[arg(long, default_value = Place::USUAL, global = true)]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the hosts; the first time, build what they are made of (a minute)
    Up {
        /// Install the tools that this machine lacks, with apt-get
        #[arg(long)]
        install: bool,
        /// Start a Kubernetes control plane on masternode, with three of the hosts as
        /// nodes; the first time, build it with `go` (a quarter of an hour)
        #[arg(long)]
        kubernetes: bool,
        /// Virtual machines with a kernel of their own in place of containers, without the
        /// one that lacks Python: with KVM where it works, else emulated (a minute)
        #[arg(long, conflicts_with = "kubernetes")]
        vms: bool,
        /// What runs the processors of virtual machines, where that is not to be tried out
        #[arg(long, value_enum, requires = "vms", value_name = "WHICH")]
        accelerator: Option<Accelerator>,
    },
    /// End the hosts; no process, mount or namespace stays
    Down,
    /// Fresh hosts in place of the present ones
    Reset,
    /// Which hosts there are and whether they answer
    Status,
    /// Log in to a host, or run a command there; USER@HOST for another user
    Ssh {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Print the inventory, for this program and for Ansible
    Inventory,
    /// Make the way to the hosts slow, and print the path of the inventory that
    /// takes it
    Delay {
        /// Milliseconds that a round trip takes longer
        #[arg(value_name = "MS", value_parser = clap::value_parser!(u32).range(..=60_000))]
        milliseconds: u32,
    },
    #[command(hide = true)]
    ShowProgress(super::show_progress::ShowProgressArgs),
    #[command(name = lab::delay::SERVE, hide = true)]
    ServeDelay { milliseconds: u32 },
}

impl ValueEnum for Accelerator {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Kvm => "this machine's own, through /dev/kvm; waits long for one that is slow",
            Self::Emulation => "QEMU's emulation, which needs nothing of this machine",
        };
        Some(PossibleValue::new(self.word()).help(help))
    }
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: LabArgs) -> Result<u8, Diagnostic> {
    let place = Place::new(&args.name)?;
    match args.action {
        Action::Up {
            install,
            kubernetes,
            vms,
            accelerator,
        } => {
            let kind = if vms {
                HostsAre::Machines
            } else {
                HostsAre::Containers
            };
            up(&place, install, kubernetes, kind, accelerator)?;
        }
        Action::Down => lab::down(&place, &mut progress)?,
        Action::Reset => lab::reset(&place, &mut progress)?,
        Action::Status => return Ok(status(&place)),
        Action::Ssh { host, command } => return Err(ssh(&place, &host, &command)),
        Action::Inventory => print(&lab::inventory(&place)?),
        Action::Delay { milliseconds } => {
            print(&format!("{}\n", lab::delayed(&place, milliseconds)?.display()));
        }
        Action::ShowProgress(args) => return super::show_progress::run(&args),
        Action::ServeDelay { milliseconds } => lab::delay::serve(&place, milliseconds)?,
    }
    Ok(0)
}

fn up(
    place: &Place,
    install: bool,
    kubernetes: bool,
    kind: HostsAre,
    accelerator: Option<Accelerator>,
) -> Result<(), Diagnostic> {
    if install {
        lab::install_tools(kind, &mut progress)?;
    }
    let cluster = if kubernetes {
        Cluster::Kubernetes
    } else {
        Cluster::None
    };
    lab::up(place, kind, accelerator, cluster, &mut progress)?;
    print(&format!("{}\n", place.inventory().display()));
    Ok(())
}

/// 0 when every host answers, and the cluster's API where there is one, else 3.
fn status(place: &Place) -> u8 {
    let hosts = lab::status(place);
    let mut text = String::new();
    for host in &hosts {
        let state = match (host.up, host.answers) {
            (true, true) => "up",
            (true, false) => "booting",
            (false, _) => "down",
        };
        let _ = writeln!(
            text,
            "{:<17} {:<11} {:<24} {:<6} {state}",
            host.name, host.address, host.os, host.user
        );
    }
    let api = lab::api_answers(place);
    if let Some(answers) = api {
        let state = if answers { "up" } else { "down" };
        let _ = writeln!(
            text,
            "{:<17} {:<11} {:<31} {state}",
            "kubernetes", "", "the API on masternode"
        );
    }
    print(&text);
    if hosts.iter().all(|host| host.answers) && api != Some(false) {
        0
    } else {
        3
    }
}

/// Becomes ssh, whose exit code is the command's; returns only why it could not.
fn ssh(place: &Place, host: &str, command: &[String]) -> Diagnostic {
    let words = match lab::ssh(place, host, command) {
        Ok(words) => words,
        Err(error) => return error,
    };
    let error = Command::new(&words[0]).args(&words[1..]).exec();
    Diagnostic::error(format!("`{}` cannot be started: {error}", words[0]))
        .help("apt-get install -y openssh-client util-linux")
}

/// A reader that went away is no error of ours.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn progress(line: &str) {
    let _ = writeln!(io::stderr().lock(), "lab: {line}");
}
