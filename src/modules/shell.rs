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
use crate::host::{Halt, Host, Outcome, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    cmd: Option<String>,
    /// Words, which the shell sees quoted.
    argv: Option<Vec<String>>,
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

    fn check(&self) -> Result<(), Halt> {
        self.line().map(|_| ())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let line = self.line()?;
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

impl Shell {
    fn line(&self) -> Result<String, Halt> {
        let line = self.raw_params.clone().or(self.cmd.clone());
        let line = line.filter(|line| !line.trim().is_empty());
        let argv = self.argv.as_deref().filter(|words| !words.is_empty());
        match (line, argv) {
            (Some(_), Some(_)) => Err(refuse("only command or argv can be given, not both")),
            (None, None) => Err(refuse("no command given")),
            (Some(line), None) => Ok(line),
            (None, Some(words)) => Ok(words.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" ")),
        }
    }
}
