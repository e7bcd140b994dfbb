//! Lists: sets, order, picking, combining.

use minijinja::Error;
use minijinja::value::{Tuple, Value as Jinja, ValueKind};

use crate::template::call::{Call, Function, complaint, defined, items};

pub const FILTERS: &[(&str, Function)] = &[
    ("combinations", combinations),
    ("difference", difference),
    ("extract", extract),
    ("flatten", flatten),
    ("intersect", intersect),
    ("join", join),
    ("list", list),
    ("permutations", permutations),
    ("product", product),
    ("random", random),
    ("shuffle", shuffle),
    ("subelements", subelements),
    ("symmetric_difference", symmetric_difference),
    ("union", union),
    ("unique", unique),
    ("zip", zip),
    ("zip_longest", zip_longest),
];

fn tuple(items: Vec<Jinja>) -> Jinja {
    Jinja::from(Tuple::from(items))
}

/// The items, each once, in order.
fn distinct(items: impl IntoIterator<Item = Jinja>) -> Vec<Jinja> {
    let mut seen: Vec<Jinja> = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// Two sets, from whatever can be iterated.
fn both(call: &Call) -> Result<(Vec<Jinja>, Vec<Jinja>), Error> {
    Ok((items(&call.value()?)?, items(&call.at(1)?)?))
}

fn union(call: &mut Call) -> Result<Jinja, Error> {
    let (a, b) = both(call)?;
    Ok(Jinja::from(distinct(a.into_iter().chain(b))))
}

fn intersect(call: &mut Call) -> Result<Jinja, Error> {
    let (a, b) = both(call)?;
    let common = a.into_iter().filter(|x| b.contains(x));
    Ok(Jinja::from(distinct(common)))
}

fn difference(call: &mut Call) -> Result<Jinja, Error> {
    let (a, b) = both(call)?;
    let rest = a.into_iter().filter(|x| !b.contains(x));
    Ok(Jinja::from(distinct(rest)))
}

fn symmetric_difference(call: &mut Call) -> Result<Jinja, Error> {
    let (a, b) = both(call)?;
    let left = a.iter().filter(|x| !b.contains(x));
    let right = b.iter().filter(|x| !a.contains(x));
    Ok(Jinja::from(distinct(left.chain(right).cloned())))
}

fn unique(call: &mut Call) -> Result<Jinja, Error> {
    let attribute = call.text(2, "attribute")?;
    let sensitive = call.flag(1, "case_sensitive", false)?;
    let mut seen: Vec<Jinja> = Vec::new();
    let mut kept = Vec::new();
    for item in call.items()? {
        let by = match &attribute {
            Some(path) => follow(&item, path)?,
            None => item.clone(),
        };
        let by = match by.as_str() {
            Some(text) if !sensitive => Jinja::from(text.to_lowercase()),
            _ => by,
        };
        if !seen.contains(&by) {
            seen.push(by);
            kept.push(item);
        }
    }
    Ok(Jinja::from(kept))
}

/// A member by its dotted path, undefined where a step is.
pub(in crate::template) fn member(value: &Jinja, path: &str) -> Result<Jinja, Error> {
    let mut value = value.clone();
    for step in path.split('.') {
        if value.is_undefined() {
            return Ok(value);
        }
        let key = match step.parse::<usize>() {
            Ok(index) if value.kind() == ValueKind::Seq => Jinja::from(index),
            _ => Jinja::from(step),
        };
        value = value.get_item(&key)?;
    }
    Ok(value)
}

fn follow(value: &Jinja, path: &str) -> Result<Jinja, Error> {
    defined(&member(value, path)?).cloned()
}

fn list(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    Ok(Jinja::from(items(&value)?))
}

fn join(call: &mut Call) -> Result<Jinja, Error> {
    let between = call.text(1, "d")?.unwrap_or_default();
    let attribute = call.text(2, "attribute")?;
    let value = call.value()?;
    let mut parts = Vec::new();
    for item in items(&value)? {
        let item = match &attribute {
            Some(path) => follow(&item, path)?,
            None => item,
        };
        parts.push(crate::template::python::text(&item)?);
    }
    Ok(Jinja::from(parts.join(&between)))
}

fn flatten(call: &mut Call) -> Result<Jinja, Error> {
    let levels = call.size(1, "levels")?;
    let skip_nulls = call.flag(2, "skip_nulls", true)?;
    let mut flat = Vec::new();
    flatten_into(&call.items()?, levels, skip_nulls, &mut flat)?;
    Ok(Jinja::from(flat))
}

fn flatten_into(
    from: &[Jinja],
    levels: Option<usize>,
    skip_nulls: bool,
    flat: &mut Vec<Jinja>,
) -> Result<(), Error> {
    for item in from {
        let null = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if null && skip_nulls {
            continue;
        }
        let nested = matches!(item.kind(), ValueKind::Seq | ValueKind::Iterable);
        match levels {
            Some(0) => flat.push(item.clone()),
            _ if !nested => flat.push(item.clone()),
            _ => {
                let below = levels.map(|l| l - 1);
                flatten_into(&items(item)?, below, skip_nulls, flat)?;
            }
        }
    }
    Ok(())
}

fn columns(call: &Call) -> Result<Vec<Vec<Jinja>>, Error> {
    let mut lists = vec![items(&call.value()?)?];
    for other in call.rest(1)? {
        lists.push(items(&other)?);
    }
    Ok(lists)
}

fn zip(call: &mut Call) -> Result<Jinja, Error> {
    let lists = columns(call)?;
    let shortest = lists.iter().map(Vec::len).min().unwrap_or(0);
    let strict = call.flag(0, "strict", false)?;
    if strict && lists.iter().any(|l| l.len() != shortest) {
        return Err(complaint("`zip(strict=true)` wants lists of one length"));
    }
    let row = |i: usize| tuple(lists.iter().map(|l| l[i].clone()).collect());
    Ok(Jinja::from((0..shortest).map(row).collect::<Vec<_>>()))
}

fn zip_longest(call: &mut Call) -> Result<Jinja, Error> {
    let fill = call.given(0, "fillvalue")?.unwrap_or_else(|| Jinja::from(()));
    let lists = columns(call)?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let row = |i: usize| {
        let cells = lists.iter().map(|l| l.get(i).unwrap_or(&fill).clone());
        tuple(cells.collect())
    };
    Ok(Jinja::from((0..longest).map(row).collect::<Vec<_>>()))
}

/// More combinations than fit into memory are refused rather than tried.
const MANY: usize = 1_000_000;

fn bounded(rows: Vec<Vec<Jinja>>, call: &Call) -> Result<Vec<Vec<Jinja>>, Error> {
    if rows.len() > MANY {
        return Err(complaint(format!(
            "`{}` would give over a million items",
            call.name
        )));
    }
    Ok(rows)
}

fn product(call: &mut Call) -> Result<Jinja, Error> {
    let repeat = call.size(0, "repeat")?.unwrap_or(1);
    let once = columns(call)?;
    let mut rows: Vec<Vec<Jinja>> = vec![Vec::new()];
    for list in (0..repeat).flat_map(|_| &once) {
        let extend = |row: &Vec<Jinja>| {
            let longer = list
                .iter()
                .map(|x| [row.as_slice(), std::slice::from_ref(x)].concat());
            longer.collect::<Vec<_>>()
        };
        rows = bounded(rows.iter().flat_map(extend).collect(), call)?;
    }
    Ok(rows.into_iter().map(tuple).collect())
}

fn combinations(call: &mut Call) -> Result<Jinja, Error> {
    let from = items(&call.value()?)?;
    let length = call.size(1, "r")?.unwrap_or(from.len());
    let mut rows: Vec<(usize, Vec<Jinja>)> = vec![(0, Vec::new())];
    for _ in 0..length {
        let mut longer = Vec::new();
        for (next, row) in &rows {
            for (i, item) in from.iter().enumerate().skip(*next) {
                longer.push((i + 1, [row.as_slice(), std::slice::from_ref(item)].concat()));
            }
            if longer.len() > MANY {
                return Err(complaint("`combinations` would give over a million items"));
            }
        }
        rows = longer;
    }
    Ok(rows.into_iter().map(|(_, row)| tuple(row)).collect())
}

fn permutations(call: &mut Call) -> Result<Jinja, Error> {
    let from = items(&call.value()?)?;
    let length = call.size(1, "r")?.unwrap_or(from.len());
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..length {
        let mut longer = Vec::new();
        for row in &rows {
            let unused = (0..from.len()).filter(|i| !row.contains(i));
            longer.extend(unused.map(|i| [row.as_slice(), &[i]].concat()));
            if longer.len() > MANY {
                return Err(complaint("`permutations` would give over a million items"));
            }
        }
        rows = longer;
    }
    let named = |row: Vec<usize>| tuple(row.into_iter().map(|i| from[i].clone()).collect());
    Ok(rows.into_iter().map(named).collect())
}

/// `key | extract(container, more keys)`.
fn extract(call: &mut Call) -> Result<Jinja, Error> {
    let (key, container) = (call.value()?, call.at(1)?);
    let mut keys = vec![key];
    match call.given(2, "morekeys")?.filter(|k| !k.is_none()) {
        Some(more) if more.kind() == ValueKind::Seq => keys.extend(items(&more)?),
        Some(more) => keys.push(more),
        None => {}
    }
    let mut value = container;
    for key in &keys {
        if value.is_undefined() {
            return Ok(value);
        }
        value = value.get_item(key)?;
    }
    Ok(value)
}

/// Pairs of an item and each member of one of its lists.
fn subelements(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.needed(1, "subelements")?;
    let path = match path.as_str() {
        Some(text) => text.to_string(),
        None => join_path(&path)?,
    };
    let skip = call.flag(2, "skip_missing", false)?;
    let value = call.value()?;
    let outer = match value.kind() {
        ValueKind::Map => crate::template::call::pairs(&value)?
            .into_iter()
            .map(|(_, v)| v)
            .collect(),
        _ => call.list(&value)?,
    };
    let mut rows = Vec::new();
    for item in outer {
        let inner = member(&item, &path)?;
        if inner.is_undefined() {
            if skip {
                continue;
            }
            return Err(complaint(format!(
                "an item has no `{path}` to take elements from"
            )));
        }
        for element in call.list(&inner)? {
            rows.push(tuple(vec![item.clone(), element]));
        }
    }
    Ok(Jinja::from(rows))
}

fn join_path(path: &Jinja) -> Result<String, Error> {
    let steps: Result<Vec<String>, Error> = items(path)?.iter().map(crate::template::python::text).collect();
    Ok(steps?.join("."))
}

/// Numbers that come from a seed, or from chance where there is none.
struct Dice {
    state: u64,
}

impl Dice {
    fn new(call: &Call) -> Result<Self, Error> {
        let state = match call.given(0, "seed")? {
            Some(seed) => crate::template::python::text(&seed)?
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325, |h, b| {
                    (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
                }),
            None => crate::template::variables::root(call.state)?
                .evaluation
                .outside()?
                .random(),
        };
        Ok(Self { state })
    }

    /// A number below the limit.
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % (limit.max(1) as u64)).unwrap_or(0)
    }
}

fn random(call: &mut Call) -> Result<Jinja, Error> {
    let mut dice = Dice::new(call)?;
    let value = call.value()?;
    let start = call.int(1, "start")?.unwrap_or(0);
    let step = call.int(2, "step")?.unwrap_or(1).max(1);
    if let Some(end) = value.as_i64() {
        let choices = (end - start + step - 1) / step;
        let chosen = dice.below(usize::try_from(choices).unwrap_or(1));
        return Ok(Jinja::from(start + step * i64::try_from(chosen).unwrap_or(0)));
    }
    let from = items(&value)?;
    if from.is_empty() {
        return Ok(Jinja::UNDEFINED);
    }
    Ok(from[dice.below(from.len())].clone())
}

fn shuffle(call: &mut Call) -> Result<Jinja, Error> {
    let mut dice = Dice::new(call)?;
    let mut from = items(&call.value()?)?;
    for last in (1..from.len()).rev() {
        from.swap(last, dice.below(last + 1));
    }
    Ok(Jinja::from(from))
}
