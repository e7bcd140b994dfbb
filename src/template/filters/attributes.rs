//! Filters that look at each item through an attribute, a test or another filter.
//!
//! They are ours because in Ansible a missing attribute is undefined, however deep, and an error only for
//! what uses it: `selectattr('a.b', 'defined')` asks, `selectattr('a.b', 'equalto', 1)` uses.

use std::cmp::Ordering;
use std::sync::OnceLock;

use minijinja::value::{Kwargs, Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind, Expression};

use super::lists::member;
use crate::template::call::{Call, Function, complaint, defined, items, pairs};
use crate::template::environment::{environment, filter_names, test_names};
use crate::template::failure::AN_ITEM;

pub const FILTERS: &[(&str, Function)] = &[
    ("dictsort", dictsort),
    ("map", map),
    ("reject", |c| select(c, false)),
    ("rejectattr", |c| select_by(c, false)),
    ("select", |c| select(c, true)),
    ("selectattr", |c| select_by(c, true)),
    ("sort", sort),
    ("sum", sum),
];

/// Tests that an undefined value passes or fails without being used.
const ASKING: [&str; 10] = [
    "boolean",
    "callable",
    "defined",
    "mapping",
    "none",
    "number",
    "sameas",
    "string",
    "undefined",
    "float",
];

fn short(name: &str) -> &str {
    ["ansible.builtin.", "ansible.legacy."]
        .into_iter()
        .find_map(|p| name.strip_prefix(p))
        .unwrap_or(name)
}

/// The name of a filter or test at this place.
fn named(call: &Call, place: usize, known: &[&str]) -> Result<Option<String>, Error> {
    if place >= call.count() {
        return Ok(None);
    }
    let value = call.at(place)?;
    match value.as_str() {
        // It is looked for when the first item comes.
        Some(name) if known.binary_search(&short(name)).is_err() && !items(&call.value()?)?.is_empty() => {
            let filters = known == filter_names();
            let kind = if filters {
                ErrorKind::UnknownFilter
            } else {
                ErrorKind::UnknownTest
            };
            Err(Error::new(kind, format!("{name} is unknown")))
        }
        Some(name) => Ok(Some(short(name).to_string())),
        None => Err(call.wants("the name of a test", &value)),
    }
}

/// Arguments that are handed on, those by name included.
fn further(call: &Call, from: usize) -> Result<Vec<Jinja>, Error> {
    let mut args = call.rest(from)?;
    let named = call.named()?;
    if !named.is_empty() {
        args.push(Kwargs::from_iter(named).into());
    }
    Ok(args)
}

fn passes(call: &mut Call, test: Option<&str>, value: &Jinja, args: &[Jinja]) -> Result<bool, Error> {
    let Some(test) = test else {
        return Ok(defined(value)?.is_true());
    };
    if !ASKING.contains(&test) {
        defined(value)?;
    }
    let all: Vec<Jinja> = [value.clone()].into_iter().chain(args.iter().cloned()).collect();
    call.state.perform_test(test, &all)
}

fn select(call: &mut Call, wanted: bool) -> Result<Jinja, Error> {
    let test = named(call, 1, test_names())?;
    let args = further(call, 2)?;
    let mut kept = Vec::new();
    for item in items(&call.value()?)? {
        if passes(call, test.as_deref(), &item, &args)? == wanted {
            kept.push(item);
        }
    }
    Ok(Jinja::from(kept))
}

fn select_by(call: &mut Call, wanted: bool) -> Result<Jinja, Error> {
    let path = call.at(1)?;
    let test = named(call, 2, test_names())?;
    let args = further(call, 3)?;
    let mut kept = Vec::new();
    for item in items(&call.value()?)? {
        let by = step(&item, &path)?;
        let used = test.as_deref().is_none_or(|t| !ASKING.contains(&t));
        let by = if used { present(&item, &by, &path)? } else { by };
        if passes(call, test.as_deref(), &by, &args)? == wanted {
            kept.push(item);
        }
    }
    Ok(Jinja::from(kept))
}

/// A member by a dotted path or a number.
fn step(item: &Jinja, path: &Jinja) -> Result<Jinja, Error> {
    match path.as_str() {
        Some(path) => member(item, path),
        None => item.get_item(path),
    }
}

fn map(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    if let Some(path) = call.given(0, "attribute")? {
        let default = call.given(0, "default")?;
        let one = |item: Jinja| -> Result<Jinja, Error> {
            let found = step(&item, &path)?;
            match &default {
                Some(default) if found.is_undefined() => Ok(default.clone()),
                _ => present(&item, &found, &path),
            }
        };
        let mapped: Result<Vec<Jinja>, Error> = items(&value)?.into_iter().map(one).collect();
        return Ok(Jinja::from(mapped?));
    }
    let Some(filter) = named(call, 1, filter_names())? else {
        return Err(complaint("`map` wants `attribute=` or the name of a filter"));
    };
    let args = further(call, 2)?;
    let mut mapped = Vec::new();
    for item in items(&value)? {
        let all: Vec<Jinja> = [item].into_iter().chain(args.iter().cloned()).collect();
        mapped.push(call.state.apply_filter(&filter, &all)?);
    }
    Ok(Jinja::from(mapped))
}

