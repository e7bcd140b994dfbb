//! Which facts are wanted: `gather_subset`, `filter`, `gather_timeout` and `fact_path` of Ansible's `setup`.

use std::collections::BTreeSet;

use super::{FAMILIES, Family};
use crate::source::nearest;

/// What `setup` was asked for.
#[derive(Debug, Clone)]
pub struct Subset {
    words: Vec<String>,
    chosen: BTreeSet<String>,
    filter: Vec<String>,
    fact_path: String,
    limit: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no gather_subset `{word}`{hint}; there are: all, min, {known}")]
pub struct UnknownSubset {
    word: String,
    hint: String,
    known: String,
}

/// Names that Ansible knows and that give nothing here: other programs' facts.
const ELSEWHERE: &[&str] = &["facter", "ohai"];

impl Default for Subset {
    /// Everything, as `gather_facts` asks for.
    fn default() -> Self {
        Self {
            words: vec!["all".to_string()],
            chosen: known(),
            filter: Vec::new(),
            fact_path: "/etc/ansible/facts.d".to_string(),
            limit: None,
        }
    }
}

impl Subset {
    /// `gather_subset` and `filter`, each already split into words.
    pub fn new(words: &[String], filter: &[String]) -> Result<Self, UnknownSubset> {
        if words.is_empty() {
            return Ok(Self {
                filter: filter.to_vec(),
                ..Self::default()
            });
        }
        Ok(Self {
            words: words.to_vec(),
            chosen: choose(words)?,
            filter: filter.to_vec(),
            ..Self::default()
        })
    }

    /// `gather_timeout`: the seconds after which a fact that hangs is given up.
    #[must_use]
    pub fn gather_timeout(mut self, seconds: u32) -> Self {
        self.limit = Some(seconds.max(1));
        self
    }

    /// `fact_path`: where the host keeps facts of its own.
    #[must_use]
    pub fn fact_path(mut self, path: &str) -> Self {
        self.fact_path = path.to_string();
        self
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(3)
    }

    /// What the host's own programs may take, which have more to do.
    pub(super) fn patience(&self) -> u32 {
        self.limit.unwrap_or(10)
    }

    pub(super) fn local_facts(&self) -> &str {
        &self.fact_path
    }

    pub(super) fn wants(&self, family: &Family) -> bool {
        self.names(family) || self.needed(family)
    }

    fn names(&self, family: &Family) -> bool {
        self.chosen.contains(family.name) || family.ids.iter().any(|id| self.chosen.contains(*id))
    }

    fn needed(&self, family: &Family) -> bool {
        FAMILIES
            .iter()
            .any(|other| other.needs.contains(&family.name) && self.names(other))
    }

    /// Whether a fact, under the name `setup` returns it by, passes the filter.
    pub(super) fn lets_through(&self, name: &str) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        self.filter.iter().any(|pattern| {
            let prefixed = ["ansible_", "facter", "ohai"]
                .iter()
                .any(|prefix| pattern.starts_with(prefix));
            pattern.is_empty()
                || matches(pattern, name)
                || (!prefixed && matches(&format!("ansible_{pattern}"), name))
        })
    }

    pub(super) fn notes(&self) -> Vec<String> {
        ["facter", "ohai"]
            .iter()
            .filter(|name| self.words.iter().any(|word| word == *name))
            .map(|name| format!("gather_subset: facts of {name} are not read"))
            .collect()
    }
}

/// Every name but `all` and `min`.
fn known() -> BTreeSet<String> {
    let families = FAMILIES
        .iter()
        .flat_map(|family| std::iter::once(&family.name).chain(family.ids));
    families.chain(ELSEWHERE).map(ToString::to_string).collect()
}

fn minimal() -> BTreeSet<String> {
    let families = FAMILIES.iter().filter(|family| family.minimal);
    families.map(|family| family.name.to_string()).collect()
}

/// The minimum, and what is added to it, less what is excluded unless it is also named itself.
fn choose(words: &[String]) -> Result<BTreeSet<String>, UnknownSubset> {
    let (known, minimal) = (known(), minimal());
    let (mut added, mut named, mut excluded) = (minimal.clone(), BTreeSet::new(), BTreeSet::new());
    for word in words {
        match word.as_str() {
            "all" => added.extend(known.iter().cloned()),
            "min" => added.extend(minimal.iter().cloned()),
            "!all" => excluded.extend(known.difference(&minimal).cloned()),
            "!min" => excluded.extend(minimal.iter().cloned()),
            other => match other.strip_prefix('!') {
                Some(name) => excluded.extend(with_ids(name)),
                None if known.contains(other) => {
                    added.insert(other.to_string());
                    named.insert(other.to_string());
                }
                None => return Err(UnknownSubset::new(other, &known)),
            },
        }
    }
    if added.is_empty() {
        added = known;
    }
    added.retain(|name| !excluded.contains(name) || named.contains(name));
    Ok(added)
}

