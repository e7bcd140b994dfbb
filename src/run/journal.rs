//! A run's record: `.vmstation/runs/<id>/events.jsonl`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::event::{Event, Sink};
use super::execute::now;
use crate::source::{Diagnostic, reason};

/// Writes every event as one line of JSON.
pub struct Journal {
    file: File,
    pub directory: PathBuf,
    /// Told once: a full disk must not stop the run.
    broken: bool,
    tell: Tell,
}

/// Takes what is wrong with the record.
pub type Tell = Box<dyn Fn(&Diagnostic) + Send>;

/// What keeps records out of repositories.
const IGNORED: &str = "# Records of runs, by vmstation\n*\n";

/// A name for a run: when it began, and which process it is.
pub fn new_id() -> String {
    format!("{}-{}", now().replace(':', "-"), std::process::id())
}

impl Journal {
    /// Makes the directory of a run, readable by its owner only, and the link `latest` beside it.
    pub fn create(project: &Path, id: &str, tell: Tell) -> Result<Self, Diagnostic> {
        let runs = project.join(".vmstation").join("runs");
        let directory = runs.join(id);
        let failed = |e: std::io::Error| {
            Diagnostic::error(format!(
                "cannot keep the record of this run in {}: {}",
                directory.display(),
                reason(&e)
            ))
            .help("run in a directory that can be written to")
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let own = |path: PathBuf| {
            OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(path)
        };
        let file = own(directory.join("events.jsonl")).map_err(failed)?;
        // Neither this nor the link is worth a run; most often it is there.
        if let Ok(mut ignored) = own(project.join(".vmstation").join(".gitignore")) {
            let _ = ignored.write_all(IGNORED.as_bytes());
        }
        let latest = runs.join("latest");
        let _ = std::fs::remove_file(&latest);
        let _ = std::os::unix::fs::symlink(id, &latest);
        Ok(Self {
            file,
            directory,
            broken: false,
            tell,
        })
    }
}

impl Sink for Journal {
    fn take(&mut self, event: &Event) {
        if self.broken {
            return;
        }
        let written = serde_json::to_vec(event)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            });
        if let Err(error) = written {
            self.broken = true;
            let what = format!(
                "the record of this run in {} breaks off: {}",
                self.directory.display(),
                reason(&error)
            );
            (self.tell)(&Diagnostic::warning(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_full_disk_is_told_once_and_stops_nothing() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sayings = told.clone();
        let mut journal = Journal {
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            directory: PathBuf::from("runs/x"),
            broken: false,
            tell: Box::new(move |said| sayings.lock().unwrap().push(said.to_string())),
        };
        for _ in 0..3 {
            journal.take(&Event::Answered { answered: true });
        }
        assert_eq!(
            *told.lock().unwrap(),
            ["warning: the record of this run in runs/x breaks off: no space left on device"]
        );
    }
}
