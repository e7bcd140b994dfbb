//! `apply`, `create` and `delete` of what is described: the work of `k8s`, with a server that checks fields, and with
//! `prune`.

use serde_json::json;

use super::{Verb, Work, connection_options, one};
use crate::host::{Change, Halt, Outcome, fail};
use crate::modules::Module as _;
use crate::modules::k8s::K8s;
use crate::modules::kubernetes::client::FIELD_MANAGER;
use crate::modules::kubernetes::manifest::{self, Defaults, Sources};
use crate::modules::kubernetes::{Call, Id, Json, difference, words};
use crate::vars::Value;

impl Work<'_> {
    pub(super) async fn described(&self) -> Result<Outcome, Halt> {
        // What is to go is looked at first: a dry run ends at the first change.
        let doomed = if self.of.prune {
            self.doomed().await?
        } else {
            Vec::new()
        };
        let k8s: K8s = serde_json::from_value(Json::Object(self.options()))
            .map_err(|error| fail(format!("`kubectl`: {error}")))?;
        let k8s = if self.of.verb == Verb::Create {
            k8s.creating()
        } else {
            k8s
        };
        k8s.check()?;
        let mut outcome = k8s.run(self.host).await?;
        if self.of.prune {
            if !doomed.is_empty() {
                self.prune(&doomed).await?;
                outcome.unchanged = false;
            }
            let names = doomed
                .iter()
                .map(|object| Value::from(Id::of(object).to_string()));
            outcome = outcome.with("pruned", Value::list(names));
        }
        Ok(outcome)
    }

    fn manager(&self) -> &str {
        self.of.field_manager.as_deref().unwrap_or(FIELD_MANAGER)
    }

    fn options(&self) -> serde_json::Map<String, Json> {
        let of = self.of;
        let mut options = connection_options(&of.connection());
        let mut put = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                options.insert(name.to_string(), value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Json::from);
        let any = |value: &Option<Value>| value.as_ref().and_then(|value| serde_json::to_value(value).ok());
        put("namespace", text(&of.namespace));
        put("src", text(&of.src));
        put("definition", any(&of.definition));
        put("template", any(&of.template));
        match of.verb {
            Verb::Apply => {
                put("apply", Some(json!(true)));
                let server_side =
                    json!({"field_manager": self.manager(), "force_conflicts": of.force_conflicts});
                put("server_side_apply", Some(server_side));
            }
            Verb::Create => {}
            _ => put("state", Some(json!("absent"))),
        }
        options
    }

    /// What has been applied under this name, has the labels, and is not described any more.
    async fn doomed(&self) -> Result<Vec<Json>, Halt> {
        let of = self.of;
        let sources = Sources {
            definition: of.definition.as_ref(),
            src: of.src.as_deref(),
            template: of.template.as_ref(),
        };
        let defaults = Defaults {
            api_version: "v1",
            namespace: of.namespace.as_deref(),
            ..Defaults::default()
        };
        let manifests = manifest::read(self.host, sources, defaults).await?;
        let described: Vec<Id> = manifests.iter().map(manifest::Manifest::id).collect();
        let mut calls: Vec<Call> = Vec::new();
        for id in &described {
            let call = Call::new(["get", &id.resource(), "-o", "json", "--show-managed-fields"])
                .words(["-l".to_string(), of.selector.clone().unwrap_or_default()])
                .namespace(id.namespace.as_deref());
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
        let mut doomed = Vec::new();
        for said in self.client.ask(self.host, "kubectl get", &calls).await? {
            if !said.ok() && !words::is_unknown_kind(&said) {
                return Err(words::refused("look for what is to be pruned", &said));
            }
            let rest = said.objects().into_iter().filter(|object| {
                is_applied_by(object, self.manager()) && !described.iter().any(|id| id.is_that_of(object))
            });
            doomed.extend(rest);
        }
        Ok(doomed)
    }

    async fn prune(&self, doomed: &[Json]) -> Result<(), Halt> {
        let mut change = Change::new(match doomed {
            [one] => format!("prune {}", Id::of(one)),
            many => format!("prune {} objects", many.len()),
        });
        for object in doomed {
            let (before, after) = difference::texts(Some(object), None);
            change = change.difference(Id::of(object).to_string(), before, after);
        }
        let stubs: Vec<Json> = doomed.iter().map(|object| Id::of(object).stub()).collect();
        let call = Call::new(["delete", "-f", "-", "--wait=false", "--ignore-not-found"]).objects(&stubs);
        let said = one(self.change_one(change, call).await?)?;
        if said.ok() {
            Ok(())
        } else {
            Err(words::refused("prune", &said))
        }
    }
}

fn is_applied_by(object: &Json, manager: &str) -> bool {
    let fields = object["metadata"]["managedFields"].as_array();
    fields.is_some_and(|fields| {
        let own = |entry: &Json| entry["manager"] == manager && entry["operation"] == "Apply";
        fields.iter().any(own)
    })
}
