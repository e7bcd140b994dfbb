//! One play: its names, its batches, and whether anything comes behind it.

use std::collections::HashMap;
use std::sync::Arc;

use super::Executor;
use crate::config::Gathering;
use crate::plan::{Pace, play_steps};
use crate::playbook::{Item, Play, Role, Signature, Written, each_task};
use crate::run::batch::{Batch, BatchEnd};
use crate::run::event::Event;
use crate::run::reach;
use crate::run::values::{plain_text, truth};
use crate::run::world::PlayNames;
use crate::source::{Diagnostic, Span};
use crate::template::Moment;
use crate::vars::Value;

impl Executor {
    /// Runs a play; `false`: the run ends here.
    pub(super) async fn play(&mut self, number: usize, play: &Arc<Play>) -> Result<bool, Diagnostic> {
        let (hosts, matched) = self.hosts(play)?;
        let name = play_name(play);
        if hosts.is_empty() {
            let reason = if matched {
                "all its hosts have failed before".to_string()
            } else {
                "no hosts matched".to_string()
            };
            self.tell(&Event::PlaySkipped { name, reason });
            return Ok(!matched);
        }
        self.begin_play(play, &hosts)?;
        let strategy = self.strategy(play, &hosts[0])?;
        let pace = Pace::of(strategy, play, self.settings.any_errors_fatal);
        let batches = self.batches(play, &hosts)?;
        for host in &hosts {
            self.summaries.entry(host.clone()).or_default();
            if !self.order.contains(host) {
                self.order.push(host.clone());
            }
        }
        self.tell(&Event::PlayStarted {
            play: number,
            name,
            hosts: hosts.iter().map(ToString::to_string).collect(),
            tasks: count_tasks(play) + usize::from(self.would_gather(play, &hosts)?),
        });
        for batch in batches {
            self.set_play_hosts(&batch);
            let gather = self.gathers(play, &batch)?;
            let items: Arc<[Item]> = play_steps(play, gather).into();
            let tolerance = self.tolerance(play, &batch)?;
            let end = Batch::new(self, play.clone(), &batch, &items, pace)
                .tolerating(tolerance)
                .run()
                .await;
            if !self.goes_on(&batch, &end) {
                return Ok(false);
            }
            if end.play_ended {
                break;
            }
        }
        Ok(true)
    }

    /// Whether anything comes behind this batch.
    fn goes_on(&mut self, batch: &[Arc<str>], end: &BatchEnd) -> bool {
        self.lost
            .extend(end.failed.iter().chain(&end.unreachable).cloned());
        let gone = end.failed.len() + end.unreachable.len();
        !end.interrupted && !end.broken && gone < batch.len()
    }

    /// `max_fail_percentage`.
    fn tolerance(&self, play: &Arc<Play>, batch: &[Arc<str>]) -> Result<Option<f64>, Diagnostic> {
        let Some(written) = &play.max_fail_percentage else {
            return Ok(None);
        };
        let value = self.render_for_play(play, &batch[0], written)?;
        let number = plain_text(&value)
            .parse()
            .map_err(|_| Diagnostic::error("`max_fail_percentage` is a number").at(&written.span))?;
        Ok(Some(number))
    }

    fn would_gather(&self, play: &Arc<Play>, hosts: &[Arc<str>]) -> Result<bool, Diagnostic> {
        match &play.gather_facts {
            Some(written) => {
                let value = self.render_for_play(play, &hosts[0], written)?;
                truth(&value)
                    .ok_or_else(|| Diagnostic::error("`gather_facts` is a boolean").at(&written.span))
            }
            None => Ok(match self.settings.gathering {
                Gathering::Implicit => true,
                Gathering::Explicit => false,
                Gathering::Smart => hosts.iter().any(|h| !self.gathered.contains(h)),
            }),
        }
    }

    /// The module that gathers facts, if this play gathers them.
    fn gathers(&mut self, play: &Arc<Play>, batch: &[Arc<str>]) -> Result<Option<Signature>, Diagnostic> {
        if !self.would_gather(play, batch)? {
            return Ok(None);
        }
        self.gathered.extend(batch.iter().cloned());
        self.catalogue
            .find("setup")
            .map(Some)
            .ok_or_else(|| Diagnostic::error("the module `setup` is missing: a bug of vmstation"))
    }

    fn begin_play(&mut self, play: &Arc<Play>, hosts: &[Arc<str>]) -> Result<(), Diagnostic> {
        for host in hosts {
            self.know_host(host, &play.directory)?;
        }
        let may_set = reach::set_by_play(play);
        let mut roles: Vec<Arc<Role>> = play.roles.iter().map(|r| r.role.clone()).collect();
        roles.extend(play.imported_roles.iter().cloned());
        let names = PlayNames {
            name: play_name(play),
            directory: play.directory.clone(),
            level: Some(play.level.clone()),
            all: self.in_order_of_inventory(hosts)?,
            hosts: Vec::new(),
            batch: Vec::new(),
            roles,
            may_set,
            foreign: reach::set_for_others(play),
            to_come: HashMap::new(),
        };
        self.write(|w| w.play = Arc::new(names));
        for host in hosts {
            self.read_vars_files(play, host)?;
        }
        Ok(())
    }

    fn set_play_hosts(&mut self, batch: &[Arc<str>]) {
        let lost = self.lost.clone();
        self.write(|w| {
            let play = Arc::make_mut(&mut w.play);
            play.hosts = play.all.iter().filter(|h| !lost.contains(h)).cloned().collect();
            play.batch = batch.to_vec();
            play.to_come.clear();
        });
    }

    pub(in crate::run) fn forces_handlers(&self, play: &Play) -> bool {
        let own = play.force_handlers.as_ref().and_then(|w| truth(&w.value));
        self.settings.force_handlers || own.unwrap_or(false)
    }

    pub(super) fn render_for_play(
        &self,
        play: &Arc<Play>,
        host: &Arc<str>,
        written: &Written,
    ) -> Result<Value, Diagnostic> {
        let scope = self.scope_of(host, &play.level);
        self.engine
            .render(&written.value, &scope, Moment::Turn)
            .map_err(|e| at(e, &written.span))
    }
}

/// The diagnostic of a template that must have a value now.
pub(in crate::run) fn at(error: crate::template::TemplateError, span: &Span) -> Diagnostic {
    use crate::template::TemplateError;
    match error {
        TemplateError::Undefined(d) | TemplateError::Failed(d) => d.within(span),
        TemplateError::Unknown(reason) => {
            Diagnostic::error(format!("not known in a dry run: {reason}")).at(span)
        }
        TemplateError::Pending(name) => Diagnostic::error(format!("`{name}` is not known yet")).at(span),
        TemplateError::AtTurn => Diagnostic::error("this cannot be evaluated here").at(span),
    }
}

fn play_name(play: &Play) -> String {
    match &play.name {
        Some(name) => plain_text(&name.value),
        None => plain_text(&play.hosts.value),
    }
}

fn count_tasks(play: &Play) -> usize {
    let mut count = 0;
    for items in play.lists() {
        each_task(items, &mut |_| count += 1);
    }
    count
}
