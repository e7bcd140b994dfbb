//! Lists made from lists: what the `with_…` loops stand on.

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use super::{Ask, Lookup};
use crate::template::call::{complaint, items as members, pairs};
use crate::template::filters::lists::member;
use crate::template::python;
use crate::template::variables::root;

pub const LOOKUPS: &[(&str, Lookup)] = &[
    ("cartesian", nested),
    ("dict", dict),
    ("flattened", flattened),
    ("indexed_items", indexed_items),
    ("items", items),
    ("list", |ask| Ok(ask.terms.clone())),
    ("nested", nested),
    ("random_choice", random_choice),
    ("sequence", sequence),
    ("subelements", subelements),
    ("together", together),
];

fn is_list(value: &Jinja) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// Lists among the terms are opened, one level deep.
fn flat(terms: &[Jinja]) -> Result<Vec<Jinja>, Error> {
    let mut out = Vec::new();
    for term in terms {
        if is_list(term) {
            out.extend(members(term)?);
        } else {
            out.push(term.clone());
        }
    }
    Ok(out)
}

fn items(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    flat(&ask.terms)
}

fn flattened(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut out = ask.terms.clone();
    while out.iter().any(is_list) {
        out = flat(&out)?;
    }
    Ok(out)
}

fn pair(a: Jinja, b: Jinja) -> Jinja {
    Jinja::from(vec![a, b])
}

fn indexed_items(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let all = flat(&ask.terms)?.into_iter().enumerate();
    Ok(all.map(|(i, item)| pair(Jinja::from(i), item)).collect())
}

fn dict(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut out = Vec::new();
    for term in &ask.terms {
        if term.kind() != ValueKind::Map {
            return Err(complaint("lookup `dict` wants a mapping"));
        }
        for (key, value) in pairs(term)? {
            out.push(Jinja::from_pairs([("key", key), ("value", value)]));
        }
    }
    Ok(out)
}

fn lists(ask: &Ask) -> Result<Vec<Vec<Jinja>>, Error> {
    let one = |t: &Jinja| {
        if is_list(t) {
            members(t)
        } else {
            Ok(vec![t.clone()])
        }
    };
    ask.terms.iter().map(one).collect()
}

fn nested(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut rows: Vec<Vec<Jinja>> = vec![Vec::new()];
    let lists = lists(ask)?;
    if lists.is_empty() {
        return Err(complaint("at least one list is wanted"));
    }
    for list in lists {
        let extend = |row: &Vec<Jinja>| {
            let longer = list
                .iter()
                .map(|x| [row.as_slice(), std::slice::from_ref(x)].concat());
            longer.collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(extend).collect();
    }
    rows.into_iter().map(|row| Ok(Jinja::from(flat(&row)?))).collect()
}

fn together(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let lists = lists(ask)?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |list: &Vec<Jinja>, i: usize| list.get(i).cloned().unwrap_or_else(|| Jinja::from(()));
    let row = |i: usize| lists.iter().map(|l| cell(l, i)).collect::<Jinja>();
    Ok((0..longest).map(row).collect())
}

fn subelements(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let [outer, path, options @ ..] = &ask.terms[..] else {
        return Err(complaint(
            "lookup `subelements` wants a list and the name of a member",
        ));
    };
    let skip = match options.first() {
        Some(map) if map.kind() == ValueKind::Map => map.get_attr("skip_missing")?.is_true(),
        _ => false,
    };
    let path = python::text(path)?;
    let from = match outer.kind() {
        ValueKind::Map => pairs(outer)?.into_iter().map(|(_, v)| v).collect(),
        _ => members(outer)?,
    };
    let mut out = Vec::new();
    for item in from {
        let inner = member(&item, &path)?;
        if inner.is_undefined() && !skip {
            return Err(complaint(format!("an item has no `{path}`")));
        }
        if inner.is_undefined() {
            continue;
        }
        let rest = without(&item, &path)?;
        out.extend(members(&inner)?.into_iter().map(|e| pair(rest.clone(), e)));
    }
    Ok(out)
}

/// The item without the list that was taken from it.
fn without(item: &Jinja, path: &str) -> Result<Jinja, Error> {
    let (first, below) = path.split_once('.').map_or((path, None), |(f, b)| (f, Some(b)));
    let mut kept = Vec::new();
    for (key, value) in pairs(item)? {
        match (key.as_str() == Some(first), below) {
            (false, _) => kept.push((key, value)),
            (true, Some(below)) => kept.push((key, without(&value, below)?)),
            (true, None) => {}
        }
    }
    Ok(Jinja::from_pairs(kept))
}

fn random_choice(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    // A list is one term: `random_choice` of a single list gives that list, as in Ansible.
    let from = &ask.terms;
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let chance = root(ask.state)?.evaluation.outside()?.random();
    let chosen = usize::try_from(chance % (from.len() as u64)).unwrap_or(0);
    Ok(vec![from[chosen].clone()])
}

/// Start, end, step and form of a sequence.
struct Sequence {
    start: i64,
    end: Option<i64>,
    count: Option<i64>,
    stride: i64,
    format: String,
}

fn integer(text: &str) -> Result<i64, Error> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| complaint(format!("`{text}` is not an integer")))
}

