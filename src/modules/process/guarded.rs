//! What `command` and `shell` have in common: run unless `creates` or `removes` says no, and report.

use bytes::Bytes;

use super::{Process, Ran, Start, errno, present};
use crate::host::{Change, Failure, Halt, Host, Outcome};
use crate::vars::Value;

/// A command as a task gives it.
#[derive(Debug)]
pub struct Guarded {
    pub process: Process,
    /// As the result shows it: a line, or words.
    pub cmd: Value,
    /// The same in one line.
    pub line: String,
    pub creates: Option<String>,
    pub removes: Option<String>,
    pub strip: bool,
}

/// `stdin` with the newline that Ansible adds.
pub fn stdin(text: Option<String>, newline: bool) -> Option<Bytes> {
    let mut text = text.filter(|t| !t.is_empty())?;
    if newline {
        text.push('\n');
    }
    Some(text.into())
}

/// The failure of a task that names no command, or two.
pub fn refuse(msg: &str) -> Halt {
    Failure::new(msg)
        .with("rc", 256_i64)
        .with("cmd", Value::Null)
        .with("stdout", "")
        .with("stderr", "")
        .into()
}

impl Guarded {
    pub async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if let Some(outcome) = self.needless(host).await? {
            return Ok(outcome);
        }
        let guarded = self.creates.is_some() || self.removes.is_some();
        // Whole: a secret in it is only found as a whole. Whoever shows it cuts it.
        let what = self.line.trim();
        // With a guard that says "run", a dry run knows that the command would change something.
        let change = if guarded {
            Change::new(what)
        } else {
            Change::command(what)
        };
        let ran = self.process.run(host, change).await?;
        if let Some(outcome) = self.not_begun(&ran) {
            return Ok(outcome);
        }
        let ran = if self.strip { ran.stripped() } else { ran };
        let mut outcome = ran.timed_outcome().with("cmd", self.cmd);
        outcome.values.entry("msg".into()).or_insert_with(|| "".into());
        Ok(outcome)
    }

    async fn needless(&self, host: &Host) -> Result<Option<Outcome>, Halt> {
        let did = if host.check() { "Would" } else { "Did" };
        let chdir = self.process.chdir.as_deref();
        if let Some(path) = &self.creates
            && present(host, path, chdir).await?
        {
            return Ok(Some(self.not_run(
                &format!("{did} not run command since '{path}' exists"),
                &format!("skipped, since {path} exists"),
            )));
        }
        if let Some(path) = &self.removes
            && !present(host, path, chdir).await?
        {
            return Ok(Some(self.not_run(
                &format!("{did} not run command since '{path}' does not exist"),
                &format!("skipped, since {path} does not exist"),
            )));
        }
        Ok(None)
    }

    fn not_run(&self, msg: &str, stdout: &str) -> Outcome {
        Outcome::new()
            .with("cmd", self.cmd.clone())
            .with("msg", msg)
            .with("stdout", stdout)
            .with("stdout_lines", Value::list([stdout.into()]))
            .with("stderr", "")
            .with("stderr_lines", Value::list([]))
            .with("rc", 0_i64)
            .with("start", Value::Null)
            .with("end", Value::Null)
            .with("delta", Value::Null)
    }

    /// The failure of a program that did not begin, and so changed nothing.
    fn not_begun(&self, ran: &Ran) -> Option<Outcome> {
        let outcome = match ran.start {
            Start::Began => return None,
            Start::NoProgram(number) => Outcome::new()
                .with("msg", errno(number, &self.process.program))
                .with("rc", number)
                .with("cmd", self.line.clone()),
            Start::NoDirectory(number) => {
                let directory = self.process.chdir.as_deref().unwrap_or_default();
                let why = errno(number, directory);
                Outcome::new()
                    .with(
                        "msg",
                        format!("Unable to change directory before execution: {why}"),
                    )
                    .with("rc", Value::Null)
                    .with("cmd", self.cmd.clone())
                    .with("start", Value::Null)
                    .with("end", Value::Null)
                    .with("delta", Value::Null)
            }
        };
        Some(Outcome {
            failed: true,
            unchanged: true,
            ..outcome
                .with("stdout", "")
                .with("stdout_lines", Value::list([]))
                .with("stderr", "")
                .with("stderr_lines", Value::list([]))
        })
    }
}
