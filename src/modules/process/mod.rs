//! A user's program on the host: how it is started, what comes back, and how that reads in a result.
//!
//! `command`, `shell`, `script` and `raw` share this. The program runs in one script of its own process group,
//! which also says, by the host's clock, when it began and ended.

mod clock;
mod guarded;
mod presence;
pub mod text;
pub mod words;

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::payload::{ARRIVED, Payload};
use crate::host::{Change, Done, Failure, Halt, Host, Outcome, Output, Script, fail, quote};
use crate::vars::Value;
use clock::{DATE, Instant};
pub use guarded::{Guarded, refuse, stdin};
pub use presence::present;
use words::expanded;

/// As much of a standard input goes with the text of the program, and cannot end early.
const AT_ONCE: usize = 60_000;

/// What is run, and how.
#[derive(Debug, Default)]
pub struct Process {
    /// A program and its arguments as words of `sh`, already quoted.
    pub words: Vec<String>,
    /// The program as the playbook names it, for the message when it is not there.
    pub program: String,
    pub chdir: Option<String>,
    pub stdin: Option<Bytes>,
    /// What `before` takes from the standard input, in place of `stdin`.
    pub payload: Option<Bytes>,
    /// Lines before the program, in the same process.
    pub before: String,
    /// Lines after it, whatever it came to.
    pub after: String,
}

/// What became of it.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub rc: i64,
    /// Beginning and end, where the script lived to say so.
    times: Option<(Instant, Instant)>,
    pub start: Start,
    pub left_behind: bool,
}

/// Whether the program began at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Began,
    /// The program could not be started, with the error's number.
    NoProgram(i64),
    /// The directory could not be entered.
    NoDirectory(i64),
}

/// `export` lines for the task's `environment:`.
pub fn environment(host: &Host) -> Result<String, Halt> {
    let mut lines = String::new();
    for (name, value) in &host.task().environment {
        if !words::is_name(name) {
            return Err(fail(format!(
                "`{name}` cannot be the name of an environment variable: letters, digits and `_` only, no digit first"
            )));
        }
        let _ = writeln!(lines, "export {name}={}", quote(value));
    }
    Ok(lines)
}

impl Process {
    /// A line for a shell.
    pub fn shell(executable: &str, line: &str) -> Self {
        Self {
            words: vec![quote(executable), "-c".to_string(), quote(line)],
            program: executable.to_string(),
            ..Self::default()
        }
    }

    fn script(&self, label: &str, environment: &str) -> Script {
        let mut text = environment.to_string();
        if let Some(directory) = &self.chdir {
            let directory = expanded(directory);
            let _ = write!(
                text,
                "vmstation_d={directory}\n\
                 cd -- \"$vmstation_d\" 2>/dev/null || {{\n\
                 vmstation_w=13; [ -d \"$vmstation_d\" ] || vmstation_w=20; [ -e \"$vmstation_d\" ] || vmstation_w=2\n\
                 printf '\\n\\n||directory %s' \"$vmstation_w\"; exit 1\n}}\n"
            );
        }
        let (spool, stdin) = self.input();
        let _ = write!(
            text,
            "{spool}{before}vmstation_t=$({DATE})\nprintf '%s\\n' \"$vmstation_t\"\n\
             (exec {program})\nvmstation_s=$?\n{after}vmstation_w=\n\
             case $vmstation_s in 126|127)\n{missing}esac\n\
             printf '\\n%s|%s|%s' \"$vmstation_t\" \"$({DATE})\" \"$vmstation_w\"\nexit \"$vmstation_s\"",
            before = self.before,
            program = self.words.join(" "),
            after = self.after,
            missing = self.missing(),
        );
        let script = Script::new(label, text).command();
        match stdin {
            Some(bytes) => script.stdin(bytes),
            None => script,
        }
    }

    /// The standard input, and lines that come before everything: much of it is put into a file without a name
    /// first, so that the program does not begin with half of it.
    fn input(&self) -> (String, Option<Bytes>) {
        let stdin = match (&self.payload, &self.stdin) {
            (None, Some(stdin)) if stdin.len() > AT_ONCE => stdin,
            (payload, stdin) => return (String::new(), payload.as_ref().or(stdin.as_ref()).cloned()),
        };
        let mut payload = Payload::default();
        let take = payload.add(stdin);
        let lines = format!(
            "vmstation_i=$(mktemp) || exit 1\n\
             trap 'rm -f -- \"$vmstation_i\"' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n\
             {take} >\"$vmstation_i\" && {ARRIVED} || exit 1\n\
             exec <\"$vmstation_i\"\nrm -f -- \"$vmstation_i\"\ntrap - EXIT HUP INT TERM PIPE\n"
        );
        (lines, Some(payload.bytes()))
    }

