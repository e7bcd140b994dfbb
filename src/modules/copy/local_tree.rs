//! A source that is a directory of the project: everything in it, by one round of questions and one change.

use std::fmt::Write as _;

use bytes::Bytes;

use super::Copy;
use crate::host::question::{Algorithm, Checksum, Contents, FileKind, FileStat, Look, Read, Stat};
use crate::host::{
    Batch, Change, FileSearch, Halt, Host, Local, LocalAnswer, LocalFile, Outcome, Script, fail, quote,
};
use crate::modules::files::attributes::{Given, Present, Wanted};
use crate::modules::files::digest::sha1;
use crate::modules::files::mode::Mode;
use crate::modules::files::path::{join, name, parent};
use crate::modules::files::put::not_valid;
use crate::modules::files::write::{BEGIN, Content, Parents, Write, finish, shown};
use crate::modules::payload::Payload;

/// One thing of the source, and what is where it belongs.
struct Item {
    path: String,
    source: LocalFile,
    itself: Option<Box<FileStat>>,
    following: Option<Box<FileStat>>,
    checksum: Option<String>,
}

/// The attributes of files, and those of directories.
struct Wishes {
    files: Wanted,
    directories: Wanted,
}

/// What the one change is made of.
struct Work {
    change: Change,
    text: String,
    payload: Payload,
    count: usize,
}

impl Copy {
    pub(super) async fn local_tree(
        self,
        host: &Host,
        src: &str,
        found: String,
        given: Given,
    ) -> Result<Outcome, Halt> {
        let tree = Local::Tree {
            kind: FileSearch::Files,
            name: src.to_string(),
        };
        let LocalAnswer::Tree(files) = host.local(tree).await? else {
            return Err(fail("the program answered another request: a bug of vmstation"));
        };
        // As rsync has it: without a `/` at its end the directory itself is copied.
        let root = if src.ends_with('/') {
            join(&self.dest, "")
        } else {
            join(&join(&self.dest, name(src)), "")
        };
        let (items, wishes) = self.ask(host, &root, files, &given).await?;
        let mut work = Work::new(&root, &wishes.directories);
        for item in &items {
            self.add(host, item, &wishes, &given, &mut work).await?;
        }
        let outcome = Outcome::new()
            .with("dest", join(&self.dest, ""))
            .with("src", found);
        if work.count == 0 {
            return Ok(outcome);
        }
        let mut change = work.change;
        change.what = format!("copy {} paths from {src} to {root}", work.count);
        let script = Script::new(change.what.clone(), work.text).stdin(work.payload.bytes());
        finish(host, change, script, not_valid).await?;
        Ok(outcome)
    }

    /// Asks about everything at once.
    async fn ask(
        &self,
        host: &Host,
        root: &str,
        files: Vec<LocalFile>,
        given: &Given,
    ) -> Result<(Vec<Item>, Wishes), Halt> {
        let mut batch = Batch::default();
        let names = given.ask(&mut batch);
        let umask = batch.put(Look::new("umask", "umask"));
        let asked: Vec<_> = files
            .into_iter()
            .map(|source| {
                let path = join(root, &source.path.to_string_lossy());
                let itself = batch.put(Stat::of(path.as_str()));
                let following = batch.put(Stat::following(path.as_str()));
                let checksum = source.bytes.is_some().then(|| {
                    batch.put(Checksum {
                        path: path.clone(),
                        algorithm: Algorithm::Sha1,
                    })
                });
                (path, source, itself, following, checksum)
            })
            .collect();
        let mut answers = batch.ask(host).await?;
        let files = given.wanted(names, &mut answers, host)?;
        let umask = answers.take(umask)?.stdout_text();
        let directories = Wanted {
            mode: self.directory_mode.clone(),
            umask: u32::from_str_radix(umask.trim(), 8).unwrap_or(0o022),
            ..files.clone()
        };
        let mut items = Vec::new();
        for (path, source, itself, following, checksum) in asked {
            items.push(Item {
                path,
                source,
                itself: answers.take(itself)?,
                following: answers.take(following)?,
                checksum: checksum.map(|slot| answers.take(slot)).transpose()?.flatten(),
            });
        }
        Ok((items, Wishes { files, directories }))
    }

