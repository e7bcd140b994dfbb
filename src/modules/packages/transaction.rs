//! What a package manager would do, or did.

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub steps: Vec<Step>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    /// The version that is there now.
    pub from: Option<String>,
    /// The version that will be; `None`: it is removed.
    pub to: Option<String>,
}

impl Transaction {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Name and version of each package, before and after, for `--diff`.
    pub fn before_and_after(&self) -> (String, String) {
        let list = |version: fn(&Step) -> Option<&String>| {
            let mut lines: Vec<String> = self
                .steps
                .iter()
                .filter_map(|step| version(step).map(|v| format!("{} {v}\n", step.name)))
                .collect();
            lines.sort();
            lines.concat()
        };
        (list(|s| s.from.as_ref()), list(|s| s.to.as_ref()))
    }

    /// "install curl, jq (3 more)": what was asked for first, what comes with it as a number.
    pub fn in_words(&self, verb: &str, asked: &[String]) -> String {
        let with = self.steps.iter().filter(|s| !asked.contains(&s.name)).count();
        let named = if asked.is_empty() {
            let mut names: Vec<&str> = self.steps.iter().map(|s| s.name.as_str()).collect();
            names.truncate(8);
            names.join(", ")
        } else {
            asked.join(", ")
        };
        let more = if asked.is_empty() {
            self.steps.len().saturating_sub(8)
        } else {
            with
        };
        match more {
            0 => format!("{verb} {named}"),
            more => format!("{verb} {named} ({more} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_a_line_and_as_a_difference() {
        let step = |name: &str, from: Option<&str>, to: Option<&str>| Step {
            name: name.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        let transaction = Transaction {
            steps: vec![
                step("curl", None, Some("8.0")),
                step("libcurl4", Some("7.0"), Some("8.0")),
                step("wget", Some("1.0"), None),
            ],
        };
        assert_eq!(
            transaction.before_and_after(),
            (
                "libcurl4 7.0\nwget 1.0\n".into(),
                "curl 8.0\nlibcurl4 8.0\n".into()
            )
        );
        assert_eq!(
            transaction.in_words("install", &["curl".into()]),
            "install curl (2 more)"
        );
    }
}
