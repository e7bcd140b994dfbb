//! `k8s_log`: what a container has said.
//!
//! ```yaml
//! - kubernetes.core.k8s_log:
//!     namespace: kube-system
//!     label_selectors: [k8s-app=kube-proxy]
//!     tail_lines: 50
//!   register: said
//! - kubernetes.core.k8s_log:
//!     api_version: apps/v1
//!     kind: Deployment
//!     namespace: kube-system
//!     name: coredns
//!     all_containers: true
//!     previous: true
//! ```
//!
//! Selectors, and kinds other than a pod, stand for the first pod that they find, as in Ansible. Returns `log` and
//! `log_lines`.

use serde::Deserialize;

use super::kubernetes::{Call, Client, Id, Json, Said, kinds, with_connection, words};
use super::{Module, Rule};
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sLog {
        #[serde(default = "v1", alias = "api", alias = "version")]
        api_version: String,
        #[serde(default = "pod")]
        kind: String,
        name: Option<String>,
        namespace: Option<String>,
        container: Option<String>,
        all_containers: Option<bool>,
        label_selectors: Option<Vec<String>>,
        #[serde(default)]
        previous: bool,
        since_seconds: Option<String>,
        tail_lines: Option<u64>,
    }
}

fn v1() -> String {
    "v1".to_string()
}

fn pod() -> String {
    "Pod".to_string()
}

impl Module for K8sLog {
    const NAME: &'static str = "k8s_log";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &["community.kubernetes.k8s_log"];
    const RULES: &'static [Rule] = &[
        Rule::Exclusive(&["container", "all_containers"]),
        Rule::Exclusive(&["name", "label_selectors"]),
        Rule::OneOf(&["name", "label_selectors"]),
    ];

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let name = self.pod_name(host, &client).await?;
        let mut call = Call::new(["logs", &name]).namespace(self.namespace.as_deref());
        if let Some(container) = &self.container {
            call = call.word("-c").word(container);
        }
        if self.all_containers == Some(true) {
            call = call.word("--all-containers");
        }
        if self.previous {
            call = call.word("--previous");
        }
        if let Some(seconds) = &self.since_seconds {
            call = call.word(format!("--since={seconds}s"));
        }
        if let Some(lines) = self.tail_lines {
            call = call.word(format!("--tail={lines}"));
        }
        let said = one(client.ask_now(host, "kubectl logs", &[call]).await?)?;
        if !said.ok() {
            return Err(words::refused(&format!("retrieve the log of pod {name}"), &said));
        }
        let lines: Vec<Value> = said.stdout.split('\n').map(Value::from).collect();
        Ok(Outcome::new()
            .with("log", said.stdout.as_str())
            .with("log_lines", lines))
    }
}

impl K8sLog {
    async fn pod_name(&self, host: &Host, client: &Client) -> Result<String, Halt> {
        let (kind, api_version) = kinds::spelled(&self.kind, &self.api_version)
            .map_or((&*self.kind, self.api_version.clone()), |(kind, version)| {
                (kind, version)
            });
        let selectors = match (&self.name, &self.label_selectors) {
            (Some(name), _) if kind == "Pod" => return Ok(name.clone()),
            (Some(name), _) => {
                let id = Id {
                    api_version,
                    kind: kind.to_string(),
                    namespace: self.namespace.clone(),
                    name: name.clone(),
                };
                selectors_of(host, client, &id).await?
            }
            (None, selectors) => selectors.clone().unwrap_or_default(),
        };
        let selector = selectors.join(",");
        let call =
            Call::new(["get", "pods", "-o", "json", "-l", &selector]).namespace(self.namespace.as_deref());
        let said = one(client.ask_now(host, "kubectl get", &[call]).await?)?;
        if !said.ok() {
            return Err(words::refused("look at the pods", &said));
        }
        let first = said.objects().into_iter().next();
        first.map(|pod| Id::of(&pod).name).ok_or_else(|| {
            let namespace = self.namespace.as_deref().unwrap_or("None");
            fail(format!(
                "No pods in namespace {namespace} matched selector {selector}"
            ))
        })
    }
}

fn one(said: Vec<Said>) -> Result<Said, Halt> {
    said.into_iter()
        .next()
        .ok_or_else(|| fail("kubectl was not called"))
}

/// By which labels an object finds its pods.
async fn selectors_of(host: &Host, client: &Client, id: &Id) -> Result<Vec<String>, Halt> {
    let said = client.get(host, &[id]).await?;
    if !said.ok() {
        return Err(words::refused("look", &said));
    }
    let found = said.objects();
    let Some(object) = found.iter().find(|object| id.is_that_of(object)) else {
        return Err(fail(format!("there is no {id}")));
    };
    let selectors = selectors(&object["spec"]["selector"]);
    if selectors.is_empty() {
        return Err(fail(format!(
            "{id} has no log, and no selector that would find its pods"
        )));
    }
    Ok(selectors)
}

fn selectors(selector: &Json) -> Vec<String> {
    let pairs = |map: &Json| -> Vec<String> {
        let map = map.as_object().into_iter().flatten();
        map.filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)))
            .collect()
    };
    if selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none() {
        return pairs(selector);
    }
    let mut all = pairs(&selector["matchLabels"]);
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Json::as_str).collect();
        match expression["operator"].as_str() {
            Some("Exists") => all.push(key.to_string()),
            Some("DoesNotExist") => all.push(format!("!{key}")),
            Some("NotIn") => all.push(format!("{key} notin ({})", values.join(", "))),
            _ => all.push(format!("{key} in ({})", values.join(", "))),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_an_object() {
        assert_eq!(selectors(&json!({"app": "a"})), ["app=a"]);
        let both = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "k", "operator": "In", "values": ["1", "2"]}, {"key": "x", "operator": "DoesNotExist"}]});
        assert_eq!(selectors(&both), ["a=b", "k in (1, 2)", "!x"]);
    }
}
