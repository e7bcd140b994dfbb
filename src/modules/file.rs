//! `file`: makes files, directories and links, sets who owns them and who may use them, or removes them.
//!
//! ```yaml
//! - file:
//!     path: /etc/app
//!     state: directory
//!     owner: root
//!     group: root
//!     mode: '0755'
//! - file:
//!     src: /opt/app-2/bin/app
//!     dest: /usr/local/bin/app
//!     state: link
//! - file:
//!     path: /srv/data
//!     state: directory
//!     recurse: true
//!     mode: u=rwX,g=rX,o=
//! - file:
//!     path: /var/lib/app/stamp
//!     state: touch
//!     modification_time: preserve
//!     access_time: preserve
//! - file: path=/tmp/old state=absent
//! ```
//!
//! Returns `path` (`dest` for `touch` and links, with `src`), and of what is there `state`, `owner`, `group`,
//! `uid`, `gid`, `mode`, `size`. Refused: `attributes`, `seuser`, `serole`, `setype`, `selevel`,
//! `unsafe_writes`; formats of times other than %Y %m %d %H %M %S.

mod link;

use serde::Deserialize;

use super::Module;
use super::files::attributes::{Given, Present, Wanted, given};
use super::files::mode::Mode;
use super::files::object::{Describe, Object, State, refused, report, said};
use super::files::path::{expand, join, led, name, real};
use super::files::times::{Known, Times, Written};
use super::files::tree;
use super::files::write::{BEGIN, Parents};
use crate::host::question::{FileKind, FileStat, Stat};
use crate::host::{Batch, Change, Failure, Halt, Host, Outcome, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct File {
    #[serde(alias = "dest", alias = "name")]
    path: String,
    state: Option<Wish>,
    src: Option<String>,
    #[serde(default)]
    recurse: bool,
    #[serde(default)]
    force: bool,
    #[serde(default = "yes")]
    follow: bool,
    modification_time: Option<String>,
    #[serde(default = "format")]
    modification_time_format: String,
    access_time: Option<String>,
    #[serde(default = "format")]
    access_time_format: String,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    #[serde(alias = "attr")]
    attributes: Option<String>,
    seuser: Option<String>,
    serole: Option<String>,
    setype: Option<String>,
    selevel: Option<String>,
    #[serde(default)]
    unsafe_writes: bool,
}

/// `state:`.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Absent,
    Directory,
    File,
    Hard,
    Link,
    Touch,
}

fn yes() -> bool {
    true
}

fn format() -> String {
    "%Y%m%d%H%M.%S".to_string()
}

/// The path with all that was asked about it.
struct Subject<'a> {
    host: &'a Host,
    path: String,
    /// Of the path itself, be it a link.
    itself: Option<Box<FileStat>>,
    /// Of what it leads to.
    following: Option<Box<FileStat>>,
    /// What `src` leads to.
    source: Option<Box<FileStat>>,
    wanted: Wanted,
    times: Known,
}

impl Module for File {
    const NAME: &'static str = "file";

    fn check(&self) -> Result<(), Halt> {
        given!(self).check()?;
        if self.mode == Some(Mode::Preserve) {
            return Err(refused(
                "mode: preserve",
                "there is no source to take the mode from",
            ));
        }
        if self.recurse && self.state.is_some_and(|s| s != Wish::Directory) {
            return Err(fail("`recurse` needs `state: directory`"));
        }
        self.times().map(|_| ())
    }

    async fn run(mut self, host: &Host) -> Result<Outcome, Halt> {
        let given = given!(self);
        self.path = expand(host, &self.path).await?;
        if let Some(src) = &self.src {
            self.src = Some(expand(host, src).await?);
        }
        let mut subject = self.ask(host, &self.path, &given).await?;
        // A path that is a directory stands for the name in it; links are made where they are said to be.
        if let Some(src) = self.src.as_deref().filter(|_| {
            !matches!(self.state, Some(Wish::Link | Wish::Absent))
                && subject
                    .following
                    .as_ref()
                    .is_some_and(|s| s.kind == FileKind::Directory)
        }) {
            let inside = join(&subject.path, name(src));
            subject = self.ask(host, &inside, &given).await?;
        }
        let state = self.state(&subject)?;
        match state {
            Wish::Absent => subject.remove().await,
            Wish::File => subject.file(self.follow).await,
            Wish::Directory => subject.directory(self.follow, self.recurse).await,
            Wish::Touch => subject.touch(self.follow).await,
            Wish::Link => subject.link(self.src, self.follow, self.force).await,
            Wish::Hard => subject.hard(self.src, self.follow, self.force).await,
        }
    }
}

