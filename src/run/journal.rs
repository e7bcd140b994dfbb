//! A run's record: `.vmstation/runs/<id>/events.jsonl`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::event::{Event, Sink};
use crate::source::{Diagnostic, reason};

/// Writes every event as one line of JSON.
pub struct Journal {
    file: File,
    pub directory: PathBuf,
    /// Told once: a full disk must not stop the run.
    broken: bool,
}

impl Journal {
    /// Makes the directory of a run, readable by its owner only, and the link `latest` beside it.
    pub fn create(project: &Path, id: &str) -> Result<Self, Diagnostic> {
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
        let path = directory.join("events.jsonl");
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let latest = runs.join("latest");
        // A link that cannot be made is no loss.
        let _ = std::fs::remove_file(&latest);
        let _ = std::os::unix::fs::symlink(id, &latest);
        Ok(Self {
            file,
            directory,
            broken: false,
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
        self.broken = written.is_err();
    }
}
