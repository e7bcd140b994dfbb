//! What differs between two states of an object, and how that is shown: without what changes by itself, and
//! without what a Secret holds.

use std::fmt::Write;

use serde_json::Map;

use super::applied::LAST_APPLIED;
use super::object::Json;

/// Members of `metadata` that the server keeps for itself.
const KEPT_BY_THE_SERVER: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Whether two states are the same object to everybody but the server's own counting; what controllers say of it
/// counts only `with_status`.
pub fn is_same(before: &Json, after: &Json, with_status: bool) -> bool {
    counted(before, with_status) == counted(after, with_status)
}

fn counted(object: &Json, with_status: bool) -> Json {
    let mut object = object.clone();
    if let (false, Some(members)) = (with_status, object.as_object_mut()) {
        members.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for name in ["generation", "managedFields", "resourceVersion"] {
            metadata.remove(name);
        }
    }
    object
}

/// Both states as text for people; `None` stands for an object that is not there.
pub fn texts(before: Option<&Json>, after: Option<&Json>) -> (String, String) {
    let (before, after) = (before.map(shown), after.map(shown));
    let (before, after) = (
        masked(before.as_ref(), after.as_ref()),
        masked(after.as_ref(), before.as_ref()),
    );
    let text = |object: Option<Json>| object.map_or(String::new(), |object| yaml(&object));
    // Of two values of one length nobody would see that they differ.
    (
        text(before.map(|o| unmarked(o, false))),
        text(after.map(|o| unmarked(o, true))),
    )
}

/// Without what nobody compares.
fn shown(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for name in KEPT_BY_THE_SERVER {
            metadata.remove(*name);
        }
        if let Some(Json::Object(annotations)) = metadata.get_mut("annotations") {
            // The whole object once more, a Secret's content too.
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    object
}

const CHANGED: &str = "\u{1}";

fn masked(object: Option<&Json>, other: Option<&Json>) -> Option<Json> {
    let mut object = object?.clone();
    if object["kind"] != "Secret" {
        return Some(object);
    }
    for part in ["data", "stringData"] {
        let Some(Json::Object(values)) = object.get_mut(part) else {
            continue;
        };
        for (key, value) in values.iter_mut() {
            let text = value.as_str().unwrap_or_default();
            let bytes = if part == "data" {
                decoded_length(text)
            } else {
                text.len()
            };
            let before = other.map_or(&Json::Null, |other| &other[part][key]);
            let mark = match before.as_str() {
                Some(before) if before != text => CHANGED,
                _ => "",
            };
            *value = format!("(hidden, {bytes} bytes{mark})").into();
        }
    }
    Some(object)
}

/// The mark of a changed value becomes a word, in one of the two states.
fn unmarked(object: Json, after: bool) -> Json {
    match object {
        Json::String(text) if text.contains(CHANGED) => {
            text.replace(CHANGED, if after { ", changed" } else { "" }).into()
        }
        Json::Object(map) => map.into_iter().map(|(k, v)| (k, unmarked(v, after))).collect(),
        other => other,
    }
}

/// How many bytes base64 text stands for.
fn decoded_length(text: &str) -> usize {
    text.bytes()
        .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        .count()
        * 3
        / 4
}

/// An object as YAML for people: members in the order of their names, as kubectl prints them.
fn yaml(object: &Json) -> String {
    let mut out = String::new();
    match object {
        Json::Object(map) => members(map, 0, &mut out),
        other => scalar(other, 0, &mut out),
    }
    out
}

fn members(map: &Map<String, Json>, indent: usize, out: &mut String) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort();
    for (i, key) in keys.into_iter().enumerate() {
        if i > 0 || indent == 0 || out.ends_with('\n') {
            let _ = write!(out, "{:indent$}", "");
        }
        let _ = write!(out, "{}:", word(key));
        value(&map[key], indent, out);
    }
}

/// What stands behind `key:`.
fn value(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            out.push('\n');
            members(map, indent + 2, out);
        }
        Json::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                let _ = write!(out, "{:indent$}- ", "");
                match item {
                    Json::Object(map) if !map.is_empty() => members(map, indent + 2, out),
                    other => scalar(other, indent + 2, out),
                }
            }
        }
        other => {
            out.push(' ');
            scalar(other, indent + 2, out);
        }
    }
}

fn scalar(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::String(text) if text.contains('\n') => {
            out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
            for line in text.lines() {
                let _ = writeln!(out, "{:indent$}{line}", "");
            }
        }
        Json::String(text) => {
            let _ = writeln!(out, "{}", word(text));
        }
        other => {
            let _ = writeln!(out, "{other}");
        }
    }
}

/// Text as it stands, or in quotes where it would be read as something else.
fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '.' | '('))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !matches!(
            &*text.to_ascii_lowercase(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    if plain {
        text.to_string()
    } else {
        Json::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_servers_counting_is_no_difference() {
        let a =
            json!({"metadata": {"name": "a", "generation": 1, "resourceVersion": "1"}, "data": {"k": "v"}});
        let b =
            json!({"metadata": {"name": "a", "generation": 2, "resourceVersion": "2"}, "data": {"k": "v"}});
        assert!(is_same(&a, &b, true));
        let other = json!({"metadata": {"name": "a"}, "data": {"k": "w"}});
        assert!(!is_same(&a, &other, true));
        let (running, pending) = (
            json!({"status": {"phase": "Running"}}),
            json!({"status": {"phase": "Pending"}}),
        );
        assert!(is_same(&running, &pending, false) && !is_same(&running, &pending, true));
    }

    #[test]
    fn objects_read_as_yaml() {
        let object = json!({
            "kind": "X", "metadata": {"name": "x", "uid": "1"}, "on": "yes", "num": 1, "e": {},
            "l": ["a", {"b": 1, "c": {"d": null}}], "t": "a\nb\n",
        });
        assert_eq!(
            texts(None, Some(&object)).1,
            "e: {}\nkind: X\nl:\n- a\n- b: 1\n  c:\n    d: null\nmetadata:\n  name: x\nnum: 1\n\"on\": \"yes\"\nt: |\n  a\n  b\n"
        );
    }

    #[test]
    fn a_secret_shows_that_it_changed_and_not_how() {
        let secret = |value: &str| {
            json!({"kind": "Secret", "data": {"a": value, "same": "eA=="},
                "metadata": {"annotations": {LAST_APPLIED: "{\"a\": \"b\"}"}}})
        };
        let (before, after) = texts(Some(&secret("YWJj")), Some(&secret("eHl6")));
        assert_eq!(
            before,
            "data:\n  a: (hidden, 3 bytes)\n  same: (hidden, 1 bytes)\nkind: Secret\nmetadata: {}\n"
        );
        assert_eq!(
            after,
            "data:\n  a: (hidden, 3 bytes, changed)\n  same: (hidden, 1 bytes)\nkind: Secret\nmetadata: {}\n"
        );
    }
}