impl File {
    async fn ask<'a>(&self, host: &'a Host, path: &str, given: &Given) -> Result<Subject<'a>, Halt> {
        let times = self.times()?;
        let mut batch = Batch::default();
        let itself = batch.put(Stat::of(path));
        let following = batch.put(Stat::following(path));
        let source = self
            .src
            .as_ref()
            .map(|src| batch.put(Stat::following(self.source(path, src))));
        let names = given.ask(&mut batch);
        let seconds = times.ask(&mut batch);
        let mut answers = batch.ask(host).await?;
        Ok(Subject {
            host,
            path: path.to_string(),
            itself: answers.take(itself)?,
            following: answers.take(following)?,
            source: source.map(|slot| answers.take(slot)).transpose()?.flatten(),
            wanted: given.wanted(names, &mut answers, host)?,
            times: times.known(seconds, &mut answers)?,
        })
    }

    /// A symbolic link's source is meant from where the link is.
    fn source(&self, path: &str, src: &str) -> String {
        match self.state {
            Some(Wish::Hard) => src.to_string(),
            _ => link::from_link(path, src),
        }
    }

    fn times(&self) -> Result<Times, Halt> {
        Times::read(
            Written {
                name: "modification_time",
                time: self.modification_time.as_deref(),
                format: &self.modification_time_format,
            },
            Written {
                name: "access_time",
                time: self.access_time.as_deref(),
                format: &self.access_time_format,
            },
            self.state == Some(Wish::Touch),
        )
    }

    /// The state that is meant where none is named: what is there, else a file.
    fn state(&self, subject: &Subject<'_>) -> Result<Wish, Halt> {
        let state = self.state.unwrap_or(match subject.state() {
            State::Directory => Wish::Directory,
            State::Hard => Wish::Hard,
            State::Link => Wish::Link,
            State::Absent if self.recurse => Wish::Directory,
            State::File | State::Absent => Wish::File,
        });
        let wrong = if self.recurse && state != Wish::Directory {
            "`recurse` goes with `state: directory` only"
        } else if self.src.is_some() && !matches!(state, Wish::Link | Wish::Hard) {
            "`src` goes with `state: link` and `state: hard` only"
        } else {
            return Ok(state);
        };
        Err(Failure::new(wrong)
            .with("path", subject.path.as_str())
            .describing(subject.object().as_ref())
            .into())
    }
}

