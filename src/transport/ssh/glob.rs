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

/// The files that a path with a pattern in its last part names, sorted; a path without one names itself.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(name), Some(directory)) = (name, path.parent()) else {
        return Vec::new();
    };
    if !name.contains(['*', '?']) {
        return vec![path.to_path_buf()];
    }
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| is_named(&name, &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// As a shell has it: a leading dot must be written.
fn is_named(pattern: &str, name: &str) -> bool {
    (!name.starts_with('.') || pattern.starts_with('.')) && matches(pattern, name)
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
}
