//! Patterns of `ssh_config` and `known_hosts`: `*`, `?` and lists with `!`.

use std::path::{Path, PathBuf};

/// Whether one pattern of the list matches and no negated one does.
pub(super) fn matches_list<'a>(patterns: impl IntoIterator<Item = &'a str>, name: &str) -> bool {
    let mut matched = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, name) => return false,
            Some(_) => {}
            None => matched = matched || matches(pattern, name),
        }
    }
    matched
}

/// `*` stands for any characters, `?` for one; letters are exact.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut in_name) = (0, 0);
    // Where to go on when the last star has to stand for one character more.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(in_name) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((position, stood_for)) = star else {
                    return false;
                };
                star = Some((position, stood_for + 1));
                at = position + 1;
                in_name = stood_for + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|character| *character == '*')
}

/// The files that a path with patterns in its parts names, sorted; a path without one names itself.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let name = part.as_os_str().to_string_lossy();
        if !name.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        found = found
            .iter()
            .flat_map(|directory| entries(directory, &name))
            .collect();
    }
    found.sort();
    found
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| is_named(pattern, &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect()
}

/// As a shell has it: a leading dot must be written, `[a-z]` is one of several characters.
fn is_named(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    (name.first() != Some(&'.') || pattern.first() == Some(&'.')) && is_like(&pattern, &name)
}

fn is_like(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        (['*', rest @ ..], _) => (0..=name.len()).any(|n| is_like(rest, &name[n..])),
        (['?', rest @ ..], [_, behind @ ..]) => is_like(rest, behind),
        (['[', class @ ..], [character, behind @ ..]) => match one_of(class, *character) {
            Some((holds, rest)) => holds && is_like(rest, behind),
            None => *character == '[' && is_like(class, behind),
        },
        ([wanted, rest @ ..], [character, behind @ ..]) => wanted == character && is_like(rest, behind),
        (_, []) => false,
    }
}

/// Whether the class holds the character, and what follows it; `None`: it is not closed, and so is none.
fn one_of(class: &[char], character: char) -> Option<(bool, &[char])> {
    let (negated, class) = match class {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let end = 1 + class.iter().skip(1).position(|c| *c == ']')?;
    let mut members = &class[..end];
    let mut holds = false;
    loop {
        match members {
            [from, '-', to, rest @ ..] => {
                holds |= (*from..=*to).contains(&character);
                members = rest;
            }
            [member, rest @ ..] => {
                holds |= *member == character;
                members = rest;
            }
            [] => return Some((holds != negated, &class[end + 1..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a.b"),
            ("a*c*e", "abcde"),
            ("web-?", "web-1"),
            ("10.0.*.?", "10.0.12.3"),
            ("*a*", "bab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("WEB", "web"),
            ("web-?", "web-"),
            ("a*c", "abcd"),
            ("", "a"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_negation_wins_wherever_it_stands() {
        assert!(matches_list(["*.lan", "!bad.*"], "good.lan"));
        assert!(!matches_list(["*.lan", "!bad.*"], "bad.lan"));
        assert!(!matches_list(["!bad.*", "*.lan"], "bad.lan"));
        assert!(!matches_list(["!bad"], "good"));
    }

    #[test]
    fn files_are_found_by_patterns_in_any_part() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a1/x.conf", "a2/.hidden.conf", "a2/y.conf", "b/[z.conf"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let named = |pattern: &str| -> Vec<String> {
            let of = |path: &PathBuf| path.strip_prefix(directory.path()).unwrap().display().to_string();
            files(&directory.path().join(pattern)).iter().map(of).collect()
        };
        assert_eq!(named("a?/*.conf"), ["a1/x.conf", "a2/y.conf"]);
        assert_eq!(named("[a-c][0-1]/*"), ["a1/x.conf"]);
        assert_eq!(named("a[!1]/[xy]*"), ["a2/y.conf"]);
        assert_eq!(named("b/[z*"), ["b/[z.conf"]);
        assert_eq!(named("none/x"), ["none/x"]);
    }
}
