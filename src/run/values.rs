//! Values as keywords take them, and as people see them.

use std::time::Duration;

use crate::template::omit_placeholder;
use crate::vars::{Map, Value};

pub(super) fn int(n: impl TryInto<i64>) -> Value {
    Value::Int(n.try_into().unwrap_or(i64::MAX))
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A boolean as keywords take it.
pub(super) fn truth(value: &Value) -> Option<bool> {
    value.as_switch()
}

pub(super) fn is_omitted(value: &Value) -> bool {
    value.as_str() == Some(omit_placeholder())
}

/// Members of a mapping that were omitted are dropped too.
pub(super) fn without_omitted(value: Value) -> Value {
    match value {
        Value::Map(map) if map.values().any(is_omitted) => Value::from(
            map.iter()
                .filter(|(_, v)| !is_omitted(v))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Map>(),
        ),
        Value::List(items) if items.iter().any(is_omitted) => {
            Value::list(items.iter().filter(|v| !is_omitted(v)).cloned())
        }
        other => other,
    }
}

/// A scalar as text.
pub(super) fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => if *b { "True" } else { "False" }.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(f) => format!("{f:?}"),
        Value::String(s) => s.to_string(),
        Value::Template(t) => t.text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => format!("`{s}`"),
        other => format!("a {}", other.type_name()),
    }
}

/// An item of a loop, whole: whoever shows it cuts it, once no secret is in it.
pub(super) fn shown_item(value: &Value) -> String {
    if matches!(value, Value::Unknown(_)) {
        return "(unknown)".to_string();
    }
    plain_text(value)
}

pub(super) fn message(values: &Map) -> String {
    values.get("msg").map(plain_text).unwrap_or_default()
}
