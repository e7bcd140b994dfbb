//! Runs the system's own programs and turns a failure into a sentence.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::source::Diagnostic;

/// Where programs are looked for: PATH, and root's directories, which are not in it
/// for those who became root with a plain `su`.
pub fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Runs a program to its end and returns what it wrote to stdout.
pub fn run<S: AsRef<OsStr>>(words: &[S]) -> Result<String, Diagnostic> {
    let (program, arguments) = split(words)?;
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(program, &error))?;
    judge(words, &output)
}

/// The same, with a file as its stdin.
pub fn feed<S: AsRef<OsStr>>(words: &[S], input: File) -> Result<String, Diagnostic> {
    let (program, arguments) = split(words)?;
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .stdin(input)
        .output()
        .map_err(|error| not_started(program, &error))?;
    judge(words, &output)
}

fn split<S: AsRef<OsStr>>(words: &[S]) -> Result<(&OsStr, &[S]), Diagnostic> {
    match words.split_first() {
        Some((program, arguments)) => Ok((program.as_ref(), arguments)),
        None => Err(Diagnostic::error("an empty command was to be run")),
    }
}

fn not_started(program: &OsStr, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(format!(
        "`{}` cannot be started: {error}",
        program.to_string_lossy()
    ))
    .help("`vmstation lab up --install` installs the tools of the lab")
}

fn judge<S: AsRef<OsStr>>(words: &[S], output: &Output) -> Result<String, Diagnostic> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let shown: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    let mut line = shown.join(" ");
    if let Some((cut, _)) = line.char_indices().nth(200) {
        line.truncate(cut);
        line.push('…');
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Diagnostic::error(format!("`{line}` failed ({})", output.status)).note(last_lines(&said, 15)))
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_the_command_and_its_last_words() {
        let error = run(&["sh", "-c", "echo first >&2; echo second >&2; exit 3"]).unwrap_err();
        assert!(error.message.contains("exit status: 3"), "{}", error.message);
        assert_eq!(error.notes[0].0, "first\nsecond");
    }

    #[test]
    fn a_file_is_fed() {
        let file = File::open("/proc/self/comm").unwrap();
        assert!(!feed(&["cat"], file).unwrap().is_empty());
    }
}
