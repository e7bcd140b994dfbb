//! `state: absent`.

use serde_json::json;

use super::{DeleteOptions, Propagation, Work};
use crate::host::{Change, Halt, Outcome, fail};
use crate::modules::kubernetes::{Call, Id, Json, Manifest, difference, kinds, words};
use crate::vars::{Map, Value};

impl Work<'_> {
    pub(super) async fn absent(&self, manifests: Vec<Manifest>) -> Result<Outcome, Halt> {
        let (manifests, live) = self.doomed(manifests).await?;
        let existing: Vec<&Json> = live.iter().flatten().collect();
        if !existing.is_empty() {
            self.delete(&manifests, &existing).await?;
        }
        let mut duration = None;
        if self.of.wait && !self.host.check() {
            let ids: Vec<Id> = existing.iter().map(|object| Id::of(object)).collect();
            let waited = self.of.patience().absent(self.host, &self.client, &ids).await?;
            duration = Some(waited.duration);
            if let Some(left) = waited.ready.iter().position(|gone| !gone) {
                let state =
                    existing[left]["metadata"]["finalizers"]
                        .as_array()
                        .map_or(String::new(), |finalizers| {
                            let names: Vec<&str> = finalizers.iter().filter_map(Json::as_str).collect();
                            format!("it has the finalizers {}", names.join(", "))
                        });
                return Err(fail(self.of.patience().in_vain(&ids[left], &state)));
            }
        }
        let results = live.iter().map(|live| {
            let mut result = Outcome::new()
                .with("changed", live.is_some())
                .with("method", "delete")
                .with("result", Value::from(live.as_ref().map_or(json!({}), deleted)));
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

    /// What is to go, and what of it is there.
    async fn doomed(&self, manifests: Vec<Manifest>) -> Result<(Vec<Manifest>, Vec<Option<Json>>), Halt> {
        let of = self.of;
        let selected = !of.selectors().is_empty();
        let described = of.resource_definition.is_some() || of.src.is_some() || of.template.is_some();
        let all = of.delete_all && !described && of.name.is_none();
        if !(selected || all) {
            let live = self.look(&manifests).await?;
            return Ok((manifests, live));
        }
        let calls = manifests.iter().map(|manifest| {
            let id = manifest.id();
            let mut call = Call::new(["get", &id.resource()]).words(["-o", "json"].map(String::from));
            call = match id.namespace.as_deref() {
                Some(namespace) => call.namespace(Some(namespace)),
                None => call.word("-A"),
            };
            if selected {
                call = call.word("-l").word(of.selectors().join(","));
            }
            call
        });
        let calls: Vec<Call> = calls.collect();
        let said = self.client.ask(self.host, "kubectl get", &calls).await?;
        let mut found = Vec::new();
        for (manifest, said) in manifests.iter().zip(&said) {
            if !said.ok() {
                return Err(words::failure("look at the objects", said, &[manifest], &[]));
            }
            let name = manifest.id().name;
            let named = |object: &Json| name.is_empty() || object["metadata"]["name"] == name;
            found.extend(said.objects().into_iter().filter(named));
        }
        // One description is one result, whatever it finds.
        Ok((manifests, found.into_iter().map(Some).collect()))
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
        let said = self
            .client
            .change(self.host, what, &[call.objects(&stubs)])
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
