//! `loop` and `with_…`: the items of a task and the variables of each.

use std::sync::Arc;
use std::time::Duration;

use super::ItemResult;
use super::evaluation::{Evaluated, Stop};
use super::result::is_set_fact;
use crate::playbook::{Loop, Task};
use crate::run::attempt::{ItemRun, Parked, State};
use crate::run::batch::Batch;
use crate::run::values::int;
use crate::source::Diagnostic;
use crate::template::{Found, Scope, TemplateError};
use crate::vars::{Map, Value};

impl Batch<'_> {
    pub(super) fn prepare_items(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<()> {
        let Some(looped) = &task.looped else {
            self.players[p].ahead[i].items = vec![ItemRun::new(None, Map::new())];
            return Ok(());
        };
        let Some(runs) = self.runs_of(p, i, task, looped, scope, turn)? else {
            return Ok(());
        };
        let attempt = &mut self.players[p].ahead[i];
        attempt.looped = true;
        attempt.items = runs;
        if attempt.items.is_empty() {
            self.assemble(p, i);
        }
        Ok(())
    }

    /// The items of a loop; `None`: the task is skipped.
    pub(super) fn runs_of(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        looped: &Loop,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Option<Vec<ItemRun>>> {
        let items = match self.loop_items(p, looped, scope, turn) {
            Ok(items) => items,
            // A loop over something that is not there does no harm to a task that would be skipped.
            Err(Stop::Failed(d)) => match self.first_false(p, task.level.conditions(), scope, turn) {
                Ok(Some(condition)) => {
                    let skipped = ItemResult::skipped(condition);
                    self.conclude(p, i, skipped);
                    return Ok(None);
                }
                _ => return Err(Stop::Failed(d)),
            },
            Err(other) => return Err(other),
        };
        self.item_runs(p, looped, &items, scope, turn).map(Some)
    }

    fn item_runs(
        &mut self,
        p: usize,
        looped: &Loop,
        items: &[Value],
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<ItemRun>> {
        let name = self
            .text(p, looped.loop_var.as_ref(), scope, turn)?
            .unwrap_or_else(|| "item".to_string());
        let index = self.text(p, looped.index_var.as_ref(), scope, turn)?;
        let extended = self
            .flag(p, looped.extended.as_ref(), scope, turn)?
            .unwrap_or(false);
        let all_items = self
            .flag(p, looped.extended_allitems.as_ref(), scope, turn)?
            .unwrap_or(true);
        let all = all_items.then(|| Value::list(items.iter().cloned()));
        let runs = items.iter().enumerate().map(|(n, item)| {
            let mut locals = Map::new();
            locals.insert(name.as_str().into(), item.clone());
            locals.insert("ansible_loop_var".into(), name.as_str().into());
            if let Some(index) = &index {
                locals.insert(index.as_str().into(), int(n));
                locals.insert("ansible_index_var".into(), index.as_str().into());
            }
            if extended {
                locals.insert("ansible_loop".into(), extended_loop(all.as_ref(), items, n));
            }
            ItemRun::new(Some(item.clone()), locals)
        });
        Ok(runs.collect())
    }

    /// `loop_control: pause`: a while between two items.
    pub(in crate::run) fn pause_before(&mut self, p: usize, i: usize, k: usize) {
        let task = self.players[p].ahead[i].task.clone();
        let written = task.looped.as_ref().and_then(|looped| looped.pause.as_ref());
        if k == 0 || written.is_none() {
            return;
        }
        let borrowed = self.players[p].ahead[i].items[k].borrowed.clone();
        let scope = self.scope(p, i, self.item_locals(p, i, k), true, &borrowed);
        match self.number(p, written, &scope, true) {
            Ok(seconds) => {
                let time = Duration::from_secs_f64(seconds.unwrap_or(0.0).clamp(0.0, 1e7));
                let ticket = self.put_timer(p, i, k, time);
                self.players[p].ahead[i].items[k].state = State::Delay(ticket);
            }
            Err(Stop::Failed(d)) => self.end_item(p, i, k, ItemResult::error(&d), true),
            Err(Stop::Park(_) | Stop::Unknown(_)) => {}
        }
    }

    fn loop_items(
        &mut self,
        p: usize,
        looped: &Loop,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<Value>> {
        let value = match &looped.lookup {
            None => self.render_in_part(p, &looped.items, scope, turn)?,
            Some(lookup) => {
                let terms = self.render(p, &looped.items, scope, turn)?;
                self.looked_up(p, lookup, terms, looped, scope, turn)?
            }
        };
        match value {
            Value::List(items) => Ok(items.to_vec()),
            Value::Unknown(reason) => Err(self.stop(p, TemplateError::Unknown(reason), turn)),
            other if turn => Err(Stop::Failed(Box::new(
                Diagnostic::error(format!(
                    "a loop needs a list, but this is a {}",
                    other.type_name()
                ))
                .at(&looped.items.span)
                .help("for a mapping use `| dict2items`"),
            ))),
            _ => Err(Stop::Park(Parked::Turn)),
        }
    }

    /// `with_x: terms` is what the lookup `x` gives; the terms go to it as a list.
    fn looked_up(
        &self,
        p: usize,
        lookup: &str,
        terms: Value,
        looped: &Loop,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Value> {
        let terms = match terms {
            Value::List(_) => terms,
            // A loop over a mapping goes over its names.
            Value::Map(map) if matches!(lookup, "items" | "nested") => {
                Value::list(map.keys().cloned().map(Value::from))
            }
            other => Value::list([other]),
        };
        let expression = match lookup {
            "items" => return Ok(flatten_once(&terms)),
            "list" => "_terms".to_string(),
            lookup => format!("query('{lookup}', *_terms)"),
        };
        let inner: Arc<dyn Scope> = Arc::new(Terms {
            inner: scope.clone(),
            terms,
        });
        self.exec
            .engine
            .expression(&expression, Some(&looped.items.span), &inner, Self::moment(turn))
            .map_err(|e| self.stop(p, e, turn))
    }

    pub(super) fn item_locals(&self, p: usize, i: usize, k: usize) -> Map {
        let attempt = &self.players[p].ahead[i];
        let own = &attempt.items[k].locals;
        let mut locals = own.clone();
        if is_set_fact(&attempt.task) {
            // `set_fact` in a loop builds on what the items before it have set.
            for before in attempt.items.iter().take(k).filter_map(ItemRun::result) {
                for (name, value) in &before.set {
                    if !own.contains_key(name) {
                        locals.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        locals
    }
}

/// The scope in which `with_x` hands its terms to the lookup.
#[derive(Debug)]
struct Terms {
    inner: Arc<dyn Scope>,
    terms: Value,
}

impl Scope for Terms {
    fn get(&self, name: &str) -> Found {
        if name == "_terms" {
            return Found::Value(self.terms.clone());
        }
        self.inner.get(name)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.inner.names()
    }
}

/// `with_items` flattens one level.
fn flatten_once(terms: &Value) -> Value {
    let mut all = Vec::new();
    for term in terms.as_list().unwrap_or_default() {
        match term {
            Value::List(items) => all.extend(items.iter().cloned()),
            other => all.push(other.clone()),
        }
    }
    Value::list(all)
}

fn extended_loop(all: Option<&Value>, items: &[Value], n: usize) -> Value {
    let count = items.len();
    let mut map = Map::new();
    if let Some(all) = all {
        map.insert("allitems".into(), all.clone());
    }
    map.insert("index".into(), int(n + 1));
    map.insert("index0".into(), int(n));
    map.insert("first".into(), (n == 0).into());
    map.insert("last".into(), (n + 1 == count).into());
    map.insert("length".into(), int(count));
    map.insert("revindex".into(), int(count - n));
    map.insert("revindex0".into(), int(count - n - 1));
    if n > 0 {
        map.insert("previtem".into(), items[n - 1].clone());
    }
    if n + 1 < count {
        map.insert("nextitem".into(), items[n + 1].clone());
    }
    Value::from(map)
}
