//! Colours by meaning, in one table. Everything reads as well without them.

use crate::run::{Finished, Status};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Ok,
    Changed,
    Skipped,
    Unknown,
    Failed,
    Ignored,
    Warning,
    Heading,
    /// What most readers pass over.
    Aside,
    Added,
    Removed,
}

/// The codes of SGR ("select graphic rendition"): only what every terminal's own theme decides about.
const fn code(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Ok | Meaning::Added => "32",
        Meaning::Changed => "33",
        Meaning::Skipped => "36",
        Meaning::Unknown | Meaning::Warning | Meaning::Ignored => "35",
        Meaning::Failed => "1;31",
        Meaning::Removed => "31",
        Meaning::Heading => "1",
        Meaning::Aside => "2",
    }
}

impl Meaning {
    pub fn of(what: &Finished) -> Self {
        match what.status {
            Status::Ok => Self::Ok,
            Status::Changed => Self::Changed,
            Status::Skipped => Self::Skipped,
            Status::Unknown => Self::Unknown,
            Status::Failed if what.ignored => Self::Ignored,
            Status::Failed | Status::Unreachable => Self::Failed,
        }
    }
}

/// Whether there is colour at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Palette {
    pub coloured: bool,
}

impl Palette {
    /// Colour on terminals that have it, unless `NO_COLOR` or Ansible's `ANSIBLE_NOCOLOR` says otherwise;
    /// `CLICOLOR_FORCE`, `FORCE_COLOR` and `ANSIBLE_FORCE_COLOR` ask for it in a pipe too.
    pub fn detect(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let on = |name: &str| {
            variable(name).is_some_and(|v| !matches!(v.as_str(), "" | "0" | "false" | "False" | "no"))
        };
        if variable("NO_COLOR").is_some_and(|v| !v.is_empty()) || on("ANSIBLE_NOCOLOR") {
            return Self { coloured: false };
        }
        let forced = ["CLICOLOR_FORCE", "FORCE_COLOR", "ANSIBLE_FORCE_COLOR"]
            .iter()
            .any(|n| on(n));
        let dumb = variable("TERM").is_none_or(|t| t == "dumb");
        Self {
            coloured: forced || terminal && !dumb,
        }
    }

    pub fn paint(self, meaning: Meaning, text: &str) -> String {
        if !self.coloured || text.is_empty() {
            return text.to_string();
        }
        format!("\u{1b}[{}m{text}\u{1b}[0m", code(meaning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_where_it_is_wanted() {
        let detect = |terminal, set: &[(&str, &str)]| {
            Palette::detect(terminal, |n| {
                set.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_string())
            })
            .coloured
        };
        assert!(detect(true, &[("TERM", "xterm")]));
        assert!(!detect(false, &[("TERM", "xterm")]));
        assert!(!detect(true, &[("TERM", "dumb")]));
        assert!(!detect(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]));
        assert!(detect(true, &[("TERM", "xterm"), ("NO_COLOR", "")]));
        assert!(detect(false, &[("FORCE_COLOR", "1")]));
        assert!(!detect(false, &[("FORCE_COLOR", "0")]));
    }
}
