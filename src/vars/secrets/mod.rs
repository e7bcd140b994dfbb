//! Texts that no one is to see: passwords, what `no_log` hid, and every form that they are written in.
//!
//! A [`Secret`](super::Value::Secret) in a variable becomes a known text the moment a template looks at it, and
//! before that it can appear nowhere. Whatever is shown or kept goes through [`mask`](Secrets::mask); what goes to
//! hosts, files and registers does not. A value made from a secret (its hash, half of it) is another text.

mod forms;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, BuildError};

use super::{Key, Map, Value};

/// What is shown instead.
pub const MASK: &str = "********";

/// Shorter ones are masked only where they are all of a value: they would be found everywhere.
const SHORTEST: usize = 4;

/// Words that are no secret, whoever hides them.
const WORDS: &[&str] = &["true", "false", "none", "null"];

/// The texts known so far; all clones know the same.
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    texts: HashSet<Arc<str>>,
    /// What is looked for inside of texts.
    forms: HashSet<String>,
    /// Finds all forms in one pass: a hidden file has a dozen for each of its lines. Of the forms as they are now.
    finder: OnceLock<Result<AhoCorasick, BuildError>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    pub fn add(&self, text: &str) {
        let text = text.trim();
        if text.is_empty() || WORDS.contains(&text.to_lowercase().as_str()) || self.knows(text) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.texts.insert(text.into());
        if text.chars().count() >= SHORTEST {
            known.forms.extend(forms::of(text));
            known.finder = OnceLock::new();
        }
    }

    /// Every text in a value.
    pub fn add_all(&self, value: &Value) {
        match value {
            Value::String(text) | Value::Secret(text) => self.add(text),
            Value::Int(number) => self.add(&number.to_string()),
            Value::List(items) => items.iter().for_each(|v| self.add_all(v)),
            Value::Map(map) => map.values().for_each(|v| self.add_all(v)),
            _ => {}
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .texts
            .is_empty()
    }

    fn knows(&self, text: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.texts.contains(text)
    }

    /// The text without what is secret in it.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.knows(text.trim()) {
            return Cow::Borrowed(MASK);
        }
        let ranges = self.found(text);
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = String::with_capacity(text.len());
        let mut shown = 0;
        for range in ranges {
            masked.push_str(&text[shown..range.start]);
            masked.push_str(MASK);
            shown = range.end;
        }
        masked.push_str(&text[shown..]);
        Cow::Owned(masked)
    }

    /// Where secrets stand, those that overlap or touch as one.
    fn found(&self, text: &str) -> Vec<Range<usize>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.forms.is_empty() {
            return Vec::new();
        }
        let finder = known.finder.get_or_init(|| AhoCorasick::new(&known.forms));
        // Of more than it can hold, nothing may be shown.
        let Ok(finder) = finder else {
            return std::iter::once(0..text.len()).collect();
        };
        let mut all: Vec<Range<usize>> = finder.find_overlapping_iter(text).map(|m| m.range()).collect();
        all.sort_by_key(|r| r.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for range in all {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined
    }

    /// The same for a text that is one's own.
    pub fn mask_in(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.mask(text) {
            *text = masked;
        } else if self.knows(text.trim()) {
            *text = MASK.to_string();
        }
    }

    /// The same for all texts of a value, and the keys of its mappings.
    pub fn mask_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let masked @ (Cow::Owned(_) | Cow::Borrowed(MASK)) = self.mask(text) {
                    *value = Value::from(masked.into_owned());
                }
            }
            Value::Secret(_) => *value = MASK.into(),
            Value::Int(number) => {
                let text = number.to_string();
                if text.len() >= SHORTEST && self.knows(&text) {
                    *value = MASK.into();
                }
            }
            Value::List(items) => Arc::make_mut(items).iter_mut().for_each(|v| self.mask_value(v)),
            Value::Map(map) => self.mask_map(Arc::make_mut(map)),
            _ => {}
        }
    }

    pub fn mask_map(&self, map: &mut Map) {
        let keyed = map
            .keys()
            .any(|k| k.as_str().is_some_and(|k| !self.found(k).is_empty()));
        if keyed {
            let members = std::mem::take(map).into_iter().map(|(key, value)| match key {
                Key::String(text) => (Key::from(self.mask(&text).into_owned()), value),
                key => (key, value),
            });
            *map = members.collect();
        }
        map.values_mut().for_each(|v| self.mask_value(v));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        for text in texts {
            secrets.add(text);
        }
        secrets
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let secret = "It's \"dé\" $1&2";
        let secrets = secrets(&[secret]);
        for text in [
            "x It's \"dé\" $1&2 y",
            r#"{"a": "It's \"dé\" $1&2"}"#,
            r#"{"a": "It's \"d\u00e9\" $1&2"}"#,
            "?p=It%27s%20%22d%C3%A9%22%20%241%262",
            "?p=It%27s+%22d%c3%a9%22+%241%262",
            r#"'It'\''s "dé" $1&2'"#,
            r#"'It'"'"'s "dé" $1&2'"#,
            r#""It's \"dé\" \$1&2""#,
            r#"It\'s\ \"dé\"\ \$1\&2"#,
            "SXQncyAiZMOpIiAkMSYy",
            // user:SECRET, and xSECRETx
            "dXNlcjpJdCdzICJkw6kiICQxJjI=",
            "eEl0J3MgImTDqSIgJDEmMng=",
        ] {
            let masked = secrets.mask(text);
            assert!(masked.contains(MASK), "{text}");
            assert!(!masked.contains("$1") && !masked.contains("ICQxJ"), "{masked}");
        }
        assert_eq!(secrets.mask("It's d"), "It's d");
    }

    #[test]
    fn a_short_one_is_masked_as_a_whole_value_only() {
        let secrets = secrets(&["abc", "true", ""]);
        assert_eq!(secrets.mask("abc"), MASK);
        assert_eq!(secrets.mask("abcd abc"), "abcd abc");
        assert_eq!(secrets.mask("true"), "true");
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let secrets = secrets(&["abcdef", "defghi"]);
        assert_eq!(secrets.mask("1abcdefghi2"), format!("1{MASK}2"));
    }

    #[test]
    fn lines_of_a_secret_are_secret() {
        let secrets = secrets(&["first line\n  second line\nend"]);
        assert_eq!(secrets.mask("+  second line"), format!("+  {MASK}"));
        assert_eq!(secrets.mask("the end"), "the end");
    }

    #[test]
    fn values_are_masked_with_their_keys() {
        let secrets = secrets(&["hunter22", "4711"]);
        let mut value = Value::map([
            ("hunter22", Value::from("x hunter22")),
            ("n", Value::Int(4711)),
            ("s", Value::Secret("other".into())),
        ]);
        secrets.mask_value(&mut value);
        let want = Value::map([
            (MASK, Value::from(format!("x {MASK}"))),
            ("n", MASK.into()),
            ("s", MASK.into()),
        ]);
        assert_eq!(value, want);
    }
}
