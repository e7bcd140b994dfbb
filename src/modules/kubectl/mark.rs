//! `label`, `annotate` and `taint`: what is put on objects, only where it differs.

use std::collections::BTreeMap;

use super::{Verb, Work, objects, one};
use crate::host::{Change, Halt, Outcome, fail};
use crate::modules::kubernetes::{Call, Id, Json, difference, words};
use crate::vars::Value;

/// A taint as a task wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taint {
    key: String,
    value: Option<String>,
    /// Empty: of any, where it is removed.
    effect: String,
    is_removed: bool,
}

/// Reads `key=value:Effect`, `key:Effect`, `key:Effect-`, `key-`.
pub(super) fn taints(texts: &[String]) -> Result<Vec<Taint>, Halt> {
    texts.iter().map(|text| taint(text)).collect()
}

fn taint(text: &str) -> Result<Taint, Halt> {
    let (rest, is_removed) = text.strip_suffix('-').map_or((text, false), |rest| (rest, true));
    let (head, effect) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let (key, value) = head
        .split_once('=')
        .map_or((head, None), |(key, value)| (key, Some(value)));
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
    if key.is_empty() || !(known || effect.is_empty() && is_removed) {
        return Err(fail(format!(
            "`{text}` is no taint: one is `key=value:Effect`, with the effect NoSchedule, PreferNoSchedule or \
             NoExecute, and a `-` at the end removes it"
        )));
    }
    Ok(Taint {
        key: key.to_string(),
        value: value.map(String::from),
        effect: effect.to_string(),
        is_removed,
    })
}

impl Taint {
    fn is_as_wanted(&self, node: &Json) -> bool {
        let taints = node["spec"]["taints"].as_array().map_or(&[][..], Vec::as_slice);
        let mut of_key = taints
            .iter()
            .filter(|taint| taint["key"] == self.key.as_str())
            .filter(|taint| self.effect.is_empty() || taint["effect"] == self.effect.as_str());
        if self.is_removed {
            return of_key.next().is_none();
        }
        let value = self.value.as_deref().unwrap_or_default();
        of_key.any(|taint| taint["value"].as_str().unwrap_or_default() == value)
    }

    fn word(&self) -> String {
        let value = self.value.as_ref().filter(|_| !self.is_removed);
        let value = value.map_or(String::new(), |value| format!("={value}"));
        let effect = if self.effect.is_empty() {
            String::new()
        } else {
            format!(":{}", self.effect)
        };
        let minus = if self.is_removed { "-" } else { "" };
        format!("{}{value}{effect}{minus}", self.key)
    }
}

impl Work<'_> {
    /// Labels or annotations.
    pub(super) async fn mark(&self) -> Result<Outcome, Halt> {
        let (verb, member, wanted) = match self.of.verb {
            Verb::Label => ("label", "labels", &self.of.labels),
            _ => ("annotate", "annotations", &self.of.annotations),
        };
        let wanted = texts(wanted.as_ref())?;
        let mut found = self.look(false).await?;
        let differing: Vec<usize> = (0..found.len())
            .filter(|i| !has(&found[*i]["metadata"][member], &wanted))
            .collect();
        if differing.is_empty() {
            return Ok(objects(found));
        }
        let mut change = Change::new(format!("{verb} {}", named(&found, &differing)));
        for index in &differing {
            let mut after = found[*index].clone();
            put(&mut after["metadata"][member], &wanted);
            let (before, after) = difference::texts(Some(&found[*index]), Some(&after));
            change = change.difference(Id::of(&found[*index]).to_string(), before, after);
        }
        let stubs: Vec<Json> = differing.iter().map(|i| Id::of(&found[*i]).stub()).collect();
        let words = wanted.iter().map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => format!("{key}-"),
        });
        let call = Call::new([verb, "-f", "-", "--overwrite", "-o", "json"])
            .words(words)
            .objects(&stubs);
        let said = one(self.change_one(change, call).await?)?;
        if !said.ok() {
            return Err(words::refused(verb, &said));
        }
        replace(&mut found, said.objects());
        Ok(objects(found))
    }

    pub(super) async fn taint(&self) -> Result<Outcome, Halt> {
        let wanted = taints(self.of.taints.as_deref().unwrap_or_default())?;
        let mut found = self.look(false).await?;
        let differing: Vec<usize> = (0..found.len())
            .filter(|i| !wanted.iter().all(|taint| taint.is_as_wanted(&found[*i])))
            .collect();
        if differing.is_empty() {
            return Ok(objects(found));
        }
        let mut change = Change::new(format!("taint {}", named(&found, &differing)));
        let mut calls = Vec::new();
        for index in differing {
            let id = Id::of(&found[index]);
            // To remove what is not there is an error to kubectl.
            let missing = wanted.iter().filter(|taint| !taint.is_as_wanted(&found[index]));
            let words: Vec<String> = missing.map(Taint::word).collect();
            let before = found[index]["spec"]["taints"].to_string() + "\n";
            change = change.difference(format!("taints of {}", id.name), before, words.join("\n") + "\n");
            let call = Call::new(["taint", "nodes", &id.name, "--overwrite", "-o", "json"]);
            calls.push(call.words(words));
        }
        let asked: Vec<Call> = calls.iter().map(Call::dry).collect();
        let said = self.client.change_or_ask(self.host, change, &calls, &asked);
        for said in said.await? {
            if !said.ok() {
                return Err(words::refused("taint", &said));
            }
            replace(&mut found, said.objects());
        }
        Ok(objects(found))
    }
}