    /// Lines that find out whether it was the shell that could not start the program, or the program itself
    /// that ended with 126 or 127.
    fn missing(&self) -> String {
        let Some(program) = self.words.first() else {
            return String::new();
        };
        format!(
            "vmstation_p={program}\ncase $vmstation_p in\n\
             */*) [ -x \"$vmstation_p\" ] && [ -f \"$vmstation_p\" ] || vmstation_w='program 13'\n\
             [ -e \"$vmstation_p\" ] || vmstation_w='program 2';;\n\
             *) vmstation_w='program 2'; IFS=:; for vmstation_d in $PATH; do\n\
             if [ -f \"$vmstation_d/$vmstation_p\" ]; then\n\
             if [ -x \"$vmstation_d/$vmstation_p\" ]; then vmstation_w=; break; fi\n\
             vmstation_w='program 13'\nfi; done;;\nesac;;\n"
        )
    }

    /// Runs it, at the task's turn.
    pub async fn run(&self, host: &Host, change: Change) -> Result<Ran, Halt> {
        let lines = environment(host)?;
        self.run_in(host, change, &lines).await
    }

    /// The same with `export` lines of the caller's.
    pub async fn run_in(&self, host: &Host, change: Change, environment: &str) -> Result<Ran, Halt> {
        let script = self.script(&change.what, environment);
        if script.text.contains('\0') {
            return Err(fail("a command cannot hold a NUL byte"));
        }
        match host.command(change, script).await? {
            Done::Finished(output) => Ok(Ran::read(&output)),
            Done::TimedOut { after, so_far } => Err(cut_short(
                &so_far,
                &format!(
                    "the command did not end within {} s and was stopped",
                    after.as_secs()
                ),
            )
            .with("timedout", period(after))
            .into()),
            Done::ShellKilled { so_far } => Err(cut_short(
                &so_far,
                "the command killed the shell that ran it, so how it ended is not known",
            )
            .into()),
            Done::Interrupted => Err(Halt::Interrupted),
        }
    }
}

/// As Ansible returns it where `timeout:` has ended a task.
fn period(limit: Duration) -> Value {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    Value::map([("period", Value::Int(seconds))])
}

fn cut_short(so_far: &Output, msg: &str) -> Failure {
    let ran = Ran::read(so_far);
    Failure::new(msg)
        .with("stdout_lines", text::lines(&ran.stdout))
        .with("stderr_lines", text::lines(&ran.stderr))
        .with("stdout", ran.stdout)
        .with("stderr", ran.stderr)
}

impl Ran {
    /// Takes apart what the script printed around the program's own output.
    fn read(output: &Output) -> Self {
        let all = output.stdout_text();
        let mut ran = Self {
            stdout: String::new(),
            stderr: output.stderr_text(),
            rc: i64::from(output.status),
            times: None,
            start: Start::Began,
            left_behind: output.left_behind,
        };
        let Some((stamp, rest)) = all.split_once('\n') else {
            ran.stdout = all;
            return ran;
        };
        let mark = format!("\n{stamp}|");
        let Some(at) = rest.rfind(&mark) else {
            ran.stdout = rest.to_string();
            return ran;
        };
        let (end, word) = rest[at + mark.len()..].split_once('|').unwrap_or_default();
        // A child that the command left behind may have said more since.
        let (word, more) = word.split_once('\n').unwrap_or((word, ""));
        ran.stdout = format!("{}{more}", &rest[..at]);
        ran.times = Instant::parse(stamp).zip(Instant::parse(end));
        ran.start = match word.split_once(' ') {
            Some(("program", number)) => Start::NoProgram(number.parse().unwrap_or(2)),
            Some(("directory", number)) => Start::NoDirectory(number.parse().unwrap_or(2)),
            _ => Start::Began,
        };
        ran
    }

    /// Without the line ends at the ends of both streams.
    #[must_use]
    pub fn stripped(mut self) -> Self {
        self.stdout.truncate(text::stripped(&self.stdout).len());
        self.stderr.truncate(text::stripped(&self.stderr).len());
        self
    }

    /// `stdout`, `stderr`, their lines and `rc`; failed unless `rc` is 0.
    pub fn outcome(self) -> Outcome {
        let mut outcome = Outcome::new()
            .with("stdout_lines", text::lines(&self.stdout))
            .with("stderr_lines", text::lines(&self.stderr))
            .with("stdout", self.stdout)
            .with("stderr", self.stderr)
            .with("rc", self.rc);
        if self.rc != 0 {
            outcome.failed = true;
            outcome = outcome.with("msg", "non-zero return code");
        }
        if self.left_behind {
            outcome = outcome.warn("the command left a process behind that still writes to its output");
        }
        outcome
    }

