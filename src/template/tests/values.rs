//! Values: text against patterns, sets, truth, kinds.

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use crate::template::call::{Call, Test, complaint, items};
use crate::template::filters::regexes::{Reading, compile};
use crate::template::python;
use crate::template::variables::root;

pub const TESTS: &[(&str, Test)] = &[
    ("all", all),
    ("any", any),
    ("callable", callable),
    ("contains", contains),
    ("defined", is_defined),
    ("falsy", |c| truthy(c).map(|t| !t)),
    ("float", |c| number(c, false)),
    ("integer", |c| number(c, true)),
    ("isnan", nan),
    ("issubset", subset),
    ("issuperset", superset),
    ("iterable", iterable),
    ("match", matches),
    ("nan", nan),
    ("regex", regex),
    ("search", search),
    ("sequence", sequence),
    ("subset", subset),
    ("superset", superset),
    ("truthy", truthy),
    ("undefined", |c| is_defined(c).map(|d| !d)),
    ("uri", uri),
    ("url", url),
    ("urn", urn),
];

fn number(call: &mut Call, whole: bool) -> Result<bool, Error> {
    let value = call.value()?;
    Ok(value.kind() == ValueKind::Number && value.is_integer() == whole)
}

/// Asking whether something is there forgives that it is not.
fn is_defined(call: &mut Call) -> Result<bool, Error> {
    let there = !call.any(0).is_undefined();
    if !there {
        root(call.state)?.evaluation.forgive(0);
    }
    Ok(there)
}

/// Text and mappings can be iterated too.
fn iterable(call: &mut Call) -> Result<bool, Error> {
    let value = call.value()?;
    Ok(!value.is_none() && value.try_iter().is_ok())
}

fn sequence(call: &mut Call) -> Result<bool, Error> {
    let kind = call.value()?.kind();
    Ok(matches!(
        kind,
        ValueKind::Seq | ValueKind::String | ValueKind::Map | ValueKind::Iterable
    ))
}

fn callable(call: &mut Call) -> Result<bool, Error> {
    Ok(call.value()?.kind() == ValueKind::Plain)
}

fn all(call: &mut Call) -> Result<bool, Error> {
    Ok(items(&call.value()?)?.iter().all(Jinja::is_true))
}

fn any(call: &mut Call) -> Result<bool, Error> {
    Ok(items(&call.value()?)?.iter().any(Jinja::is_true))
}

fn contains(call: &mut Call) -> Result<bool, Error> {
    let (value, wanted) = (call.value()?, call.at(1)?);
    if let (Some(text), Some(part)) = (value.as_str(), wanted.as_str()) {
        return Ok(text.contains(part));
    }
    Ok(items(&value)?.contains(&wanted))
}

fn within(part: &Jinja, whole: &Jinja) -> Result<bool, Error> {
    let whole = items(whole)?;
    Ok(items(part)?.iter().all(|x| whole.contains(x)))
}

fn subset(call: &mut Call) -> Result<bool, Error> {
    within(&call.value()?, &call.at(1)?)
}

fn superset(call: &mut Call) -> Result<bool, Error> {
    within(&call.at(1)?, &call.value()?)
}

/// With `convert_bool`, text that says yes or no is taken at its word.
fn truthy(call: &mut Call) -> Result<bool, Error> {
    let value = call.value()?;
    if call.flag(1, "convert_bool", false)?
        && let Some(text) = value.as_str()
    {
        let word = text.to_lowercase();
        match word.trim() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => return Ok(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => return Ok(false),
            _ => {}
        }
    }
    Ok(value.is_true())
}

fn nan(call: &mut Call) -> Result<bool, Error> {
    let value = call.value()?;
    Ok(f64::try_from(value).is_ok_and(f64::is_nan))
}

fn pattern(call: &Call, reading: Reading) -> Result<bool, Error> {
    let text = python::text(&call.value()?)?;
    let pattern = call.needed_text(1, "pattern")?;
    compile(&pattern, reading)?
        .is_match(&text)
        .map_err(|e| complaint(format!("the regular expression gave up: {e}")))
}

fn matches(call: &mut Call) -> Result<bool, Error> {
    let reading = Reading {
        anchored: true,
        ..Reading::of(call, 2)?
    };
    pattern(call, reading)
}

fn search(call: &mut Call) -> Result<bool, Error> {
    pattern(call, Reading::of(call, 2)?)
}

fn regex(call: &mut Call) -> Result<bool, Error> {
    let reading = Reading::of(call, 2)?;
    let way = call.text(4, "match_type")?.unwrap_or_else(|| "search".into());
    let reading = match way.as_str() {
        "search" => reading,
        "match" => Reading {
            anchored: true,
            ..reading
        },
        "fullmatch" => Reading {
            full: true,
            ..reading
        },
        other => {
            return Err(complaint(format!(
                "`match_type` is search, match or fullmatch, not `{other}`"
            )));
        }
    };
    pattern(call, reading)
}

/// The scheme and what stands behind it, if the text has the form of a URI.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let fine = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (fine && !rest.is_empty()).then_some((scheme, rest))
}

fn known(call: &Call, scheme: &str) -> Result<bool, Error> {
    let Some(schemes) = call.given(1, "schemes")? else {
        return Ok(true);
    };
    Ok(items(&schemes)?.iter().any(|s| s.as_str() == Some(scheme)))
}

fn uri(call: &mut Call) -> Result<bool, Error> {
    let text = call.subject()?;
    match scheme(&text) {
        Some((name, _)) => known(call, name),
        None => Ok(false),
    }
}

fn url(call: &mut Call) -> Result<bool, Error> {
    let text = call.subject()?;
    match scheme(&text) {
        Some((name, rest))
            if rest
                .strip_prefix("//")
                .is_some_and(|r| !r.is_empty() && !r.starts_with('/')) =>
        {
            known(call, name)
        }
        _ => Ok(false),
    }
}

fn urn(call: &mut Call) -> Result<bool, Error> {
    let text = call.subject()?;
    Ok(scheme(&text).is_some_and(|(name, rest)| name == "urn" && rest.contains(':')))
}
