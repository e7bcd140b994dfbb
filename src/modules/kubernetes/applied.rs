//! Whether applying an object would change nothing, by what the server or kubectl has kept of the last time: where
//! that is certain, the server need not be asked.

use super::contained;
use super::object::{Id, Json};

/// What kubectl keeps of the last definition.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that a manager has applied, as the server keeps them; null: none.
pub fn fields<'a>(live: &'a Json, manager: &str) -> &'a Json {
    let entries = live["metadata"]["managedFields"].as_array();
    let is = |entry: &&Json| {
        entry["manager"] == manager && entry["operation"] == "Apply" && entry.get("subresource").is_none()
    };
    entries
        .and_then(|entries| entries.iter().find(is))
        .map_or(&Json::Null, |entry| &entry["fieldsV1"])
}

/// Whether applying this by the server would change nothing: the manager has these fields and no others, with these
/// values.
pub fn by_server(live: &Json, wanted: &Json, manager: &str) -> bool {
    let mut wanted = wanted.clone();
    if let Some(members) = wanted.as_object_mut() {
        members.retain(|name, _| name != "apiVersion" && name != "kind");
    }
    if let Some(metadata) = wanted["metadata"].as_object_mut() {
        metadata.retain(|name, _| name != "name" && name != "namespace");
        if metadata.is_empty()
            && let Some(members) = wanted.as_object_mut()
        {
            members.remove("metadata");
        }
    }
    has(fields(live, manager), &wanted, live)
}

/// Whether the fields are just those of what is wanted, and what is there is that.
fn has(fields: &Json, wanted: &Json, live: &Json) -> bool {
    let Some(fields) = fields.as_object() else {
        return false;
    };
    // What is kept as a whole is compared as a whole.
    if fields.is_empty() {
        return !wanted.is_null() && same(wanted, live);
    }
    let kept = fields.keys().filter(|key| *key != ".").count();
    match (wanted, live) {
        (Json::Object(wanted), Json::Object(live)) => {
            let all = |(name, value): (&String, &Json)| {
                let fields = fields.get(&format!("f:{name}"));
                fields.is_some_and(|fields| live.get(name).is_some_and(|live| has(fields, value, live)))
            };
            kept == wanted.len() && wanted.iter().all(all)
        }
        (Json::Array(wanted), Json::Array(live)) => {
            kept == wanted.len() && wanted.iter().all(|item| item_is_kept(fields, item, live))
        }
        _ => false,
    }
}

fn item_is_kept(fields: &serde_json::Map<String, Json>, item: &Json, live: &[Json]) -> bool {
    let mut kept = fields.iter().filter(|(key, _)| *key != ".");
    kept.any(|(key, fields)| match key.split_once(':') {
        Some(("v", value)) => {
            let value: Json = serde_json::from_str(value).unwrap_or_default();
            same(&value, item) && live.iter().any(|live| same(live, item))
        }
        Some(("k", keys)) => {
            let keys: Json = serde_json::from_str(keys).unwrap_or_default();
            let Some(keys) = keys.as_object() else {
                return false;
            };
            // A key that is not written has its default, and the server kept that.
            let is = |item: &Json, strictly: bool| {
                keys.iter().all(|(name, value)| match item.get(name) {
                    Some(given) => same(given, value),
                    None => !strictly,
                })
            };
            let some = keys.keys().any(|name| item.get(name).is_some());
            some && is(item, false)
                && live
                    .iter()
                    .any(|live| is(live, true) && has(&without_defaults(fields, item), item, live))
        }
        _ => false,
    })
}

/// The server keeps the keys of an item as fields of it, those too that were not written.
fn without_defaults(fields: &Json, item: &Json) -> Json {
    let mut fields = fields.clone();
    if let (Some(members), Some(item)) = (fields.as_object_mut(), item.as_object()) {
        members.retain(|key, inner| {
            let name = key.strip_prefix("f:").unwrap_or_default();
            let is_leaf = inner.as_object().is_some_and(serde_json::Map::is_empty);
            key == "." || !is_leaf || item.contains_key(name)
        });
    }
    fields
}

