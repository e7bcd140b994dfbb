//! What the look printed, by its sections: `=name`, then lines.

use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Seen {
    sections: HashMap<String, Vec<String>>,
    /// By the clock of this machine, in seconds since 1970.
    pub asked_between: (f64, f64),
}

impl Seen {
    pub fn read(said: &str) -> Self {
        let mut seen = Self::default();
        let mut name = String::new();
        for line in said.lines() {
            if let Some(next) = line.strip_prefix('=') {
                next.clone_into(&mut name);
                seen.sections.entry(name.clone()).or_default();
            } else {
                seen.sections
                    .entry(name.clone())
                    .or_default()
                    .push(line.to_owned());
            }
        }
        seen
    }

    pub fn lines(&self, section: &str) -> &[String] {
        self.sections.get(section).map_or(&[], Vec::as_slice)
    }

    /// Whether there is such a section at all.
    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    pub fn line(&self, section: &str, number: usize) -> &str {
        self.lines(section).get(number).map_or("", String::as_str)
    }
}
