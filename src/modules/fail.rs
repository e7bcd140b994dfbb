//! `fail`: fails with a message.
//!
//! ```yaml
//! - fail:
//!     msg: "{{ inventory_hostname }} runs an OS that is not supported"
//!   when: ansible_os_family not in ["Debian", "RedHat"]
//! ```
//!
//! Returns `msg`.

use serde::Deserialize;

use super::Module;
use crate::host::{Halt, Host, Outcome};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    msg: Option<Value>,
}

impl Module for Fail {
    const NAME: &'static str = "fail";

    async fn run(self, _: &Host) -> Result<Outcome, Halt> {
        let msg = self
            .msg
            .unwrap_or_else(|| Value::from("Failed as requested from task"));
        Ok(Outcome {
            failed: true,
            ..Outcome::new().with("msg", msg)
        })
    }
}
