//! Paths, most of them as text only.

use std::path::{Component, Path, PathBuf};

use minijinja::Error;
use minijinja::value::{Tuple, Value as Jinja};

use crate::template::call::{Call, Function};
use crate::template::lookups::matches;
use crate::template::python;
use crate::template::variables::root;

pub const FILTERS: &[(&str, Function)] = &[
    ("basename", basename),
    ("commonpath", commonpath),
    ("dirname", dirname),
    ("expanduser", expanduser),
    ("expandvars", expandvars),
    ("fileglob", fileglob),
    ("normpath", normpath),
    ("path_join", path_join),
    ("realpath", realpath),
    ("relpath", relpath),
    ("splitext", splitext),
    ("win_basename", win_basename),
    ("win_dirname", win_dirname),
    ("win_splitdrive", win_splitdrive),
];

fn pair(a: &str, b: &str) -> Jinja {
    Jinja::from(Tuple::from(vec![Jinja::from(a), Jinja::from(b)]))
}

fn basename(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    Ok(Jinja::from(path.rsplit('/').next().unwrap_or_default()))
}

/// What stands before the last `/`; the root stays.
fn head<'p>(path: &'p str, separators: &[char]) -> &'p str {
    let end = path.rfind(separators).map_or(0, |i| i + 1);
    let head = &path[..end];
    let trimmed = head.trim_end_matches(separators);
    if trimmed.is_empty() { head } else { trimmed }
}

fn dirname(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    Ok(Jinja::from(head(&path, &['/'])))
}

fn splitext(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    let name = path.rfind('/').map_or(0, |i| i + 1);
    let dots = path[name..].len() - path[name..].trim_start_matches('.').len();
    let from = name + dots;
    Ok(match path[from..].rfind('.') {
        Some(dot) => pair(&path[..from + dot], &path[from + dot..]),
        None => pair(&path, ""),
    })
}

fn path_join(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    let parts = match value.as_str() {
        Some(text) => vec![Jinja::from(text)],
        None => call.list(&value)?,
    };
    let mut joined = String::new();
    for part in parts {
        let part = python::text(&part)?;
        if part.starts_with('/') {
            joined = part;
            continue;
        }
        if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.push_str(&part);
    }
    Ok(Jinja::from(joined))
}

/// Without `.`, `..` and doubled slashes, by the text alone.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_string(),
        (false, false) => joined,
    }
}

fn normpath(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(normal(&call.subject()?)))
}

fn absolute(call: &Call, path: &str) -> Result<PathBuf, Error> {
    if path.starts_with('/') {
        return Ok(PathBuf::from(normal(path)));
    }
    let root = root(call.state)?;
    let base = root.evaluation.outside()?.working_directory();
    Ok(PathBuf::from(normal(&base.join(path).to_string_lossy())))
}

fn realpath(call: &mut Call) -> Result<Jinja, Error> {
    let path = absolute(call, &call.subject()?)?;
    let root = root(call.state)?;
    let real = root.evaluation.outside()?.real_path(&path);
    Ok(Jinja::from(real.to_string_lossy().into_owned()))
}

fn relpath(call: &mut Call) -> Result<Jinja, Error> {
    let start = call.text(1, "start")?.unwrap_or_else(|| ".".to_string());
    let (to, from) = (absolute(call, &call.subject()?)?, absolute(call, &start)?);
    let (to, from): (Vec<Component>, Vec<Component>) =
        (to.components().collect(), from.components().collect());
    let shared = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let mut path = PathBuf::new();
    path.extend(std::iter::repeat_n("..", from.len() - shared));
    path.extend(&to[shared..]);
    let text = path.to_string_lossy().into_owned();
    Ok(Jinja::from(if text.is_empty() { ".".to_string() } else { text }))
}

fn commonpath(call: &mut Call) -> Result<Jinja, Error> {
    let paths: Result<Vec<String>, Error> = call.items()?.iter().map(python::text).collect();
    let paths = paths?;
    let Some(first) = paths.first() else {
        return Ok(Jinja::from(""));
    };
    let mut common: Vec<Component> = Path::new(first).components().collect();
    for path in &paths[1..] {
        let shared = common
            .iter()
            .zip(Path::new(path).components())
            .take_while(|(a, b)| **a == *b)
            .count();
        common.truncate(shared);
    }
    let path: PathBuf = common.into_iter().collect();
    Ok(Jinja::from(path.to_string_lossy().into_owned()))
}

fn expanduser(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    let Some(rest) = path
        .strip_prefix('~')
        .filter(|r| r.is_empty() || r.starts_with('/'))
    else {
        return Ok(Jinja::from(path));
    };
    let root = root(call.state)?;
    let home = root.evaluation.outside.env("HOME").unwrap_or_default();
    Ok(Jinja::from(format!("{home}{rest}")))
}

fn expandvars(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let root = root(call.state)?;
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.starts_with('{') && after.contains('}');
        let start = usize::from(braced);
        let end = after[start..]
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(after.len(), |e| start + e);
        let name = &after[start..end];
        let end = end + usize::from(braced);
        match root.evaluation.outside.env(name) {
            Some(value) if !name.is_empty() => out.push_str(&value),
            _ => out.push_str(&rest[at..=at + end]),
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    Ok(Jinja::from(out))
}

fn fileglob(call: &mut Call) -> Result<Jinja, Error> {
    let pattern = call.subject()?;
    let root = root(call.state)?;
    let found = matches(root.evaluation.outside()?, Path::new(&pattern));
    let names = found.into_iter().map(|p| p.to_string_lossy().into_owned());
    Ok(names.map(Jinja::from).collect())
}

const BOTH: [char; 2] = ['\\', '/'];

fn win_basename(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    Ok(Jinja::from(path.rsplit(BOTH).next().unwrap_or_default()))
}

fn win_dirname(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    Ok(Jinja::from(head(&path, &BOTH)))
}

fn win_splitdrive(call: &mut Call) -> Result<Jinja, Error> {
    let path = call.subject()?;
    Ok(if path.get(1..2) == Some(":") {
        pair(&path[..2], &path[2..])
    } else {
        pair("", &path)
    })
}
