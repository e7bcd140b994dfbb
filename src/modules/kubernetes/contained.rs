//! Whether a patch would change nothing, by what the object is now: where that is certain, the server need not be
//! asked.
//!
//! The strategic merge of the server merges some lists by a key of their items, and replaces all others. A list
//! that is replaced would lose what somebody else has added to its items, so it has to be equal; where it is not
//! quite (the server fills in defaults), the server is asked.

use serde_json::Map;

use super::object::Json;
use crate::modules::files::base64;

/// Lists that are merged, and the keys of their items, in the kinds of Kubernetes itself.
const MERGED: &[(&str, &[&str])] = &[
    ("conditions", &["type"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ports", &["containerPort", "port"]),
    ("resourceClaims", &["name"]),
    ("secrets", &["name"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// Whether the object holds all that the patch says.
///
/// `strategic`: lists are merged by keys, as the server does it for its own kinds.
pub fn holds(live: &Json, patch: &Json, strategic: bool) -> bool {
    let patch = encoded(patch);
    member(live, &patch, "", strategic)
}

/// A Secret's `stringData` as the `data` that the server makes of it; all others as they are.
pub fn encoded(object: &Json) -> Json {
    let mut object = object.clone();
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
        return object;
    }
    let Some(Json::Object(plain)) = object.as_object_mut().and_then(|o| o.remove("stringData")) else {
        return object;
    };
    if !object["data"].is_object() {
        object["data"] = Json::Object(Map::new());
    }
    for (key, value) in plain {
        if let Some(text) = value.as_str() {
            object["data"][key] = base64(text.as_bytes()).into();
        }
    }
    object
}

/// The fields that are described and not there although the server took the description: it has no such fields.
///
/// kubectl could ask the server to tell (`--validate=warn`), but takes 30 ms for each object to find out whether the
/// server can.
pub fn dropped(described: &Json, stored: &Json) -> Vec<String> {
    let mut found = Vec::new();
    drops(described, stored, "", &mut found);
    found
}

/// What the server takes and keeps elsewhere, or for itself.
const TAKEN: &[&str] = &[
    "metadata.creationTimestamp",
    "metadata.generateName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.namespace",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
    "status",
    "stringData",
];

fn drops(described: &Json, stored: &Json, path: &str, found: &mut Vec<String>) {
    match (described, stored) {
        (Json::Object(described), Json::Object(stored)) => {
            for (name, value) in described {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match stored.get(name) {
                    Some(stored) => drops(value, stored, &path, found),
                    // Of what is nothing anyway, nobody knows whether it was kept.
                    None if is_something(value) && !TAKEN.contains(&&*path) => found.push(path),
                    None => {}
                }
            }
        }
        (Json::Array(described), Json::Array(stored)) if described.len() == stored.len() => {
            for (i, (described, stored)) in described.iter().zip(stored).enumerate() {
                drops(described, stored, &format!("{path}[{i}]"), found);
            }
        }
        _ => {}
    }
}

fn is_something(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(b) => *b,
        Json::Number(n) => n.as_f64() != Some(0.0),
        Json::String(s) => !s.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => members.values().any(is_something),
    }
}

fn member(live: &Json, patch: &Json, name: &str, strategic: bool) -> bool {
    match (live, patch) {
        (Json::Object(live), Json::Object(patch)) => patch.iter().all(|(key, value)| match live.get(key) {
            // To set a member to null is to remove it; when it was made is for the server to say.
            None => value.is_null(),
            Some(_) if value.is_null() => key == "creationTimestamp",
            Some(live) => member(live, value, key, strategic),
        }),
        (Json::Array(live), Json::Array(patch)) => {
            live == patch || strategic && keyed(live, patch, name, strategic)
        }
        (Json::Number(live), Json::Number(patch)) => live == patch || live.as_f64() == patch.as_f64(),
        (live, patch) => live == patch,
    }
}

fn keyed(live: &[Json], patch: &[Json], name: &str, strategic: bool) -> bool {
    let Some((_, keys)) = MERGED.iter().find(|(list, _)| *list == name) else {
        return false;
    };
    patch.iter().all(|item| {
        let key = keys.iter().find(|key| item.get(**key).is_some());
        key.is_some_and(|key| {
            let mut same = live.iter().filter(|live| live.get(*key) == item.get(*key));
            // Two ports of one number differ in their protocol, and the server has its own ways with them.
            matches!((same.next(), same.next()), (Some(live), None) if member(live, item, "", strategic))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_already() {
        let live = json!({"spec": {"replicas": 2, "paused": false, "template": {"spec": {
            "containers": [{"name": "side"}, {"name": "c", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
            "tolerations": [{"key": "a"}, {"key": "b"}],
        }}}});
        let has = |patch: Json, strategic| holds(&live, &patch, strategic);
        assert!(has(json!({"spec": {"replicas": 2.0}}), true));
        assert!(!has(json!({"spec": {"replicas": "2"}}), true));
        assert!(!has(json!({"spec": {"replicas": null}}), true));
        assert!(has(json!({"spec": {"strategy": null}, "metadata": null}), true));
        let container = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}}}});
        assert!(has(container.clone(), true) && !has(container, false));
        let tolerations = json!({"spec": {"template": {"spec": {"tolerations": [{"key": "a"}]}}}});
        assert!(!has(tolerations, true));
        assert!(!has(json!({"spec": {"strategy": {}}}), true));
    }

    #[test]
    fn two_ports_of_one_number_are_the_servers_affair() {
        let live = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
        assert!(!holds(
            &live,
            &json!({"ports": [{"port": 53, "protocol": "TCP"}]}),
            true
        ));
        assert!(holds(&live, &live.clone(), true));
    }

    #[test]
    fn fields_that_the_server_does_not_have() {
        let described = json!({"metadata": {"name": "a", "namespace": "n"}, "datta": {"a": "b"}, "status": {"x": 1},
            "spec": {"list": [{"a": 1, "b": 2}], "no": false, "empty": {"x": {}}}});
        let stored = json!({"metadata": {"name": "a"}, "spec": {"list": [{"a": 1}]}});
        assert_eq!(dropped(&described, &stored), ["datta", "spec.list[0].b"]);
    }

    #[test]
    fn a_secret_in_plain_text() {
        let live = json!({"kind": "Secret", "apiVersion": "v1", "data": {"a": "Yg==", "b": ""}});
        let patch = |text| json!({"kind": "Secret", "apiVersion": "v1", "stringData": {"a": text}});
        assert!(holds(&live, &patch("b"), true));
        assert!(!holds(&live, &patch("c"), true));
    }
}