impl Sequence {
    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "start" => self.start = integer(value)?,
            "end" => self.end = Some(integer(value)?),
            "count" => self.count = Some(integer(value)?),
            "stride" => self.stride = integer(value)?,
            "format" => self.format = value.to_string(),
            other => return Err(complaint(format!("lookup `sequence` has no option `{other}`"))),
        }
        Ok(())
    }

    /// `5`, `2-8`, `2-10/2`, `1-3:host%02d`, or `name=value` words.
    fn term(&mut self, term: &str) -> Result<(), Error> {
        if term.contains('=') {
            for word in term.split_whitespace() {
                let (name, value) = word
                    .split_once('=')
                    .ok_or_else(|| complaint(format!("`{word}` is not name=value")))?;
                self.set(name, value)?;
            }
            return Ok(());
        }
        let (range, format) = term.split_once(':').map_or((term, None), |(r, f)| (r, Some(f)));
        if let Some(format) = format {
            self.format = format.to_string();
        }
        let (range, stride) = range.split_once('/').map_or((range, None), |(r, s)| (r, Some(s)));
        if let Some(stride) = stride {
            self.stride = integer(stride)?;
        }
        match range.get(1..).and_then(|r| r.find('-')) {
            Some(at) => {
                self.start = integer(&range[..=at])?;
                self.end = Some(integer(&range[at + 2..])?);
            }
            None => self.end = Some(integer(range)?),
        }
        Ok(())
    }

    fn run(&self) -> Result<Vec<String>, Error> {
        let end = match (self.count, self.end) {
            (Some(0), _) => return Ok(Vec::new()),
            (Some(count), None) => self.start + self.stride * (count - 1),
            (None, Some(end)) => end,
            (Some(_), Some(_)) => return Err(complaint("`sequence` takes count or end, not both")),
            (None, None) => return Err(complaint("`sequence` needs count or end")),
        };
        if self.stride == 0 {
            return Ok(Vec::new());
        }
        if (self.stride > 0) != (end >= self.start) && end != self.start {
            return Err(complaint("to count down, give `sequence` a negative stride"));
        }
        let mut numbers = Vec::new();
        let mut at = self.start;
        while (self.stride > 0 && at <= end) || (self.stride < 0 && at >= end) {
            numbers.push(self.form(at));
            at += self.stride;
        }
        Ok(numbers)
    }

    /// `%d`, `%02d`, `%x` and text around it.
    fn form(&self, number: i64) -> String {
        let Some((before, rest)) = self.format.split_once('%') else {
            return self.format.clone();
        };
        let end = rest.find(|c: char| !(c.is_ascii_digit())).unwrap_or(rest.len());
        let (width, tail) = rest.split_at(end);
        let zero = width.starts_with('0');
        let width: usize = width.parse().unwrap_or(0);
        let digits = match tail.chars().next() {
            Some('x') => format!("{number:x}"),
            Some('X') => format!("{number:X}"),
            Some('o') => format!("{number:o}"),
            _ => number.to_string(),
        };
        let shown = if zero {
            format!("{digits:0>width$}")
        } else {
            format!("{digits:>width$}")
        };
        format!("{before}{shown}{}", tail.get(1..).unwrap_or_default())
    }
}

fn sequence(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut options = Vec::new();
    for name in ["start", "end", "count", "stride", "format"] {
        if let Some(value) = ask.text(name)? {
            options.push((name, value));
        }
    }
    let mut terms = ask.text_terms()?;
    if terms.is_empty() {
        terms.push(String::new());
    }
    let mut out = Vec::new();
    for term in terms {
        let mut sequence = Sequence {
            start: 1,
            end: None,
            count: None,
            stride: 1,
            format: "%d".into(),
        };
        if !term.is_empty() {
            sequence.term(&term)?;
        }
        for (name, value) in &options {
            sequence.set(name, value)?;
        }
        out.extend(sequence.run()?.into_iter().map(Jinja::from));
    }
    Ok(out)
}