    async fn add(
        &self,
        host: &Host,
        item: &Item,
        wishes: &Wishes,
        given: &Given,
        work: &mut Work,
    ) -> Result<(), Halt> {
        match (&item.source.link, &item.source.bytes) {
            (Some(target), bytes) if bytes.is_none() || self.local_follow == Some(false) => {
                work.link(item, target);
                Ok(())
            }
            (_, Some(bytes)) => {
                let mut wanted = wishes.files.clone();
                if given.mode == Some(Mode::Preserve) {
                    wanted.mode = Some(Mode::Bits(item.source.mode & 0o7777));
                }
                self.add_file(host, item, bytes, &wanted, work).await
            }
            (_, None) => work.directory(item, &wishes.directories),
        }
    }

    async fn add_file(
        &self,
        host: &Host,
        item: &Item,
        bytes: &Bytes,
        wanted: &Wanted,
        work: &mut Work,
    ) -> Result<(), Halt> {
        let present = item.itself.as_deref().map(Present::from);
        if present.is_some() && !self.force {
            return Ok(());
        }
        let is_link = present.is_some_and(|p| p.kind == FileKind::Link);
        if item.checksum.as_ref() == Some(&sha1(bytes)) && !is_link {
            work.settings(&item.path, present, wanted);
            return Ok(());
        }
        if present.is_some_and(|p| p.kind == FileKind::Directory) {
            return Err(fail(format!("cannot write {}: it is a directory", item.path)));
        }
        let (before, after) = difference(host, &item.path, bytes).await?;
        let write = Write {
            path: &item.path,
            follow: false,
            content: Content::Given(bytes.clone()),
            keep: item.following.as_deref(),
            wanted,
            backup: self.backup,
            validate: self.validate.as_deref(),
            parents: None,
        };
        work.parents(&item.path);
        let text = write.script(&mut work.payload)?;
        work.text.push_str(&text);
        work.note(&item.path, before, after);
        Ok(())
    }
}

/// Before and after, if anybody wants to see them.
async fn difference(host: &Host, path: &str, after: &[u8]) -> Result<(String, String), Halt> {
    if !host.task().diff {
        return Ok(Default::default());
    }
    let before = host.ask(Read::of(path)).await?;
    let before = match &before {
        Contents::Bytes(bytes) => Some(bytes.as_ref()),
        _ => None,
    };
    Ok(shown(before, after))
}

impl Work {
    fn new(root: &str, directories: &Wanted) -> Self {
        let parents = Parents {
            wanted: directories.clone(),
        };
        Self {
            change: Change::default(),
            text: format!("{BEGIN}{}{}", parents.define(), Parents::call(root)),
            payload: Payload::default(),
            count: 0,
        }
    }

    fn note(&mut self, path: &str, before: String, after: String) {
        self.count += 1;
        self.change = std::mem::take(&mut self.change).difference(path, before, after);
    }

    fn parents(&mut self, path: &str) {
        let directory = parent(path);
        self.text.push_str(&Parents::call(directory));
    }

    fn settings(&mut self, path: &str, present: Option<Present>, wanted: &Wanted) {
        let Some(present) = present else { return };
        let Some(setting) = wanted.setting(present) else {
            return;
        };
        self.text.push_str(&setting.script(&quote(path), false));
        let (before, after) = Wanted::difference(present, setting);
        self.note(path, before, after);
    }

    fn directory(&mut self, item: &Item, wanted: &Wanted) -> Result<(), Halt> {
        match item.following.as_deref() {
            Some(stat) if stat.kind == FileKind::Directory => {
                self.settings(&item.path, Some(stat.into()), wanted);
                Ok(())
            }
            Some(_) => Err(fail(format!(
                "{} is there already, and is no directory",
                item.path
            ))),
            None => {
                self.text.push_str(&Parents::call(&item.path));
                self.note(&item.path, "state: absent\n".into(), "state: directory\n".into());
                Ok(())
            }
        }
    }

    fn link(&mut self, item: &Item, target: &str) {
        let old = item.itself.as_ref().and_then(|s| s.target.as_deref());
        if old == Some(target) {
            return;
        }
        self.parents(&item.path);
        let path = quote(&item.path);
        let _ = writeln!(
            self.text,
            "t=$(mktemp -u -- {}) || exit 1\nln -sT -- {} \"$t\" && mv -fT -- \"$t\" {path} || exit 1\nt=",
            quote(&join(parent(&item.path), ".vmstation.XXXXXXXX")),
            quote(target),
        );
        let before = old.map_or_else(|| "state: absent\n".to_string(), |old| format!("src: {old}\n"));
        self.note(&item.path, before, format!("src: {target}\n"));
    }
}
