//! The options that commands share.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::lab::{self, Place};
use crate::plan::Tags;
use crate::source::Diagnostic;

/// Which hosts, and what is known of them
#[derive(Debug, Args, Clone)]
pub struct HostOptions {
    /// Inventory: a file, a directory, or hosts with a comma; may be given several times
    #[arg(short, long, value_name = "SOURCE")]
    pub inventory: Vec<String>,
    /// Only these hosts, as a pattern
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,
    /// Variables that win over all others: name=value, {json}, or @file
    #[arg(short, long = "extra-vars", value_name = "VARS")]
    pub extra_vars: Vec<String>,
    /// Use the hosts of the lab (`vmstation lab up`)
    #[arg(long, num_args = 0..=1, default_missing_value = Place::USUAL, require_equals = true, value_name = "NAME")]
    pub lab: Option<String>,
}

/// What every command that runs playbooks takes
#[derive(Debug, Args, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub struct RunOptions {
    #[command(flatten)]
    pub hosts: HostOptions,
    /// Only tasks with these tags
    #[arg(short, long, value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No tasks with these tags
    #[arg(long, value_delimiter = ',')]
    pub skip_tags: Vec<String>,
    /// Change nothing; say what would be changed
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show what changes in files
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// The most hosts on which something is being changed at once
    #[arg(short, long, value_parser = at_least_one)]
    pub forks: Option<usize>,
    /// Connect as this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Connect with this key
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// How to reach hosts that do not say it themselves: ssh or local
    #[arg(short, long, value_name = "CONNECTION")]
    pub connection: Option<String>,
    /// More arguments for SSH: -o, -i, -J, -F and so on
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub ssh_common_args: Option<String>,
    /// Still more arguments for SSH
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub ssh_extra_args: Option<String>,
    /// Become another user (root, if no other is named)
    #[arg(short, long)]
    pub r#become: bool,
    /// Become this user
    #[arg(long, value_name = "USER")]
    pub become_user: Option<String>,
    /// How to become: sudo or su
    #[arg(long, value_name = "METHOD")]
    pub become_method: Option<String>,
    /// Ask for the password of sudo
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
    /// Ask for the password to connect with
    #[arg(short = 'k', long)]
    pub ask_pass: bool,
    /// Seconds until a connection that does not come about is given up
    #[arg(short = 'T', long)]
    pub timeout: Option<u32>,
    /// Say more; twice: results too
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what failed, and the end
    #[arg(short, long)]
    pub quiet: bool,
    /// Print events as lines of JSON
    #[arg(long)]
    pub json: bool,
    /// Keep the outcome of each task in this file, as XML in the form of `JUnit`
    #[arg(
        long,
        value_name = "FILE",
        help = "Keep the outcome of each task in this file, as XML in the form of JUnit"
    )]
    pub junit: Option<PathBuf>,
    /// List each round trip and what it was for
    #[arg(long)]
    pub trips: bool,
    /// Ask nothing before a task's turn: slower, same result
    #[arg(long, hide = true)]
    pub no_run_ahead: bool,
    /// Run handlers also on hosts that failed
    #[arg(long)]
    pub force_handlers: bool,
    /// Say at the end what would change, host by host: `vmstation plan`
    #[arg(skip)]
    pub outlook: bool,
}

/// The tags of the command line, or else of the configuration.
pub struct Selection {
    pub wanted: Vec<String>,
    pub skipped: Vec<String>,
}

impl Selection {
    pub fn tags(&self) -> Tags<'_> {
        Tags {
            wanted: &self.wanted,
            skipped: &self.skipped,
        }
    }
}

impl RunOptions {
    pub fn selection(&self, config: &Config) -> Selection {
        let or = |own: &[String], other: &[String]| if own.is_empty() { other } else { own }.to_vec();
        Selection {
            wanted: or(&self.tags, &config.run_tags),
            skipped: or(&self.skip_tags, &config.skip_tags),
        }
    }
}

impl HostOptions {
    /// With `--lab`, goes on inside the lab's network.
    pub fn enter_lab(&self) -> Result<(), Diagnostic> {
        let Some(name) = &self.lab else { return Ok(()) };
        lab::enter(&Place::new(name)?, std::env::args_os().skip(1))
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let wanted = "a whole number from 1 is wanted";
    text.parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| wanted.to_string())
}
