//! Numbers: conversion, arithmetic, sizes.

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use crate::template::call::{Call, Function, complaint, defined, items};
use crate::template::filters::lists::member;

pub const FILTERS: &[(&str, Function)] = &[
    ("filesizeformat", filesizeformat),
    ("float", float),
    ("human_readable", human_readable),
    ("human_to_bytes", human_to_bytes),
    ("int", int),
    ("log", log),
    ("max", max),
    ("min", min),
    ("pow", pow),
    ("root", nth_root),
    ("round", round),
];

#[expect(clippy::cast_possible_truncation, reason = "Python cuts the fraction off")]
fn whole(number: f64) -> Option<Jinja> {
    number.is_finite().then(|| {
        let cut = number.trunc();
        if cut.abs() < 9.0e18 {
            Jinja::from(cut as i64)
        } else {
            Jinja::from(cut as i128)
        }
    })
}

fn int(call: &mut Call) -> Result<Jinja, Error> {
    let default = call.given(1, "default")?.unwrap_or_else(|| Jinja::from(0));
    let base = call.int(2, "base")?.unwrap_or(10);
    let value = call.value()?;
    let number = match value.kind() {
        ValueKind::Bool => Some(Jinja::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(value),
        ValueKind::Number => whole(f64::try_from(value)?),
        ValueKind::String => parse_int(value.as_str().unwrap_or_default(), base),
        _ => None,
    };
    Ok(number.unwrap_or(default))
}

fn parse_int(text: &str, base: i64) -> Option<Jinja> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let marked = |mark: &str| {
        let lower = digits.to_lowercase();
        lower.strip_prefix(mark).map(str::to_string)
    };
    let digits = match base {
        16 => marked("0x").unwrap_or_else(|| digits.to_string()),
        8 => marked("0o").unwrap_or_else(|| digits.to_string()),
        2 => marked("0b").unwrap_or_else(|| digits.to_string()),
        _ => digits.to_string(),
    };
    let plain = digits.replace('_', "");
    let radix = u32::try_from(base).ok().filter(|b| (2..=36).contains(b))?;
    if let Ok(number) = i128::from_str_radix(&plain, radix) {
        let number = sign * number;
        return Some(i64::try_from(number).map_or_else(|_| Jinja::from(number), Jinja::from));
    }
    parse_float(text).and_then(whole)
}

fn parse_float(text: &str) -> Option<f64> {
    let bare = text.trim().replace('_', "");
    bare.parse().ok()
}

fn float(call: &mut Call) -> Result<Jinja, Error> {
    let default = call.given(1, "default")?.unwrap_or_else(|| Jinja::from(0.0));
    let value = call.value()?;
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => Some(f64::try_from(value)?),
        ValueKind::String => parse_float(value.as_str().unwrap_or_default()),
        _ => None,
    };
    Ok(number.map_or(default, Jinja::from))
}

fn number(call: &Call, value: &Jinja) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()),
        ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
        _ => Err(call.wants("a number", value)),
    }
}

/// Python rounds halves to the even neighbour.
fn round(call: &mut Call) -> Result<Jinja, Error> {
    let precision = call.int(1, "precision")?.unwrap_or(0);
    let method = call.text(2, "method")?.unwrap_or_else(|| "common".into());
    let value = call.value()?;
    let number = number(call, &value)?;
    if method == "common" {
        let rounded = match usize::try_from(precision) {
            Ok(places) => format!("{number:.places$}").parse().unwrap_or(number),
            Err(_) => scaled(number, precision, f64::round_ties_even),
        };
        if value.is_integer() {
            return Ok(whole(rounded).unwrap_or(value));
        }
        return Ok(Jinja::from(rounded));
    }
    let way = match method.as_str() {
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        _ => return Err(complaint("`method` of `round` is common, ceil or floor")),
    };
    Ok(Jinja::from(scaled(number, precision, way)))
}

fn scaled(number: f64, precision: i64, way: fn(f64) -> f64) -> f64 {
    let factor = 10_f64.powi(i32::try_from(precision).unwrap_or(0));
    way(number * factor) / factor
}

fn log(call: &mut Call) -> Result<Jinja, Error> {
    let value = number(call, &call.value()?)?;
    let base = call.given(1, "base")?.map(|b| number(call, &b)).transpose()?;
    let result = match base {
        None => value.ln(),
        Some(base) if (base - 10.0).abs() < f64::EPSILON => value.log10(),
        Some(base) => value.ln() / base.ln(),
    };
    Ok(Jinja::from(result))
}

fn pow(call: &mut Call) -> Result<Jinja, Error> {
    let (base, exponent) = (number(call, &call.value()?)?, number(call, &call.at(1)?)?);
    Ok(Jinja::from(base.powf(exponent)))
}

