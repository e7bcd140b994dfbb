//! Environment, commands, variables.

use minijinja::Error;
use minijinja::value::Value as Jinja;

use super::{Ask, Lookup};
use crate::template::call::{complaint, undefined};
use crate::template::evaluation::Absent;
use crate::template::filters::regexes::{Reading, compile};
use crate::template::variables::root;

pub const LOOKUPS: &[(&str, Lookup)] = &[
    ("env", env),
    ("lines", lines),
    ("pipe", pipe),
    ("varnames", varnames),
    ("vars", vars),
];

/// The environment is the program's own and does not change while it runs.
fn env(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let default = ask.option("default");
    let mut found = Vec::new();
    for name in ask.text_terms()? {
        let root = root(ask.state)?;
        let value = root.evaluation.outside.env(&name).map(Jinja::from);
        let value = value.or_else(|| default.clone());
        found.push(value.unwrap_or_else(|| Jinja::from("")));
    }
    Ok(found)
}

fn run(ask: &Ask, command: &str) -> Result<String, Error> {
    let root = root(ask.state)?;
    root.evaluation
        .outside()?
        .pipe(command)
        .map_err(|e| complaint(format!("`{command}`: {e}")))
}

fn pipe(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut found = Vec::new();
    for command in ask.text_terms()? {
        found.push(Jinja::from(run(ask, &command)?.trim_end()));
    }
    Ok(found)
}

fn lines(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut found = Vec::new();
    for command in ask.text_terms()? {
        found.extend(run(ask, &command)?.lines().map(Jinja::from));
    }
    Ok(found)
}

fn vars(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let default = ask.option("default");
    let mut found = Vec::new();
    for name in ask.text_terms()? {
        let root = root(ask.state)?;
        let value = root.named(&name).filter(|v| !v.is_undefined());
        let Some(value) = value.or_else(|| default.clone()) else {
            root.evaluation.miss(Absent::Name(name), None);
            return Err(undefined());
        };
        found.push(value);
    }
    Ok(found)
}

fn varnames(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut found = Vec::new();
    for pattern in ask.text_terms()? {
        let regex = compile(&pattern, Reading::default())?;
        let names = root(ask.state)?.scope.names();
        let hits = names.into_iter().filter(|n| regex.is_match(n).unwrap_or(false));
        found.extend(hits.map(Jinja::from));
    }
    Ok(found)
}
