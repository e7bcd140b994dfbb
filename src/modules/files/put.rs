//! Content from here to a path there, as `copy` and `template` do it.

use bytes::Bytes;

use super::attributes::{Given, Present, Wanted};
use super::digest::{md5, sha1};
use super::mode::Mode;
use super::object::{Describe, Object};
use super::path::{join, led, real};
use super::write::{Content, Parents, Write, shown, write};
use crate::host::question::{Algorithm, Checksum, Contents, FileKind, FileStat, Look, Read, Stat};
use crate::host::{Answers, Batch, Change, Failure, Halt, Host, Outcome, Output, Script, Slot, fail, quote};

/// What is to be put where.
#[derive(Debug)]
pub struct Put<'a> {
    pub content: Bytes,
    /// The source's name, which the file gets in a directory; `None` for content without a name.
    pub name: Option<&'a str>,
    /// The source as the result names it; empty for content.
    pub src: String,
    pub dest: String,
    pub force: bool,
    pub follow: bool,
    pub backup: bool,
    pub validate: Option<&'a str>,
    /// What the content's digest must be.
    pub checksum: Option<&'a str>,
    pub directory_mode: Option<Mode>,
    pub given: Given,
}

/// A path where the content may belong, and what was asked about it.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    itself: Slot<Stat>,
    following: Slot<Stat>,
    checksum: Slot<Checksum>,
    real: Option<Slot<Look>>,
}

/// A path and what is there.
#[derive(Debug)]
struct Target {
    path: String,
    itself: Option<Box<FileStat>>,
    following: Option<Box<FileStat>>,
    checksum: Option<String>,
    real: Option<Output>,
}

impl Asked {
    fn put(batch: &mut Batch, path: String, follow: bool) -> Self {
        Self {
            itself: batch.put(Stat::of(path.clone())),
            following: batch.put(Stat::following(path.clone())),
            checksum: batch.put(Checksum {
                path: path.clone(),
                algorithm: Algorithm::Sha1,
            }),
            real: follow.then(|| batch.put(real(&path))),
            path,
        }
    }

    fn answered(self, answers: &mut Answers) -> Result<Target, Halt> {
        Ok(Target {
            itself: answers.take(self.itself)?,
            following: answers.take(self.following)?,
            checksum: answers.take(self.checksum)?,
            real: self.real.map(|slot| answers.take(slot)).transpose()?,
            path: self.path,
        })
    }
}

impl Target {
    fn is_link(&self) -> bool {
        self.itself.as_ref().is_some_and(|s| s.kind == FileKind::Link)
    }

    fn is_directory(&self) -> bool {
        self.following
            .as_ref()
            .is_some_and(|s| s.kind == FileKind::Directory)
    }

    fn object(&self) -> Option<Object> {
        self.following.as_ref()?;
        self.itself.as_deref().map(Object::from)
    }

    /// What a link leads to, if it is to be followed and leads somewhere.
    fn followed(mut self) -> Result<Self, Halt> {
        let Some(output) = self.real.take() else {
            return Ok(self);
        };
        if !self.is_link() || self.following.is_none() {
            return Ok(self);
        }
        self.path = led(&self.path, &output)?;
        self.itself.clone_from(&self.following);
        Ok(self)
    }
}

