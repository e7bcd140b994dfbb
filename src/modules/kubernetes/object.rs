//! An object of the API, as JSON, and what it is called.

use std::fmt;

use serde_json::json;

use super::applied::LAST_APPLIED;
use crate::vars::Value;

pub type Json = serde_json::Value;

/// An object as a task returns it: what a Secret holds is there for later tasks, and masked wherever it is shown.
pub fn value(object: Json) -> Value {
    let is_secret = object["kind"] == "Secret" && object["apiVersion"] == "v1";
    let mut value = Value::from(object);
    if is_secret && let Value::Map(map) = &mut value {
        for (key, part) in std::sync::Arc::make_mut(map) {
            match key.as_str() {
                Some("data" | "stringData") => *part = part.clone().into_secret(),
                // The whole object once more.
                Some("metadata") => hide_last_applied(part),
                _ => {}
            }
        }
    }
    value
}

fn hide_last_applied(metadata: &mut Value) {
    let Value::Map(metadata) = metadata else { return };
    let Some(Value::Map(annotations)) = std::sync::Arc::make_mut(metadata).get_mut("annotations") else {
        return;
    };
    if let Some(last) = std::sync::Arc::make_mut(annotations).get_mut(LAST_APPLIED) {
        *last = last.clone().into_secret();
    }
}

/// What an object is called. Objects of two versions of one group are the same thing to the server, but not here:
/// whoever asks for a version gets that one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id {
    pub api_version: String,
    pub kind: String,
    /// `None`: the object has none, or that of the connection.
    pub namespace: Option<String>,
    /// Empty where the server makes one (`generateName`).
    pub name: String,
}

impl Id {
    pub fn of(object: &Json) -> Self {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_string();
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: object["metadata"]["namespace"].as_str().map(String::from),
            name: text(&object["metadata"]["name"]),
        }
    }

    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// `Deployment.v1.apps`, as kubectl takes it.
    pub fn resource(&self) -> String {
        resource(&self.kind, &self.api_version)
    }

    /// Just enough for kubectl to find it by `-f`.
    pub fn stub(&self) -> Json {
        let mut metadata = json!({"name": self.name});
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = namespace.as_str().into();
        }
        json!({"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata})
    }

    /// Whether an object that the server has is this one: it tells its namespace where the task did not, or has
    /// none although the task named one.
    pub fn is_that_of(&self, object: &Json) -> bool {
        let other = Self::of(object);
        let namespace = match (&self.namespace, &other.namespace) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        namespace && self.name == other.name && self.kind == other.kind && self.group() == other.group()
    }

    /// Whether its kind can be merged by the server's own strategy, list items by their keys: not so kinds that
    /// a `CustomResourceDefinition` made.
    pub fn is_built_in(&self) -> bool {
        BUILT_IN.contains(&self.group())
    }
}

impl fmt::Display for Id {
    /// `Deployment kube-system/coredns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            "(no name yet)"
        } else {
            &self.name
        };
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{name}", self.kind),
            None => write!(f, "{} {name}", self.kind),
        }
    }
}

/// The groups of Kubernetes itself.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// A kind of a version as kubectl takes it: `Deployment.v1.apps`, `Pod.v1.`.
pub fn resource(kind: &str, api_version: &str) -> String {
    match api_version.split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}"),
        None => format!("{kind}.{api_version}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}});
        let id = Id::of(&object);
        assert_eq!(id.resource(), "Deployment.v1.apps");
        assert_eq!(id.to_string(), "Deployment n/d");
        assert_eq!(id.stub(), object);
        assert_eq!(resource("pods", "v1"), "pods.v1.");
        let elsewhere = Id {
            namespace: None,
            ..id
        };
        assert!(elsewhere.is_that_of(&object));
    }
}
