//! `set_fact`: sets variables of a host until the end of the run.
//!
//! ```yaml
//! - set_fact:
//!     node_role: worker
//!     labels: "{{ labels | default({}) | combine({'zone': 'a'}) }}"
//!     nothing: null
//!     cacheable: true
//! ```
//!
//! Returns `ansible_facts`: what was set. Text that reads `true`, `false`, `yes` or `no`, in any case, becomes a
//! boolean, as in Ansible. `cacheable` is accepted; facts are kept for the run and no longer.

use serde::Deserialize;

use super::Module;
use super::process::words;
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(transparent)]
pub struct SetFact {
    facts: Map,
}

impl Module for SetFact {
    const NAME: &'static str = "set_fact";
    const FACTS: bool = true;

    fn check(&self) -> Result<(), Halt> {
        let mut names = self
            .facts
            .keys()
            .filter(|name| name.as_str() != Some("cacheable"));
        let mut names = names.by_ref().peekable();
        if names.peek().is_none() {
            return Err(fail("`set_fact` sets nothing: no variable is named"));
        }
        match names.find(|name| !name.as_str().is_some_and(is_identifier)) {
            Some(name) => Err(fail(format!(
                "`{name}` cannot be the name of a variable: names are letters, digits and underscores, and do \
                 not begin with a digit"
            ))),
            None => Ok(()),
        }
    }

    async fn run(self, _: &Host) -> Result<Outcome, Halt> {
        let mut facts = self.facts;
        facts.shift_remove("cacheable");
        for (_, value) in &mut facts {
            if let Some(truth) = value.as_str().and_then(truth) {
                *value = Value::Bool(truth);
            }
        }
        Ok(Outcome {
            facts: Some(facts),
            ..Outcome::new()
        })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// Python's keywords cannot be names of variables.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

fn is_identifier(name: &str) -> bool {
    words::is_name(name) && !KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{Argument, Arguments};

    #[test]
    fn null_is_a_value_here() {
        let arguments = Arguments {
            given: vec![Argument {
                name: "x".into(),
                value: Value::Null,
                name_span: None,
                value_span: None,
            }],
            span: None,
        };
        let set: SetFact = arguments.read("set_fact", &[]).unwrap();
        assert_eq!(set.facts.get("x"), Some(&Value::Null));
    }

    #[test]
    fn names() {
        assert!(is_identifier("_a1"));
        assert!(!is_identifier("1a"));
        assert!(!is_identifier("a-b"));
        assert!(!is_identifier("class"));
    }
}
