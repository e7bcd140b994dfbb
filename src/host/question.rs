//! The questions a module can ask, typed so that a machine can merge many of a kind into one process.
//!
//! A question only looks. It takes no lock, fetches nothing, loads no unit and no kernel module, triggers no
//! automount. Anything else is work for [`Host::ask_now`](super), at the task's turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::machine::{Output, Unanswered};

/// One question; equal questions in one frame are asked once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    Stat(Stat),
    Read(Read),
    Access(Access),
    Checksum(Checksum),
    Attributes(Attributes),
    Mime(Mime),
    Unit(Unit),
    Package(Package),
    Account(Account),
    Group(Group),
    Feed(Feed),
    Look(Look),
}

/// The answer to a [`Question`], of the same kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `None`: there is no such path (or, following, the link dangles).
    Stat(Option<Box<FileStat>>),
    Read(Contents),
    /// Hexadecimal; `None`: no such file, or not a regular one.
    Checksum(Option<String>),
    Access(Permitted),
    /// `None`: there is no such file, or its file system has none, or the host no `lsattr`.
    Attributes(Option<FileFlags>),
    /// The type and the charset; `None`: no such file, or the host has no `file`.
    Mime(Option<(String, String)>),
    /// `systemctl show`'s properties; an unknown unit has `LoadState` `not-found`.
    Unit(BTreeMap<String, String>),
    /// Installed versions, newest last; empty: not installed.
    Package(Vec<Installed>),
    Account(Option<AccountEntry>),
    Group(Option<GroupEntry>),
    /// Of all that were asked in one call, if that went well; else of this one alone.
    Feed(Output),
    Look(Output),
}

/// A question as its author writes it: `host.ask(Stat::of("/etc/hosts")).await?`.
pub trait Ask: Into<Question> {
    type Answer;
    /// `None`: the machine answered another question, which is a bug of ours.
    fn answer(answer: Answer) -> Option<Self::Answer>;
}

macro_rules! asks {
    ($($kind:ident => $answer:ty),* $(,)?) => {$(
        impl From<$kind> for Question {
            fn from(q: $kind) -> Self {
                Self::$kind(q)
            }
        }
        impl Ask for $kind {
            type Answer = $answer;
            fn answer(answer: Answer) -> Option<Self::Answer> {
                match answer {
                    Answer::$kind(a) => Some(a),
                    _ => None,
                }
            }
        }
    )*};
}

asks! {
    Stat => Option<Box<FileStat>>,
    Read => Contents,
    Checksum => Option<String>,
    Access => Permitted,
    Attributes => Option<FileFlags>,
    Mime => Option<(String, String)>,
    Unit => BTreeMap<String, String>,
    Package => Vec<Installed>,
    Account => Option<AccountEntry>,
    Group => Option<GroupEntry>,
    Feed => Output,
    Look => Output,
}

/// `stat`, of the link itself unless `follow`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stat {
    pub path: String,
    pub follow: bool,
}

impl Stat {
    /// Of the path itself, be it a link.
    pub fn of(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            follow: false,
        }
    }

    /// Of what a link leads to.
    pub fn following(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            follow: true,
        }
    }
}

/// What `stat` knows about a path.
#[derive(Debug, Clone, PartialEq)]
pub struct FileStat {
    pub kind: FileKind,
    /// Permission bits with set-id and sticky: `0o7777` at most.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names as the host's databases have them; the number as text where there is none.
    pub owner: String,
    pub group: String,
    pub size: u64,
    pub inode: u64,
    pub device: u64,
    pub links: u64,
    /// 512-byte blocks.
    pub blocks: u64,
    pub block_size: u64,
    pub device_type: u64,
    /// Seconds since 1970, with fractions.
    pub accessed: f64,
    pub modified: f64,
    pub changed: f64,
    /// What a symbolic link says, as it says it; for a link that is not followed.
    pub target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    BlockDevice,
    CharDevice,
}

/// The content of a file, following links; also of files in `/proc` and `/sys`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Read {
    pub path: String,
    /// Larger files are answered with [`Contents::TooLarge`].
    pub limit: u64,
}

impl Read {
    /// A configuration file: a megabyte at most.
    pub fn of(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            limit: 1 << 20,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    Absent,
    Bytes(Bytes),
    TooLarge(u64),
    /// A directory, or no permission, in a sentence.
    Unreadable(String),
}

/// What the asking user may do with a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    pub path: String,
}

/// What `test` says of a path; of one that is not there, nothing is permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    pub read: bool,
    pub write: bool,
    pub execute: bool,
    /// Where a link leads in the end; empty: nowhere. `None`: it is no link.
    pub real: Option<String>,
}

/// The flags that `chattr` sets, of the path itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attributes {
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFlags {
    pub version: String,
    /// The letters of those that are set.
    pub flags: String,
}

/// What kind of content a file has, by the host's `file`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mime {
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    pub path: String,
    pub algorithm: Algorithm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// A systemd unit's properties, without loading it where that can be avoided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unit {
    pub name: String,
    /// `--user` units of the identity that asks.
    pub scope: UnitScope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitScope {
    System,
    User,
    Global,
}

/// Whether a package is installed, by the package database alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Package {
    pub database: PackageDatabase,
    /// For rpm also a capability (`--whatprovides`).
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackageDatabase {
    Dpkg,
    Rpm,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub name: String,
    /// With epoch (unless 0) and release, as the package manager prints it.
    pub version: String,
    pub architecture: String,
    /// dpkg's `db:Status-Abbrev` ("ii ", "hi "), empty for rpm.
    pub status: String,
}

/// A user by name or number, as `getent passwd` has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEntry {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub comment: String,
    pub home: String,
    pub shell: String,
}

/// A group by name or number, as `getent group` has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

/// A read-only script, for what the other kinds do not cover. Runs in a subshell of its own, `LC_ALL=C`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    pub label: Arc<str>,
    pub script: Arc<str>,
}

impl Look {
    pub fn new(label: impl Into<Arc<str>>, script: impl Into<Arc<str>>) -> Self {
        Self {
            label: label.into(),
            script: script.into(),
        }
    }
}

/// A read-only script that reads what it is asked about, line by line: questions with the same script are one call,
/// and each is answered with all that it printed. Runs as a [`Look`] does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Feed {
    pub label: Arc<str>,
    pub script: Arc<str>,
    /// Whole lines, the last without its end.
    pub input: Arc<str>,
}

impl Question {
    /// The kind, for the list of round trips ("12 stat, 3 checksum").
    pub fn kind(&self) -> &str {
        match self {
            Self::Stat(_) => "stat",
            Self::Read(_) => "read",
            Self::Access(_) => "access",
            Self::Checksum(_) => "checksum",
            Self::Attributes(_) => "attributes",
            Self::Mime(_) => "mime type",
            Self::Unit(_) => "unit",
            Self::Package(_) => "package",
            Self::Account(_) => "account",
            Self::Group(_) => "group",
            Self::Feed(f) => &f.label,
            Self::Look(l) => &l.label,
        }
    }
}

/// What came of a question, as the executor hands it on.
pub type Answered = Result<Answer, Unanswered>;
