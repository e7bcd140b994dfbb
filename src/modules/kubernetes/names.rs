//! `append_hash`: the name of a `ConfigMap` or `Secret` with a hash of its content behind it, so that another content is
//! another object.

use std::fmt::Write;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::object::Json;
use crate::modules::files::json::text;
use crate::vars::Value;

/// Appends it, as Ansible and kustomize compute it.
pub fn append_hash(object: &mut Json) {
    let keys: &[&str] = match object["kind"].as_str() {
        Some("ConfigMap") => &["data", "kind"],
        Some("Secret") => &["data", "kind", "type"],
        _ => return,
    };
    for member in ["name", "generateName"] {
        let Some(name) = object["metadata"][member].as_str().map(String::from) else {
            continue;
        };
        let mut marshalled = String::from("{");
        for key in ["data", "kind"] {
            let value = if object[key].is_null() {
                json!("")
            } else {
                sorted(&object[key])
            };
            let _ = write!(marshalled, "\"{key}\":{},", compact(&value));
        }
        let _ = write!(marshalled, "\"{member}\":{}", compact(&json!(name)));
        if keys.contains(&"type") {
            let value = if object["type"].is_null() {
                json!("")
            } else {
                object["type"].clone()
            };
            let _ = write!(marshalled, ",\"type\":{}", compact(&value));
        }
        marshalled.push('}');
        object["metadata"][member] = format!("{name}-{}", encoded(&marshalled)).into();
        return;
    }
}

/// Ten letters that spell nothing rude.
fn encoded(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::new();
    for byte in &digest[..5] {
        let _ = write!(hex, "{byte:02x}");
    }
    let letter = |c| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        c => c,
    };
    hex.chars().map(letter).collect()
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.into_iter().collect()
        }
        other => other.clone(),
    }
}

/// `json.dumps` with no blanks: what Python does not have in ASCII is escaped.
fn compact(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{}:{}", text(&Value::from(k.as_str())), compact(v)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(",")),
        other => text(&Value::from(other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubernetes.core computes them.
    #[test]
    fn a_hash_of_the_content() {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": "ü", "a": "1"}});
        append_hash(&mut map);
        assert_eq!(map["metadata"]["name"], "c-g8g95k7gtk");
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "Yg=="}});
        append_hash(&mut secret);
        assert_eq!(secret["metadata"]["name"], "s-hft88d9fbb");
    }
}
