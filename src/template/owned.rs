//! Lists and mappings that a template makes for itself, and may change: `{% set l = [] %}{{ l.append(1) }}`.
//!
//! All other values never change. What a template takes from a variable into one of its own is a copy, so that
//! `set x = variable` and a change of `x` alter nothing outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Value as Jinja, ValueKind, from_args};
use minijinja::{Error, State};

use super::call::{complaint, items, pairs};
use super::python;

/// Methods that change the value on which they are called.
pub(super) const MUTATING: [&str; 11] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

#[derive(Debug)]
struct OwnList(Mutex<Vec<Jinja>>);

#[derive(Debug)]
struct OwnMap(Mutex<IndexMap<Jinja, Jinja>>);

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A list or mapping as the template's own, with all that is in it; anything else as it is.
pub(super) fn own(_: &mut State, value: Jinja) -> Result<Jinja, Error> {
    owned(value)
}

fn owned(value: Jinja) -> Result<Jinja, Error> {
    let already =
        value.downcast_object_ref::<OwnList>().is_some() || value.downcast_object_ref::<OwnMap>().is_some();
    match value.kind() {
        _ if already || value.is_tuple() => Ok(value),
        ValueKind::Seq => {
            let all = items(&value)?.into_iter().map(owned);
            Ok(Jinja::from_object(OwnList(Mutex::new(
                all.collect::<Result<_, _>>()?,
            ))))
        }
        ValueKind::Map => {
            let all = pairs(&value)?.into_iter().map(|(k, v)| Ok((k, owned(v)?)));
            Ok(Jinja::from_object(OwnMap(Mutex::new(
                all.collect::<Result<_, Error>>()?,
            ))))
        }
        _ => Ok(value),
    }
}

impl Object for OwnList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        open(&self.0).get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(open(&self.0).len())
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&python::repr(&Jinja::from_dyn_object(self.clone())).unwrap_or_default())
    }
}

impl Object for OwnMap {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        open(&self.0).get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(open(&self.0).keys().cloned().collect())
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&python::repr(&Jinja::from_dyn_object(self.clone())).unwrap_or_default())
    }
}

/// Calls a method that changes the value, if the value is a template's own.
pub(super) fn call(value: &Jinja, method: &str, args: &[Jinja]) -> Option<Result<Jinja, Error>> {
    if let Some(list) = value.downcast_object_ref::<OwnList>() {
        return list.call(method, args);
    }
    value.downcast_object_ref::<OwnMap>()?.call(method, args)
}

/// Python's position in a list, counted from the end if it is negative.
fn position(at: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if at < 0 { at + length } else { at };
    usize::try_from(at).ok()
}

impl OwnList {
    fn call(&self, method: &str, args: &[Jinja]) -> Option<Result<Jinja, Error>> {
        let none = |changed: Result<(), Error>| Some(changed.map(|()| Jinja::from(())));
        match method {
            "append" => none(self.append(args)),
            "extend" => none(self.extend(args)),
            "insert" => none(self.insert(args)),
            "remove" => none(self.remove(args)),
            "pop" => Some(self.pop(args)),
            "reverse" => {
                open(&self.0).reverse();
                none(Ok(()))
            }
            "clear" => {
                open(&self.0).clear();
                none(Ok(()))
            }
            "sort" => none(self.sort(args)),
            _ => None,
        }
    }

    fn sort(&self, args: &[Jinja]) -> Result<(), Error> {
        let (named,): (Kwargs,) = from_args(args)?;
        let reverse = named.get::<Option<bool>>("reverse")?.unwrap_or(false);
        named.assert_all_used()?;
        let mut all = open(&self.0);
        all.sort();
        if reverse {
            all.reverse();
        }
        Ok(())
    }

    fn append(&self, args: &[Jinja]) -> Result<(), Error> {
        let (item,): (Jinja,) = from_args(args)?;
        let item = owned(item)?;
        open(&self.0).push(item);
        Ok(())
    }

    fn extend(&self, args: &[Jinja]) -> Result<(), Error> {
        let (more,): (Jinja,) = from_args(args)?;
        let more: Vec<Jinja> = items(&more)?.into_iter().map(owned).collect::<Result<_, _>>()?;
        open(&self.0).extend(more);
        Ok(())
    }

    fn insert(&self, args: &[Jinja]) -> Result<(), Error> {
        let (at, item): (i64, Jinja) = from_args(args)?;
        let item = owned(item)?;
        let mut all = open(&self.0);
        let at = position(at, all.len()).unwrap_or(0).min(all.len());
        all.insert(at, item);
        Ok(())
    }

    fn remove(&self, args: &[Jinja]) -> Result<(), Error> {
        let (item,): (Jinja,) = from_args(args)?;
        let found = open(&self.0).iter().position(|one| *one == item);
        let at = found.ok_or_else(|| complaint(format!("{item} is not in the list")))?;
        open(&self.0).remove(at);
        Ok(())
    }

    fn pop(&self, args: &[Jinja]) -> Result<Jinja, Error> {
        let (at,): (Option<i64>,) = from_args(args)?;
        let mut all = open(&self.0);
        match position(at.unwrap_or(-1), all.len()).filter(|at| *at < all.len()) {
            Some(at) => Ok(all.remove(at)),
            None => Err(complaint("there is nothing to pop")),
        }
    }
}

impl OwnMap {
    fn call(&self, method: &str, args: &[Jinja]) -> Option<Result<Jinja, Error>> {
        match method {
            "update" => Some(self.update(args)),
            "setdefault" => Some(self.setdefault(args)),
            "pop" => Some(self.pop(args)),
            "clear" => {
                open(&self.0).clear();
                Some(Ok(Jinja::from(())))
            }
            _ => None,
        }
    }

    fn update(&self, args: &[Jinja]) -> Result<Jinja, Error> {
        let (more, named): (Option<Jinja>, Kwargs) = from_args(args)?;
        let mut new = match more {
            Some(map) if map.kind() == ValueKind::Map => pairs(&map)?,
            Some(list) => items(&list)?
                .iter()
                .map(|pair| Ok((pair.get_item_by_index(0)?, pair.get_item_by_index(1)?)))
                .collect::<Result<_, Error>>()?,
            None => Vec::new(),
        };
        for name in named.args() {
            new.push((Jinja::from(name), named.get(name)?));
        }
        for (key, value) in new {
            let value = owned(value)?;
            open(&self.0).insert(key, value);
        }
        Ok(Jinja::from(()))
    }

    fn setdefault(&self, args: &[Jinja]) -> Result<Jinja, Error> {
        let (key, value): (Jinja, Option<Jinja>) = from_args(args)?;
        let value = owned(value.unwrap_or_else(|| Jinja::from(())))?;
        Ok(open(&self.0).entry(key).or_insert(value).clone())
    }

    fn pop(&self, args: &[Jinja]) -> Result<Jinja, Error> {
        let (key, default): (Jinja, Option<Jinja>) = from_args(args)?;
        let found = open(&self.0).shift_remove(&key).or(default);
        found.ok_or_else(|| complaint(format!("there is no {key} to pop")))
    }
}
