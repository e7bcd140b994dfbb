//! What a run is given, and what it gives back.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Gathering;
use crate::host::{Secret, Trip};
use crate::inventory::Inventory;
use crate::modules::Entry;
use crate::plan::Strategy;
use crate::playbook::Catalogue;
use crate::run::event::{Sink, Summary};
use crate::run::machines::Connect;
use crate::run::world::Options;
use crate::template::Engine;
use crate::vars::Map;

/// What the command line and the configuration said about how to run.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    pub id: String,
    pub check: bool,
    pub diff: bool,
    pub forks: usize,
    pub run_ahead: bool,
    pub verbosity: u8,
    pub tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub limit: Option<String>,
    pub inventory_sources: Vec<String>,
    pub config_file: Option<PathBuf>,
    pub remote_user: Option<String>,
    /// Of hosts that name none: `ssh`, `local`.
    pub connection: String,
    pub gathering: Gathering,
    pub r#become: bool,
    pub become_user: String,
    pub become_method: String,
    pub become_flags: Option<String>,
    pub become_exe: Option<String>,
    pub become_password: Option<Secret>,
    pub force_handlers: bool,
    pub any_errors_fatal: bool,
    /// Of plays that name none.
    pub strategy: Strategy,
    pub roles_path: Vec<PathBuf>,
    /// Where `vmstation` was called; its `roles`, `templates` and `files` are searched too.
    pub project: PathBuf,
    /// Who runs us, for `connection: local`.
    pub own_user: String,
    /// What `{{ ansible_managed }}` says.
    pub managed: String,
    /// Whether somebody is there to be asked.
    pub interactive: bool,
    pub playbooks: Vec<String>,
}

/// Everything that an executor needs.
pub struct Parts {
    pub engine: Engine,
    pub inventory: Inventory,
    pub extra: Map,
    pub catalogue: Arc<dyn Catalogue>,
    /// Finds a module by its name: [`modules::find`](crate::modules::find), or a test's own.
    pub modules: fn(&str) -> Option<&'static Entry>,
    pub connect: Box<dyn Connect>,
    pub sinks: Vec<Box<dyn Sink>>,
    /// Turns true when the run is to stop.
    pub interrupt: watch::Receiver<bool>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Report {
    pub hosts: Vec<Summary>,
    pub interrupted: bool,
    /// The program's exit code: 0, 3, 4 or 130.
    pub exit: u8,
    /// The round trips to each host, oldest first.
    pub trips: Vec<(Arc<str>, Vec<Trip>)>,
}

impl Settings {
    /// As variables see them: `ansible_check_mode`, `ansible_limit` and their kin.
    pub(super) fn as_options(&self) -> Options {
        Options {
            check: self.check,
            diff: self.diff,
            forks: self.forks,
            verbosity: self.verbosity,
            run_tags: if self.tags.is_empty() {
                vec!["all".to_string()]
            } else {
                self.tags.clone()
            },
            skip_tags: self.skip_tags.clone(),
            limit: self.limit.clone(),
            inventory_sources: self.inventory_sources.clone(),
            config_file: self.config_file.clone(),
            remote_user: self.remote_user.clone(),
            connection: self.connection.clone(),
        }
    }
}