/// A member that must be there.
fn present(item: &Jinja, found: &Jinja, path: &Jinja) -> Result<Jinja, Error> {
    if !found.is_undefined() {
        return defined(found).cloned();
    }
    let keys: Vec<String> = match item.kind() {
        ValueKind::Map => items(item)?.iter().map(|k| format!("`{k}`")).collect(),
        _ => Vec::new(),
    };
    let has = match keys.len() {
        0 => String::new(),
        1..=12 => format!("; it has {}", keys.join(", ")),
        _ => format!("; it has {} and {} more", keys[..12].join(", "), keys.len() - 12),
    };
    let text = format!("{AN_ITEM} has no `{path}`{has}");
    Err(Error::new(ErrorKind::UndefinedError, text))
}

/// Text without regard to case, unless that was asked for.
fn folded(value: Jinja, sensitive: bool) -> Jinja {
    match value.as_str() {
        Some(text) if !sensitive => Jinja::from(text.to_lowercase()),
        _ => value,
    }
}

/// What cannot be ordered in Python is refused here too.
fn order(a: &Jinja, b: &Jinja) -> Result<Ordering, Error> {
    let alike = a.kind() == b.kind()
        || (a.kind() != ValueKind::String && b.kind() != ValueKind::String && !a.is_none() && !b.is_none());
    if alike {
        return Ok(a.cmp(b));
    }
    let (a, b) = (
        crate::template::failure::kind_name(a),
        crate::template::failure::kind_name(b),
    );
    Err(complaint(format!("{a} and {b} cannot be put in order")))
}

/// Sorts by keys that were computed before; the first failure of a comparison is the failure of all.
fn sorted(mut keyed: Vec<(Vec<Jinja>, Jinja)>, reverse: bool) -> Result<Vec<Jinja>, Error> {
    let mut failure = None;
    keyed.sort_by(|a, b| {
        for (x, y) in a.0.iter().zip(&b.0) {
            match order(x, y) {
                Ok(Ordering::Equal) => {}
                Ok(found) => return if reverse { found.reverse() } else { found },
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        Ordering::Equal
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(keyed.into_iter().map(|(_, item)| item).collect()),
    }
}

fn sort(call: &mut Call) -> Result<Jinja, Error> {
    let reverse = call.flag(1, "reverse", false)?;
    let sensitive = call.flag(2, "case_sensitive", false)?;
    let attribute = call.text(3, "attribute")?;
    let mut keyed = Vec::new();
    for item in items(&call.value()?)? {
        let keys = match &attribute {
            None => vec![folded(item.clone(), sensitive)],
            Some(paths) => paths
                .split(',')
                .map(|path| {
                    let by = member(&item, path.trim())?;
                    let by = present(&item, &by, &Jinja::from(path.trim()))?;
                    Ok(folded(by, sensitive))
                })
                .collect::<Result<_, Error>>()?,
        };
        keyed.push((keys, item));
    }
    Ok(Jinja::from(sorted(keyed, reverse)?))
}

fn dictsort(call: &mut Call) -> Result<Jinja, Error> {
    let sensitive = call.flag(1, "case_sensitive", false)?;
    let by = call.text(2, "by")?.unwrap_or_else(|| "key".into());
    let reverse = call.flag(3, "reverse", false)?;
    let value = call.value()?;
    if value.kind() != ValueKind::Map {
        return Err(call.wants("a mapping", &value));
    }
    let mut keyed = Vec::new();
    for (key, value) in pairs(&value)? {
        let order = if by == "value" { value.clone() } else { key.clone() };
        let pair = minijinja::value::Tuple::from(vec![key, value]);
        keyed.push((vec![folded(order, sensitive)], Jinja::from(pair)));
    }
    Ok(Jinja::from(sorted(keyed, reverse)?))
}

/// `+` as templates have it.
fn add(a: Jinja, b: Jinja) -> Result<Jinja, Error> {
    static ADD: OnceLock<Result<Expression<'static, 'static>, String>> = OnceLock::new();
    let add = ADD.get_or_init(|| {
        let compiled = environment().compile_expression("a + b");
        compiled.map_err(|e| e.to_string())
    });
    match add {
        Ok(add) => add.eval(Jinja::from_pairs([("a", a), ("b", b)])),
        Err(error) => Err(complaint(error.clone())),
    }
}

fn sum(call: &mut Call) -> Result<Jinja, Error> {
    let attribute = call.given(1, "attribute")?.filter(|a| !a.is_none());
    let mut total = call.given(2, "start")?.unwrap_or_else(|| Jinja::from(0));
    for item in items(&call.value()?)? {
        let part = match &attribute {
            Some(path) => present(&item, &step(&item, path)?, path)?,
            None => item,
        };
        total = add(total, part)?;
    }
    Ok(total)
}
