//! A file that a module reads, changes in part and writes back: `lineinfile`, `replace`, `blockinfile`.

use bytes::Bytes;

use super::attributes::{Given, Present, Wanted};
use super::large;
use super::object::State;
use super::put::adjust;
use super::write::{Content, Parents, Write, edit_not_valid, shown, write};
use crate::host::question::{Contents, FileKind, FileStat, Look, Read, Stat};
use crate::host::{Batch, Change, Failure, Halt, Host, fail};

/// The file as it is.
pub struct Edited<'a> {
    pub host: &'a Host,
    pub path: String,
    itself: Option<Box<FileStat>>,
    following: Option<Box<FileStat>>,
    /// `None`: there is no file.
    pub content: Option<Bytes>,
    wanted: Wanted,
}

/// How it is to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct How<'a> {
    pub backup: bool,
    pub validate: Option<&'a str>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Saved {
    pub backup: Option<String>,
    /// Whether mode, owner or group were changed, too.
    pub attributes: bool,
}

/// Reads the file and all that is to be known for writing it, in one round trip.
pub async fn open<'a>(host: &'a Host, path: String, given: &Given) -> Result<Edited<'a>, Halt> {
    given.check()?;
    let mut batch = Batch::default();
    let itself = batch.put(Stat::of(path.as_str()));
    let following = batch.put(Stat::following(path.as_str()));
    let read = batch.put(Read::of(path.as_str()));
    let names = given.ask(&mut batch);
    let umask = given
        .mode
        .is_some()
        .then(|| batch.put(Look::new("umask", "umask")));
    let mut answers = batch.ask(host).await?;
    let mut wanted = given.wanted(names, &mut answers, host)?;
    if let Some(slot) = umask {
        let said = answers.take(slot)?.stdout_text();
        wanted.umask = u32::from_str_radix(said.trim(), 8).unwrap_or(0o022);
    }
    let (itself, following) = (answers.take(itself)?, answers.take(following)?);
    if following.as_ref().is_some_and(|s| s.kind == FileKind::Directory) {
        return Err(Failure::new(format!("{path} is a directory, not a file"))
            .with("rc", 256)
            .into());
    }
    let content = content(host, &path, answers.take(read)?, following.is_some()).await?;
    Ok(Edited {
        host,
        path,
        itself,
        following,
        content,
        wanted,
    })
}

async fn content(host: &Host, path: &str, read: Contents, there: bool) -> Result<Option<Bytes>, Halt> {
    match read {
        Contents::Bytes(bytes) => Ok(Some(bytes)),
        Contents::Absent if !there => Ok(None),
        Contents::Absent => Err(fail(format!("{path} cannot be read"))),
        Contents::Unreadable(why) => Err(fail(format!("{path} cannot be read: {why}"))),
        Contents::TooLarge(_) => large(host, path).await.map(Some),
    }
}

impl Edited<'_> {
    /// Why a module that does not make the file goes no further.
    pub fn missing(&self) -> Halt {
        let failure = Failure::new(format!(
            "{} does not exist; `create: true` makes it, where the module has that",
            self.path
        ))
        .with("rc", 257);
        self.host.lacks_file(&self.path, failure.into())
    }

    /// Writes the new content, if there is one, and sets the attributes, where they differ.
    pub async fn save(self, content: Option<Vec<u8>>, how: How<'_>) -> Result<Saved, Halt> {
        let Some(content) = content else {
            let object = adjust(self.host, &self.path, self.itself.as_deref(), &self.wanted).await?;
            return Ok(Saved {
                backup: None,
                attributes: object.is_some(),
            });
        };
        let attributes = self.wanted.setting(self.written()).is_some();
        let link = State::of(self.itself.as_deref()) == State::Link;
        let kept = Wanted::default();
        let (before, after) = shown(self.content.as_deref(), &content);
        let change = Change::new(format!("edit {}", self.path)).difference(self.path.as_str(), before, after);
        let file = Write {
            path: &self.path,
            follow: link,
            content: Content::Given(content.into()),
            keep: self.following.as_deref(),
            // What a task wants is for the path itself, be it a link.
            wanted: if link { &kept } else { &self.wanted },
            backup: how.backup,
            validate: how.validate,
            parents: self.itself.is_none().then(Parents::default),
        };
        let said = write(self.host, change, &file, edit_not_valid).await?;
        if link {
            adjust(self.host, &self.path, self.itself.as_deref(), &self.wanted).await?;
        }
        Ok(Saved {
            backup: said.backup,
            attributes,
        })
    }

    /// What the written file has before the task's attributes are set.
    fn written(&self) -> Present {
        match self.itself.as_deref() {
            Some(stat) => stat.into(),
            None => Present::new(FileKind::File, 0o666 & !self.wanted.umask),
        }
    }
}

/// The sentence of a result, which also says whether attributes were changed.
pub fn message(edit: &str, attributes: bool) -> String {
    const ATTRIBUTES: &str = "ownership, perms or SE linux context changed";
    match (edit, attributes) {
        (edit, false) => edit.to_string(),
        ("", true) => ATTRIBUTES.to_string(),
        (edit, true) => format!("{edit} and {ATTRIBUTES}"),
    }
}
