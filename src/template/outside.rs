//! What templates can ask of the world outside them: environment, files, commands, the clock, chance.
//!
//! Everything but the environment can change while a run goes on, so it is asked only when the task's turn
//! has come.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::source::reason;
use crate::transport::web::{self, Fetch};

/// What a path is, without following a link at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub is_file: bool,
    pub is_directory: bool,
    pub is_link: bool,
    /// The device number, by which a mount point differs from its parent.
    pub device: u64,
    pub inode: u64,
}

/// The controlling machine, as templates see it.
pub trait Outside: Send + Sync + Debug {
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;

    /// A whole file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// Writes a file that only its owner can read, making its directories (`lookup('password')`).
    fn write_private(&self, path: &Path, content: &[u8]) -> Result<(), String>;

    /// What is there; `follow` looks at what a link points to.
    fn entry(&self, path: &Path, follow: bool) -> Option<Entry>;

    /// The names in a directory, sorted.
    fn list(&self, directory: &Path) -> Vec<String>;

    /// The path with links and `..` resolved.
    fn real_path(&self, path: &Path) -> PathBuf;

    /// The standard output of a shell command.
    fn pipe(&self, command: &str) -> Result<String, String>;

    /// The text behind a URL.
    fn fetch(&self, request: &Fetch) -> Result<String, String>;

    fn now(&self) -> SystemTime;

    /// Seconds east of UTC at that moment.
    fn utc_offset(&self, at: SystemTime) -> i64;

    /// Random bits.
    fn random(&self) -> u64;

    /// The directory that relative paths start from when nothing else is known.
    fn working_directory(&self) -> PathBuf;
}

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Controller;

impl Outside for Controller {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|v| v.to_string_lossy().into_owned())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|e| reason(&e))
    }

    fn write_private(&self, path: &Path, content: &[u8]) -> Result<(), String> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| reason(&e))?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path).map_err(|e| reason(&e))?;
        file.write_all(content).map_err(|e| reason(&e))
    }

    fn entry(&self, path: &Path, follow: bool) -> Option<Entry> {
        use std::os::unix::fs::MetadataExt as _;

        let data = if follow {
            path.metadata()
        } else {
            path.symlink_metadata()
        };
        let data = data.ok()?;
        Some(Entry {
            is_file: data.is_file(),
            is_directory: data.is_dir(),
            is_link: data.file_type().is_symlink(),
            device: data.dev(),
            inode: data.ino(),
        })
    }

    fn list(&self, directory: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
    }

    fn pipe(&self, command: &str) -> Result<String, String> {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|e| reason(&e))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        let code = output.status.code().unwrap_or(-1);
        Err(format!("the command ended with status {code}: {said}"))
    }

    fn fetch(&self, request: &Fetch) -> Result<String, String> {
        web::fetch(request)
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn utc_offset(&self, at: SystemTime) -> i64 {
        let seconds = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        local_offset(seconds).unwrap_or(0)
    }

    fn random(&self) -> u64 {
        use std::hash::{BuildHasher as _, Hasher as _};
        use std::io::Read as _;

        let mut bytes = [0; 8];
        let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
        if read.is_ok() {
            return u64::from_ne_bytes(bytes);
        }
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    }

    fn working_directory(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
    }
}

/// The offset of local time, from the zone file's version-2 block or its version-1 one.
fn local_offset(seconds: u64) -> Option<i64> {
    let path = match std::env::var("TZ") {
        Ok(zone) if zone == "UTC" || zone.is_empty() => return Some(0),
        Ok(zone) => PathBuf::from("/usr/share/zoneinfo").join(zone.trim_start_matches(':')),
        Err(_) => PathBuf::from("/etc/localtime"),
    };
    let data = std::fs::read(path).ok()?;
    zone_offset(&data, i64::try_from(seconds).ok()?)
}

/// Reads a `TZif` file as far as its list of transitions goes.
fn zone_offset(data: &[u8], at: i64) -> Option<i64> {
    let header = |base: usize, i: usize| -> Option<usize> {
        let start = base + 20 + i * 4;
        let bytes: [u8; 4] = data.get(start..start + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    };
    if data.get(..4)? != b"TZif" {
        return None;
    }
    let size = |base: usize, wide: usize| -> Option<usize> {
        let (utc, std, leap) = (header(base, 0)?, header(base, 1)?, header(base, 2)?);
        let (times, types, chars) = (header(base, 3)?, header(base, 4)?, header(base, 5)?);
        Some(44 + times * (wide + 1) + types * 6 + chars + leap * (wide + 4) + std + utc)
    };
    let (base, wide) = if data.get(4)? >= &b'2' {
        (size(0, 4)?, 8)
    } else {
        (0, 4)
    };
    let (times, types) = (header(base, 3)?, header(base, 4)?);
    let list = base + 44;
    let time = |i: usize| -> Option<i64> {
        let start = list + i * wide;
        let bytes = data.get(start..start + wide)?;
        let sign = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
        Some(bytes.iter().fold(sign, |v, b| (v << 8) | i64::from(*b)))
    };
    let passed = (0..times).take_while(|i| time(*i).is_some_and(|t| t <= at));
    let kind = match passed.last() {
        Some(newest) => usize::from(*data.get(list + times * wide + newest)?),
        None => 0,
    };
    if kind >= types {
        return None;
    }
    let start = list + times * (wide + 1) + kind * 6;
    let bytes: [u8; 4] = data.get(start..start + 4)?.try_into().ok()?;
    Some(i64::from(i32::from_be_bytes(bytes)))
}
