//! What is at a path: as a question answered it, as a change script says it, and as modules report it.

use crate::host::question::{FileKind, FileStat};
use crate::host::{Failure, Halt, Outcome, fail, quote};
use crate::vars::{Map, Value};

/// What Ansible calls `state`, of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Absent,
    Directory,
    File,
    Hard,
    Link,
}

impl State {
    /// Of the path itself, be it a link.
    pub fn of(stat: Option<&FileStat>) -> Self {
        match stat {
            None => Self::Absent,
            Some(s) => Object::from(s).state(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Directory => "directory",
            Self::File => "file",
            Self::Hard => "hard",
            Self::Link => "link",
        }
    }

    /// In a sentence: "`/x` is …".
    pub fn described(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Directory => "a directory",
            Self::File => "a file",
            Self::Hard => "a hard link",
            Self::Link => "a symbolic link",
        }
    }
}

/// The values that every module for files returns about the path it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub kind: FileKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub owner: String,
    pub group: String,
    pub size: u64,
    pub links: u64,
}

impl From<&FileStat> for Object {
    fn from(s: &FileStat) -> Self {
        Self {
            kind: s.kind,
            mode: s.mode,
            uid: s.uid,
            gid: s.gid,
            owner: s.owner.clone(),
            group: s.group.clone(),
            size: s.size,
            links: s.links,
        }
    }
}

impl Object {
    fn state(&self) -> State {
        match self.kind {
            FileKind::Link => State::Link,
            FileKind::Directory => State::Directory,
            _ if self.links > 1 => State::Hard,
            _ => State::File,
        }
    }

    pub fn describe(&self, values: &mut Map) {
        let texts = [
            ("owner", self.owner.clone()),
            ("group", self.group.clone()),
            ("mode", octal(self.mode)),
            ("state", self.state().name().to_string()),
        ];
        for (name, number) in [
            ("uid", self.uid.into()),
            ("gid", self.gid.into()),
            ("size", self.size),
        ] {
            values.insert(name.into(), Value::Int(number.try_into().unwrap_or(i64::MAX)));
        }
        for (name, text) in texts {
            values.insert(name.into(), text.into());
        }
    }

    /// Shell text that says what is at the path (a shell word), to be read by [`said`]; nothing for a link that
    /// leads nowhere, as Ansible says nothing of it.
    fn asking(path: &str) -> String {
        format!("if [ -e {path} ]; then stat -c '%f/%u/%g/%s/%h/%U/%G' -- {path}; fi")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(7, '/');
        let raw = u32::from_str_radix(parts.next()?, 16).ok()?;
        let uid: u32 = parts.next()?.parse().ok()?;
        let gid: u32 = parts.next()?.parse().ok()?;
        let size = parts.next()?.parse().ok()?;
        let links = parts.next()?.parse().ok()?;
        let named = |name: Option<&str>, number: u32| match name {
            None | Some("UNKNOWN") => number.to_string(),
            Some(name) => name.to_string(),
        };
        Some(Self {
            kind: kind(raw),
            mode: raw & 0o7777,
            uid,
            gid,
            owner: named(parts.next(), uid),
            group: named(parts.next(), gid),
            size,
            links,
        })
    }
}

/// The kind in the upper bits of `st_mode`.
pub fn kind(raw: u32) -> FileKind {
    match raw & 0o170_000 {
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Link,
        0o010_000 => FileKind::Fifo,
        0o140_000 => FileKind::Socket,
        0o060_000 => FileKind::BlockDevice,
        0o020_000 => FileKind::CharDevice,
        _ => FileKind::File,
    }
}

/// `isdir`, `isreg` …, `rusr` … `xoth`, `isuid`, `isgid`, as `stat` and `find` return them.
pub fn kind_flags(kind: FileKind, mode: u32, values: &mut Map) {
    let flags = [
        ("isdir", kind == FileKind::Directory),
        ("ischr", kind == FileKind::CharDevice),
        ("isblk", kind == FileKind::BlockDevice),
        ("isreg", kind == FileKind::File),
        ("isfifo", kind == FileKind::Fifo),
        ("islnk", kind == FileKind::Link),
        ("issock", kind == FileKind::Socket),
        ("isuid", mode & 0o4000 != 0),
        ("isgid", mode & 0o2000 != 0),
    ];
    for (name, flag) in flags {
        values.insert(name.into(), Value::Bool(flag));
    }
    for (shift, who) in [(6, "usr"), (3, "grp"), (0, "oth")] {
        for (bit, what) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            let name = format!("{what}{who}");
            values.insert(name.into(), Value::Bool(mode >> shift & bit != 0));
        }
    }
}

/// Permission bits as return values have them.
pub fn octal(mode: u32) -> String {
    format!("0{mode:03o}")
}

/// What a change script said last: the backup it made, and what it left at the path.
#[derive(Debug, Default)]
pub struct Said {
    pub backup: Option<String>,
    pub object: Option<Object>,
}

/// The end of a change script that is about the path.
pub fn report(path: &str) -> String {
    report_word(&quote(path))
}

/// The same for a path that is a shell word. NUL cannot be in a path, so it parts one value from the next and
/// all of them from what a validating program may have printed.
pub fn report_word(path: &str) -> String {
    format!("printf '\\0%s\\0' \"$b\"\n{}\n", Object::asking(path))
}

pub fn said(stdout: &[u8]) -> Said {
    let mut parts = stdout.rsplit(|b| *b == 0);
    let object = parts
        .next()
        .and_then(|line| Object::parse(String::from_utf8_lossy(line).trim_end()));
    let backup = parts
        .next()
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned());
    Said { backup, object }
}

/// Adds the values of what is at the path, if anything is.
pub trait Describe {
    #[must_use]
    fn describing(self, object: Option<&Object>) -> Self;
}

impl Describe for Outcome {
    fn describing(mut self, object: Option<&Object>) -> Self {
        if let Some(object) = object {
            object.describe(&mut self.values);
        }
        self
    }
}

impl Describe for Failure {
    fn describing(mut self, object: Option<&Object>) -> Self {
        if let Some(object) = object {
            object.describe(&mut self.values);
        }
        self
    }
}

/// The failure of an option that Ansible has and vmstation has not.
pub fn refused(option: &str, why: &str) -> Halt {
    fail(format!("the option `{option}` is not supported: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_script_says_last() {
        let said = said(b"validated\nfine\n\0/x.1~\x0081a4/0/12/3/2/root/dom users\n");
        assert_eq!(said.backup.as_deref(), Some("/x.1~"));
        let object = said.object.unwrap();
        assert_eq!(object.kind, FileKind::File);
        assert_eq!(
            (object.mode, object.uid, object.gid, object.size),
            (0o644, 0, 12, 3)
        );
        assert_eq!(object.group, "dom users");
        assert_eq!(object.state(), State::Hard);
    }

    #[test]
    fn says_nothing_of_what_is_not_there() {
        let said = said(b"\0\0");
        assert_eq!(said.backup, None);
        assert_eq!(said.object, None);
    }
}
