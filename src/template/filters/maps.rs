//! Mappings: combining, to lists and back.

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use crate::template::call::{Call, Function, complaint, items, pairs};

pub const FILTERS: &[(&str, Function)] = &[
    ("combine", combine),
    ("dict2items", dict2items),
    ("items2dict", items2dict),
    ("rekey_on_member", rekey_on_member),
];

/// What becomes of two lists under one key.
#[derive(Clone, Copy)]
enum Lists {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendRp,
    PrependRp,
}

impl Lists {
    fn named(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "replace" => Self::Replace,
            "keep" => Self::Keep,
            "append" => Self::Append,
            "prepend" => Self::Prepend,
            "append_rp" => Self::AppendRp,
            "prepend_rp" => Self::PrependRp,
            other => {
                return Err(complaint(format!(
                    "`list_merge` is replace, keep, append, prepend, append_rp or prepend_rp, not `{other}`"
                )));
            }
        })
    }

    fn merge(self, old: &Jinja, new: &Jinja) -> Result<Jinja, Error> {
        let (old_items, new_items) = (items(old)?, items(new)?);
        let without = || old_items.iter().filter(|x| !new_items.contains(x)).cloned();
        Ok(match self {
            Self::Replace => new.clone(),
            Self::Keep => old.clone(),
            Self::Append => old_items.iter().chain(&new_items).cloned().collect(),
            Self::Prepend => new_items.iter().chain(&old_items).cloned().collect(),
            Self::AppendRp => without().chain(new_items.iter().cloned()).collect(),
            Self::PrependRp => new_items.iter().cloned().chain(without()).collect(),
        })
    }
}

fn combine(call: &mut Call) -> Result<Jinja, Error> {
    let recursive = call.flag(0, "recursive", false)?;
    let lists = call
        .text(0, "list_merge")?
        .unwrap_or_else(|| "replace".to_string());
    let lists = Lists::named(&lists)?;
    let mut maps = Vec::new();
    for value in call.rest(0)? {
        collect_maps(call, &value, &mut maps)?;
    }
    let mut maps = maps.into_iter();
    let Some(first) = maps.next() else {
        return Ok(Jinja::from_pairs(IndexMap::<Jinja, Jinja>::new()));
    };
    let mut merged = first;
    for next in maps {
        merged = merge(&merged, &next, recursive, lists)?;
    }
    Ok(merged)
}

/// Mappings, and lists of them to any depth.
fn collect_maps(call: &Call, value: &Jinja, maps: &mut Vec<Jinja>) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map => maps.push(value.clone()),
        ValueKind::Seq | ValueKind::Iterable => {
            for item in items(value)? {
                collect_maps(call, &item, maps)?;
            }
        }
        _ => return Err(call.wants("mappings", value)),
    }
    Ok(())
}

fn merge(old: &Jinja, new: &Jinja, recursive: bool, lists: Lists) -> Result<Jinja, Error> {
    let mut merged: IndexMap<Jinja, Jinja> = pairs(old)?.into_iter().collect();
    for (key, value) in pairs(new)? {
        let joined = match merged.get(&key) {
            Some(before) => one(before, &value, recursive, lists)?,
            None => value,
        };
        merged.insert(key, joined);
    }
    Ok(Jinja::from_pairs(merged))
}

fn one(old: &Jinja, new: &Jinja, recursive: bool, lists: Lists) -> Result<Jinja, Error> {
    match (old.kind(), new.kind()) {
        (ValueKind::Map, ValueKind::Map) if recursive => merge(old, new, recursive, lists),
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => lists.merge(old, new),
        _ => Ok(new.clone()),
    }
}

fn dict2items(call: &mut Call) -> Result<Jinja, Error> {
    let key = call.text(1, "key_name")?.unwrap_or_else(|| "key".into());
    let value = call.text(2, "value_name")?.unwrap_or_else(|| "value".into());
    let pairs = call.pairs(&call.value()?)?.into_iter();
    let item = |(k, v)| Jinja::from_pairs([(key.clone(), k), (value.clone(), v)]);
    Ok(pairs.map(item).collect())
}

fn items2dict(call: &mut Call) -> Result<Jinja, Error> {
    let key = call.text(1, "key_name")?.unwrap_or_else(|| "key".into());
    let value = call.text(2, "value_name")?.unwrap_or_else(|| "value".into());
    let mut map = IndexMap::new();
    for item in call.items()? {
        if item.kind() != ValueKind::Map {
            return Err(call.wants("a list of mappings", &item));
        }
        let (k, v) = (item.get_attr(&key)?, item.get_attr(&value)?);
        if k.is_undefined() || v.is_undefined() {
            return Err(complaint(format!(
                "`items2dict` wants items with `{key}` and `{value}`, and one lacks them"
            )));
        }
        map.insert(k, v);
    }
    Ok(Jinja::from_pairs(map))
}

/// A mapping of the members, by what each says under one name.
fn rekey_on_member(call: &mut Call) -> Result<Jinja, Error> {
    let name = call.needed_text(1, "key")?;
    let overwrite = match call.text(2, "duplicates")?.as_deref() {
        None | Some("error") => false,
        Some("overwrite") => true,
        Some(other) => {
            return Err(complaint(format!(
                "`duplicates` is error or overwrite, not `{other}`"
            )));
        }
    };
    let value = call.value()?;
    let members = match value.kind() {
        ValueKind::Map => pairs(&value)?.into_iter().map(|(_, v)| v).collect(),
        _ => call.list(&value)?,
    };
    let mut map = IndexMap::new();
    for member in members {
        let key = member.get_attr(&name)?;
        if key.is_undefined() {
            return Err(complaint(format!("an item has no `{name}`")));
        }
        if !overwrite && map.contains_key(&key) {
            return Err(complaint(format!("two items have the `{name}` {key}")));
        }
        map.insert(key, member);
    }
    Ok(Jinja::from_pairs(map))
}
