//! RPM's packages: names with versions, the order of versions, and what `dnf` prints.

use std::cmp::Ordering;

use super::pattern;
use super::{Step, Transaction};
use crate::host::question::Installed;

/// What a task asks for by one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A package, also with version or architecture, or a capability: whatever `rpm -q` can find.
    Name(String),
    /// `name >= 1.0`.
    Compared {
        name: String,
        operator: Operator,
        version: String,
    },
    /// With wildcards.
    Pattern(String),
    /// `@group`, `@module:stream`.
    Group(String),
    /// A package file or its address.
    File(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    AtLeast,
    AtMost,
    Above,
    Below,
}

const OPERATORS: [(&str, Operator); 5] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=", Operator::Equal),
    (">", Operator::Above),
    ("<", Operator::Below),
];

impl Spec {
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.starts_with('@') {
            return Self::Group(text.to_string());
        }
        if text.strip_suffix(".rpm").is_some() || text.contains("://") {
            return Self::File(text.to_string());
        }
        for (symbol, operator) in OPERATORS {
            // `foo(bar) = 1` is a capability with a version.
            if let Some((name, version)) = text.split_once(symbol)
                && !name.contains(['(', '/'])
            {
                return Self::Compared {
                    name: name.trim().to_string(),
                    operator,
                    version: version.trim().to_string(),
                };
            }
        }
        if pattern::is_pattern(text) {
            return Self::Pattern(text.to_string());
        }
        Self::Name(text.to_string())
    }

    /// As `dnf` takes it.
    pub fn word(&self) -> String {
        match self {
            Self::Name(text) | Self::Pattern(text) | Self::Group(text) | Self::File(text) => text.clone(),
            Self::Compared {
                name,
                operator,
                version,
            } => {
                let symbol = OPERATORS
                    .iter()
                    .find(|(_, o)| o == operator)
                    .map_or("=", |(s, _)| s);
                format!("{name} {symbol} {version}")
            }
        }
    }

    /// Whether what is installed is what is wanted; of patterns, groups and files the caller knows more.
    pub fn is_met_by(&self, installed: &[Installed]) -> bool {
        let Self::Compared {
            operator, version, ..
        } = self
        else {
            return !installed.is_empty();
        };
        installed.iter().any(|package| {
            let order = compare_wanted(&package.version, version);
            match operator {
                Operator::Equal => order == Ordering::Equal,
                Operator::AtLeast => order != Ordering::Less,
                Operator::AtMost => order != Ordering::Greater,
                Operator::Above => order == Ordering::Greater,
                Operator::Below => order == Ordering::Less,
            }
        })
    }
}

/// A version that is there against one that is wanted: what the latter leaves out does not count.
fn compare_wanted(installed: &str, wanted: &str) -> Ordering {
    if wanted.contains('-') {
        return compare(installed, wanted);
    }
    let upstream = installed
        .rsplit_once('-')
        .map_or(installed, |(upstream, _)| upstream);
    compare(upstream, wanted)
}

/// The order of `[epoch:]version[-release]`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, a) = epoch(a);
    let (epoch_b, b) = epoch(b);
    let (version_a, release_a) = a.rsplit_once('-').unwrap_or((a, ""));
    let (version_b, release_b) = b.rsplit_once('-').unwrap_or((b, ""));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_parts(version_a, version_b))
        .then_with(|| compare_parts(release_a, release_b))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