impl Subject<'_> {
    fn state(&self) -> State {
        State::of(self.itself.as_deref())
    }

    /// What results say of the path: nothing of a link that leads nowhere.
    fn object(&self) -> Option<Object> {
        self.following.as_ref()?;
        self.itself.as_deref().map(Object::from)
    }

    fn failure(&self, msg: String) -> Failure {
        Failure::new(msg)
            .with("path", self.path.as_str())
            .describing(self.object().as_ref())
    }

    /// Where a link leads, as the path to be worked on.
    async fn follow(&mut self) -> Result<(), Halt> {
        if self.state() != State::Link {
            return Ok(());
        }
        let output = self.host.ask(real(&self.path)).await?;
        self.path = led(&self.path, &output)?;
        self.itself.clone_from(&self.following);
        Ok(())
    }

    async fn file(mut self, follow: bool) -> Result<Outcome, Halt> {
        if follow {
            self.follow().await?;
        }
        let state = self.state();
        if !matches!(state, State::File | State::Hard) {
            let msg = format!(
                "{} is {}, and `state: file` needs a file that is there; `state: touch` makes one",
                self.path,
                state.described()
            );
            let failure = self.failure(msg).with("state", state.name()).into();
            return Err(match state {
                State::Absent => self.host.lacks_file(&self.path, failure),
                _ => failure,
            });
        }
        let object = self.adjust(false).await?;
        Ok(Outcome::new()
            .with("path", self.path.as_str())
            .describing(object.as_ref()))
    }

    /// Sets attributes and times of what is there, where they differ; says what is there then.
    async fn adjust(&self, follow: bool) -> Result<Option<Object>, Halt> {
        let (script, before, after) = self.settings(follow);
        if script.is_empty() {
            return Ok(self.object());
        }
        let change = Change::new(format!("set the attributes of {}", self.path)).difference(
            self.path.as_str(),
            before,
            after,
        );
        self.change(change, &script).await
    }

    /// Shell text that sets attributes and times, and before and after.
    fn settings(&self, follow: bool) -> (String, String, String) {
        let word = quote(&self.path);
        let now = if follow { &self.following } else { &self.itself };
        let (mut script, mut before, mut after) = (String::new(), String::new(), String::new());
        if let Some(present) = now.as_deref().map(Present::from)
            && let Some(setting) = self.wanted.setting(present)
        {
            script = setting.script(&word, follow);
            (before, after) = Wanted::difference(present, setting);
        }
        let touch = self
            .times
            .script(self.following.as_deref().map(Present::from), &word);
        if !touch.is_empty() {
            before.push_str("times: as they were\n");
            after.push_str("times: as wanted\n");
        }
        script.push_str(&touch);
        (script, before, after)
    }

    /// Makes one change; says what is at the path then.
    async fn change(&self, change: Change, script: &str) -> Result<Option<Object>, Halt> {
        let what = change.what.clone();
        let script = Script::new(what, format!("{BEGIN}{script}{}", report(&self.path)));
        let output = self.host.change_ok(change, script).await?;
        Ok(said(&output.stdout).object)
    }

    async fn directory(mut self, follow: bool, recurse: bool) -> Result<Outcome, Halt> {
        if follow {
            self.follow().await?;
        }
        let object = match self.state() {
            State::Absent => self.make_directory().await?,
            State::Directory => {
                let object = self.adjust(false).await?;
                if recurse {
                    tree::adjust(self.host, &self.path, &self.wanted, &self.times, follow).await?;
                }
                object
            }
            other => {
                let msg = format!("{} is there already, as {}", self.path, other.described());
                return Err(self.failure(msg).into());
            }
        };
        Ok(Outcome::new()
            .with("path", self.path.as_str())
            .describing(object.as_ref()))
    }

    async fn make_directory(&self) -> Result<Option<Object>, Halt> {
        let parents = Parents {
            wanted: self.wanted.clone(),
        };
        let word = quote(&self.path);
        let script = format!(
            "{}{}",
            parents.script(self.path.trim_end_matches('/')),
            self.times.script(None, &word)
        );
        let change = Change::new(format!("make the directory {}", self.path)).difference(
            self.path.as_str(),
            "state: absent\n",
            "state: directory\n",
        );
        self.change(change, &script).await
    }

    async fn touch(mut self, follow: bool) -> Result<Outcome, Halt> {
        let dest = self.path.clone();
        let was = self.object();
        let object = if self.itself.is_none() {
            let word = quote(&self.path);
            let script = format!(
                ": >>{word} || exit 1\n{}{}",
                self.wanted.setting_of_new(FileKind::File).script(&word, false),
                self.times.script(None, &word)
            );
            let change = Change::new(format!("make the file {dest}")).difference(
                dest.as_str(),
                "state: absent\n",
                "state: touch\n",
            );
            self.change(change, &script).await?
        } else {
            let link = self.state() == State::Link;
            if follow {
                self.follow().await?;
            }
            let object = self.adjust(false).await?;
            // The result speaks of the link.
            if link { was } else { object }
        };
        Ok(Outcome::new().with("dest", dest).describing(object.as_ref()))
    }

    async fn remove(self) -> Result<Outcome, Halt> {
        let outcome = || {
            Outcome::new()
                .with("path", self.path.as_str())
                .with("state", "absent")
        };
        let state = self.state();
        if state == State::Absent {
            return Ok(outcome());
        }
        let flags = if state == State::Directory { "-rf" } else { "-f" };
        let what = format!("remove {}", self.path);
        let change = Change::new(what.as_str()).difference(
            self.path.as_str(),
            format!("state: {}\n", state.name()),
            "state: absent\n",
        );
        let script = Script::new(what, format!("rm {flags} -- {}", quote(&self.path)));
        self.host.change_ok(change, script).await?;
        Ok(outcome())
    }
}

/// A failure about a link, with what it was to lead to.
fn link_failure(msg: String, path: &str, src: Option<&str>) -> Halt {
    let failure = Failure::new(msg).with("path", path);
    match src {
        Some(src) => failure.with("src", src).into(),
        None => failure.into(),
    }
}

/// What needs `src` and has none.
fn without_source(kind: &str) -> Halt {
    fail(format!("`src` is needed to make a {kind}"))
}
