//! `hidden_fields`: what a result is not to hold, by paths such as `spec.containers[0].env[3].value` or
//! `metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]`.

use super::object::Json;

/// The object without these fields.
pub fn without(mut object: Json, fields: &[String]) -> Json {
    // From the back, so that removing one item of a list does not move the next.
    let mut paths: Vec<Vec<String>> = fields.iter().map(|field| parts(field)).collect();
    paths.sort();
    for path in paths.iter().rev() {
        remove(&mut object, path);
    }
    object
}

fn remove(object: &mut Json, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    match (object, rest.is_empty()) {
        (Json::Object(map), true) => {
            map.remove(first);
        }
        (Json::Object(map), false) => {
            if let Some(inner) = map.get_mut(first) {
                remove(inner, rest);
                if inner.as_object().is_some_and(serde_json::Map::is_empty) {
                    map.remove(first);
                }
            }
        }
        (Json::Array(items), last) => {
            let Some(index) = first.parse().ok().filter(|index: &usize| *index < items.len()) else {
                return;
            };
            if last {
                items.remove(index);
            } else {
                remove(&mut items[index], rest);
            }
        }
        _ => {}
    }
}

/// The steps of a path: members by `.name` or `[name]`, items of lists by `[0]`.
pub fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut in_brackets = false;
    for c in path.chars() {
        match c {
            '[' if !in_brackets => {
                in_brackets = true;
                parts.push(String::new());
            }
            ']' if in_brackets => in_brackets = false,
            '.' if !in_brackets => parts.push(String::new()),
            c => {
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        assert_eq!(
            parts("spec.c[0].env[3].value"),
            ["spec", "c", "0", "env", "3", "value"]
        );
        assert_eq!(
            parts("metadata.annotations[a.b/c]"),
            ["metadata", "annotations", "a.b/c"]
        );
    }

    #[test]
    fn fields_go() {
        let object =
            json!({"metadata": {"annotations": {"a.b/c": 1}}, "l": [1, 2, 3], "s": {"x": 1, "y": 2}});
        let fields = [
            "metadata.annotations[a.b/c]",
            "l[0]",
            "l[1]",
            "s.x",
            "no.such",
            "l[9]",
        ]
        .map(String::from);
        assert_eq!(without(object, &fields), json!({"l": [3], "s": {"y": 2}}));
    }
}
