//! `tempfile`: makes a file or a directory with a name that nothing else has.
//!
//! ```yaml
//! - tempfile:
//!     state: directory
//!     suffix: .build
//!   register: build
//! ```
//!
//! Returns `path` and what is there (`state`, `owner`, `group`, `uid`, `gid`, `mode`, `size`).

use serde::Deserialize;

use super::Module;
use super::files::object::{Describe as _, report_word, said};
use super::files::path::expand;
use crate::host::{Change, Halt, Host, Outcome, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tempfile {
    #[serde(default)]
    state: State,
    path: Option<String>,
    #[serde(default = "prefix")]
    prefix: String,
    #[serde(default)]
    suffix: String,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    File,
    Directory,
}

fn prefix() -> String {
    "ansible.".to_string()
}

impl Module for Tempfile {
    const NAME: &'static str = "tempfile";

    fn check(&self) -> Result<(), Halt> {
        if self.suffix.contains('/') || self.prefix.contains('/') {
            return Err(fail("`prefix` and `suffix` are parts of a name: no `/` in them"));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let directory = match &self.path {
            Some(path) => quote(&expand(host, path).await?),
            None => "\"${TMPDIR:-/tmp}\"".to_string(),
        };
        let kind = if self.state == State::Directory { "-d " } else { "" };
        let name = quote(&format!("{}XXXXXXXX{}", self.prefix, self.suffix));
        // The path is said as a backup's is: NUL before and behind it.
        let text = format!(
            "b=$(mktemp {kind}-- {directory}/{name}) || exit 1\n{}",
            report_word("\"$b\"")
        );
        let what = match self.state {
            State::File => "make a temporary file",
            State::Directory => "make a temporary directory",
        };
        let output = host.change_ok(Change::new(what), Script::new(what, text)).await?;
        let said = said(&output.stdout);
        Ok(Outcome::new()
            .with("path", said.backup.unwrap_or_default())
            .describing(said.object.as_ref()))
    }
}