/// What is to be there, and what (`None`) is not.
fn texts(wanted: Option<&BTreeMap<String, Value>>) -> Result<BTreeMap<String, Option<String>>, Halt> {
    let text = |value: &Value| match value {
        Value::Null => Ok(None),
        Value::Bool(b) => Ok(Some(b.to_string())),
        Value::Int(i) => Ok(Some(i.to_string())),
        other => match other.as_str() {
            Some(text) => Ok(Some(text.to_string())),
            None => Err(fail(
                "labels and annotations are text, or null where they are to go",
            )),
        },
    };
    let pairs = wanted.into_iter().flatten();
    pairs
        .map(|(key, value)| Ok((key.clone(), text(value)?)))
        .collect()
}

fn has(marks: &Json, wanted: &BTreeMap<String, Option<String>>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| marks[key].as_str() == value.as_deref())
}

fn put(marks: &mut Json, wanted: &BTreeMap<String, Option<String>>) {
    if !marks.is_object() {
        *marks = serde_json::json!({});
    }
    let Some(marks) = marks.as_object_mut() else {
        return;
    };
    for (key, value) in wanted {
        match value {
            Some(value) => marks.insert(key.clone(), value.as_str().into()),
            None => marks.remove(key),
        };
    }
}

/// A few names, or how many there are.
pub(super) fn named(found: &[Json], which: &[usize]) -> String {
    match which {
        [] | [_] | [_, _] | [_, _, _] => {
            let names: Vec<String> = which.iter().map(|i| Id::of(&found[*i]).to_string()).collect();
            names.join(", ")
        }
        many => format!("{} objects", many.len()),
    }
}

/// Puts what came back in the place of what was there.
pub(super) fn replace(found: &mut [Json], news: Vec<Json>) {
    for object in news {
        let id = Id::of(&object);
        if let Some(place) = found.iter_mut().find(|old| id.is_that_of(old)) {
            *place = object;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn taints_are_read_and_compared() {
        let node = json!({"spec": {"taints": [
            {"key": "a", "value": "1", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]}});
        let holds = |text: &str| taint(text).ok().unwrap().is_as_wanted(&node);
        for text in ["a=1:NoSchedule", "b:NoExecute", "c-", "a:NoExecute-"] {
            assert!(holds(text), "{text}");
        }
        for text in ["a=2:NoSchedule", "a=1:NoExecute", "a-", "b:NoExecute-"] {
            assert!(!holds(text), "{text}");
        }
        for text in ["a", "a=1", "a:Never", ":NoSchedule"] {
            assert!(taint(text).is_err(), "{text}");
        }
        assert_eq!(taint("a=1:NoSchedule-").ok().unwrap().word(), "a:NoSchedule-");
    }

    #[test]
    fn labels_that_are_there_are_left() {
        let wanted = |pairs: &[(&str, Option<&str>)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_string(), v.map(String::from)))
                .collect()
        };
        let labels = json!({"a": "1"});
        assert!(has(&labels, &wanted(&[("a", Some("1")), ("b", None)])));
        assert!(!has(&labels, &wanted(&[("a", None)])));
        assert!(!has(&Json::Null, &wanted(&[("a", Some("1"))])));
        let mut marks = labels;
        put(&mut marks, &wanted(&[("a", None), ("c", Some("2"))]));
        assert_eq!(marks, json!({"c": "2"}));
    }
}
