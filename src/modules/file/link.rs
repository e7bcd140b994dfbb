//! `state: link` and `state: hard`.

use super::{Subject, link_failure, without_source};
use crate::host::question::Look;
use crate::host::{Change, Halt, Outcome, quote};
use crate::modules::files::object::{Describe as _, State};
use crate::modules::files::path::{join, parent};
use crate::vars::Value;

/// The path that a symbolic link's source means.
pub(super) fn from_link(path: &str, src: &str) -> String {
    join(parent(path), src)
}

impl Subject<'_> {
    pub(super) async fn link(
        mut self,
        src: Option<String>,
        follow: bool,
        force: bool,
    ) -> Result<Outcome, Halt> {
        let state = self.state();
        // Without a source an existing link is meant, with the attributes of what it leads to.
        let target = self.itself.as_ref().and_then(|s| s.target.clone());
        match &src {
            Some(src) => self.check_link(src, state, force).await?,
            None if state != State::Link => return Err(without_source("symbolic link")),
            None => {}
        }
        let src = src.or_else(|| target.clone().filter(|_| follow && self.following.is_some()));
        let new = src
            .as_ref()
            .filter(|src| state != State::Link || target.as_ref() != Some(src));
        let script = new.map(|src| self.link_script(src, state));
        if new.is_some() {
            // The attributes are those of what the new link leads to.
            self.following = self.source.take();
        }
        let missing = follow && self.following.is_none();
        let (settings, before, after) = if missing {
            Default::default()
        } else {
            self.settings(follow)
        };
        let object = match (script, settings.as_str()) {
            (None, "") => self.object(),
            (script, settings) => {
                let change = self.link_change(new.map(String::as_str), target.as_deref(), state);
                let change = change.difference(self.path.as_str(), before, after);
                self.change(change, &format!("{}{settings}", script.unwrap_or_default()))
                    .await?
            }
        };
        let mut outcome = Outcome::new()
            .with("dest", self.path.as_str())
            .with("src", src.map_or(Value::Null, Value::from));
        if missing {
            outcome = outcome.warn(format!(
                "{} leads to nothing that could have attributes; `follow: false` says that this is meant",
                self.path
            ));
        }
        Ok(outcome.describing(object.as_ref()))
    }

    /// Refuses what would destroy something, and links that lead nowhere, unless `force` says so.
    async fn check_link(&self, src: &str, state: State, force: bool) -> Result<(), Halt> {
        let wrong = |msg: String| Err(link_failure(msg, &self.path, Some(src)));
        if !force && self.source.is_none() {
            let source = from_link(&self.path, src);
            let msg = format!("{source} does not exist; `force: true` makes the link all the same");
            let failure = link_failure(msg, &self.path, Some(src));
            return Err(self.host.lacks_file(&source, failure));
        }
        match state {
            State::Directory | State::File | State::Hard if !force => wrong(format!(
                "{} is {} and would be replaced by a link; `force: true` says that this is meant",
                self.path,
                state.described()
            )),
            State::Directory => {
                let script = format!("[ -z \"$(ls -A -- {})\" ]", quote(&self.path));
                if self.host.ask(Look::new("empty", script)).await?.ok() {
                    return Ok(());
                }
                wrong(format!(
                    "the directory {} is not empty and is not replaced by a link",
                    self.path
                ))
            }
            _ => Ok(()),
        }
    }

    fn link_script(&self, src: &str, state: State) -> String {
        let (path, src) = (quote(&self.path), quote(src));
        if state == State::Absent {
            return format!("ln -sT -- {src} {path} || exit 1\n");
        }
        self.replacing(state, &format!("ln -sT -- {src}"))
    }

    /// Makes a link beside the path and renames it to the path: there is one or the other at any time.
    fn replacing(&self, state: State, make: &str) -> String {
        let path = quote(&self.path);
        let beside = quote(&join(parent(&self.path), ".vmstation.XXXXXXXX"));
        let remove = if state == State::Directory {
            format!("rmdir -- {path} || exit 1\n")
        } else {
            String::new()
        };
        format!(
            "t=$(mktemp -u {beside}) || exit 1\n{remove}{make} \"$t\" || exit 1\nmv -fT -- \"$t\" {path} || exit 1\nt=\n"
        )
    }

    fn link_change(&self, new: Option<&str>, old: Option<&str>, state: State) -> Change {
        let Some(new) = new else {
            return Change::new(format!("set the attributes of {}", self.path));
        };
        let before = match old {
            Some(old) => format!("state: link\nsrc: {old}\n"),
            None => format!("state: {}\n", state.name()),
        };
        Change::new(format!("link {} to {new}", self.path)).difference(
            self.path.as_str(),
            before,
            format!("state: link\nsrc: {new}\n"),
        )
    }

    pub(super) async fn hard(
        mut self,
        src: Option<String>,
        follow: bool,
        force: bool,
    ) -> Result<Outcome, Halt> {
        let state = self.state();
        let Some(src) = src else {
            if state != State::Hard {
                return Err(without_source("hard link"));
            }
            let object = self.adjust(false).await?;
            return Ok(Outcome::new()
                .with("dest", self.path.as_str())
                .with("src", Value::Null)
                .describing(object.as_ref()));
        };
        let Some(source) = self.source.take() else {
            let failure = link_failure(format!("{src} does not exist"), &self.path, Some(&src));
            return Err(self.host.lacks_file(&src, failure));
        };
        let same = self.itself.as_ref().is_some_and(|s| match &s.target {
            // As Ansible: a symbolic link to the source will do.
            Some(target) => *target == src,
            None => s.inode == source.inode && s.device == source.device,
        });
        if !same && !force && !matches!(state, State::Absent | State::Link) {
            let msg = format!(
                "{} is {} of its own; `force: true` replaces it by the link",
                self.path,
                state.described()
            );
            return Err(link_failure(msg, &self.path, Some(&src)));
        }
        let mut script = String::new();
        if !same {
            script = self.hard_script(&src, state, follow);
            self.itself = Some(source.clone());
            self.following = Some(source);
        }
        let (settings, before, after) = self.settings(false);
        script.push_str(&settings);
        let object = if script.is_empty() {
            self.object()
        } else {
            let change = Change::new(format!("link {} hard to {src}", self.path)).difference(
                self.path.as_str(),
                format!("state: {}\n{before}", state.name()),
                format!("state: hard\n{after}"),
            );
            self.change(change, &script).await?
        };
        Ok(Outcome::new()
            .with("dest", self.path.as_str())
            .with("src", src)
            .describing(object.as_ref()))
    }

    fn hard_script(&self, src: &str, state: State, follow: bool) -> String {
        let source = if follow {
            format!("\"$(readlink -f -- {})\"", quote(src))
        } else {
            quote(src)
        };
        if state == State::Absent {
            return format!("ln -T -- {source} {} || exit 1\n", quote(&self.path));
        }
        self.replacing(state, &format!("ln -T -- {source}"))
    }
}
