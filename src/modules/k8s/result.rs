//! What the task returns.

use serde_json::json;

use super::Work;
use super::item::{Item, Plan};
use crate::host::{Failure, Halt, Outcome};
use crate::modules::kubernetes::{Json, condition, value};
use crate::vars::{Map, Value};

impl Work<'_> {
    pub(super) fn outcome(
        &self,
        items: Vec<Item>,
        duration: Option<u64>,
        late: Option<usize>,
    ) -> Result<Outcome, Halt> {
        let late = late.map(|index| {
            let item = &items[index];
            let state = item.after.as_ref().map(condition::state).unwrap_or_default();
            self.of.patience().in_vain(&item.manifest.id(), &state)
        });
        let warnings: Vec<String> = items.iter().flat_map(|item| item.warnings.clone()).collect();
        let mut results: Vec<Map> = items
            .into_iter()
            .map(|item| self.result(item, duration))
            .collect();
        let anything = results
            .iter()
            .any(|result| result.get("changed") == Some(&Value::Bool(true)));
        let mut outcome = Outcome {
            warnings,
            unchanged: !anything,
            ..Outcome::new()
        };
        if results.len() == 1 {
            outcome.values = results.remove(0);
            outcome.values.shift_remove("changed");
        } else {
            let results: Vec<Value> = results.into_iter().map(Value::from).collect();
            outcome
                .values
                .insert("result".into(), Value::map([("results", Value::list(results))]));
        }
        match late {
            None => Ok(outcome),
            Some(msg) => {
                // What was made is made, although it is not what it was to become.
                outcome.values.insert("changed".into(), anything.into());
                Err(Failure {
                    msg,
                    values: outcome.values,
                }
                .into())
            }
        }
    }

    /// What the task returns of one object.
    fn result(&self, item: Item, duration: Option<u64>) -> Map {
        // With the server's apply it may have been the fields' owner alone.
        let is_other = |after: &Json| self.of.is_server_side() || item.differs_from(after);
        let changed = item.differs && item.after.as_ref().is_none_or(is_other);
        let id = item.manifest.id();
        let mut result = Outcome::new().with("changed", changed);
        match (item.plan, item.plan.method()) {
            (Plan::Filtered, _) => {
                let msg = format!(
                    "resource 'kind={},name={},namespace={}' filtered by label_selectors.",
                    id.kind,
                    id.name,
                    id.namespace.as_deref().unwrap_or("None")
                );
                result = result.with("msg", msg);
            }
            (_, Some(method)) => {
                let method = if item.live.is_some() && method == "create" {
                    "update"
                } else {
                    method
                };
                result = result.with("method", method);
            }
            (_, None) => {}
        }
        let object = item.after.map_or(json!({}), |object| self.of.shown(object));
        result = result.with("result", value(object));
        let mut warnings = item.warnings;
        if item.plan == Plan::Missing {
            warnings.push(format!(
                "resource 'kind={},name={}' was not found but will not be created as 'state' parameter has been set \
                 to 'patched'",
                id.kind, id.name
            ));
        }
        if !warnings.is_empty() {
            result = result.with("warnings", Value::list(warnings.into_iter().map(Value::from)));
        }
        if let (Some(duration), Some(_)) = (duration, item.plan.method()) {
            result = result.with("duration", i64::try_from(duration).unwrap_or(i64::MAX));
        }
        if let Some(error) = item.error {
            result = result.with(
                "error",
                Value::map([("msg", error)].map(|(k, v)| (k, Value::from(v)))),
            );
        }
        result.values
    }
}
