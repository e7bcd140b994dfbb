//! Debian's packages: names with versions, the order of versions, and what `apt-get` says.

use std::cmp::Ordering;

use super::pattern;
use super::{Step, Transaction};
use crate::host::question::Installed;

/// `name`, `name=version`, `name>=version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub name: String,
    pub version: Option<(Wanted, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// May hold wildcards.
    Exactly,
    AtLeast,
}

impl Spec {
    /// `None`: more than one version.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, version) = if let Some((name, version)) = text.split_once(">=") {
            (name, Some((Wanted::AtLeast, version)))
        } else if let Some((name, version)) = text.split_once('=') {
            (name, Some((Wanted::Exactly, version)))
        } else {
            (text, None)
        };
        if version.is_some_and(|(_, v)| v.contains('=')) {
            return None;
        }
        Some(Self {
            name: name.trim().to_string(),
            version: version.map(|(wanted, v)| (wanted, v.trim().to_string())),
        })
    }

    /// Whether what is installed is what is wanted.
    pub fn is_met_by(&self, installed: &[Installed]) -> bool {
        installed.iter().any(|package| match &self.version {
            None => true,
            Some((Wanted::Exactly, version)) => pattern::matches(version, &package.version),
            Some((Wanted::AtLeast, version)) => compare(&package.version, version) != Ordering::Less,
        })
    }

    /// As `apt-get install` takes it.
    pub fn word(&self) -> String {
        match &self.version {
            Some((Wanted::Exactly, version)) => format!("{}={version}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// The order of versions, by Debian's policy.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, a) = epoch(a);
    let (epoch_b, b) = epoch(b);
    let (upstream_a, revision_a) = a.rsplit_once('-').unwrap_or((a, ""));
    let (upstream_b, revision_b) = b.rsplit_once('-').unwrap_or((b, ""));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_parts(upstream_a, upstream_b))
        .then_with(|| compare_parts(revision_a, revision_b))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

fn compare_parts(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let (digits_a, rest_a) = split(rest_a, char::is_ascii_digit);
        let (digits_b, rest_b) = split(rest_b, char::is_ascii_digit);
        let order = compare_text(text_a, text_b).then_with(|| compare_digits(digits_a, digits_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn split(text: &str, of: fn(&char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c: char| !of(&c)).unwrap_or(text.len()))
}

/// `~` before the end, the end before letters, letters before all else.
fn compare_text(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => (0, 0),
        None => (1, 0),
        Some(c) if c.is_ascii_alphabetic() => (2, u32::from(c)),
        Some(c) => (3, u32::from(c)),
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (x, y) = (a.next(), b.next());
        match rank(x).cmp(&rank(y)) {
            Ordering::Equal if x.is_none() => return Ordering::Equal,
            Ordering::Equal => {}
            order => return order,
        }
    }
}

fn compare_digits(a: &str, b: &str) -> Ordering {
    let a = a.trim_start_matches('0');
    let b = b.trim_start_matches('0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Reads the `Inst` and `Remv` lines of `apt-get -s`.
pub fn simulated(output: &str) -> Transaction {
    let steps = output.lines().filter_map(step).collect();
    Transaction { steps }
}

/// `Inst curl [7.0] (8.0 Debian:12/stable [amd64])`, `Remv curl [7.0]`.
fn step(line: &str) -> Option<Step> {
    let (verb, rest) = line.split_once(' ')?;
    if !["Inst", "Remv", "Purg"].contains(&verb) {
        return None;
    }
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let between = |open, close| {
        let (_, tail) = rest.split_once(open)?;
        let (inner, _) = tail.split_once(close)?;
        inner.split_whitespace().next().map(str::to_string)
    };
    // In `Inst` the brackets behind the parenthesis hold the architecture and what depends on it.
    let from = rest.starts_with('[').then(|| between('[', ']')).flatten();
    let to = if verb == "Inst" { between('(', ' ') } else { None };
    Some(Step {
        name: name.to_string(),
        from,
        to,
    })
}

/// What Ansible says where `apt-get` knows no such package or version.
pub fn not_available(stderr: &str) -> Option<String> {
    stderr.lines().find_map(|line| {
        let line = line.strip_prefix("E: ")?;
        if let Some(name) = line.strip_prefix("Unable to locate package ") {
            return Some(format!("No package matching '{name}' is available"));
        }
        if let Some(rest) = line.strip_prefix("Version '") {
            let (version, rest) = rest.split_once("' for '")?;
            let (name, _) = rest.split_once('\'')?;
            return Some(format!(
                "no available installation candidate for {name}={version}"
            ));
        }
        let rest = line.strip_prefix("Package '")?;
        let (name, rest) = rest.split_once('\'')?;
        rest.contains("no installation candidate")
            .then(|| format!("no available installation candidate for {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_debians_order() {
        for (a, b) in [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0-1"),
            ("1.9", "1.10"),
            ("1.0-1", "1.0-1+b1"),
            ("9", "1:1"),
            ("1.0a", "1.0+"),
            ("1.29.15-1.1", "1.30.0-1.1"),
            ("1.0-1~deb12u1", "1.0-1"),
        ] {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(compare(b, a), Ordering::Greater, "{b} {a}");
        }
        assert_eq!(compare("1.0", "0:1.0"), Ordering::Equal);
        assert_eq!(compare("1.00", "1.0"), Ordering::Equal);
    }

    fn installed(version: &str) -> Vec<Installed> {
        vec![Installed {
            name: "x".into(),
            version: version.into(),
            architecture: "amd64".into(),
            status: "ii ".into(),
        }]
    }

    #[test]
    fn a_spec_knows_what_meets_it() {
        let met = |spec: &str, version| Spec::parse(spec).unwrap().is_met_by(&installed(version));
        assert!(met("x", "1"));
        assert!(met("x=1.29.15-1.1", "1.29.15-1.1"));
        assert!(met("x=1.29.*", "1.29.15-1.1"));
        assert!(!met("x=1.30.*", "1.29.15-1.1"));
        assert!(met("x>=1.9", "1.10"));
        assert!(!met("x>=2", "1.10"));
        assert!(!Spec::parse("x").unwrap().is_met_by(&[]));
        assert_eq!(Spec::parse("x=1=2"), None);
        assert_eq!(Spec::parse("x=1*").unwrap().word(), "x=1*");
    }

    #[test]
    fn a_simulation_is_read() {
        let text = "NOTE: This is only a simulation!\n\
            Remv wget [1.21.3-1+b2]\n\
            Inst libcurl4 [7.88.1-10] (7.88.1-10+deb12u8 Debian:12.7/stable [amd64]) [curl:amd64 ]\n\
            Inst curl (7.88.1-10+deb12u8 Debian:12.7/stable [amd64])\n\
            Conf curl (7.88.1-10+deb12u8 Debian:12.7/stable [amd64])\n";
        let step = |name: &str, from: Option<&str>, to: Option<&str>| Step {
            name: name.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        assert_eq!(
            simulated(text).steps,
            [
                step("wget", Some("1.21.3-1+b2"), None),
                step("libcurl4", Some("7.88.1-10"), Some("7.88.1-10+deb12u8")),
                step("curl", None, Some("7.88.1-10+deb12u8")),
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_said_as_ansible_says_it() {
        assert_eq!(
            not_available("W: x\nE: Unable to locate package nope\n").as_deref(),
            Some("No package matching 'nope' is available")
        );
        assert_eq!(
            not_available("E: Version '9' for 'curl' was not found").as_deref(),
            Some("no available installation candidate for curl=9")
        );
        assert_eq!(
            not_available("E: Package 'x' has no installation candidate").as_deref(),
            Some("no available installation candidate for x")
        );
        assert_eq!(not_available("E: Could not get lock"), None);
    }
}