fn nth_root(call: &mut Call) -> Result<Jinja, Error> {
    let value = number(call, &call.value()?)?;
    let degree = call.given(1, "base")?.map_or(Ok(2.0), |b| number(call, &b))?;
    let square = (degree - 2.0).abs() < f64::EPSILON;
    Ok(Jinja::from(if square {
        value.sqrt()
    } else {
        value.powf(1.0 / degree)
    }))
}

fn extreme(call: &Call, better: fn(&Jinja, &Jinja) -> bool) -> Result<Jinja, Error> {
    let attribute = call.text(0, "attribute")?;
    let sensitive = call.flag(1, "case_sensitive", false)?;
    let key = |item: &Jinja| -> Result<Jinja, Error> {
        let by = match &attribute {
            Some(path) => defined(&member(item, path)?)?.clone(),
            None => item.clone(),
        };
        Ok(match by.as_str() {
            Some(text) if !sensitive => Jinja::from(text.to_lowercase()),
            _ => by,
        })
    };
    let mut best: Option<(Jinja, Jinja)> = None;
    for item in items(&call.value()?)? {
        let by = key(&item)?;
        let wins = best.as_ref().is_none_or(|(b, _)| better(&by, b));
        if wins {
            best = Some((by, item));
        }
    }
    Ok(best.map_or(Jinja::UNDEFINED, |(_, item)| item))
}

fn max(call: &mut Call) -> Result<Jinja, Error> {
    extreme(call, |a, b| a > b)
}

fn min(call: &mut Call) -> Result<Jinja, Error> {
    extreme(call, |a, b| a < b)
}

const UNITS: [(&str, u32); 8] = [
    ("Y", 80),
    ("Z", 70),
    ("E", 60),
    ("P", 50),
    ("T", 40),
    ("G", 30),
    ("M", 20),
    ("K", 10),
];

fn human_readable(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    let size = match value.as_str() {
        Some(text) => parse_float(text).ok_or_else(|| call.wants("a number", &value))?,
        None => number(call, &value)?,
    };
    let bits = call.flag(1, "isbits", false)?;
    let unit = call.text(2, "unit")?;
    let base = if bits { "bits" } else { "Bytes" };
    let letter = if bits { "b" } else { "B" };
    let chosen = UNITS.iter().find(|(name, power)| match &unit {
        Some(unit) => unit.to_uppercase() == *name,
        None => size.abs() >= 2_f64.powi(i32::try_from(*power).unwrap_or(0)),
    });
    let (limit, suffix) = match chosen {
        Some((name, power)) => (
            2_f64.powi(i32::try_from(*power).unwrap_or(0)),
            format!("{name}{letter}"),
        ),
        None => (1.0, base.to_string()),
    };
    Ok(Jinja::from(format!("{:.2} {suffix}", size / limit)))
}

fn human_to_bytes(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let default = call.text(1, "default_unit")?;
    let bits = call.flag(2, "isbits", false)?;
    let bad = || complaint(format!("`{text}` is not a size"));
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(trimmed.len());
    let number: f64 = trimmed[..end].parse().map_err(|_| bad())?;
    let unit = trimmed[end..].trim();
    let unit = if unit.is_empty() {
        default.as_deref().unwrap_or("B")
    } else {
        unit
    };
    let first = unit.get(..1).ok_or_else(bad)?.to_uppercase();
    let rest = unit.get(1..).unwrap_or_default();
    let wanted = if bits {
        ["", "b", "bits"]
    } else {
        ["", "B", "bytes"]
    };
    let lone = matches!(
        unit.to_lowercase().as_str(),
        "b" | "byte" | "bytes" | "bit" | "bits"
    );
    let power = UNITS.iter().find(|u| u.0 == first).map(|u| u.1);
    let factor = match power {
        Some(power) if wanted.contains(&rest) || rest.len() > 1 => {
            2_f64.powi(i32::try_from(power).unwrap_or(0))
        }
        None if lone => 1.0,
        _ => return Err(bad()),
    };
    whole((number * factor).round()).ok_or_else(bad)
}

fn filesizeformat(call: &mut Call) -> Result<Jinja, Error> {
    let binary = call.flag(1, "binary", false)?;
    let value = call.value()?;
    let bytes = match value.as_str() {
        Some(text) => parse_float(text).ok_or_else(|| call.wants("a number", &value))?,
        None => number(call, &value)?,
    };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    let infix = if binary { "iB" } else { "B" };
    if (bytes - 1.0).abs() < f64::EPSILON {
        return Ok(Jinja::from("1 Byte"));
    }
    if bytes < base {
        return Ok(Jinja::from(format!("{bytes:.0} Bytes")));
    }
    let letters = if binary { "KMGTPEZY" } else { "kMGTPEZY" };
    let mut unit = base;
    let mut shown = String::new();
    for letter in letters.chars() {
        unit *= base;
        shown = format!("{:.1} {letter}{infix}", base * bytes / unit);
        if bytes < unit {
            break;
        }
    }
    Ok(Jinja::from(shown))
}
