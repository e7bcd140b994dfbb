//! Files of the controlling machine that somebody relies on: whether they are still what they were when they were
//! read. Anybody may write there at any time, a task of the run among them, by whatever way it reaches this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::batch::Asked;

/// What was written so shortly before it was read may have been written again since without showing it: clocks of
/// file systems are coarse.
const COARSE: Duration = Duration::from_millis(50);

/// What was looked at here, and when.
#[derive(Debug, Clone)]
pub(super) struct Sightings {
    asked: Asked,
    files: Vec<(PathBuf, Option<Stamp>)>,
    is_fresh: bool,
}

/// What tells one content of a path from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Sightings {
    /// Nothing yet; what is noted is looked at in this moment.
    pub fn at(asked: Asked) -> Self {
        Self {
            asked,
            files: Vec::new(),
            is_fresh: false,
        }
    }

    /// Before it is read, or found not to be there.
    pub fn note(&mut self, path: &Path) {
        let stamp = Stamp::of(path);
        self.is_fresh |= stamp.is_some_and(|stamp| stamp.is_fresh());
        self.files.push((path.to_path_buf(), stamp));
    }

    /// A directory and everything below it.
    pub fn note_tree(&mut self, root: &Path) {
        self.note(root);
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.note_tree(&entry.path());
            } else {
                self.note(&entry.path());
            }
        }
    }

    pub fn add(&mut self, other: Self) {
        self.asked = self.asked.older(Some(other.asked));
        self.files.extend(other.files);
        self.is_fresh |= other.is_fresh;
    }

    /// Whether something is not what it was; `is_altered`: whether anything may have been altered since a moment.
    pub fn are_stale(&self, is_altered: impl Fn(Asked) -> bool) -> bool {
        self.is_fresh && is_altered(self.asked)
            || self.files.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(path)
            .or_else(|_| std::fs::symlink_metadata(path))
            .ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    fn is_fresh(&self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else {
            return true;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age < COARSE)
    }
}
