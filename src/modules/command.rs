//! `command`: runs a program with its arguments, without a shell.
//!
//! ```yaml
//! - command: /usr/bin/make install
//! - command: mkfs.ext4 /dev/vdb
//!   args:
//!     creates: /mnt/data/lost+found
//! - command:
//!     argv: [echo, "two words"]
//!     chdir: /tmp
//! - command:
//!     cmd: cat
//!     stdin: the text
//! ```
//!
//! The line is split into words as a shell would; pipes, redirections and `&&` mean nothing. Environment
//! variables and a leading `~` in the words are expanded on the host unless `expand_argument_vars: false`.
//! `creates` and `removes` may be patterns, and are asked in a dry run too.
//!
//! Returns `cmd` (the words), `stdout`, `stderr`, both also as `_lines`, `rc`, and by the host's clock `start`,
//! `end` and `delta`. Fails unless `rc` is 0. A program that a signal ended has `rc` 128 and the signal's
//! number, as a shell says it.
//!
//! `executable` does nothing here, with a warning, as in Ansible.

use serde::Deserialize;

use super::Module;
use super::process::words::{expanded, joined, split};
use super::process::{Guarded, Process, refuse, stdin};
use crate::host::{Failure, Halt, Host, Outcome, quote};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    cmd: Option<String>,
    argv: Option<Vec<String>>,
    chdir: Option<String>,
    creates: Option<String>,
    removes: Option<String>,
    executable: Option<String>,
    #[serde(default = "yes")]
    expand_argument_vars: bool,
    stdin: Option<String>,
    #[serde(default = "yes")]
    stdin_add_newline: bool,
    #[serde(default = "yes")]
    strip_empty_ends: bool,
}

fn yes() -> bool {
    true
}

impl Module for Command {
    const NAME: &'static str = "command";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    fn check(&self) -> Result<(), Halt> {
        let line = self.raw_params.as_ref().or(self.cmd.as_ref());
        arguments(line.cloned(), self.argv.clone()).map(|_| ())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let executable = self.executable.clone();
        let mut outcome = self.guarded()?.run(host).await?;
        if let Some(executable) = executable {
            outcome = outcome.warn(format!(
                "`command` runs no shell, so `executable: {executable}` does nothing; use `shell`"
            ));
        }
        Ok(outcome)
    }
}

impl Command {
    fn guarded(self) -> Result<Guarded, Halt> {
        let words = arguments(self.raw_params.or(self.cmd), self.argv)?;
        let word = |word: &String| {
            if self.expand_argument_vars {
                expanded(word)
            } else {
                quote(word)
            }
        };
        Ok(Guarded {
            process: Process {
                program: words.first().cloned().unwrap_or_default(),
                words: words.iter().map(word).collect(),
                chdir: self.chdir,
                stdin: stdin(self.stdin, self.stdin_add_newline),
                ..Process::default()
            },
            line: joined(&words),
            cmd: Value::list(words.into_iter().map(Value::from)),
            creates: self.creates,
            removes: self.removes,
            strip: self.strip_empty_ends,
        })
    }
}

fn arguments(line: Option<String>, argv: Option<Vec<String>>) -> Result<Vec<String>, Halt> {
    let line = line.filter(|l| !l.trim().is_empty());
    let argv = argv.filter(|a| !a.is_empty());
    match (line, argv) {
        (Some(_), Some(_)) => Err(refuse("only command or argv can be given, not both")),
        (None, None) => Err(refuse("no command given")),
        (None, Some(argv)) => Ok(argv),
        (Some(line), None) => split(&line).map_err(|why| Failure::new(why).with("rc", 1_i64).into()),
    }
}
