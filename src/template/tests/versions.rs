//! Comparing versions.

use std::cmp::Ordering;

use minijinja::Error;

use crate::template::call::{Call, Test, complaint};
use crate::template::python;

pub const TESTS: &[(&str, Test)] = &[("version", version), ("version_compare", version)];

/// A piece of a version.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Number(u128),
    Word(String),
}

fn version(call: &mut Call) -> Result<bool, Error> {
    let have = call.subject()?;
    let want = python::text(&call.needed(1, "version")?)?;
    let operator = call.text(2, "operator")?.unwrap_or_else(|| "==".into());
    let strict = call.flag(3, "strict", false)?;
    let kind = call.text(4, "version_type")?;
    if have.is_empty() || want.is_empty() {
        let which = if have.is_empty() {
            "the input"
        } else {
            "the version to compare with"
        };
        return Err(complaint(format!("{which} is empty")));
    }
    if strict && kind.is_some() {
        return Err(complaint("`version` takes `strict` or `version_type`, not both"));
    }
    let order = match kind.as_deref() {
        None if strict => strict_order(&have, &want),
        None | Some("loose") => loose_order(&have, &want),
        Some("strict") => strict_order(&have, &want),
        Some("semver" | "semantic") => semantic_order(&have, &want),
        Some("pep440") => Ok(pep_key(&have).cmp(&pep_key(&want))),
        Some(other) => Err(complaint(format!(
            "`version_type` is loose, strict, semver, semantic or pep440, not `{other}`"
        ))),
    }?;
    holds(&operator, order)
}

fn holds(operator: &str, order: Ordering) -> Result<bool, Error> {
    Ok(match operator {
        "==" | "=" | "eq" => order.is_eq(),
        "<" | "lt" => order.is_lt(),
        "<=" | "le" => order.is_le(),
        ">" | "gt" => order.is_gt(),
        ">=" | "ge" => order.is_ge(),
        "!=" | "<>" | "ne" => order.is_ne(),
        other => {
            return Err(complaint(format!(
                "unknown operator `{other}`: known are ==, !=, <, <=, > and >="
            )));
        }
    })
}

/// Numbers, words and whatever stands between, dots left out.
fn loose(text: &str) -> Vec<Piece> {
    let class = |c: char| match c {
        '0'..='9' => 0,
        'a'..='z' => 1,
        '.' => 2,
        _ => 3,
    };
    let mut pieces: Vec<(i32, String)> = Vec::new();
    for c in text.chars() {
        match pieces.last_mut() {
            Some((kind, piece)) if *kind == class(c) && class(c) != 2 => piece.push(c),
            _ => pieces.push((class(c), c.to_string())),
        }
    }
    let kept = pieces.into_iter().filter(|(kind, _)| *kind != 2);
    kept.map(|(_, piece)| match piece.parse() {
        Ok(number) => Piece::Number(number),
        Err(_) => Piece::Word(piece),
    })
    .collect()
}