fn with_ids(name: &str) -> Vec<String> {
    let families = FAMILIES.iter().filter(|family| family.name == name);
    let ids = families.flat_map(|family| family.ids.iter().map(ToString::to_string));
    std::iter::once(name.to_string()).chain(ids).collect()
}

impl UnknownSubset {
    fn new(word: &str, known: &BTreeSet<String>) -> Self {
        let hint = nearest(word, known.iter().map(String::as_str))
            .map(|name| format!(" (did you mean `{name}`?)"))
            .unwrap_or_default();
        let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Self {
            word: word.to_string(),
            hint,
            known,
        }
    }
}

/// Python's fnmatch: `*`, `?`, `[set]`, `[!set]`.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    matches_from(&pattern, &name)
}

fn matches_from(pattern: &[char], name: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    match first {
        '*' => (0..=name.len()).any(|skip| matches_from(rest, name.get(skip..).unwrap_or_default())),
        '[' => match set_of(rest) {
            Some((set, after)) => name
                .split_first()
                .is_some_and(|(c, tail)| in_set(set, *c) && matches_from(after, tail)),
            None => literal('[', rest, name),
        },
        '?' => name
            .split_first()
            .is_some_and(|(_, tail)| matches_from(rest, tail)),
        c => literal(*c, rest, name),
    }
}

fn literal(wanted: char, rest: &[char], name: &[char]) -> bool {
    name.split_first()
        .is_some_and(|(c, tail)| *c == wanted && matches_from(rest, tail))
}

/// What stands between the brackets, and what comes after them; `None` if they never close.
fn set_of(rest: &[char]) -> Option<(&[char], &[char])> {
    let leading = usize::from(rest.first() == Some(&'!'));
    // A closing bracket right at the start belongs to the set.
    let close = rest.iter().skip(leading + 1).position(|c| *c == ']')? + leading + 1;
    Some((rest.get(..close)?, rest.get(close + 1..)?))
}

fn in_set(set: &[char], c: char) -> bool {
    let (negated, mut set) = match set.split_first() {
        Some(('!', tail)) => (true, tail),
        _ => (false, set),
    };
    let mut found = false;
    while let Some((first, tail)) = set.split_first() {
        set = if let ['-', last, after @ ..] = tail {
            found |= (*first..=*last).contains(&c);
            after
        } else {
            found |= *first == c;
            tail
        };
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> BTreeSet<String> {
        choose(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_minimum_is_always_there_unless_it_is_excluded() {
        assert!(chosen(&["network"]).contains("distribution"));
        assert!(chosen(&["!all"]).contains("distribution"));
        assert!(!chosen(&["!all"]).contains("hardware"));
        assert!(!chosen(&["!all", "!min", "network"]).contains("distribution"));
        assert!(chosen(&["!all", "!min", "network"]).contains("network"));
        assert!(chosen(&["all", "!hardware"]).contains("network"));
        assert!(!chosen(&["all", "!hardware"]).contains("mounts"));
    }

    #[test]
    fn what_a_family_needs_comes_along() {
        let subset = Subset::new(&["!all".into(), "!min".into(), "pkg_mgr".into()], &[]).unwrap();
        let names: Vec<_> = FAMILIES
            .iter()
            .filter(|f| subset.wants(f))
            .map(|f| f.name)
            .collect();
        assert_eq!(names, ["distribution", "pkg_mgr"]);
    }

    #[test]
    fn an_unknown_subset_is_refused_with_those_there_are() {
        let message = choose(&["netwrk".to_string()]).unwrap_err().to_string();
        assert!(
            message.contains("`netwrk` (did you mean `network`?)"),
            "{message}"
        );
        assert!(message.contains("ssh_pub_keys, system,"), "{message}");
        assert!(choose(&["!netwrk".to_string()]).is_ok());
    }

    #[test]
    fn the_filter_works_with_and_without_the_prefix() {
        let filter = |patterns: &[&str]| {
            Subset::new(&[], &patterns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
        };
        assert!(filter(&["ansible_dist*"]).lets_through("ansible_distribution"));
        assert!(filter(&["dist*"]).lets_through("ansible_distribution"));
        assert!(filter(&["x", "ansible_eth[0-2]"]).lets_through("ansible_eth1"));
        assert!(!filter(&["ansible_eth[!0-2]"]).lets_through("ansible_eth1"));
        assert!(!filter(&["dist"]).lets_through("ansible_distribution"));
        assert!(!filter(&["ansible_*"]).lets_through("gather_subset"));
    }
}
