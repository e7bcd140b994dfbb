//! A run as a `JUnit` file, which servers that build and test show: `--junit FILE`.
//!
//! A suite is a host, a case is a task on it. What a rescue or `ignore_errors` took is no failure; a host that
//! cannot be reached is an error. What a task changed is the case's output.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::failure;
use crate::run::{Event, Finished, Sink, Status};
use crate::source::{Diagnostic, reason};

/// Writes the file when the run is over.
pub struct Junit {
    path: PathBuf,
    name: String,
    started: String,
    suites: IndexMap<String, Vec<Case>>,
    /// Takes that the file cannot be written.
    tell: Box<dyn Fn(&Diagnostic) + Send>,
}

struct Case {
    name: String,
    /// `file:line:column`.
    place: String,
    milliseconds: u64,
    verdict: Verdict,
    changes: Vec<String>,
}

enum Verdict {
    Passed,
    Skipped(String),
    Failed(String),
    /// Not the task's fault: the host is away.
    Broken(String),
}

impl Junit {
    /// Fails at once where no file can be made of this name. `tell` takes a failure at the end, when there is no other
    /// way to say it.
    pub fn new(path: &Path, tell: Box<dyn Fn(&Diagnostic) + Send>) -> Result<Self, Diagnostic> {
        let part = part(path);
        fs::write(&part, "").map_err(|error| not_written(path, &error))?;
        let _ = fs::remove_file(part);
        Ok(Self {
            path: path.to_path_buf(),
            name: String::new(),
            started: String::new(),
            suites: IndexMap::new(),
            tell,
        })
    }

    fn add(&mut self, host: &str, case: Case) {
        self.suites.entry(host.to_string()).or_default().push(case);
    }

    fn finish(&self, milliseconds: u64, interrupted: bool) -> std::io::Result<()> {
        let part = part(&self.path);
        fs::write(&part, self.text(milliseconds, interrupted))?;
        fs::rename(part, &self.path)
    }

    fn text(&self, milliseconds: u64, interrupted: bool) -> String {
        let all = || self.suites.values().flatten();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            text,
            "<testsuites name=\"{}\" {} time=\"{}\">",
            escaped(&self.name),
            counts(all()),
            seconds(milliseconds)
        );
        for (host, cases) in &self.suites {
            let host = escaped(host);
            let took = cases.iter().map(|case| case.milliseconds).sum();
            let _ = writeln!(
                text,
                "  <testsuite name=\"{host}\" hostname=\"{host}\" timestamp=\"{}\" {} time=\"{}\">",
                escaped(self.started.trim_end_matches('Z')),
                counts(cases.iter()),
                seconds(took)
            );
            for case in cases {
                case.write(&mut text);
            }
            if interrupted {
                text.push_str("    <system-err>the run was interrupted</system-err>\n");
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

impl Sink for Junit {
    fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                playbooks, started, ..
            } => {
                self.name = playbooks.join(" ");
                self.started.clone_from(started);
            }
            Event::TaskFinished {
                host,
                task,
                role,
                place,
                what,
                ..
            } => {
                let name = match role {
                    Some(role) => format!("{role} : {task}"),
                    None => task.clone(),
                };
                let case = Case {
                    name,
                    place: place.clone(),
                    milliseconds: what.milliseconds,
                    verdict: Verdict::of(what, place),
                    changes: what.changes.clone(),
                };
                self.add(host, case);
            }
            Event::RunFinished {
                milliseconds,
                interrupted,
                ..
            } => {
                if let Err(error) = self.finish(*milliseconds, *interrupted) {
                    (self.tell)(&not_written(&self.path, &error));
                }
            }
            _ => {}
        }
    }
}

impl Verdict {
    fn of(what: &Finished, place: &str) -> Self {
        match what.status {
            _ if what.ignored => Self::Passed,
            Status::Ok | Status::Changed => Self::Passed,
            Status::Skipped => {
                let why = what.result.get("skip_reason").and_then(|why| why.as_str());
                Self::Skipped(why.unwrap_or("skipped").to_string())
            }
            Status::Unknown => Self::Skipped(what.error.clone().unwrap_or_else(|| "unknown".to_string())),
            Status::Failed => Self::Failed(failure::text(what, place, true)),
            Status::Unreachable => Self::Broken(failure::text(what, place, true)),
        }
    }
}

impl Case {
    fn write(&self, text: &mut String) {
        let (file, line) = file_and_line(&self.place);
        let _ = write!(
            text,
            "    <testcase name=\"{}\" classname=\"{}\"",
            escaped(&self.name),
            escaped(file)
        );
        if let Some(line) = line {
            let _ = write!(text, " file=\"{}\" line=\"{line}\"", escaped(file));
        }
        let _ = write!(text, " time=\"{}\"", seconds(self.milliseconds));
        let inner = self.inner();
        if inner.is_empty() {
            text.push_str("/>\n");
        } else {
            let _ = writeln!(text, ">\n{inner}    </testcase>");
        }
    }

    fn inner(&self) -> String {
        let mut text = String::new();
        let first = |said: &str| escaped(said.lines().next().unwrap_or_default());
        match &self.verdict {
            Verdict::Passed => {}
            Verdict::Skipped(why) => {
                let _ = writeln!(text, "      <skipped message=\"{}\"/>", first(why));
            }
            Verdict::Failed(said) | Verdict::Broken(said) => {
                let (tag, kind) = match &self.verdict {
                    Verdict::Failed(_) => ("failure", "failed"),
                    _ => ("error", "unreachable"),
                };
                let _ = writeln!(
                    text,
                    "      <{tag} message=\"{}\" type=\"{kind}\">{}</{tag}>",
                    first(said),
                    escaped(said)
                );
            }
        }
        if !self.changes.is_empty() {
            let _ = writeln!(
                text,
                "      <system-out>changed: {}</system-out>",
                escaped(&self.changes.join("\nchanged: "))
            );
        }
        text
    }
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn not_written(path: &Path, error: &std::io::Error) -> Diagnostic {
    let sentence = format!(
        "the JUnit file {} cannot be written: {}",
        path.display(),
        reason(error)
    );
    Diagnostic::error(sentence).help("`--junit FILE` wants a file in a directory that is there")
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for case in cases {
        tests += 1;
        match case.verdict {
            Verdict::Passed => {}
            Verdict::Skipped(_) => skipped += 1,
            Verdict::Failed(_) => failures += 1,
            Verdict::Broken(_) => errors += 1,
        }
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Of `file:line:column`.
fn file_and_line(place: &str) -> (&str, Option<u32>) {
    let mut parts = place.rsplitn(3, ':');
    let (_column, line, file) = (parts.next(), parts.next(), parts.next());
    match (file, line.and_then(|line| line.parse().ok())) {
        (Some(file), Some(line)) => (file, Some(line)),
        _ => (place, None),
    }
}

/// Text for an attribute or an element. What XML has no way to write is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_apart() {
        assert_eq!(file_and_line("a/b.yml:12:3"), ("a/b.yml", Some(12)));
        assert_eq!(file_and_line("nowhere"), ("nowhere", None));
    }

    #[test]
    fn what_xml_cannot_hold_is_left_out() {
        assert_eq!(
            escaped("a<\"b\"&\u{1b}[1m>\n"),
            "a&lt;&quot;b&quot;&amp;[1m&gt;\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_is_refused_before_anything_runs() {
        let error = Junit::new(Path::new("/nowhere/at/all.xml"), Box::new(|_| {}))
            .err()
            .unwrap();
        assert!(
            error.message.contains("/nowhere/at/all.xml cannot be written"),
            "{error}"
        );
    }
}
