//! `debug`: prints a message or a variable.
//!
//! ```yaml
//! - debug:
//!     msg: "{{ inventory_hostname }} has {{ ansible_memtotal_mb }} MB"
//! - debug:
//!     var: result.stdout_lines
//! - debug:
//!     msg: only with -vv
//!     verbosity: 2
//! ```
//!
//! Returns `msg`, or the variable under its own name. A variable that does not exist is no failure; the text
//! says so. Skipped below `verbosity`.

use serde::Deserialize;

use super::{Module, Rule};
use crate::host::{Halt, Host, Outcome};
use crate::vars::{Key, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debug {
    msg: Option<Value>,
    var: Option<Value>,
    #[serde(default)]
    verbosity: i64,
}

impl Module for Debug {
    const NAME: &'static str = "debug";
    const UNRENDERED: &'static [&'static str] = &["var"];
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["msg", "var"])];

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if self.verbosity > i64::from(host.task().verbosity) {
            let outcome = Outcome::new().with("skipped_reason", "Verbosity threshold not met.");
            return Ok(Outcome {
                skipped: true,
                ..outcome
            });
        }
        if let Some(var) = self.var {
            return show(host, var).await;
        }
        let hello = || Value::from("Hello world!");
        Ok(Outcome::new().with("msg", self.msg.unwrap_or_else(hello)))
    }
}

async fn show(host: &Host, var: Value) -> Result<Outcome, Halt> {
    let var = match var.as_str() {
        Some(text) if Value::is_template(text) => host.render(Value::written(text, None)).await?,
        _ => var,
    };
    let Some(name) = var.as_str() else {
        // `var: "{{ some_list }}"`: Ansible puts it under the name of its Python type.
        let name = match &var {
            Value::List(_) => Key::from("<class 'list'>"),
            Value::Map(_) => Key::from("<class 'dict'>"),
            other => Key::from(serde_json::to_string(other).unwrap_or_default()),
        };
        let shown = if matches!(var, Value::List(_) | Value::Map(_)) {
            host.render(var).await?
        } else {
            var
        };
        let mut outcome = Outcome::new();
        outcome.values.insert(name, shown);
        return Ok(outcome);
    };
    // A template, as in Ansible, whose results are typed as those of templates.
    let template = Value::written(&format!("{{{{{name}}}}}"), None);
    let shown = match host.render(template).await {
        Ok(value) => value,
        Err(Halt::Failed(failure)) if is_undefined(&failure.msg) => {
            if host.task().verbosity > 0 {
                format!("VARIABLE IS NOT DEFINED!: {}", failure.msg).into()
            } else {
                "VARIABLE IS NOT DEFINED!".into()
            }
        }
        Err(halt) => return Err(halt),
    };
    Ok(Outcome::new().with(name, shown))
}

/// The door hands over a sentence, not the kind of error.
fn is_undefined(msg: &str) -> bool {
    ["undefined", "not defined", "has no attribute", "no member"]
        .iter()
        .any(|words| msg.contains(words))
}
