//! `shell`: runs a line, or many, by `/bin/sh` on the host.
//!
//! ```yaml
//! - shell: df -h | grep -c '^/dev'
//! - shell: |
//!     set -o pipefail
//!     kubectl get nodes | tail -n +2
//!   args:
//!     executable: /bin/bash
//! - shell:
//!     cmd: make > build.log
//!     chdir: /opt/app
//!     creates: /opt/app/build.log
//! ```
//!
//! Returns what `command` does; `cmd` is the text. `creates` and `removes` are asked in a dry run too.
//!
//! Refused, as by Ansible: `argv`, `expand_argument_vars`, and `warn`, which it dropped in 2.14.

use serde::Deserialize;

use super::Module;
use super::process::{Guarded, Process, refuse, stdin};
use crate::host::{Halt, Host, Outcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    cmd: Option<String>,
    chdir: Option<String>,
    creates: Option<String>,
    removes: Option<String>,
    #[serde(default = "sh")]
    executable: String,
    stdin: Option<String>,
    #[serde(default = "yes")]
    stdin_add_newline: bool,
    #[serde(default = "yes")]
    strip_empty_ends: bool,
}

fn sh() -> String {
    "/bin/sh".to_string()
}

fn yes() -> bool {
    true
}

impl Module for Shell {
    const NAME: &'static str = "shell";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let line = self
            .raw_params
            .or(self.cmd)
            .filter(|line| !line.trim().is_empty())
            .ok_or_else(|| refuse("no command given"))?;
        let guarded = Guarded {
            process: Process {
                chdir: self.chdir,
                stdin: stdin(self.stdin, self.stdin_add_newline),
                ..Process::shell(&self.executable, &line)
            },
            cmd: line.as_str().into(),
            line,
            creates: self.creates,
            removes: self.removes,
            strip: self.strip_empty_ends,
        };
        guarded.run(host).await
    }
}
