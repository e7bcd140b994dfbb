//! `assert`: fails unless all conditions hold.
//!
//! ```yaml
//! - assert:
//!     that:
//!       - ansible_memtotal_mb >= 2048
//!       - nodes | length > 0
//!     fail_msg: too little memory, or no nodes
//!     success_msg: as it should be
//!     quiet: true
//! - assert:
//!     that: result.rc == 0
//! ```
//!
//! Returns `msg`; on failure also `assertion`, the condition that did not hold, and `evaluated_to`.

use serde::Deserialize;

use super::Module;
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assert {
    that: Value,
    #[serde(alias = "msg")]
    fail_msg: Option<Value>,
    success_msg: Option<Value>,
    /// What a reporter shows of the conditions; nothing of the result.
    #[serde(default, rename = "quiet")]
    _quiet: bool,
}

impl Module for Assert {
    const NAME: &'static str = "assert";
    const UNRENDERED: &'static [&'static str] = &["that"];

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let fail_msg = message("fail_msg", self.fail_msg, "Assertion failed")?;
        let success_msg = message("success_msg", self.success_msg, "All assertions passed")?;
        for condition in conditions(host, self.that).await? {
            if host.condition(condition.clone()).await? {
                continue;
            }
            let outcome = Outcome::new()
                .with("assertion", condition)
                .with("evaluated_to", false)
                .with("msg", fail_msg);
            return Ok(Outcome {
                failed: true,
                ..outcome
            });
        }
        Ok(Outcome::new().with("msg", success_msg))
    }
}

/// One condition or a list of them; a template may stand for either.
async fn conditions(host: &Host, that: Value) -> Result<Vec<Value>, Halt> {
    let that = match that.as_str() {
        Some(text) if Value::is_template(text) => host.render(Value::written(text, None)).await?,
        _ => that,
    };
    Ok(match that {
        Value::List(conditions) => conditions.to_vec(),
        condition => vec![condition],
    })
}

fn message(option: &str, given: Option<Value>, default: &str) -> Result<Value, Halt> {
    let is_text = |value: &Value| matches!(value, Value::String(_));
    match given {
        None => Ok(default.into()),
        Some(value) if is_text(&value) => Ok(value),
        Some(Value::List(lines)) if lines.iter().all(is_text) => Ok(Value::List(lines)),
        Some(other) => Err(fail(format!(
            "option `{option}` of `assert` must be text or a list of texts, not a {}",
            other.type_name()
        ))),
    }
}
