//! Host patterns: `web:&prod:!old`, `db*`, `~(a|b).*`, `web[0]`, `@file` in a limit.

use std::sync::Arc;

use indexmap::IndexSet;

use super::{Inventory, address, sources};
use crate::source::{Diagnostic, nearest, reason};

/// The hosts that were found, and what there was to say.
pub type Selected = (Vec<Arc<str>>, Vec<Diagnostic>);

/// A pattern cut at its commas, or else at its colons where they do not belong to an address or a range.
fn split(pattern: &str) -> Vec<String> {
    let pieces: Vec<&str> = if pattern.contains(',') {
        pattern.split(',').collect()
    } else if address::is_host(pattern) {
        vec![pattern]
    } else {
        at_colons(pattern)
    };
    pieces
        .into_iter()
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .map(String::from)
        .collect()
}

fn at_colons(pattern: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    pattern
        .split(|c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (c == ':' || c.is_whitespace())
        })
        .collect()
}

/// Evaluates patterns over an inventory, gathering warnings.
struct Selection<'a> {
    inventory: &'a Inventory,
    warnings: Vec<Diagnostic>,
}

pub(super) fn select(
    inventory: &Inventory,
    patterns: &[&str],
    limit: Option<&str>,
) -> Result<Selected, Diagnostic> {
    let mut selection = Selection {
        inventory,
        warnings: Vec::new(),
    };
    let pieces: Vec<String> = patterns.iter().flat_map(|p| split(p)).collect();
    let mut hosts = selection.evaluate(&pieces)?;
    if let Some(limit) = limit {
        let allowed = selection.evaluate(&limit_pieces(limit)?)?;
        hosts.retain(|h| allowed.contains(h));
    }
    Ok((hosts.into_iter().collect(), selection.warnings))
}

/// A limit's patterns, `@file` standing for the lines of the file.
fn limit_pieces(limit: &str) -> Result<Vec<String>, Diagnostic> {
    let mut pieces = Vec::new();
    for piece in split(limit) {
        let Some(file) = piece.strip_prefix('@') else {
            pieces.push(piece);
            continue;
        };
        let base = std::env::current_dir().unwrap_or_default();
        let text = std::fs::read_to_string(sources::absolute(file, &base)).map_err(|e| {
            Diagnostic::error(format!("cannot read the limit file `{file}`: {}", reason(&e)))
                .help("`--limit @file` names a file with one host pattern on each line")
        })?;
        pieces.extend(text.lines().map(|l| l.trim().to_string()));
    }
    pieces.retain(|p| !p.is_empty());
    Ok(pieces)
}

impl Selection<'_> {
    /// Plain patterns first, then `&`, then `!`, wherever they stand.
    fn evaluate(&mut self, pieces: &[String]) -> Result<IndexSet<Arc<str>>, Diagnostic> {
        let with = |c: char| pieces.iter().filter_map(move |p| p.strip_prefix(c));
        let plain: Vec<&str> = pieces
            .iter()
            .map(String::as_str)
            .filter(|p| !p.starts_with(['!', '&']))
            .collect();
        let plain = if plain.is_empty() { vec!["all"] } else { plain };
        let mut hosts = IndexSet::new();
        for pattern in plain {
            hosts.extend(self.matching(pattern)?);
        }
        for pattern in with('&') {
            let also = self.matching(pattern)?;
            hosts.retain(|h| also.contains(h));
        }
        for pattern in with('!') {
            let not = self.matching(pattern)?;
            hosts.retain(|h| !not.contains(h));
        }
        Ok(hosts)
    }

    /// The hosts of one pattern, in the order that its index counts; a host in two matching groups counts twice.
    fn matching(&mut self, pattern: &str) -> Result<Vec<Arc<str>>, Diagnostic> {
        if let Some((name, _)) = self.inventory.members.hosts.get_key_value(pattern) {
            return Ok(vec![name.clone()]);
        }
        let (names, part) = subscript(pattern);
        let hosts = self.enumerate(names)?;
        match part {
            Some(part) if !hosts.is_empty() => part.of(&hosts).ok_or_else(|| {
                Diagnostic::error(format!(
                    "the pattern `{pattern}` asks for a host that is not there: `{names}` matches {}",
                    count(hosts.len())
                ))
                .help("the first host is [0], the last [-1]")
            }),
            _ => Ok(hosts),
        }
    }

    fn enumerate(&mut self, pattern: &str) -> Result<Vec<Arc<str>>, Diagnostic> {
        let matcher = Matcher::new(pattern)?;
        let members = &self.inventory.members;
        let groups: Vec<&Arc<str>> = members.groups.keys().filter(|g| matcher.matches(g)).collect();
        let mut hosts: Vec<Arc<str>> = groups.iter().flat_map(|g| members.hosts_of(g)).collect();
        if groups.is_empty() || pattern.starts_with('~') || pattern.contains(['.', '?', '*', '[']) {
            hosts.extend(members.hosts.keys().filter(|h| matcher.matches(h)).cloned());
        }
        if hosts.is_empty() {
            hosts.extend(self.inventory.resolve(pattern));
        }
        if hosts.is_empty() && groups.is_empty() {
            self.warnings.push(self.unmatched(pattern));
        }
        Ok(hosts)
    }

    fn unmatched(&self, pattern: &str) -> Diagnostic {
        let members = &self.inventory.members;
        let names = members.groups.keys().chain(members.hosts.keys()).map(|n| &**n);
        Diagnostic::warning(format!("no host or group matches `{pattern}`"))
            .did_you_mean(nearest(pattern, names))
    }
}

fn count(hosts: usize) -> String {
    if hosts == 1 {
        "1 host".into()
    } else {
        format!("{hosts} hosts")
    }
}

