//! What earlier tasks of the host may still set, or have set ahead of their turn.

use std::sync::{Arc, PoisonError};

use super::TaskScope;
use crate::playbook::Sets;
use crate::run::world::{HostVariables, fact};
use crate::template::Found;
use crate::vars::{Map, Value};

/// An earlier task of the same host that is not committed yet.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The attempt's number.
    pub id: u64,
    pub register: Option<Arc<str>>,
    pub sets: Sets,
    /// What it set, if it has finished ahead.
    pub lent: Option<Arc<Lent>>,
}

/// What a task sets when it is committed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lent {
    /// `register` and `set_fact`.
    pub set: Map,
    pub facts: Map,
}

impl TaskScope {
    /// `register` and `set_fact` of earlier tasks that are not committed.
    pub(super) fn set_by_earlier(&self, name: &str) -> Option<Found> {
        for task in &self.earlier {
            if let Some(lent) = &task.lent {
                if let Some(value) = lent.set.get(name) {
                    self.borrow(task.id);
                    return Some(Found::Value(value.clone()));
                }
                continue;
            }
            let may = task.register.as_deref() == Some(name)
                || match &task.sets {
                    Sets::Names(names) => names.iter().any(|n| **n == *name),
                    Sets::Anything => true,
                    Sets::Nothing | Sets::Facts => false,
                };
            if may {
                return Some(Found::Pending(name.into()));
            }
        }
        None
    }

    /// A fact, or `ansible_facts` as a whole.
    pub(super) fn fact(&self, name: &str, host: Option<&Arc<HostVariables>>) -> Option<Found> {
        for task in &self.earlier {
            match &task.lent {
                Some(lent) if !lent.facts.is_empty() => {
                    if let Some(value) = fact(&lent.facts, name) {
                        self.borrow(task.id);
                        return Some(Found::Value(value.clone()));
                    }
                }
                Some(_) => {}
                None if task.sets == Sets::Facts && is_fact_name(name) => {
                    return Some(Found::Pending(name.into()));
                }
                None => {}
            }
        }
        fact(&host?.facts, name).cloned().map(Found::Value)
    }

    pub(super) fn all_facts(&self, host: Option<&Arc<HostVariables>>) -> Found {
        let mut facts = host.map(|h| h.facts.clone()).unwrap_or_default();
        for task in self.earlier.iter().rev() {
            match &task.lent {
                Some(lent) if !lent.facts.is_empty() => {
                    self.borrow(task.id);
                    facts.extend(lent.facts.clone());
                }
                None if task.sets == Sets::Facts || task.sets == Sets::Anything => {
                    return Found::Pending("ansible_facts".into());
                }
                _ => {}
            }
        }
        Found::Value(Value::from(facts))
    }

    fn borrow(&self, id: u64) {
        self.borrowed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
    }
}

pub(super) fn is_fact_name(name: &str) -> bool {
    name.starts_with("ansible_") || matches!(name, "services" | "packages") || name.starts_with("getent_")
}
