//! `loop` and `with_…`: the items of a task and the variables of each.

use std::sync::Arc;

use super::ItemResult;
use super::evaluation::{Evaluated, Stop};
use super::result::is_set_fact;
use crate::playbook::{Loop, Task};
use crate::run::attempt::{ItemRun, Parked};
use crate::run::batch::Batch;
use crate::run::values::int;
use crate::source::Diagnostic;
use crate::template::{Found, Scope};
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
        let items = match self.loop_items(p, looped, scope, turn) {
            Ok(items) => items,
            // A loop over something that is not there does no harm to a task that would be skipped.
            Err(Stop::Failed(d)) => match self.first_false(p, task.level.conditions(), scope, turn) {
                Ok(Some(condition)) => {
                    let skipped = ItemResult::skipped(condition);
                    self.conclude(p, i, skipped);
                    return Ok(());
                }
                _ => return Err(Stop::Failed(d)),
            },
            Err(other) => return Err(other),
        };
        let runs = self.item_runs(p, looped, items, scope, turn)?;
        let attempt = &mut self.players[p].ahead[i];
        attempt.looped = true;
        attempt.items = runs;
        if attempt.items.is_empty() {
            self.assemble(p, i);
        }
        Ok(())
    }

    pub(super) fn item_runs(
        &mut self,
        p: usize,
        looped: &Loop,
        items: Vec<Value>,
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
        let count = items.len();
        let all = Value::list(items.iter().cloned());
        let runs = items.iter().enumerate().map(|(n, item)| {
            let mut locals = Map::new();
            locals.insert(name.as_str().into(), item.clone());
            locals.insert("ansible_loop_var".into(), name.as_str().into());
            if let Some(index) = &index {
                locals.insert(index.as_str().into(), int(n));
                locals.insert("ansible_index_var".into(), index.as_str().into());
            }
            if extended {
                locals.insert("ansible_loop".into(), extended_loop(&all, &items, n, count));
            }
            ItemRun::new(Some(item.clone()), locals)
        });
        Ok(runs.collect())
    }

    pub(super) fn loop_items(
        &mut self,
        p: usize,
        looped: &Loop,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<Vec<Value>> {
        let value = match &looped.lookup {
            None => self.render(p, &looped.items, scope, turn)?,
            Some(lookup) => {
                let lookup: &str = lookup;
                // `with_x: name` may be a bare variable; the terms go to the lookup as a list.
                let terms = self.render(p, &looped.items, scope, turn)?;
                let terms = match terms {
                    Value::List(_) => terms,
                    other => Value::list([other]),
                };
                let locals = Value::map([("_terms", terms)]);
                let inner = Arc::new(Terms {
                    inner: scope.clone(),
                    terms: locals.get("_terms").cloned().unwrap_or(Value::Null),
                });
                let inner: Arc<dyn Scope> = inner;
                let expression = match lookup {
                    "items"
                    | "list"
                    | "flattened"
                    | "indexed_items"
                    | "dict"
                    | "nested"
                    | "cartesian"
                    | "together"
                    | "subelements"
                    | "sequence"
                    | "fileglob"
                    | "lines"
                    | "random_choice"
                    | "first_found"
                    | "env"
                    | "file"
                    | "pipe"
                    | "template"
                    | "vars"
                    | "varnames"
                    | "inventory_hostnames" => {
                        if lookup == "list" {
                            "_terms".to_string()
                        } else {
                            format!("query('{lookup}', *_terms)")
                        }
                    }
                    other => {
                        return Err(Stop::Failed(Box::new(
                            Diagnostic::error(format!("there is no loop `with_{other}`"))
                                .at(&looped.items.span),
                        )));
                    }
                };
                if lookup == "items" {
                    flatten_once(&locals)
                } else {
                    self.exec
                        .engine
                        .expression(&expression, Some(&looped.items.span), &inner, Self::moment(turn))
                        .map_err(|e| self.stop(p, e, turn))?
                }
            }
        };
        match value {
            Value::List(items) => Ok(items.to_vec()),
            Value::Unknown(reason) => Err(Stop::Unknown(reason)),
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

    pub(super) fn item_locals(&self, p: usize, i: usize, k: usize) -> Map {
        let attempt = &self.players[p].ahead[i];
        let mut locals = attempt.items[k].locals.clone();
        if is_set_fact(&attempt.task) {
            // `set_fact` in a loop builds on what the items before it have set.
            for before in attempt.items.iter().take(k).filter_map(ItemRun::result) {
                for (name, value) in &before.set {
                    if !locals.contains_key(name) || attempt.items[k].locals.get(name).is_none() {
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
fn flatten_once(locals: &Value) -> Value {
    let mut all = Vec::new();
    for term in locals.get("_terms").and_then(Value::as_list).unwrap_or_default() {
        match term {
            Value::List(items) => all.extend(items.iter().cloned()),
            other => all.push(other.clone()),
        }
    }
    Value::list(all)
}

fn extended_loop(all: &Value, items: &[Value], n: usize, count: usize) -> Value {
    let mut map = Map::new();
    map.insert("allitems".into(), all.clone());
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
