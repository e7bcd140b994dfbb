//! `script`: runs a script of the project on the host.
//!
//! ```yaml
//! - script: setup.sh --fast "two words"
//! - script:
//!     cmd: report.py
//!     executable: /usr/bin/python3
//!     chdir: /var/tmp
//!     creates: /var/tmp/report.txt
//! ```
//!
//! The script is looked for in `files/` and beside the playbook, lies on the host for as long as it runs, in a
//! directory of its own that only its user can enter, and is run by the interpreter that its first line names,
//! else by `sh`. What stands behind its name is read by the host's shell.
//!
//! Returns `stdout`, `stderr`, both also as `_lines`, and `rc`; fails unless `rc` is 0. Skipped if `creates`
//! exists or `removes` does not.
//!
//! Refused: `decrypt: false` (a script encrypted by Ansible Vault is always decrypted).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::payload::{ARRIVED, Payload};
use super::process::words::split;
use super::process::{Process, Start, errno, refuse};
use super::{Module, Rule};
use crate::host::question::Stat;
use crate::host::{
    Change, Failure, FileSearch, Halt, Host, LocalFile, Outcome, Script as HostScript, fail, quote,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    cmd: Option<String>,
    chdir: Option<String>,
    creates: Option<String>,
    removes: Option<String>,
    executable: Option<String>,
    decrypt: Option<bool>,
}

impl Module for Script {
    const NAME: &'static str = "script";
    const RULES: &'static [Rule] = &[Rule::OneOf(&["_raw_params", "cmd"])];
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    fn check(&self) -> Result<(), Halt> {
        if self.decrypt == Some(false) {
            return Err(fail(
                "`decrypt: false` is not supported: encrypted scripts are always decrypted",
            ));
        }
        if self.creates.is_some() || self.removes.is_some() {
            // Perhaps it does not run at all.
            return Ok(());
        }
        self.refuse_relative_chdir()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if let Some(outcome) = self.needless(host).await? {
            return Ok(outcome);
        }
        self.refuse_relative_chdir()?;
        let line = self
            .raw_params
            .as_ref()
            .or(self.cmd.as_ref())
            .map(|line| line.trim())
            .filter(|line| !line.is_empty())
            .ok_or_else(|| refuse("no command given"))?;
        let words = split(line).map_err(fail)?;
        let name = words.first().map_or("", String::as_str);
        let file = host.file(FileSearch::Files, name).await?;
        self.execute(host, name, line, file).await
    }
}

impl Script {
    async fn needless(&self, host: &Host) -> Result<Option<Outcome>, Halt> {
        if let Some(path) = &self.creates
            && host.ask(Stat::following(path)).await?.is_some()
        {
            return Ok(Some(skipped(format!("{path} exists, matching creates option"))));
        }
        if let Some(path) = &self.removes
            && host.ask(Stat::following(path)).await?.is_none()
        {
            return Ok(Some(skipped(format!(
                "{path} does not exist, matching removes option"
            ))));
        }
        Ok(None)
    }

    fn refuse_relative_chdir(&self) -> Result<(), Halt> {
        match &self.chdir {
            Some(directory) if !directory.starts_with('/') => Err(fail(format!(
                "chdir {directory} must be an absolute path for a Unix-aware remote node"
            ))),
            _ => Ok(()),
        }
    }

    async fn execute(&self, host: &Host, name: &str, line: &str, file: LocalFile) -> Result<Outcome, Halt> {
        let bytes = file
            .bytes
            .ok_or_else(|| fail(format!("`{name}` is a directory, not a script")))?;
        let what = format!("run the script {name}");
        let change = if self.creates.is_some() || self.removes.is_some() {
            Change::new(what)
        } else {
            Change::command(what)
        };
        let base = file
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let directory = scratch_name();
        let path = format!("{directory}/{base}");
        let interpreter = match &self.executable {
            Some(executable) => executable.clone(),
            None => interpreter(&bytes).unwrap_or_default(),
        };
        let arguments = arguments_behind(line, name);
        let mut payload = Payload::default();
        let take = payload.add(&bytes);
        let process = Process {
            chdir: self.chdir.clone(),
            before: format!(
                "vmstation_u=$(umask); umask 077; mkdir {directory} || exit 1\n\
                 trap 'rm -rf {directory}' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n\
                 {take} > {path} && {ARRIVED} && chmod 700 {path} || exit 1\n\
                 umask \"$vmstation_u\"; exec </dev/null\n",
                path = quote(&path)
            ),
            after: format!("rm -rf {directory}\n"),
            payload: Some(payload.bytes()),
            ..Process::shell("/bin/sh", &format!("{interpreter} {} {arguments}", quote(&path)))
        };
        let ran = match process.run(host, change).await {
            Ok(ran) => ran,
            Err(halt @ Halt::Failed(_)) => {
                // The script was killed, and with it the trap that would have cleaned up.
                host.act(HostScript::new(
                    "remove the script",
                    format!("rm -rf {directory}"),
                ))
                .await?;
                return Err(halt);
            }
            Err(halt) => return Err(halt),
        };
        match ran.start {
            Start::NoDirectory(number) => {
                let why = errno(number, self.chdir.as_deref().unwrap_or_default());
                Err(Failure::new(format!("cannot enter `chdir`: {why}"))
                    .with("rc", 1_i64)
                    .into())
            }
            _ => Ok(ran.outcome()),
        }
    }
}

fn skipped(msg: String) -> Outcome {
    Outcome {
        skipped: true,
        ..Outcome::new().with("msg", msg)
    }
}

/// What the first line names, so that the script also runs where `/tmp` is mounted `noexec`.
fn interpreter(script: &[u8]) -> Option<String> {
    let line = script.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    // One argument at most, whatever blanks it holds: so the kernel reads it.
    let Some((program, argument)) = line.split_once([' ', '\t']) else {
        return (!line.is_empty()).then(|| quote(line));
    };
    Some(format!("{} {}", quote(program), quote(argument.trim())))
}

/// What stands behind the script's name, as it was written.
fn arguments_behind<'a>(line: &'a str, name: &str) -> &'a str {
    let written = [name.to_string(), format!("'{name}'"), format!("\"{name}\"")];
    let rest = written.iter().find_map(|w| line.strip_prefix(w.as_str()));
    // A name with escapes in it: up to the first blank that is not escaped.
    rest.unwrap_or_else(|| {
        let mut escaped = false;
        let end = line.find(|c: char| {
            let end = c.is_whitespace() && !escaped;
            escaped = c == '\\' && !escaped;
            end
        });
        end.map_or("", |at| &line[at..])
    })
}

/// A directory that nobody has yet; `mkdir` fails should somebody make it first.
fn scratch_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("/tmp/.vmstation-{now:x}-{:x}-{count}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        assert_eq!(interpreter(b"#!/bin/sh\nx").as_deref(), Some("/bin/sh"));
        assert_eq!(
            interpreter(b"#! /usr/bin/env  -S python3 -u\n").as_deref(),
            Some("/usr/bin/env '-S python3 -u'")
        );
        assert_eq!(interpreter(b"echo"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }

    #[test]
    fn arguments_stay_as_written() {
        assert_eq!(arguments_behind("a.sh 'x y' $HOME", "a.sh"), " 'x y' $HOME");
        assert_eq!(arguments_behind("'a b.sh' x", "a b.sh"), " x");
        assert_eq!(arguments_behind("a\\ b.sh x", "a b.sh"), " x");
        assert_eq!(arguments_behind("a.sh", "a.sh"), "");
    }
}
