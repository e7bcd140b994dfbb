//! Label selectors, for definitions that are not on a server yet.

use super::object::Json;

/// Whether the object has labels that all selectors agree with, as kubectl would find it by them.
pub fn agree(selectors: &[String], object: &Json) -> bool {
    let labels = &object["metadata"]["labels"];
    labels.is_object() && selectors.iter().all(|selector| agrees(selector, labels))
}

fn agrees(selector: &str, labels: &Json) -> bool {
    let value = |key: &str| labels[key.trim()].as_str();
    if let Some((key, list)) = set(selector, " notin ") {
        return !value(key).is_some_and(|value| list.contains(&value));
    }
    if let Some((key, list)) = set(selector, " in ") {
        return value(key).is_some_and(|value| list.contains(&value));
    }
    if let Some((key, wanted)) = selector.split_once("!=") {
        return value(key) != Some(wanted.trim());
    }
    if let Some((key, wanted)) = selector.split_once('=') {
        return value(key) == Some(wanted.trim_start_matches('=').trim());
    }
    match selector.trim().strip_prefix('!') {
        Some(key) => labels.get(key.trim()).is_none(),
        None => labels.get(selector.trim()).is_some(),
    }
}

/// `key in (a, b)`.
fn set<'a>(selector: &'a str, word: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (key, list) = selector.split_once(word)?;
    let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key, list.split(',').map(str::trim).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        let holds = |selector: &str| agree(&[selector.to_string()], &object);
        for selector in [
            "app=web",
            "app == web",
            "app",
            "!x",
            "x!=1",
            "app in (db, web)",
            "app notin (db)",
        ] {
            assert!(holds(selector), "{selector}");
        }
        for selector in [
            "app=db",
            "x",
            "!app",
            "app!=web",
            "app in (db)",
            "app notin (web)",
        ] {
            assert!(!holds(selector), "{selector}");
        }
        assert!(!agree(&[], &json!({"metadata": {}})));
    }
}