/// What the brackets at the end of a pattern pick.
#[derive(Debug, Clone, Copy)]
enum Part {
    One(isize),
    /// Both ends included.
    Range(usize, Option<usize>),
}

impl Part {
    fn of(self, hosts: &[Arc<str>]) -> Option<Vec<Arc<str>>> {
        match self {
            Self::One(at) => {
                let at = if at < 0 {
                    hosts.len().checked_add_signed(at)?
                } else {
                    at.unsigned_abs()
                };
                Some(vec![hosts.get(at)?.clone()])
            }
            Self::Range(from, to) => {
                let to = to.map_or(hosts.len(), |t| hosts.len().min(t + 1));
                Some(hosts.get(from..to).unwrap_or_default().to_vec())
            }
        }
    }
}

/// `x[0]`, `x[-1]`, `x[1:3]`, `x[1:]`; a regular expression keeps its brackets.
fn subscript(pattern: &str) -> (&str, Option<Part>) {
    let whole = (pattern, None);
    let Some((names, inner)) = pattern.strip_suffix(']').and_then(|p| p.rsplit_once('[')) else {
        return whole;
    };
    if pattern.starts_with('~') || names.is_empty() {
        return whole;
    }
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if let Some((from, to)) = inner
        .split_once(':')
        .or_else(|| inner.split_once('-').filter(|(f, _)| !f.is_empty()))
    {
        let Ok(from) = from.parse::<usize>() else {
            return whole;
        };
        if !digits(to) {
            return whole;
        }
        let part = match to.parse() {
            // Ansible takes an end of 0 for none given, and the whole for an index.
            Ok(0) => Part::One(isize::try_from(from).unwrap_or(isize::MAX)),
            to => Part::Range(from, to.ok()),
        };
        return (names, Some(part));
    }
    match inner.parse() {
        Ok(at) if digits(inner.trim_start_matches('-')) => (names, Some(Part::One(at))),
        _ => whole,
    }
}

/// A name, a glob, or with `~` a regular expression that matches from the start.
enum Matcher {
    Glob(Vec<char>),
    Regex(Box<fancy_regex::Regex>),
}

impl Matcher {
    fn new(pattern: &str) -> Result<Self, Diagnostic> {
        let Some(expression) = pattern.strip_prefix('~') else {
            return Ok(Self::Glob(pattern.chars().collect()));
        };
        let wrong = |why: &dyn std::fmt::Display| {
            Diagnostic::error(format!(
                "the host pattern `{pattern}` is not a regular expression: {why}"
            ))
        };
        match fancy_regex::Regex::new(&format!("^(?:{expression})")) {
            Ok(regex) => Ok(Self::Regex(Box::new(regex))),
            // The position would count from what stands around the expression here.
            Err(fancy_regex::Error::ParseError(_, why)) => Err(wrong(&why)),
            Err(why) => Err(wrong(&why)),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob_matches(glob, &name.chars().collect::<Vec<_>>()),
            Self::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

/// Shell globs as Python's `fnmatch` reads them: `*`, `?`, `[abc]`, `[a-z]`, `[!x]`.
fn glob_matches(glob: &[char], name: &[char]) -> bool {
    let Some((&first, rest)) = glob.split_first() else {
        return name.is_empty();
    };
    match first {
        '*' => (0..=name.len()).any(|skip| glob_matches(rest, &name[skip..])),
        '?' => !name.is_empty() && glob_matches(rest, &name[1..]),
        '[' => match set(rest) {
            Some((set, after)) => {
                name.first().is_some_and(|c| set.contains(*c)) && glob_matches(after, &name[1..])
            }
            None => name.first() == Some(&'[') && glob_matches(rest, &name[1..]),
        },
        c => name.first() == Some(&c) && glob_matches(rest, &name[1..]),
    }
}

struct Set<'a> {
    negated: bool,
    members: &'a [char],
}

/// What stands between `[` and `]`; a `]` right at the start belongs to the set.
fn set(glob: &[char]) -> Option<(Set<'_>, &[char])> {
    let negated = glob.first() == Some(&'!');
    let start = usize::from(negated);
    let close = (start + 1..glob.len()).find(|&i| glob[i] == ']')?;
    let set = Set {
        negated,
        members: &glob[start..close],
    };
    Some((set, &glob[close + 1..]))
}

impl Set<'_> {
    fn contains(&self, c: char) -> bool {
        let mut found = false;
        let mut at = 0;
        while at < self.members.len() {
            if let [from, '-', to, ..] = self.members[at..] {
                found |= (from..=to).contains(&c);
                at += 3;
            } else {
                found |= self.members[at] == c;
                at += 1;
            }
        }
        found != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_separate_only_where_they_are_not_part_of_something() {
        assert_eq!(split("web:&prod:!old"), ["web", "&prod", "!old"]);
        assert_eq!(split("web[0:2]:db"), ["web[0:2]", "db"]);
        assert_eq!(split("2001:db8::1"), ["2001:db8::1"]);
        assert_eq!(split("a, b[1:2] ,c"), ["a", "b[1:2]", "c"]);
        assert_eq!(split("*:!a"), ["*", "!a"]);
    }

    #[test]
    fn globs() {
        let matches =
            |g: &str, n: &str| glob_matches(&g.chars().collect::<Vec<_>>(), &n.chars().collect::<Vec<_>>());
        assert!(matches("web*", "web1"));
        assert!(matches("w?b[0-9]", "web1"));
        assert!(!matches("w?b[!0-9]", "web1"));
        assert!(matches("[]a]", "]"));
        assert!(matches("[a", "[a"));
        assert!(!matches("web", "web1"));
    }
}
