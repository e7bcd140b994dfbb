//! `setup`: reads facts, as every play does at its start.
//!
//! ```yaml
//! - setup:
//! - setup:
//!     gather_subset: [min, network]
//! - setup:
//!     filter: ansible_date_time
//!     gather_timeout: 10
//! ```
//!
//! Returns `ansible_facts`. One script, one round trip, half a dozen processes on the host. What may hang is given
//! up after `gather_timeout` seconds (3 if it is not set; 10 for the programs in `fact_path`).

use std::time::Duration;

use serde::Deserialize;

use super::Module;
use crate::facts::{Subset, parse, script};
use crate::host::{Halt, Host, Outcome, Script, fail};

/// A host that needs longer than this is not well; nothing that the script reads takes so long.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    #[serde(default)]
    gather_subset: Vec<String>,
    #[serde(default)]
    filter: Vec<String>,
    gather_timeout: Option<u32>,
    fact_path: Option<String>,
}

impl Setup {
    fn subset(&self) -> Result<Subset, Halt> {
        let mut subset = Subset::new(&self.gather_subset, &self.filter).map_err(|e| fail(e.to_string()))?;
        if let Some(seconds) = self.gather_timeout {
            subset = subset.gather_timeout(seconds);
        }
        if let Some(path) = &self.fact_path {
            subset = subset.fact_path(path);
        }
        Ok(subset)
    }
}

impl Module for Setup {
    const NAME: &'static str = "setup";
    const FACTS: bool = true;

    fn check(&self) -> Result<(), Halt> {
        self.subset().map(|_| ())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let subset = self.subset()?;
        // At its turn, in the work's place: the time and the environment are facts too.
        let work = Script::new("facts", script(&subset))
            .timeout(Some(LIMIT))
            .public_look();
        let output = host.ask_now(work).await?;
        let found = parse(&output.stdout, &subset);
        Ok(Outcome {
            facts: Some(found.facts),
            warnings: found.notes,
            ..Outcome::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{Argument, Arguments};
    use crate::vars::Value;

    fn setup(name: &str, value: &str) -> Setup {
        let given = vec![Argument {
            name: name.into(),
            value: Value::from(value),
            name_span: None,
            value_span: None,
        }];
        Arguments { given, span: None }.read("setup", &[]).unwrap()
    }

    #[test]
    fn a_subset_may_be_written_as_text() {
        assert_eq!(
            setup("gather_subset", "!all,network").gather_subset,
            ["!all", "network"]
        );
        assert!(setup("gather_subset", "netwrk").subset().is_err());
        assert_eq!(setup("filter", "ansible_os*").filter, ["ansible_os*"]);
    }
}
