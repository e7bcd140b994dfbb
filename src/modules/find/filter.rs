//! Which of the paths are meant.

use super::super::files::mode::{Base, Mode};
use super::walk::Entry;
use super::{FileType, Find, Stamp};
use crate::host::question::FileKind;
use crate::host::{Halt, fail};
use crate::template::regex::{Pattern, Way};

/// All that can be judged without opening a file.
pub struct Filter {
    patterns: Vec<Pattern>,
    excludes: Vec<Pattern>,
    kind: FileType,
    hidden: bool,
    age: Option<f64>,
    stamp: Stamp,
    size: Option<i64>,
    mode: Option<u32>,
    exact: bool,
}

impl Filter {
    pub fn new(find: &Find) -> Result<Self, Halt> {
        let compiled = |patterns: &[String]| -> Result<Vec<Pattern>, Halt> {
            patterns
                .iter()
                .map(|pattern| {
                    let regexp = if find.use_regex {
                        pattern.clone()
                    } else {
                        glob(pattern)
                    };
                    Pattern::new(&regexp, Way::Match).map_err(fail)
                })
                .collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "an age in seconds")]
        let age = match &find.age {
            Some(age) => Some(
                scaled(
                    age,
                    &[('s', 1), ('m', 60), ('h', 3600), ('d', 86400), ('w', 604_800)],
                )
                .ok_or_else(|| {
                    fail(format!(
                        "`age` must be a number with s, m, h, d or w, not `{age}`"
                    ))
                })? as f64,
            ),
            None => None,
        };
        let size = match &find.size {
            Some(size) => Some(
                scaled(
                    size,
                    &[
                        ('b', 1),
                        ('k', 1 << 10),
                        ('m', 1 << 20),
                        ('g', 1 << 30),
                        ('t', 1 << 40),
                    ],
                )
                .ok_or_else(|| {
                    fail(format!(
                        "`size` must be a number with b, k, m, g or t, not `{size}`"
                    ))
                })?,
            ),
            None => None,
        };
        Ok(Self {
            patterns: compiled(&find.patterns)?,
            excludes: compiled(&find.excludes)?,
            kind: find.file_type,
            hidden: find.hidden,
            age,
            stamp: find.age_stamp,
            size,
            mode: find.mode.as_ref().map(bits),
            exact: find.exact_mode,
        })
    }

    pub fn takes(&self, entry: &Entry, now: f64) -> bool {
        (self.hidden || !entry.name().starts_with('.'))
            && self.is_kind(entry.kind)
            && self.is_named(&entry.name())
            && self.is_old(entry, now)
            && self.is_large(entry)
            && self.is_moded(entry.mode)
    }

    fn is_kind(&self, kind: FileKind) -> bool {
        match self.kind {
            FileType::Any => true,
            FileType::Directory => kind == FileKind::Directory,
            FileType::File => kind == FileKind::File,
            FileType::Link => kind == FileKind::Link,
        }
    }

    fn is_named(&self, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.is_match(name).unwrap_or(false));
        (self.patterns.is_empty() || any(&self.patterns)) && !any(&self.excludes)
    }

    fn is_old(&self, entry: &Entry, now: f64) -> bool {
        let Some(age) = self.age else { return true };
        let passed = now
            - match self.stamp {
                Stamp::Atime => entry.accessed,
                Stamp::Ctime => entry.changed,
                Stamp::Mtime => entry.modified,
            };
        if age >= 0.0 { passed >= age } else { passed <= -age }
    }

    /// Sizes are of files; of directories and links only where nothing else is asked for than links.
    fn is_large(&self, entry: &Entry) -> bool {
        let Some(size) = self.size else { return true };
        if entry.kind != FileKind::File {
            return true;
        }
        let has = i64::try_from(entry.size).unwrap_or(i64::MAX);
        if size >= 0 { has >= size } else { has <= -size }
    }

    fn is_moded(&self, mode: u32) -> bool {
        match self.mode {
            None => true,
            Some(wanted) if self.exact => mode == wanted,
            Some(wanted) => mode & wanted != 0,
        }
    }
}

fn bits(mode: &Mode) -> u32 {
    mode.bits(Base {
        bits: 0,
        directory: false,
        umask: 0o022,
    })
}

/// A number with a letter behind it that says of what.
fn scaled(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let last = text.chars().last()?;
    let unit = units.iter().find(|(letter, _)| *letter == last);
    let (number, unit) = match unit {
        Some((_, unit)) => (&text[..text.len() - 1], *unit),
        None => (text.as_str(), 1),
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// A shell pattern as a regular expression that the whole name must match, as Python's `fnmatch`.
fn glob(pattern: &str) -> String {
    let mut out = String::from("(?s:");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => match class(rest.as_str()) {
                Some((class, length)) => {
                    out.push_str(&class);
                    rest = rest.as_str()[length..].chars();
                }
                None => out.push_str("\\["),
            },
            c if c.is_alphanumeric() || c == '_' || !c.is_ascii() => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push_str(")\\Z");
    out
}

/// `[…]` behind its bracket, and how long it is.
fn class(text: &str) -> Option<(String, usize)> {
    let negated = text.starts_with('!');
    let start = usize::from(negated);
    let first = start + usize::from(text[start..].starts_with(']'));
    let end = first + text[first..].find(']')?;
    let mut out = String::from(if negated { "[^" } else { "[" });
    for c in text[start..end].chars() {
        if "\\[]&~^".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(']');
    Some((out, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(&glob(pattern), Way::Match)
            .unwrap()
            .is_match(name)
            .unwrap()
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("*.log", "a.log"));
        assert!(!matches("*.log", "a.log.gz"));
        assert!(matches("a?c", "abc") && !matches("a?c", "ac"));
        assert!(matches("[a-c]x", "bx") && !matches("[!a-c]x", "bx"));
        assert!(matches("[]]", "]") && matches("a[b", "a[b"));
        assert!(matches("a+(b).c", "a+(b).c"));
        assert!(matches("*", ".hidden"));
    }

    #[test]
    fn numbers_have_units() {
        let units = [('k', 1024), ('b', 1)];
        assert_eq!(scaled("2k", &units), Some(2048));
        assert_eq!(scaled("-3", &units), Some(-3));
        assert_eq!(scaled("2x", &units), None);
    }
}