    /// Adds `start`, `end` and `delta`.
    pub fn timed_outcome(self) -> Outcome {
        let times = self.times.clone();
        let outcome = self.outcome();
        let Some((start, end)) = times else {
            return outcome
                .with("start", Value::Null)
                .with("end", Value::Null)
                .with("delta", Value::Null);
        };
        outcome
            .with("start", start.text())
            .with("end", end.text())
            .with("delta", end.since(&start))
    }
}

/// What Python says of an error number.
pub fn errno(number: i64, path: &str) -> String {
    let name = match number {
        2 => "No such file or directory",
        13 => "Permission denied",
        20 => "Not a directory",
        _ => "Error",
    };
    format!("[Errno {number}] {name}: {}", text::as_python_bytes(path))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn sh(process: &Process) -> Ran {
        let script = process.script("test", "export A='b c'\n");
        let output = Command::new("sh").args(["-c", &script.text]).output().unwrap();
        Ran::read(&Output {
            stdout: output.stdout.into(),
            stderr: output.stderr.into(),
            status: output.status.code().unwrap_or(-1),
            left_behind: false,
        })
    }

    fn argv(words: &[&str]) -> Process {
        Process {
            words: words.iter().map(|w| expanded(w)).collect(),
            program: words[0].to_string(),
            ..Process::default()
        }
    }

    #[test]
    fn output_comes_back_to_the_byte() {
        let ran = sh(&Process::shell(
            "/bin/sh",
            "printf 'a\\n\\nb'; echo \"$A\" >&2; exit 3",
        ));
        assert_eq!(ran.stdout, "a\n\nb");
        assert_eq!(ran.stderr, "b c\n");
        assert_eq!(ran.rc, 3);
        assert!(ran.times.is_some());
        assert_eq!(sh(&argv(&["true"])).stdout, "");
        assert_eq!(sh(&argv(&["echo", "$A"])).stdout, "b c\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_says_127() {
        assert_eq!(sh(&argv(&["no-such-program"])).start, Start::NoProgram(2));
        assert_eq!(sh(&argv(&["/no/such"])).start, Start::NoProgram(2));
        assert_eq!(sh(&argv(&["/etc/passwd"])).start, Start::NoProgram(13));
        let ran = sh(&argv(&["sh", "-c", "exit 127"]));
        assert_eq!((ran.start, ran.rc), (Start::Began, 127));
        // A builtin is no program.
        assert_eq!(sh(&argv(&["cd"])).start, Start::NoProgram(2));
    }

    /// What the program read from a standard input of which only so many bytes arrived.
    fn cat(stdin: &[u8], arrived: usize) -> (i64, String) {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let mut process = argv(&["cat"]);
        process.stdin = Some(Bytes::copy_from_slice(stdin));
        let script = process.script("test", "");
        let crate::host::Stdin::Bytes(bytes) = script.stdin else {
            panic!("no standard input");
        };
        let mut sh = Command::new("sh")
            .args(["-c", &script.text])
            .env("TMPDIR", directory.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut input = sh.stdin.take().unwrap();
        std::thread::spawn(move || input.write_all(&bytes[..arrived.min(bytes.len())]));
        let output = sh.wait_with_output().unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let ran = Ran::read(&Output {
            stdout: output.stdout.into(),
            stderr: Bytes::new(),
            status: output.status.code().unwrap_or(-1),
            left_behind: false,
        });
        (ran.rc, ran.stdout)
    }

    #[test]
    fn a_program_begins_with_all_of_its_input_or_not_at_all() {
        let large = "x".repeat(AT_ONCE + 1);
        assert_eq!(cat(large.as_bytes(), usize::MAX), (0, large.clone()));
        assert_eq!(cat(large.as_bytes(), 50_000), (1, String::new()));
        assert_eq!(cat(b"small", usize::MAX), (0, "small".to_string()));
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let mut process = argv(&["pwd"]);
        process.chdir = Some("/no/such".into());
        assert_eq!(sh(&process).start, Start::NoDirectory(2));
        process.chdir = Some("/etc/passwd".into());
        assert_eq!(sh(&process).start, Start::NoDirectory(20));
        process.chdir = Some("/usr".into());
        assert_eq!(sh(&process).stdout, "/usr\n");
    }
}
