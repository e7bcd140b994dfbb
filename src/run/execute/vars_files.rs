//! `vars_files` of a play: which are read, and when.
//!
//! A name may hold facts (`vars/{{ ansible_os_family }}.yml`). What is not defined yet before facts are there is
//! left out, and looked at again when they come.

use std::sync::Arc;

use super::Executor;
use super::play::at;
use crate::playbook::{Play, Written};
use crate::run::values::plain_text;
use crate::source::{Diagnostic, Source, nearest_file};
use crate::template::{Moment, TemplateError};
use crate::vars::{Map, Value};
use crate::yaml;

/// What the files of one entry come to.
enum Entry {
    Read(Map),
    /// Its name needs something that is not defined.
    Undefined(Diagnostic),
}

impl Executor {
    /// Reads the play's files for a host; those whose names are not known yet wait for facts.
    pub(super) fn read_vars_files(&mut self, play: &Arc<Play>, host: &Arc<str>) -> Result<(), Diagnostic> {
        let has_facts = self.read(|w| w.host(host).is_some_and(|h| !h.facts.is_empty()));
        let mut all = Map::new();
        let mut waits = false;
        for written in &play.vars_files {
            match self.vars_file(play, host, written)? {
                Entry::Read(vars) => all.extend(vars),
                Entry::Undefined(why) if has_facts => return Err(why),
                Entry::Undefined(_) => waits = true,
            }
        }
        self.write(|w| w.host_mut(host).vars_files = Arc::new(all));
        self.await_facts.retain(|h| h != host);
        if waits {
            self.await_facts.push(host.clone());
        }
        Ok(())
    }

    /// Facts have come: files may have a name now.
    pub(in crate::run) fn facts_have_come(
        &mut self,
        play: &Arc<Play>,
        host: &Arc<str>,
    ) -> Result<(), Diagnostic> {
        if !self.awaits_facts(host) {
            return Ok(());
        }
        self.read_vars_files(play, host)
    }

    /// Whether variables will be there with the facts of a host that are not there before.
    pub(in crate::run) fn awaits_facts(&self, host: &Arc<str>) -> bool {
        self.await_facts.contains(host)
    }

    fn vars_file(&self, play: &Arc<Play>, host: &Arc<str>, written: &Written) -> Result<Entry, Diagnostic> {
        let scope = self.scope_of(host, &play.level);
        let value = match self.engine.render(&written.value, &scope, Moment::Turn) {
            Ok(value) => value,
            Err(TemplateError::Undefined(why)) => return Ok(Entry::Undefined(why.within(&written.span))),
            Err(other) => return Err(at(other, &written.span)),
        };
        // A list means: the first that exists.
        let names: Vec<String> = match &value {
            Value::List(items) => items.iter().map(plain_text).collect(),
            other => vec![plain_text(other)],
        };
        let path = names
            .iter()
            .flat_map(|n| [play.directory.join("vars").join(n), play.directory.join(n)])
            .find(|p| p.is_file());
        let Some(path) = path else {
            let near = names
                .iter()
                .find_map(|name| nearest_file(&play.directory.join(name), name));
            let what = format!("there is no file of variables `{}`", names.join("`, `"));
            return Err(Diagnostic::error(what)
                .at(&written.span)
                .did_you_mean(near.as_deref()));
        };
        let document = yaml::parse(&Source::read(&path)?)?;
        let Some(root) = document.root else {
            return Ok(Entry::Read(Map::new()));
        };
        match root.value() {
            Value::Map(map) => Ok(Entry::Read(Map::clone(&map))),
            _ => Err(Diagnostic::error(format!(
                "variables are a mapping of names to values, but this is {}",
                root.what()
            ))
            .at(&root.span)),
        }
    }
}
