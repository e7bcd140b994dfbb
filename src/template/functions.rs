//! Functions that templates call: lookups, the clock, `dict`, `undef`.

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use super::call::{Call, Function, complaint, items, pairs};
use super::{filters, lookups};

pub(super) const ALL: &[(&str, Function)] = &[
    ("dict", dict),
    ("lookup", lookups::lookup),
    ("now", filters::now),
    ("q", lookups::query),
    ("query", lookups::query),
    ("undef", undef),
];

/// `dict(pairs)`, `dict(mapping)`, `dict(a=1)`.
fn dict(call: &mut Call) -> Result<Jinja, Error> {
    let mut map: IndexMap<Jinja, Jinja> = IndexMap::new();
    if call.count() > 0 {
        let from = call.at(0)?;
        if from.kind() == ValueKind::Map {
            map.extend(pairs(&from)?);
        } else {
            for pair in items(&from)? {
                let [key, value] = &items(&pair)?[..] else {
                    return Err(complaint("`dict` wants pairs"));
                };
                map.insert(key.clone(), value.clone());
            }
        }
    }
    for (name, value) in call.named()? {
        map.insert(Jinja::from(name), value);
    }
    Ok(Jinja::from_pairs(map))
}

fn undef(call: &mut Call) -> Result<Jinja, Error> {
    call.given(1, "hint")?;
    Ok(Jinja::UNDEFINED)
}
