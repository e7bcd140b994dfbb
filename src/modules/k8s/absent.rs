//! `state: absent`.

use serde_json::json;

use super::{DeleteOptions, Propagation, Work};
use crate::host::{Change, Halt, Outcome, fail};
use crate::modules::kubernetes::{Call, Id, Json, Manifest, difference, kinds, words};
use crate::vars::{Map, Value};

/// What a description finds.
struct Doomed {
    found: Vec<Json>,
    /// It was looked for by labels: the result is a list.
    is_list: bool,
}

impl Work<'_> {
    pub(super) async fn absent(&self, manifests: Vec<Manifest>) -> Result<Outcome, Halt> {
        let doomed = self.doomed(&manifests).await?;
        let existing: Vec<&Json> = doomed.iter().flat_map(|doomed| &doomed.found).collect();
        if !existing.is_empty() {
            self.delete(&manifests, &existing).await?;
        }
        let duration = if self.of.wait && !self.host.check() {
            Some(self.until_gone(&existing).await?)
        } else {
            None
        };
        let results = doomed.iter().map(|doomed| {
            let mut result = Outcome::new()
                .with("changed", !doomed.found.is_empty())
                .with("method", "delete")
                .with("result", Value::from(doomed.result()));
            if let Some(duration) = duration {
                result = result.with("duration", i64::try_from(duration).unwrap_or(i64::MAX));
            }
            result.values
        });
        let mut results: Vec<Map> = results.collect();
        let mut outcome = Outcome::new();
        if results.len() == 1 {
            outcome.values = results.remove(0);
            outcome.values.shift_remove("changed");
        } else {
            let results: Vec<Value> = results.into_iter().map(Value::from).collect();
            outcome = outcome.with("result", Value::map([("results", Value::list(results))]));
        }
        Ok(outcome)
    }

    /// How long it took.
    async fn until_gone(&self, existing: &[&Json]) -> Result<u64, Halt> {
        let ids: Vec<Id> = existing.iter().map(|object| Id::of(object)).collect();
        let patience = self.of.patience();
        let waited = patience.absent(self.host, &self.client, &ids).await?;
        let Some(left) = waited.ready.iter().position(|gone| !gone) else {
            return Ok(waited.duration);
        };
        let object = waited.objects[left].as_ref().unwrap_or(existing[left]);
        let finalizers = object["metadata"]["finalizers"].as_array();
        let finalizers: Vec<&str> = finalizers
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let state = match &*finalizers {
            [] => String::new(),
            some => format!("it waits for its finalizers {}", some.join(", ")),
        };
        Err(fail(patience.in_vain(&ids[left], &state)))
    }

    /// What is to go, for each description.
    async fn doomed(&self, manifests: &[Manifest]) -> Result<Vec<Doomed>, Halt> {
        let of = self.of;
        let selected = !of.selectors().is_empty();
        let described = of.resource_definition.is_some() || of.src.is_some() || of.template.is_some();
        let all = of.delete_all && !described && of.name.is_none();
        if !(selected || all) {
            let live = self.look(manifests).await?;
            let doomed = live.into_iter().map(|live| Doomed {
                found: live.into_iter().collect(),
                is_list: false,
            });
            return Ok(doomed.collect());
        }
        let calls: Vec<Call> = manifests.iter().map(|manifest| self.search(manifest)).collect();
        let said = self.client.ask(self.host, "kubectl get", &calls).await?;
        let mut doomed = Vec::new();
        for (manifest, said) in manifests.iter().zip(&said) {
            if !said.ok() {
                return Err(words::failure("look at the objects", said, &[manifest], &[]));
            }
            let name = manifest.id().name;
            let named = |object: &Json| name.is_empty() || object["metadata"]["name"] == name;
            let found: Vec<Json> = said.objects().into_iter().filter(named).collect();
            if all {
                // Each counts for itself.
                doomed.extend(found.into_iter().map(|object| Doomed {
                    found: vec![object],
                    is_list: false,
                }));
            } else {
                doomed.push(Doomed {
                    found,
                    is_list: name.is_empty(),
                });
            }
        }
        Ok(doomed)
    }

    fn search(&self, manifest: &Manifest) -> Call {
        let id = manifest.id();
        let mut call = Call::new(["get", &id.resource(), "-o", "json"]);
        call = match id.namespace.as_deref() {
            Some(namespace) => call.namespace(Some(namespace)),
            None => call.word("-A"),
        };
        match self.of.selectors() {
            [] => call,
            selectors => call.word("-l").word(selectors.join(",")),
        }
    }

    async fn delete(&self, manifests: &[Manifest], existing: &[&Json]) -> Result<(), Halt> {
        let stubs: Vec<Json> = existing.iter().map(|object| Id::of(object).stub()).collect();
        let mut call = Call::new(["delete", "-f", "-", "--wait=false", "--ignore-not-found"]);
        if let Some(options) = &self.of.delete_options {
            call = call.words(options.words());
        }
        let mut what = Change::new(match existing {
            [one] => format!("delete {}", Id::of(one)),
            many => format!("delete {} objects", many.len()),
        });
        for object in existing {
            let (before, after) = difference::texts(Some(object), None);
            what = what.difference(Id::of(object).to_string(), before, after);
        }
        let call = call.objects(&stubs);
        let asked = [call.dry()];
        let said = self
            .client
            .change_or_ask(self.host, what, &[call], &asked)
            .await?;
        match said.first() {
            Some(said) if !said.ok() => {
                let manifests: Vec<&Manifest> = manifests.iter().collect();
                Err(words::failure("delete the objects", said, &manifests, &[]))
            }
            _ => Ok(()),
        }
    }
}

impl Doomed {
    /// As the task returns it.
    fn result(&self) -> Json {
        match &*self.found {
            [] => json!({}),
            found if self.is_list => found.iter().map(deleted).collect(),
            [first, ..] => deleted(first),
        }
    }
}

impl DeleteOptions {
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(policy) = self.propagation_policy {
            words.push(String::from(match policy {
                Propagation::Foreground => "--cascade=foreground",
                Propagation::Background => "--cascade=background",
                Propagation::Orphan => "--cascade=orphan",
            }));
        }
        if let Some(seconds) = self.grace_period_seconds {
            words.push(format!("--grace-period={seconds}"));
            // Without it kubectl makes a second of none.
            words.extend((seconds == 0).then(|| "--force".to_string()));
        }
        words
    }
}

/// What a server says of an object that it has deleted.
fn deleted(object: &Json) -> Json {
    let id = Id::of(object);
    let mut details = json!({"name": id.name, "uid": object["metadata"]["uid"]});
    if !id.group().is_empty() {
        details["group"] = id.group().into();
    }
    if let Some(plural) = kinds::plural(&id.kind, &id.api_version) {
        details["kind"] = plural.into();
    }
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": details})
}
