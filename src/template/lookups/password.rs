//! Passwords made once and kept in a file.

use minijinja::Error;
use minijinja::value::Value as Jinja;
use std::path::PathBuf;

use super::{Ask, Lookup};
use crate::template::call::{complaint, items};
use crate::template::outside::Outside;
use crate::template::python;
use crate::template::variables::root;

pub const LOOKUPS: &[(&str, Lookup)] = &[("password", password)];

/// What a term asks for: a path, then `name=value` words.
struct Wanted {
    path: String,
    length: usize,
    chars: Vec<String>,
}

impl Wanted {
    fn of(term: &str, ask: &mut Ask) -> Result<Self, Error> {
        let mut wanted = Self {
            path: String::new(),
            length: 20,
            chars: vec!["ascii_letters".into(), "digits".into(), ".,:-_".into()],
        };
        let mut words = term.split(' ');
        wanted.path = words.next().unwrap_or_default().to_string();
        for word in words.filter(|w| !w.is_empty()) {
            if let Some((name, value)) = word.split_once('=') {
                wanted.set(name, value)?;
            } else {
                wanted.path.push(' ');
                wanted.path.push_str(word);
            }
        }
        if let Some(length) = ask.text("length")? {
            wanted.set("length", &length)?;
        }
        if let Some(chars) = ask.option("chars") {
            wanted.chars = match chars.as_str() {
                Some(text) => split_chars(text),
                None => items(&chars)?
                    .iter()
                    .map(python::text)
                    .collect::<Result<_, _>>()?,
            };
        }
        let encrypted = ask
            .text("encrypt")?
            .filter(|e| !matches!(e.as_str(), "None" | "False" | ""));
        match encrypted {
            Some(_) => Err(not_encrypted()),
            None => Ok(wanted),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "length" => {
                let bad = |_| complaint(format!("`length={value}` is not a number"));
                self.length = value.parse().map_err(bad)?;
            }
            "chars" => self.chars = split_chars(value),
            "encrypt" => return Err(not_encrypted()),
            "ident" | "seed" => {}
            other => return Err(complaint(format!("lookup `password` has no option `{other}`"))),
        }
        Ok(())
    }

    fn alphabet(&self) -> Vec<char> {
        let mut all = String::new();
        for set in &self.chars {
            all.push_str(match set.as_str() {
                "ascii_letters" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                "ascii_lowercase" => "abcdefghijklmnopqrstuvwxyz",
                "ascii_uppercase" => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                "digits" => "0123456789",
                "hexdigits" => "0123456789abcdefABCDEF",
                "octdigits" => "01234567",
                "punctuation" => "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
                other => other,
            });
        }
        let mut chars: Vec<char> = all.chars().collect();
        chars.sort_unstable();
        chars.dedup();
        chars
    }

    fn random(&self, outside: &dyn Outside) -> Result<String, Error> {
        let alphabet = self.alphabet();
        if alphabet.is_empty() {
            return Err(complaint("lookup `password` has no characters to choose from"));
        }
        let pick = |_| {
            let chance = outside.random() % (alphabet.len() as u64);
            alphabet[usize::try_from(chance).unwrap_or(0)]
        };
        Ok((0..self.length).map(pick).collect())
    }
}

fn not_encrypted() -> Error {
    complaint("lookup `password` cannot hash a password yet (`encrypt`)")
}

/// Names of sets by commas; `,,` is a comma itself.
fn split_chars(text: &str) -> Vec<String> {
    let comma = text.contains(",,");
    let rest = text.replace(",,", ",");
    let mut sets: Vec<String> = rest
        .split(',')
        .filter(|s| !s.is_empty())
        .map(str::to_string)
        .collect();
    if comma {
        sets.push(",".into());
    }
    sets
}

fn password(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    let mut found = Vec::new();
    for term in ask.text_terms()? {
        let wanted = Wanted::of(&term, ask)?;
        let root = root(ask.state)?;
        let outside = root.evaluation.outside()?;
        if wanted.path == "/dev/null" {
            found.push(Jinja::from(wanted.random(outside)?));
            continue;
        }
        let mut path = PathBuf::from(&wanted.path);
        if let (false, Some(base)) = (path.is_absolute(), root.named("playbook_dir")) {
            path = PathBuf::from(python::text(&base)?).join(path);
        }
        if outside.entry(&path, true).is_some() {
            let bytes = outside
                .read(&path)
                .map_err(|e| complaint(format!("cannot read `{}`: {e}", path.display())))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push(Jinja::from(text.lines().next().unwrap_or_default()));
            continue;
        }
        let made = wanted.random(outside)?;
        outside
            .write_private(&path, format!("{made}\n").as_bytes())
            .map_err(|e| complaint(format!("cannot write `{}`: {e}", path.display())))?;
        found.push(Jinja::from(made));
    }
    Ok(found)
}