fn same(a: &Json, b: &Json) -> bool {
    a == b || matches!((a, b), (Json::Number(a), Json::Number(b)) if a.as_f64() == b.as_f64())
}

/// Whether `kubectl apply` would change nothing: the last definition was this one, and all of it is there.
pub fn by_client(live: &Json, wanted: &Json) -> bool {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let Some(last) = last.and_then(|last| serde_json::from_str::<Json>(last).ok()) else {
        return false;
    };
    let strategic = Id::of(wanted).is_built_in();
    described(last, live) == described(wanted.clone(), live) && contained::holds(live, wanted, strategic)
}

/// A definition without what kubectl adds to it.
fn described(mut definition: Json, live: &Json) -> Json {
    if let Some(metadata) = definition["metadata"].as_object_mut() {
        let is_empty = |value: &Json| value.as_object().is_some_and(serde_json::Map::is_empty);
        if metadata.get("annotations").is_some_and(is_empty) {
            metadata.remove("annotations");
        }
        if let Some(namespace) = live["metadata"]["namespace"].as_str() {
            metadata.entry("namespace").or_insert_with(|| namespace.into());
        }
    }
    definition
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// In the form in which kube-apiserver 1.29.15 keeps it.
    fn live() -> Json {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "labels": {"a": "b", "other": "x"}, "managedFields": [
                {"manager": "vmstation", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {
                        "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {},
                            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                            "f:args": {}}}}}}}},
                {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:status": {}}}]},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "c", "image": "nginx", "args": ["a"], "imagePullPolicy": "Always",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
        })
    }

    fn wanted() -> Json {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "labels": {"a": "b"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "c", "image": "nginx", "args": ["a"], "ports": [{"containerPort": 80}]}]}}},
        })
    }

    #[test]
    fn what_the_server_has_of_us() {
        assert!(by_server(&live(), &wanted(), "vmstation"));
        assert!(!by_server(&live(), &wanted(), "other"));
        let with = |change: &dyn Fn(&mut Json)| {
            let mut wanted = wanted();
            change(&mut wanted);
            by_server(&live(), &wanted, "vmstation")
        };
        assert!(!with(&|w| w["spec"]["replicas"] = 3.into()));
        assert!(!with(
            &|w| w["metadata"]["labels"] = json!({"a": "b", "other": "x"})
        ));
        assert!(!with(&|w| w["metadata"]["labels"] = json!({})));
        assert!(!with(&|w| w["spec"] = json!({"replicas": 2})));
        let container = |w: &mut Json, change: &dyn Fn(&mut Json)| {
            change(&mut w["spec"]["template"]["spec"]["containers"][0]);
        };
        assert!(!with(&|w| container(w, &|c| c["image"] = "nginx:2".into())));
        assert!(!with(&|w| container(w, &|c| c["args"] = json!(["a", "b"]))));
        assert!(!with(&|w| container(w, &|c| c["ports"] = json!([]))));
        assert!(!with(
            &|w| container(w, &|c| c["imagePullPolicy"] = "Always".into())
        ));
        assert!(!with(&|w| container(w, &|c| c["name"] = "d".into())));
    }

    #[test]
    fn what_kubectl_has_kept() {
        let wanted =
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"a": "1"}});
        let last = r#"{"apiVersion":"v1","data":{"a":"1"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"c","namespace":"n"}}"#;
        let mut live = json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "1", "b": "2"},
            "metadata": {"name": "c", "namespace": "n", "annotations": {LAST_APPLIED: last}}});
        assert!(by_client(&live, &wanted));
        live["data"]["a"] = "2".into();
        assert!(!by_client(&live, &wanted));
        let mut less = wanted;
        less["data"] = json!({});
        assert!(!by_client(&live, &less));
    }
}