fn loose_order(have: &str, want: &str) -> Result<Ordering, Error> {
    let (a, b) = (loose(have), loose(want));
    for (x, y) in a.iter().zip(&b) {
        let order = match (x, y) {
            (Piece::Number(x), Piece::Number(y)) => x.cmp(y),
            (Piece::Word(x), Piece::Word(y)) => x.cmp(y),
            _ => {
                return Err(complaint(format!(
                    "`{have}` and `{want}` cannot be compared: a number stands against a word"
                )));
            }
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// `1.2`, `1.2.3`, `1.2a1`, `1.2.3b4`.
type Strict = ([u64; 3], Option<(char, u64)>);

fn strict_parts(text: &str) -> Result<Strict, Error> {
    let bad = || {
        complaint(format!(
            "`{text}` is not a strict version: write 1.2 or 1.2.3 or 1.2.3a4"
        ))
    };
    let (numbers, pre) = match text.find(['a', 'b']) {
        Some(at) => {
            let letter = if text[at..].starts_with('a') { 'a' } else { 'b' };
            let number = text[at + 1..].parse().map_err(|_| bad())?;
            (&text[..at], Some((letter, number)))
        }
        None => (text, None),
    };
    let parts: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
    match parts.map_err(|_| bad())?[..] {
        [a, b] => Ok(([a, b, 0], pre)),
        [a, b, c] => Ok(([a, b, c], pre)),
        _ => Err(bad()),
    }
}

fn strict_order(have: &str, want: &str) -> Result<Ordering, Error> {
    let (a, b) = (strict_parts(have)?, strict_parts(want)?);
    let released = |pre: Option<(char, u64)>| pre.unwrap_or(('z', 0));
    Ok(a.0.cmp(&b.0).then(released(a.1).cmp(&released(b.1))))
}

/// Major, minor, patch, and the identifiers before the release.
type Semantic = ([u64; 3], Vec<Piece>);

fn semantic_parts(text: &str) -> Result<Semantic, Error> {
    let bad = || {
        complaint(format!(
            "`{text}` is not a semantic version: write 1.2.3 or 1.2.3-rc.1"
        ))
    };
    let core = text.split_once('+').map_or(text, |(core, _)| core);
    let (numbers, pre) = core.split_once('-').map_or((core, None), |(n, p)| (n, Some(p)));
    let parts: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
    let [major, minor, patch] = parts.map_err(|_| bad())?[..] else {
        return Err(bad());
    };
    let identifier = |p: &str| match p.parse() {
        Ok(number) => Piece::Number(number),
        Err(_) => Piece::Word(p.to_string()),
    };
    let pre = pre.map(|p| p.split('.').map(identifier).collect());
    Ok(([major, minor, patch], pre.unwrap_or_default()))
}

fn semantic_order(have: &str, want: &str) -> Result<Ordering, Error> {
    let (a, b) = (semantic_parts(have)?, semantic_parts(want)?);
    let before = match (a.1.is_empty(), b.1.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => identifiers(&a.1, &b.1),
    };
    Ok(a.0.cmp(&b.0).then(before))
}

/// Numbers stand before words.
fn identifiers(a: &[Piece], b: &[Piece]) -> Ordering {
    for pair in a.iter().zip(b) {
        let order = match pair {
            (Piece::Number(x), Piece::Number(y)) => x.cmp(y),
            (Piece::Word(x), Piece::Word(y)) => x.cmp(y),
            (Piece::Number(_), Piece::Word(_)) => Ordering::Less,
            (Piece::Word(_), Piece::Number(_)) => Ordering::Greater,
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Epoch, release without trailing zeros, and the rank of what follows: dev, a, b, rc, nothing, post.
type PepKey = (u64, Vec<u64>, (i8, u64), u64);

fn pep_key(text: &str) -> PepKey {
    let text = text.trim().trim_start_matches('v').to_lowercase();
    let text = text.split_once('+').map_or(text.as_str(), |(t, _)| t);
    let (epoch, rest) = text
        .split_once('!')
        .map_or((0, text), |(e, r)| (e.parse().unwrap_or(0), r));
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(rest.len());
    let numbers = rest[..end].split('.').filter(|p| !p.is_empty());
    let mut release: Vec<u64> = numbers.map(|p| p.parse().unwrap_or(0)).collect();
    while release.last() == Some(&0) {
        release.pop();
    }
    let tail: String = rest[end..].chars().filter(|c| !"-_.".contains(*c)).collect();
    let word: String = tail.chars().take_while(char::is_ascii_alphabetic).collect();
    let number: String = tail[word.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let rank = match word.as_str() {
        "dev" => -4,
        "a" | "alpha" => -3,
        "b" | "beta" => -2,
        "rc" | "c" | "pre" | "preview" => -1,
        "post" | "rev" | "r" => 1,
        _ => 0,
    };
    let after = u64::from(!tail[word.len() + number.len()..].starts_with("dev"));
    (epoch, release, (rank, number.parse().unwrap_or(0)), after)
}
