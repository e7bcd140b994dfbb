//! A run as a `JUnit` file, which servers that build and test show: `--junit FILE`.
//!
//! A suite is a host, a case is a task on it. What a rescue or `ignore_errors` took is no failure; a host that
//! cannot be reached is an error. What a task changed is the case's output, and a failure that was taken. An error
//! before anything ran is a suite with that one error.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::failure;
use super::suites::{self, Case, Suite, Verdict};
use crate::run::{Event, Finished, Sink, Status};
use crate::source::{Diagnostic, reason};

/// Writes the file when the run is over.
pub struct Junit {
    path: PathBuf,
    name: String,
    started: String,
    hosts: IndexMap<String, Vec<Case>>,
    /// Takes that the file cannot be written.
    tell: Box<dyn Fn(&Diagnostic) + Send>,
}

impl Junit {
    /// `tell` takes a failure at the end, when there is no other way to say it.
    pub fn new(path: &Path, tell: Box<dyn Fn(&Diagnostic) + Send>) -> Self {
        Self {
            path: path.to_path_buf(),
            name: String::new(),
            started: String::new(),
            hosts: IndexMap::new(),
            tell,
        }
    }

    /// Makes sure that nobody reads of the run before in a file of this name. Fails at once where none can be made.
    pub fn make_room(path: &Path) -> Result<(), Diagnostic> {
        let part = part(path);
        fs::write(&part, "").map_err(|error| not_written(path, &error))?;
        let _ = fs::remove_file(part);
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(not_written(path, &error)),
            _ => Ok(()),
        }
    }

    /// Writes down why nothing ran, unless a run has left its file.
    pub fn tell_why(path: &Path, error: &Diagnostic) -> Result<(), Diagnostic> {
        if path.exists() {
            return Ok(());
        }
        let said = error.to_string();
        let said = said.strip_prefix("error: ").unwrap_or(&said).trim_end();
        let suite = Suite {
            name: "vmstation".to_string(),
            cases: vec![Case {
                name: "before the first task".to_string(),
                class: "vmstation".to_string(),
                verdict: Verdict::Broken("static", said.to_string()),
                ..Case::default()
            }],
            ..Suite::default()
        };
        write(path, &suites::text("vmstation", 0, &[suite])).map_err(|error| not_written(path, &error))
    }

    fn finish(&mut self, milliseconds: u64, interrupted: bool) -> std::io::Result<()> {
        let started = self.started.trim_end_matches('Z');
        let suites: Vec<Suite> = self
            .hosts
            .drain(..)
            .map(|(host, cases)| Suite {
                name: host.clone(),
                host: Some(host),
                started: Some(started.to_string()),
                cases,
                noted: interrupted.then(|| "the run was interrupted".to_string()),
            })
            .collect();
        write(&self.path, &suites::text(&self.name, milliseconds, &suites))
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
                let case = case(name, place, what);
                self.hosts.entry(host.clone()).or_default().push(case);
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

fn case(name: String, place: &str, what: &Finished) -> Case {
    let (file, line) = file_and_line(place);
    let mut said: Vec<String> = what
        .changes
        .iter()
        .map(|change| format!("changed: {change}"))
        .collect();
    if let Some(word) = taken(what) {
        said.push(format!("{word}: {}", failure::text(what, place, true)));
    }
    Case {
        name,
        class: file.to_string(),
        place: line.map(|line| (file.to_string(), line)),
        milliseconds: what.milliseconds,
        verdict: verdict(what, place),
        said: said.join("\n"),
    }
}

/// By what a failure was taken, if there was one and it was.
fn taken(what: &Finished) -> Option<&'static str> {
    if !matches!(what.status, Status::Failed | Status::Unreachable) {
        return None;
    }
    match (what.ignored, what.rescued) {
        (true, _) => Some("ignored"),
        (_, true) => Some("rescued"),
        _ => None,
    }
}

fn verdict(what: &Finished, place: &str) -> Verdict {
    match what.status {
        _ if what.ignored || what.rescued => Verdict::Passed,
        Status::Ok | Status::Changed => Verdict::Passed,
        Status::Skipped => {
            let why = what.result.get("skip_reason").and_then(|why| why.as_str());
            Verdict::Skipped(why.unwrap_or("skipped").to_string())
        }
        Status::Unknown => Verdict::Skipped(what.error.clone().unwrap_or_else(|| "unknown".to_string())),
        Status::Failed => Verdict::Failed(failure::text(what, place, true)),
        Status::Unreachable => Verdict::Broken("unreachable", failure::text(what, place, true)),
    }
}

/// Whole, or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let part = part(path);
    fs::write(&part, text)?;
    fs::rename(part, path)
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

/// Of `file:line:column`.
fn file_and_line(place: &str) -> (&str, Option<u32>) {
    let mut parts = place.rsplitn(3, ':');
    let (_column, line, file) = (parts.next(), parts.next(), parts.next());
    match (file, line.and_then(|line| line.parse().ok())) {
        (Some(file), Some(line)) => (file, Some(line)),
        _ => (place, None),
    }
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
    fn a_file_that_cannot_be_is_refused_before_anything_runs() {
        let error = Junit::make_room(Path::new("/nowhere/at/all.xml")).unwrap_err();
        assert!(
            error.message.contains("/nowhere/at/all.xml cannot be written"),
            "{error}"
        );
    }

    #[test]
    fn the_file_of_another_run_goes_and_the_error_comes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("junit.xml");
        fs::write(&file, "of yesterday").unwrap();
        Junit::make_room(&file).unwrap();
        assert!(!file.exists());
        let error = Diagnostic::error("no <task> here").help("write one");
        Junit::tell_why(&file, &error).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let read = roxmltree::Document::parse(&text).unwrap();
        let suite = read.root_element().first_element_child().unwrap();
        assert_eq!(suite.attribute("tests"), Some("1"));
        assert_eq!(suite.attribute("errors"), Some("1"));
        let said = read
            .descendants()
            .find(|node| node.has_tag_name("error"))
            .unwrap();
        assert_eq!(said.attribute("message"), Some("no <task> here"));
        assert!(said.text().unwrap().contains("help: write one"), "{text}");
        // What a run has left stays.
        Junit::tell_why(&file, &Diagnostic::error("later")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
