//! Files on the controlling machine.

use std::path::{Path, PathBuf};

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use super::{Ask, Lookup, existing, search};
use crate::template::call::{complaint, items, pairs};
use crate::template::file::FileOptions;
use crate::template::outside::Outside;
use crate::template::python;
use crate::template::variables::root;

pub const LOOKUPS: &[(&str, Lookup)] = &[
    ("file", file),
    ("fileglob", fileglob),
    ("first_found", first_found),
    ("template", template),
    ("unvault", file),
];

/// Reads the first file of that name on the search path.
fn read(ask: &mut Ask, kind: &str, term: &str) -> Result<(PathBuf, String), Error> {
    let candidates = search(ask.state, kind, term)?;
    let root = root(ask.state)?;
    let outside = root.evaluation.outside()?;
    let Some(path) = existing(outside, &candidates) else {
        let mut places: Vec<String> = Vec::new();
        for candidate in &candidates {
            let place = candidate.display().to_string();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        return Err(complaint(format!(
            "there is no file `{term}`; looked for {}",
            places.join(", ")
        )));
    };
    let bytes = outside
        .read(&path)
        .map_err(|e| complaint(format!("cannot read `{}`: {e}", path.display())))?;
    Ok((path, String::from_utf8_lossy(&bytes).into_owned()))
}

fn file(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let (left, right) = (ask.flag("lstrip", false), ask.flag("rstrip", true));
    let mut found = Vec::new();
    for term in ask.text_terms()? {
        let (_, text) = read(ask, "files", &term)?;
        let text = if left { text.trim_start() } else { &text };
        let text = if right { text.trim_end() } else { text };
        found.push(Jinja::from(text));
    }
    Ok(found)
}

fn template(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let convert = ask.flag("convert_data", true);
    ask.option("jinja2_native");
    let extra = ask.option("template_vars").filter(|v| !v.is_none());
    let options = FileOptions {
        trim_blocks: ask.flag("trim_blocks", true),
        lstrip_blocks: ask.flag("lstrip_blocks", false),
        ..FileOptions::default()
    };
    let mut found = Vec::new();
    for term in ask.text_terms()? {
        let (path, text) = read(ask, "templates", &term)?;
        let root = root(ask.state)?;
        let text = root.file(&path, &text, &options, extra.as_ref())?;
        let data = if convert {
            crate::template::literal::data(&text)
        } else {
            None
        };
        found.push(data.unwrap_or_else(|| Jinja::from_safe_string(text)));
    }
    Ok(found)
}

/// Whether a name fits a shell pattern.
fn fits(pattern: &[char], name: &[char]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => fits(&pattern[1..], name) || (!name.is_empty() && fits(pattern, &name[1..])),
        (Some('?'), Some(_)) => fits(&pattern[1..], &name[1..]),
        (Some('['), Some(c)) => match class(&pattern[1..]) {
            Some((set, negated, rest)) => in_class(set, *c) != negated && fits(rest, &name[1..]),
            None => *c == '[' && fits(&pattern[1..], &name[1..]),
        },
        (Some(p), Some(c)) => p == c && fits(&pattern[1..], &name[1..]),
        _ => false,
    }
}

/// The set of a `[…]`, whether it is negated, and what follows.
fn class(pattern: &[char]) -> Option<(&[char], bool, &[char])> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let body = &pattern[usize::from(negated)..];
    let end = body.iter().skip(1).position(|c| *c == ']')? + 1;
    Some((&body[..end], negated, &body[end + 1..]))
}

fn in_class(set: &[char], c: char) -> bool {
    let ranged = set.windows(3).any(|w| w[1] == '-' && w[0] <= c && c <= w[2]);
    ranged || set.contains(&c)
}

/// The files that a shell pattern means, sorted.
pub fn matches(outside: &dyn Outside, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(if pattern.is_absolute() { "/" } else { "" })];
    for part in pattern.components() {
        let std::path::Component::Normal(part) = part else {
            continue;
        };
        let part = part.to_string_lossy();
        let wild = part.contains(['*', '?', '[']);
        let chars: Vec<char> = part.chars().collect();
        found = found
            .into_iter()
            .flat_map(|base| {
                if !wild {
                    return vec![base.join(&*part)];
                }
                let directory = if base.as_os_str().is_empty() {
                    PathBuf::from(".")
                } else {
                    base.clone()
                };
                let names = outside.list(&directory).into_iter();
                let fitting = names.filter(|n| {
                    let hidden = n.starts_with('.') && !part.starts_with('.');
                    !hidden && fits(&chars, &n.chars().collect::<Vec<_>>())
                });
                fitting.map(|n| base.join(n)).collect()
            })
            .collect();
    }
    found.retain(|p| outside.entry(p, true).is_some_and(|e| e.is_file));
    found
}

fn fileglob(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut found = Vec::new();
    for term in ask.text_terms()? {
        let candidates = search(ask.state, "files", &term)?;
        let root = root(ask.state)?;
        let outside = root.evaluation.outside()?;
        let hits = candidates
            .iter()
            .map(|c| matches(outside, c))
            .find(|h| !h.is_empty());
        let hits = hits.unwrap_or_default().into_iter();
        found.extend(hits.map(|h| Jinja::from(h.to_string_lossy().into_owned())));
    }
    Ok(found)
}

/// Names to try, and directories to try them in.
#[derive(Default)]
struct Wanted {
    files: Vec<String>,
    paths: Vec<String>,
    skip: bool,
}

fn texts(value: Option<Jinja>) -> Result<Vec<String>, Error> {
    match value {
        None => Ok(Vec::new()),
        Some(value) if value.kind() == ValueKind::String => {
            let split = value.as_str().unwrap_or_default().split([',', ';']);
            Ok(split.map(|s| s.trim().to_string()).collect())
        }
        Some(value) => items(&value)?.iter().map(python::text).collect(),
    }
}

impl Wanted {
    fn term(&mut self, term: &Jinja) -> Result<(), Error> {
        match term.kind() {
            ValueKind::Map => {
                for (key, value) in pairs(term)? {
                    match key.as_str() {
                        Some("files") => self.files.extend(texts(Some(value))?),
                        Some("paths") => self.paths.extend(texts(Some(value))?),
                        Some("skip") => self.skip = value.is_true(),
                        _ => {}
                    }
                }
            }
            ValueKind::Seq | ValueKind::Iterable => {
                for inner in items(term)? {
                    self.term(&inner)?;
                }
            }
            _ => self.files.push(python::text(term)?),
        }
        Ok(())
    }
}

fn first_found(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut wanted = Wanted {
        files: texts(ask.option("files"))?,
        paths: texts(ask.option("paths"))?,
        skip: ask.flag("skip", false),
    };
    for term in ask.terms.clone() {
        wanted.term(&term)?;
    }
    for file in &wanted.files {
        let names = if wanted.paths.is_empty() {
            vec![file.clone()]
        } else {
            let joined = wanted.paths.iter().map(|p| Path::new(p).join(file));
            joined.map(|p| p.to_string_lossy().into_owned()).collect()
        };
        for name in names {
            let mut candidates = Vec::new();
            for kind in ["files", "templates", "vars"] {
                candidates.extend(search(ask.state, kind, &name)?);
            }
            let root = root(ask.state)?;
            if let Some(path) = existing(root.evaluation.outside()?, &candidates) {
                return Ok(vec![Jinja::from(path.to_string_lossy().into_owned())]);
            }
        }
    }
    if wanted.skip {
        return Ok(Vec::new());
    }
    Err(complaint(format!(
        "none of these files is there: {}",
        wanted.files.join(", ")
    )))
}
