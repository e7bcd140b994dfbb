//! Lookups, one file per family. A lookup is a function there and one line in its family's list.

mod files;
mod items;
mod password;
mod system;
mod web;

use std::path::{Path, PathBuf};

use minijinja::value::{Value as Jinja, ValueKind};
use minijinja::{Error, State};

pub(super) use files::matches;

use super::call::{Call, complaint};
use super::environment::nearest_of;
use super::outside::Outside;
use super::python;
use super::variables::root;

/// The terms and options of one lookup.
pub(super) struct Ask<'a, 't, 'e> {
    pub state: &'a mut State<'t, 'e>,
    pub terms: Vec<Jinja>,
    options: Vec<(String, Jinja)>,
    used: Vec<String>,
}

type Lookup = fn(&mut Ask) -> Result<Vec<Jinja>, Error>;

const FAMILIES: [&[(&str, Lookup)]; 5] = [
    files::LOOKUPS,
    items::LOOKUPS,
    password::LOOKUPS,
    system::LOOKUPS,
    web::LOOKUPS,
];

/// All lookups by name, sorted.
pub(super) fn names() -> &'static [&'static str] {
    static NAMES: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| {
        let mut names: Vec<_> = FAMILIES.into_iter().flatten().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    });
    &NAMES
}

/// Those that Ansible keeps in a collection; their short names lead there too.
const IN_COMMUNITY_GENERAL: &[&str] = &["cartesian", "flattened"];

/// The short name of a lookup that is there, however it is written.
pub(super) fn short_name(name: &str) -> Option<&'static str> {
    if let Some(short) = name.strip_prefix("community.general.") {
        return IN_COMMUNITY_GENERAL
            .iter()
            .find(|known| **known == short)
            .copied();
    }
    let mut heads = ["ansible.builtin.", "ansible.legacy."].into_iter();
    let short = heads.find_map(|head| name.strip_prefix(head)).unwrap_or(name);
    names().iter().find(|known| **known == short).copied()
}

fn find(name: &str) -> Option<Lookup> {
    let short = short_name(name)?;
    let mut all = FAMILIES.into_iter().flatten();
    all.find(|(known, _)| *known == short).map(|(_, lookup)| *lookup)
}

impl Ask<'_, '_, '_> {
    pub fn option(&mut self, name: &str) -> Option<Jinja> {
        self.used.push(name.to_string());
        let (_, value) = self.options.iter().find(|(n, _)| n == name)?;
        Some(value.clone())
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        self.option(name).map(|v| python::text(&v)).transpose()
    }

    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        self.option(name).map_or(default, |v| match v.as_str() {
            Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1"),
            None => v.is_true(),
        })
    }

    pub fn text_terms(&self) -> Result<Vec<String>, Error> {
        self.terms.iter().map(python::text).collect()
    }
}

/// What the lookup finds, as a list.
fn ask(call: &mut Call) -> Result<(Vec<Jinja>, bool), Error> {
    let name = python::text(&call.at(0)?)?;
    let mut options = call.named()?;
    let mut take = |wanted: &str| {
        let at = options.iter().position(|(n, _)| n == wanted)?;
        Some(options.remove(at).1)
    };
    let want_list = take("wantlist").is_some_and(|w| w.is_true());
    let errors = take("errors").and_then(|e| e.as_str().map(str::to_string));
    let Some(lookup) = find(&name) else {
        let near = nearest_of(&name, names());
        let hint = near.map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
        return Err(complaint(format!("unknown lookup `{name}`{hint}")));
    };
    let mut ask = Ask {
        terms: call.rest(1)?,
        state: call.state,
        options,
        used: Vec::new(),
    };
    let found = lookup(&mut ask);
    let found = match (found, errors.as_deref()) {
        (Err(_), Some("ignore" | "warn")) => return Ok((vec![Jinja::from(())], want_list)),
        (found, _) => found?,
    };
    if let Some((unknown, _)) = ask.options.iter().find(|(n, _)| !ask.used.contains(n)) {
        return Err(complaint(format!("lookup `{name}` has no option `{unknown}`")));
    }
    Ok((found, want_list))
}

/// `lookup(…)`: text joined by commas, unless one thing or a list was wanted.
pub(super) fn lookup(call: &mut Call) -> Result<Jinja, Error> {
    let (found, want_list) = ask(call)?;
    if want_list {
        return Ok(Jinja::from(found));
    }
    let texts = found.iter().all(|f| f.kind() == ValueKind::String);
    if texts {
        let parts: Vec<&str> = found.iter().filter_map(Jinja::as_str).collect();
        return Ok(Jinja::from(parts.join(",")));
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        _ => Ok(Jinja::from(found)),
    }
}

/// `query(…)`: always a list.
pub(super) fn query(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(ask(call)?.0))
}

/// Where a relative path may lie: `files/` (or its like) of the role, then of the playbook.
fn search(state: &State, kind: &str, name: &str) -> Result<Vec<PathBuf>, Error> {
    if name.starts_with('/') {
        return Ok(vec![PathBuf::from(name)]);
    }
    let root = root(state)?;
    if let Some(rest) = name.strip_prefix("~/") {
        let home = root.evaluation.outside.env("HOME").unwrap_or_default();
        return Ok(vec![Path::new(&home).join(rest)]);
    }
    let mut bases = Vec::new();
    if let Some(paths) = root
        .named("ansible_search_path")
        .filter(|p| p.kind() == ValueKind::Seq)
    {
        for path in super::call::items(&paths)? {
            bases.push(PathBuf::from(python::text(&path)?));
        }
    }
    for variable in ["role_path", "playbook_dir"] {
        if let Some(path) = root.named(variable) {
            bases.push(PathBuf::from(python::text(&path)?));
        }
    }
    bases.push(root.evaluation.outside()?.working_directory());
    let both = |base: PathBuf| [base.join(kind).join(name), base.join(name)];
    Ok(bases.into_iter().flat_map(both).collect())
}

/// The first of these that is there.
fn existing(outside: &dyn Outside, candidates: &[PathBuf]) -> Option<PathBuf> {
    let found = candidates.iter().find(|p| outside.entry(p, true).is_some());
    found.cloned()
}
