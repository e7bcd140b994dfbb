//! What a module asks of the machine that we run on: templates, files of the project, waiting, the person.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ItemResult;
use super::evaluation::Stop;
use crate::host::{FileSearch, Halt, Local, LocalAnswer, Request, Response};
use crate::playbook::Task;
use crate::run::attempt::Parked;
use crate::run::batch::Batch;
use crate::run::files::{expand_home, file_options, read_file, read_tree, template_variables};
use crate::run::sightings::Sightings;
use crate::run::values::plain_text;
use crate::source::{Diagnostic, Source, nearest_file};
use crate::template::Moment;
use crate::vars::Value;

impl Batch<'_> {
    /// Answers a request, or leaves it in the door until it can be.
    pub(in crate::run) fn meet_local(&mut self, p: usize, i: usize, k: usize, local: Local, turn: bool) {
        if let Local::Sleep(time) = &local {
            let left = self.time_left(p, i, k).unwrap_or(*time);
            let ticket = self.put_timer(p, i, k, left.min(*time));
            self.wait_for_ticket(p, i, k, ticket);
            return;
        }
        if let Local::Prompt { text, echo } = &local
            && self.exec.can_ask()
        {
            let ticket = self.put_prompt(p, i, k, text, *echo);
            self.wait_for_ticket(p, i, k, ticket);
            return;
        }
        if let Local::Fetch(url) = local {
            let ticket = self.put_fetch(p, i, k, url);
            self.wait_for_ticket(p, i, k, ticket);
            return;
        }
        match self.answer_local(p, i, k, &local, turn) {
            Ok(answer) => self.respond(p, i, k, Response::Local(answer)),
            Err(Stop::Park(why)) => self.park(p, i, k, Request::Local(local), why),
            Err(Stop::Unknown(reason)) => self.respond(p, i, k, Response::Halt(Halt::Unknown(reason))),
            Err(Stop::Failed(d)) => {
                let error = ItemResult::error(&d);
                let msg = error.values.get("msg").map(plain_text).unwrap_or_default();
                let failure = crate::host::Failure::new(msg);
                self.keep_diagnostic(p, i, k, &d);
                self.respond(p, i, k, Response::Halt(Halt::Failed(failure)));
            }
        }
    }

    fn answer_local(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        local: &Local,
        turn: bool,
    ) -> Result<Result<LocalAnswer, String>, Stop> {
        let task = self.players[p].ahead[i].task.clone();
        let attempt = &self.players[p].ahead[i];
        let borrowed = attempt.items[k].borrowed.clone();
        let mut locals = attempt.items[k].locals.clone();
        let moment = if turn { Moment::Turn } else { Moment::Ahead };
        let mut found = PathBuf::new();
        if let Some((kind, name)) = file_of(local) {
            let mut seen = self.looked_at_here();
            found = self
                .find_file(&task, kind, name, &mut seen)
                .map_err(|d| late(*d, turn))?;
            if let Local::Tree { .. } = local {
                seen.note_tree(&found);
            }
            if let Local::Template { .. } = local {
                locals.extend(template_variables(name, &found, &self.exec.settings.managed));
            }
            let item = &mut self.players[p].ahead[i].items[k];
            match &mut item.seen_here {
                Some(before) => before.add(seen),
                before => *before = Some(seen),
            }
        }
        let scope = self.scope(p, i, locals, turn, &borrowed);
        let engine = self.exec.engine.clone();
        Ok(match local {
            Local::Render(value) => Ok(LocalAnswer::Value(
                engine
                    .render_in_part(value, &scope, moment)
                    .map_err(|e| self.stop(p, e, turn))?,
            )),
            Local::Expression(value) => {
                let (text, span) = match value {
                    Value::Template(t) => (t.text.to_string(), t.span.clone()),
                    other => (plain_text(other), None),
                };
                let value = if Value::is_template(&text) {
                    engine.render_in_part(value, &scope, moment)
                } else {
                    engine.expression(&text, span.as_ref().or(Some(&task.span)), &scope, moment)
                };
                Ok(LocalAnswer::Value(value.map_err(|e| self.stop(p, e, turn))?))
            }
            Local::Condition(value) => {
                let holds = engine
                    .condition(value, Some(&task.span), &scope, moment)
                    .map_err(|e| self.stop(p, e, turn))?;
                Ok(LocalAnswer::Truth(holds))
            }
            Local::File { .. } => read_file(&found, &found).map(LocalAnswer::File),
            Local::Tree { .. } => read_tree(&found).map(LocalAnswer::Tree),
            Local::Template { options, .. } => {
                let source = Source::read(&found).map_err(|d| late(d, turn))?;
                let options = file_options(options, &found);
                let text = engine
                    .file(&source, &options, &scope, moment)
                    .map_err(|e| self.stop(p, e, turn))?;
                Ok(LocalAnswer::Text(text))
            }
            // Nobody is there.
            Local::Prompt { .. } => Ok(LocalAnswer::Typed(None)),
            // They are met elsewhere.
            Local::Facts | Local::Fetch(_) | Local::Sleep(_) => Ok(LocalAnswer::Nothing),
        })
    }

    /// Where Ansible looks for a file, then the project's own top-level folder.
    fn find_file(
        &self,
        task: &Arc<Task>,
        kind: FileSearch,
        name: &str,
        seen: &mut Sightings,
    ) -> Result<PathBuf, Box<Diagnostic>> {
        let folder = match kind {
            FileSearch::Files => "files",
            FileSearch::Templates => "templates",
        };
        let direct = expand_home(name);
        let mut places: Vec<PathBuf> = Vec::new();
        if direct.is_absolute() {
            places.push(direct);
        } else {
            let beside = task.file.parent().unwrap_or(Path::new("."));
            if let Some(role) = task.role() {
                places.extend([
                    role.path.join(folder).join(name),
                    role.path.join(name),
                    role.path.join("tasks").join(folder).join(name),
                ]);
            }
            places.extend([beside.join(folder).join(name), beside.join(name)]);
            let playbook = &self.play.directory;
            places.extend([playbook.join(folder).join(name), playbook.join(name)]);
            places.push(self.exec.settings.project.join(folder).join(name));
        }
        for place in &places {
            seen.note(place);
            if place.exists() {
                return Ok(place.clone());
            }
        }
        let project = &self.exec.settings.project;
        let mut once: Vec<String> = Vec::new();
        for place in &places {
            let shown = place
                .strip_prefix(project)
                .or(place.strip_prefix("."))
                .unwrap_or(place);
            let shown = shown.display().to_string();
            if !once.contains(&shown) {
                once.push(shown);
            }
        }
        Err(Box::new(
            Diagnostic::error(format!("there is no file `{name}`"))
                .within(task.action.argument("src").unwrap_or(&task.span))
                .note(format!("looked for {}", once.join(", ")))
                .did_you_mean(
                    places
                        .iter()
                        .find_map(|place| nearest_file(place, name))
                        .as_deref(),
                ),
        ))
    }
}

/// The file that a request is about, and where it is looked for.
fn file_of(local: &Local) -> Option<(FileSearch, &str)> {
    match local {
        Local::File { kind, name } | Local::Tree { kind, name } => Some((*kind, name)),
        Local::Template { name, .. } => Some((FileSearch::Templates, name)),
        _ => None,
    }
}

/// What cannot be done now may be possible at the task's turn.
fn late(d: Diagnostic, turn: bool) -> Stop {
    if turn {
        Stop::Failed(Box::new(d))
    } else {
        Stop::Park(Parked::Turn)
    }
}