impl Put<'_> {
    pub async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        self.given.check()?;
        let mut batch = Batch::default();
        let names = self.given.ask(&mut batch);
        let umask = self.ask_umask(&mut batch);
        let asked: Vec<Asked> = self
            .candidates()
            .into_iter()
            .map(|path| Asked::put(&mut batch, path, self.follow))
            .collect();
        let mut answers = batch.ask(host).await?;
        let wanted = self.given.wanted(names, &mut answers, host)?;
        let umask = match umask {
            Some(slot) => u32::from_str_radix(answers.take(slot)?.stdout_text().trim(), 8).unwrap_or(0o022),
            None => wanted.umask,
        };
        let targets: Result<Vec<Target>, Halt> =
            asked.into_iter().map(|a| a.answered(&mut answers)).collect();
        let target = self.choose(targets?)?.followed()?;
        self.at(host, target, wanted, umask).await
    }

    /// The umask bears on a symbolic `directory_mode` too.
    fn ask_umask(&self, batch: &mut Batch) -> Option<Slot<Look>> {
        self.directory_mode
            .as_ref()
            .filter(|mode| mode.is_symbolic())
            .map(|_| batch.put(Look::new("umask", "umask")))
    }

    /// Where the file may belong: the path itself, and, should that be a directory, the name in it. Both are
    /// asked about at once.
    fn candidates(&self) -> Vec<String> {
        match self.name {
            Some(name) if self.dest.ends_with('/') => vec![join(&self.dest, name)],
            Some(name) => vec![self.dest.clone(), join(&self.dest, name)],
            None => vec![self.dest.clone()],
        }
    }

    fn choose(&self, targets: Vec<Target>) -> Result<Target, Halt> {
        let mut targets = targets.into_iter();
        let (Some(first), second) = (targets.next(), targets.next()) else {
            return Err(fail("there is no place to write to: a bug of vmstation"));
        };
        if !first.is_directory() {
            return Ok(first);
        }
        match second {
            Some(inside) if !inside.is_directory() => Ok(inside),
            Some(inside) => Err(fail(format!("cannot write {}: it is a directory", inside.path))),
            None if self.name.is_none() => Err(fail(format!(
                "cannot write {}: it is a directory, and content has no name to give a file in it",
                first.path
            ))),
            None => Err(fail(format!("cannot write {}: it is a directory", first.path))),
        }
    }

    async fn at(self, host: &Host, target: Target, wanted: Wanted, umask: u32) -> Result<Outcome, Halt> {
        let there = if self.follow {
            &target.following
        } else {
            &target.itself
        };
        if there.is_some() && !self.force {
            return Ok(sourced(Outcome::new().with("dest", self.dest), self.src));
        }
        let digest = sha1(&self.content);
        if target.checksum.as_deref() == Some(&digest) && !target.is_link() {
            return self.converged(host, target, &wanted, digest).await;
        }
        if self.checksum.is_some_and(|wanted| wanted != digest) {
            return Err(
                Failure::new("the content does not have the checksum that the task demands")
                    .with("checksum", digest)
                    .with("expected_checksum", self.checksum.unwrap_or_default())
                    .into(),
            );
        }
        self.replace(host, target, wanted, umask, digest).await
    }

    /// The content is there; only attributes may differ.
    async fn converged(
        self,
        host: &Host,
        target: Target,
        wanted: &Wanted,
        digest: String,
    ) -> Result<Outcome, Halt> {
        let object = adjust(host, &target.path, target.itself.as_deref(), wanted).await?;
        let object = object.or_else(|| target.object());
        Ok(Outcome::new()
            .with("dest", target.path.as_str())
            .with("path", target.path.as_str())
            .with("checksum", digest)
            .with("md5sum", md5(&self.content))
            .describing(object.as_ref()))
    }

    async fn replace(
        self,
        host: &Host,
        target: Target,
        wanted: Wanted,
        umask: u32,
        digest: String,
    ) -> Result<Outcome, Halt> {
        let mut change = Change::new(format!("write {}", target.path));
        if host.task().diff {
            let before = before(host, &target).await?;
            let (before, after) = shown(before.as_deref(), &self.content);
            change = change.difference(target.path.as_str(), before, after);
        }
        let parents = self.dest.ends_with('/').then(|| Parents {
            wanted: Wanted {
                mode: self.directory_mode.clone(),
                umask,
                ..wanted.clone()
            },
        });
        let file = Write {
            path: &target.path,
            follow: false,
            content: Content::Given(self.content.clone()),
            // A file in place of a link is a new file.
            keep: target.following.as_deref().filter(|_| !target.is_link()),
            wanted: &wanted,
            backup: self.backup,
            validate: self.validate,
            parents,
        };
        let said = write(host, change, &file, not_valid).await?;
        let outcome = Outcome::new().with("dest", with_directory(&target.path));
        let mut outcome = sourced(outcome, self.src)
            .with("checksum", digest)
            .with("md5sum", md5(&self.content))
            .describing(said.object.as_ref());
        if let Some(backup) = said.backup {
            outcome = outcome.with("backup_file", backup);
        }
        Ok(outcome)
    }
}

fn sourced(outcome: Outcome, src: String) -> Outcome {
    if src.is_empty() {
        return outcome;
    }
    outcome.with("src", src)
}

/// Ansible writes a bare name as one in the present directory.
pub fn with_directory(path: &str) -> String {
    if path.contains('/') {
        return path.to_string();
    }
    format!("./{path}")
}

async fn before(host: &Host, target: &Target) -> Result<Option<Bytes>, Halt> {
    if target.following.is_none() {
        return Ok(None);
    }
    Ok(match host.ask(Read::of(target.path.as_str())).await? {
        Contents::Bytes(bytes) => Some(bytes),
        Contents::TooLarge(size) => Some(format!("({size} bytes, too many to show)\n").into()),
        Contents::Absent | Contents::Unreadable(_) => None,
    })
}

/// Sets what differs of mode, owner and group; says what is there afterwards, if anything was set.
pub async fn adjust(
    host: &Host,
    path: &str,
    now: Option<&FileStat>,
    wanted: &Wanted,
) -> Result<Option<Object>, Halt> {
    let Some(present) = now.map(Present::from) else {
        return Ok(None);
    };
    let Some(setting) = wanted.setting(present) else {
        return Ok(None);
    };
    let (before, after) = Wanted::difference(present, setting);
    let what = format!("set the attributes of {path}");
    let script = format!(
        "b=\n{}{}",
        setting.script(&quote(path), false),
        super::object::report(path)
    );
    let change = Change::new(what.as_str()).difference(path, before, after);
    let output = host.change_ok(change, Script::new(what, script)).await?;
    Ok(super::object::said(&output.stdout).object)
}

/// As `copy` says it.
pub fn not_valid(rc: i32, output: &Output) -> Failure {
    // What the validating program printed stands before the status.
    let printed = output.stdout.split(|b| *b == 0).next().unwrap_or_default();
    Failure::new("the file would not be valid: `validate` was not content")
        .with("exit_status", i64::from(rc))
        .with("stdout", String::from_utf8_lossy(printed).into_owned())
        .with("stderr", output.stderr_text())
}