/// Runs of digits and runs of letters, one by one; `~` sorts before everything, `^` behind the end only.
fn compare_parts(mut a: &str, mut b: &str) -> Ordering {
    let separator = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
    loop {
        a = a.trim_start_matches(separator);
        b = b.trim_start_matches(separator);
        for (mark, at_end) in [('~', Ordering::Greater), ('^', Ordering::Less)] {
            match (a.strip_prefix(mark), b.strip_prefix(mark)) {
                (Some(rest_a), Some(rest_b)) => (a, b) = (rest_a, rest_b),
                (Some(_), None) if mark == '^' && !b.is_empty() => return Ordering::Less,
                (None, Some(_)) if mark == '^' && !a.is_empty() => return Ordering::Greater,
                (Some(_), None) => return at_end.reverse(),
                (None, Some(_)) => return at_end,
                (None, None) => {}
            }
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let digits = a.starts_with(|c: char| c.is_ascii_digit());
        let run = |text: &str| {
            text.find(|c: char| {
                if digits {
                    !c.is_ascii_digit()
                } else {
                    !c.is_ascii_alphabetic()
                }
            })
            .unwrap_or(text.len())
        };
        let (run_a, rest_a) = a.split_at(run(a));
        let (run_b, rest_b) = b.split_at(run(b));
        if run_a.is_empty() || run_b.is_empty() {
            // A number is newer than a word.
            return if digits { Ordering::Greater } else { Ordering::Less };
        }
        let order = if digits {
            let (number_a, number_b) = (run_a.trim_start_matches('0'), run_b.trim_start_matches('0'));
            number_a
                .len()
                .cmp(&number_b.len())
                .then_with(|| number_a.cmp(number_b))
        } else {
            run_a.cmp(run_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// Reads the table that `dnf` prints before a transaction.
pub fn planned(output: &str) -> Transaction {
    let mut steps = Vec::new();
    let mut removes = None;
    // A name that is too long for its column stands on a line of its own.
    let mut alone: Option<&str> = None;
    for line in output.lines() {
        if line.starts_with("Transaction Summary") {
            break;
        }
        if let Some(heading) = heading(line) {
            removes = Some(heading);
            continue;
        }
        let Some(removes) = removes.filter(|_| line.starts_with(' ')) else {
            continue;
        };
        let mut words: Vec<&str> = alone.take().into_iter().chain(line.split_whitespace()).collect();
        if words.first() == Some(&"replacing") {
            continue;
        }
        if words.len() == 1 {
            alone = words.pop();
            continue;
        }
        if let [name, _, version, ..] = words[..] {
            steps.push(Step {
                name: name.to_string(),
                from: removes.then(|| version.to_string()),
                to: (!removes).then(|| version.to_string()),
            });
        }
    }
    Transaction { steps }
}

/// Whether the rows below this line are removed.
fn heading(line: &str) -> Option<bool> {
    let title = line.strip_suffix(':')?;
    let verb = title.split(' ').next()?;
    match verb {
        "Installing" | "Upgrading" | "Downgrading" | "Reinstalling" | "Enabling" | "Resetting" => Some(false),
        "Removing" | "Disabling" => Some(true),
        _ => None,
    }
}

/// What was done, as Ansible lists it: `Installed: jq-1.6-1.el10.x86_64`. What a newer or older version has taken
/// the place of is removed.
pub fn done(output: &str) -> Vec<String> {
    let mut verb = None;
    let mut list = Vec::new();
    let mut replaced = Vec::new();
    for line in output.lines() {
        if let Some(rest) = line.trim_start().strip_prefix("Cleanup  ") {
            let package = rest.trim_start_matches([' ', ':']).split(' ').next();
            replaced.extend(package.map(|package| format!("Removed: {package}")));
            continue;
        }
        if let Some(title) = line.strip_suffix(':') {
            verb = match title {
                "Installed" | "Upgraded" | "Downgraded" | "Reinstalled" => Some("Installed"),
                "Removed" => Some("Removed"),
                _ => None,
            };
            continue;
        }
        if let Some(verb) = verb.filter(|_| line.starts_with(' ')) {
            list.extend(
                line.split_whitespace()
                    .map(|package| format!("{verb}: {package}")),
            );
        }
    }
    list.append(&mut replaced);
    list
}

/// The names for which `dnf` found nothing.
pub fn without_match(output: &str) -> Vec<String> {
    let prefixes = ["No match for argument: ", "No package "];
    output
        .lines()
        .filter_map(|line| {
            let rest = prefixes.iter().find_map(|p| line.strip_prefix(p))?;
            Some(rest.trim_end_matches(" available.").trim().to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_rpms_order() {
        for (a, b) in [
            ("1.0", "1.1"),
            ("1.9", "1.10"),
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0^git1"),
            ("1.0^git1", "1.0.1"),
            ("1.0-1.el10", "1.0-2.el10"),
            ("9", "1:1"),
            ("1.a", "1.1"),
            ("1.0", "1.0a"),
            ("5.2.26-6.el10", "5.2.26-6.el10_1"),
        ] {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(compare(b, a), Ordering::Greater, "{b} {a}");
        }
        assert_eq!(compare("1.0", "1_0"), Ordering::Equal);
        assert_eq!(compare("1.05", "1.5"), Ordering::Equal);
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(Spec::parse("bash"), Spec::Name("bash".into()));
        assert_eq!(Spec::parse("/usr/bin/vi"), Spec::Name("/usr/bin/vi".into()));
        assert_eq!(Spec::parse("@core"), Spec::Group("@core".into()));
        assert_eq!(Spec::parse("/root/x.rpm"), Spec::File("/root/x.rpm".into()));
        assert_eq!(Spec::parse("php*"), Spec::Pattern("php*".into()));
        let spec = Spec::parse("sample >= 1.1");
        assert_eq!(spec.word(), "sample >= 1.1");
        let installed = |version: &str| {
            vec![Installed {
                name: "sample".into(),
                version: version.into(),
                architecture: "noarch".into(),
                status: String::new(),
            }]
        };
        assert!(spec.is_met_by(&installed("1.1-1.el10")));
        assert!(!spec.is_met_by(&installed("1.0-9.el10")));
        assert!(Spec::parse("sample=1.0").is_met_by(&installed("1.0-9.el10")));
    }

    const PLAN: &str = "Dependencies resolved.\n\
        ===============\n Package  Arch  Version  Repository  Size\n===============\n\
        Installing:\n conntrack-tools  x86_64  1.4.8-3.el10  rhel-10-baseos  41 k\n\
        Installing dependencies:\n a-very-long-name-that-is-wrapped\n                  noarch  1.0  base  1 k\n\
        Upgrading:\n sample  noarch  1.1-1.el10  rhel-10-baseos  6.2 k\n\
        Removing:\n old  noarch  1.0-1.el10  @System  53  \n\n\
        Transaction Summary\n======\nInstall  2 Packages\n";

    #[test]
    fn a_plan_is_read() {
        let plan = planned(PLAN);
        let names: Vec<_> = plan.steps.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "conntrack-tools",
                "a-very-long-name-that-is-wrapped",
                "sample",
                "old"
            ]
        );
        assert_eq!(plan.steps[1].to.as_deref(), Some("1.0"));
        assert_eq!(plan.steps[3].to, None);
        assert!(planned("Dependencies resolved.\nNothing to do.\nComplete!\n").is_empty());
    }

    #[test]
    fn what_was_done_is_read() {
        let output = "Installed:\n  jq-1.6-1.el10.x86_64     tree-2.1.0-1.el10.x86_64  \n\nRemoved:\n  x-1-1.noarch\n\nComplete!\n";
        assert_eq!(
            done(output),
            [
                "Installed: jq-1.6-1.el10.x86_64",
                "Installed: tree-2.1.0-1.el10.x86_64",
                "Removed: x-1-1.noarch"
            ]
        );
        let upgrade = "  Upgrading        : sample-1.1-1.el10.noarch   1/2 \n  Cleanup          : sample-1.0-1.el10.noarch   2/2 \n\
            Upgraded:\n  sample-1.1-1.el10.noarch   \n\nComplete!\n";
        assert_eq!(
            done(upgrade),
            [
                "Installed: sample-1.1-1.el10.noarch",
                "Removed: sample-1.0-1.el10.noarch"
            ]
        );
        assert_eq!(without_match("No match for argument: nope\nx\n"), ["nope"]);
    }
}
