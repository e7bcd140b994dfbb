//! Key files and what opens them: each is read once, and its passphrase is asked for once, however many hosts need it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::identity::{self, KeyFile, Problem};

/// As many as ssh allows.
const TRIES: usize = 3;

/// What the person is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passphrase {
    /// The key file.
    pub file: PathBuf,
    /// What was typed before does not open it.
    pub again: bool,
}

/// Asks the person, and waits; `None`, or nothing typed: the key is done without.
pub type AskPassphrase = Arc<dyn Fn(&Passphrase) -> Option<String> + Send + Sync>;

/// A file at a time of its modification, with the passphrase that a variable gives.
type Reading = (PathBuf, Option<SystemTime>, Option<String>);

#[derive(Default)]
pub(super) struct KeyFiles {
    read: Mutex<HashMap<Reading, KeyFile>>,
    /// The files that the person was asked about, with what came of it.
    asked: Mutex<HashMap<PathBuf, KeyFile>>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
    ask: Option<AskPassphrase>,
}

impl KeyFiles {
    pub(super) fn asking(ask: Option<AskPassphrase>) -> Self {
        Self {
            ask,
            ..Self::default()
        }
    }

    pub(super) fn load(&self, path: &Path, passphrase: Option<&str>) -> KeyFile {
        if let Some(opened) = lock(&self.asked).get(path) {
            return opened.clone();
        }
        let modified = fs::metadata(path).and_then(|found| found.modified()).ok();
        let reading = (path.to_path_buf(), modified, passphrase.map(str::to_owned));
        lock(&self.read)
            .entry(reading)
            .or_insert_with(|| identity::load(path, passphrase))
            .clone()
    }

    /// Whether asking the person might open a key with this problem.
    pub(super) fn may_open(&self, problem: Problem) -> bool {
        problem == Problem::Encrypted && self.ask.is_some()
    }

    /// Asks for the passphrase of a file, unless that was done already.
    pub(super) async fn open(&self, path: &Path) {
        let _turn = self.asking.lock().await;
        let Some(ask) = self.ask.clone().filter(|_| !lock(&self.asked).contains_key(path)) else {
            return;
        };
        let file = path.to_path_buf();
        // Waiting for a person, and the work that makes guessing slow, are nothing for the tasks of the connections.
        let opened = tokio::task::spawn_blocking(move || ask_and_open(&ask, &file)).await;
        let opened = opened.unwrap_or(KeyFile::Unusable(Problem::NotOpened));
        lock(&self.asked).insert(path.to_path_buf(), opened);
    }

    /// Waits while a person is being asked: a connection would grow old meanwhile.
    pub(super) async fn settled(&self) {
        drop(self.asking.lock().await);
    }
}

fn ask_and_open(ask: &AskPassphrase, path: &Path) -> KeyFile {
    for attempt in 0..TRIES {
        let question = Passphrase {
            file: path.to_path_buf(),
            again: attempt > 0,
        };
        let Some(typed) = ask(&question).filter(|typed| !typed.is_empty()) else {
            break;
        };
        match identity::load(path, Some(&typed)) {
            KeyFile::Locked {
                problem: Problem::WrongPassphrase,
                ..
            } => {}
            opened => return opened,
        }
    }
    match identity::load(path, None) {
        KeyFile::Locked { public, .. } => KeyFile::Locked {
            public,
            problem: Problem::NotOpened,
        },
        other => other,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
