//! Which hosts a play has, in which order, batches and strategy.

use std::sync::Arc;

use super::Executor;
use super::play::at;
use crate::plan::Strategy;
use crate::playbook::Play;
use crate::run::event::Event;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::template::Moment;
use crate::vars::Value;

impl Executor {
    /// The hosts of a play that are still in, and whether the pattern matched any at all.
    pub(super) fn hosts(&mut self, play: &Arc<Play>) -> Result<(Vec<Arc<str>>, bool), Diagnostic> {
        let localhost: Arc<str> = "localhost".into();
        let scope = self.scope_of(&localhost, &play.level);
        let pattern = self
            .engine
            .render(&play.hosts.value, &scope, Moment::Turn)
            .map_err(|e| at(e, &play.hosts.span))?;
        let patterns: Vec<String> = match &pattern {
            Value::List(items) => items.iter().map(plain_text).collect(),
            other => vec![plain_text(other)],
        };
        let words: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let inventory = self.inventory();
        let (selected, warnings) = inventory
            .select_all(&words, None)
            .map_err(|d| d.within(&play.hosts.span))?;
        // What is wrong with the limit itself was said before the first play.
        let selected = match self.settings.limit.as_deref() {
            None => selected,
            limit => inventory.select_all(&words, limit)?.0,
        };
        for warning in warnings {
            self.tell(&Event::Warning {
                host: None,
                text: warning.within(&play.hosts.span).to_string(),
            });
        }
        let matched = !selected.is_empty();
        self.matched.clone_from(&selected);
        let mut hosts: Vec<_> = selected.into_iter().filter(|h| !self.lost.contains(h)).collect();
        put_in_order(play, &mut hosts)?;
        Ok((hosts, matched))
    }

    /// `ansible_play_hosts` does not heed the play's `order`.
    pub(super) fn in_order_of_inventory(&self, hosts: &[Arc<str>]) -> Result<Vec<Arc<str>>, Diagnostic> {
        let (all, _) = self.inventory().select_all(&["all"], None)?;
        let mut ordered: Vec<Arc<str>> = all.into_iter().filter(|h| hosts.contains(h)).collect();
        // The implicit localhost is in no group.
        ordered.extend(
            hosts
                .iter()
                .filter(|h| !ordered.contains(h))
                .cloned()
                .collect::<Vec<_>>(),
        );
        Ok(ordered)
    }

    /// The play's batches by `serial`: a number, a percentage, or a list of those.
    pub(super) fn batches(
        &self,
        play: &Arc<Play>,
        hosts: &[Arc<str>],
    ) -> Result<Vec<Vec<Arc<str>>>, Diagnostic> {
        let Some(written) = &play.serial else {
            return Ok(vec![hosts.to_vec()]);
        };
        let value = self.render_for_play(play, &hosts[0], written)?;
        crate::plan::batches(&value, hosts).map_err(|d| d.within(&written.span))
    }

    pub(super) fn strategy(&self, play: &Arc<Play>, host: &Arc<str>) -> Result<Strategy, Diagnostic> {
        let Some(written) = &play.strategy else {
            return Ok(self.settings.strategy);
        };
        let name = plain_text(&self.render_for_play(play, host, written)?);
        Strategy::named(&name).map_err(|d| d.at(&written.span))
    }
}

fn put_in_order(play: &Play, hosts: &mut [Arc<str>]) -> Result<(), Diagnostic> {
    let Some(written) = &play.order else { return Ok(()) };
    match plain_text(&written.value).as_str() {
        "inventory" => {}
        "reverse_inventory" => hosts.reverse(),
        "sorted" => hosts.sort(),
        "reverse_sorted" => {
            hosts.sort();
            hosts.reverse();
        }
        other => {
            return Err(Diagnostic::error(format!("the order `{other}` is not supported"))
                .at(&written.span)
                .help("inventory, reverse_inventory, sorted and reverse_sorted are"));
        }
    }
    Ok(())
}
