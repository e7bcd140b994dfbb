//! `raw`: sends a line to the host's shell, with nothing around it.
//!
//! ```yaml
//! - raw: uname -a
//! - raw: echo $BASH_VERSION
//!   args:
//!     executable: /bin/bash
//! ```
//!
//! Returns `stdout` and `stderr` as they came, both also as `_lines`, and `rc`; fails unless `rc` is 0. Always
//! skipped in a dry run. `environment:` has no effect, with a warning, as in Ansible.

use serde::Deserialize;

use super::Module;
use super::process::{Process, refuse};
use crate::host::{Change, Halt, Host, Outcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    executable: Option<String>,
}

impl Module for Raw {
    const NAME: &'static str = "raw";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");
    const IGNORES: bool = true;

    fn check(&self) -> Result<(), Halt> {
        match self.raw_params.as_deref().map(str::trim) {
            None | Some("") => Err(refuse("no command given")),
            Some(_) => Ok(()),
        }
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let line = self.raw_params.unwrap_or_default();
        let executable = self.executable.as_deref().unwrap_or("/bin/sh");
        let ran = Process::shell(executable, &line)
            .run_in(host, Change::command("raw command"), "")
            .await?;
        let mut outcome = ran.outcome();
        if !host.task().environment.is_empty() {
            outcome = outcome.warn("`raw` does not support the `environment` keyword");
        }
        Ok(outcome)
    }
}
