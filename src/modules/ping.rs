//! `ping`: shows that a host can be reached and runs commands.
//!
//! ```yaml
//! - ping:
//! - ping:
//!     data: hello
//! ```
//!
//! Returns `ping`: the data.

use serde::Deserialize;

use super::Module;
use crate::host::question::Look;
use crate::host::{Halt, Host, Outcome, fail};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    #[serde(default = "pong")]
    data: String,
}

fn pong() -> String {
    "pong".to_string()
}

impl Module for Ping {
    const NAME: &'static str = "ping";

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if self.data == "crash" {
            return Err(fail("boom"));
        }
        let seen = host.ask(Look::new("ping", "echo pong")).await?;
        if seen.stdout_text().trim() != "pong" {
            return Err(fail("the host does not answer as a POSIX shell would"));
        }
        Ok(Outcome::new().with("ping", self.data))
    }
}
