//! `remote_src: true`: from one path of the host to another.

use super::Copy;
use crate::host::question::{Algorithm, Checksum, Contents, FileKind, FileStat, Read, Stat};
use crate::host::{Batch, Change, Failure, Halt, Host, Outcome, fail};
use crate::modules::files::attributes::{Given, Wanted};
use crate::modules::files::mode::Mode;
use crate::modules::files::object::{Describe as _, Object};
use crate::modules::files::path::{join, led, name, real};
use crate::modules::files::put::{adjust, not_valid, with_directory};
use crate::modules::files::write::{Content, Parents, Write, shown, write};

/// A path of the host: what is there, and its content in a digest.
struct Place {
    at: String,
    itself: Option<Box<FileStat>>,
    following: Option<Box<FileStat>>,
    sha1: Option<String>,
    md5: Option<String>,
}

impl Place {
    fn digest(path: &str, algorithm: Algorithm) -> Checksum {
        Checksum {
            path: path.to_string(),
            algorithm,
        }
    }

    fn is_directory(&self) -> bool {
        self.following
            .as_ref()
            .is_some_and(|s| s.kind == FileKind::Directory)
    }

    fn is_link(&self) -> bool {
        self.itself.as_ref().is_some_and(|s| s.kind == FileKind::Link)
    }
}

impl Copy {
    pub(super) async fn remote(self, host: &Host, src: String, mut given: Given) -> Result<Outcome, Halt> {
        let mut batch = Batch::default();
        let names = given.ask(&mut batch);
        let inside = join(&self.dest, name(src.trim_end_matches('/')));
        let paths = [src.as_str(), self.dest.as_str(), inside.as_str()];
        let asked = paths.map(|path| {
            (
                path,
                batch.put(Stat::of(path)),
                batch.put(Stat::following(path)),
                batch.put(Place::digest(path, Algorithm::Sha1)),
                batch.put(Place::digest(path, Algorithm::Md5)),
            )
        });
        let mut answers = batch.ask(host).await?;
        let mut found = Vec::new();
        for (path, itself, following, sha1, md5) in asked {
            found.push(Place {
                at: path.to_string(),
                itself: answers.take(itself)?,
                following: answers.take(following)?,
                sha1: answers.take(sha1)?,
                md5: answers.take(md5)?,
            });
        }
        let [source, dest, inside] = <[Place; 3]>::try_from(found)
            .map_err(|_| fail("three questions have not three answers: a bug of vmstation"))?;
        let Some(stat) = source.following.clone() else {
            let failure = fail(format!("the source {src} does not exist on the host"));
            return Err(host.lacks_file(&src, failure));
        };
        if given.mode == Some(Mode::Preserve) {
            given.mode = Some(Mode::Bits(stat.mode));
        }
        let wanted = given.wanted(names, &mut answers, host)?;
        match stat.kind {
            FileKind::Directory => {
                let there = dest.is_directory();
                let place = if there && !src.ends_with('/') {
                    inside
                } else {
                    dest
                };
                self.remote_tree(host, &src, place.following.as_deref(), there, &wanted)
                    .await
            }
            FileKind::File => {
                let target = self.choose(&source, dest, inside)?;
                self.remote_file(host, source, &stat, target, wanted).await
            }
            _ => Err(fail(format!(
                "the source {src} is neither a file nor a directory"
            ))),
        }
    }

    fn choose(&self, source: &Place, dest: Place, inside: Place) -> Result<Place, Halt> {
        if !dest.is_directory() && !self.dest.ends_with('/') {
            return Ok(dest);
        }
        if inside.is_directory() {
            return Err(fail(format!(
                "cannot copy {} to {}: it is a directory",
                source.at, inside.at
            )));
        }
        Ok(inside)
    }

    async fn remote_file(
        self,
        host: &Host,
        source: Place,
        stat: &FileStat,
        mut target: Place,
        wanted: Wanted,
    ) -> Result<Outcome, Halt> {
        let Some(sha1) = source.sha1.clone() else {
            return Err(fail(format!("the source {} cannot be read", source.at)));
        };
        if self.checksum.as_ref().is_some_and(|wanted| *wanted != sha1) {
            return Err(
                Failure::new("the source does not have the checksum that the task demands")
                    .with("checksum", sha1)
                    .with("expected_checksum", self.checksum.unwrap_or_default())
                    .into(),
            );
        }
        if self.follow && target.is_link() && target.following.is_some() {
            let output = host.ask(real(&target.at)).await?;
            target.at = led(&target.at, &output)?;
            target.itself.clone_from(&target.following);
        }
        let outcome = Outcome::new()
            .with("dest", with_directory(&target.at))
            .with("src", source.at.as_str());
        if target.following.is_some() && !self.force {
            let object = target.itself.as_deref().map(Object::from);
            return Ok(outcome
                .with("msg", "file already exists")
                .describing(object.as_ref()));
        }
        let mut outcome = outcome.with("checksum", sha1.as_str());
        if let Some(md5) = &source.md5 {
            outcome = outcome.with("md5sum", md5.as_str());
        }
        if target.sha1.as_ref() == Some(&sha1) && !target.is_link() {
            let object = adjust(host, &target.at, target.itself.as_deref(), &wanted).await?;
            let object = object.or_else(|| target.itself.as_deref().map(Object::from));
            return Ok(outcome.describing(object.as_ref()));
        }
        let mut change = Change::new(format!("copy {} to {}", source.at, target.at));
        if host.task().diff {
            let reads = [source.at.as_str(), target.at.as_str()].map(Read::of);
            let mut contents = host.ask_all(reads.into()).await?.into_iter().map(content);
            let after = contents.next().flatten().unwrap_or_default();
            let before = contents.next().flatten();
            let (before, after) = shown(before.as_deref(), &after);
            change = change.difference(target.at.as_str(), before, after);
        }
        let parents = self.dest.ends_with('/').then(|| Parents {
            wanted: Wanted {
                mode: self.directory_mode.clone(),
                ..wanted.clone()
            },
        });
        let file = Write {
            path: &target.at,
            follow: false,
            content: Content::Of {
                path: &source.at,
                mode: stat.mode,
            },
            keep: target.following.as_deref().filter(|_| !target.is_link()),
            wanted: &wanted,
            backup: self.backup,
            validate: self.validate.as_deref(),
            parents,
        };
        let said = write(host, change, &file, not_valid).await?;
        if let Some(backup) = said.backup {
            outcome = outcome.with("backup_file", backup);
        }
        Ok(outcome.describing(said.object.as_ref()))
    }
}

fn content(contents: Contents) -> Option<Vec<u8>> {
    match contents {
        Contents::Bytes(bytes) => Some(bytes.to_vec()),
        Contents::TooLarge(size) => Some(format!("({size} bytes, too many to show)\n").into_bytes()),
        Contents::Absent | Contents::Unreadable(_) => None,
    }
}
