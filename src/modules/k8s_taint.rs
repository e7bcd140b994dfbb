//! `k8s_taint`: which pods a node of a Kubernetes cluster keeps off.
//!
//! ```yaml
//! - kubernetes.core.k8s_taint:
//!     name: masternode
//!     taints:
//!       - key: node-role.kubernetes.io/control-plane
//!         effect: NoSchedule
//! - kubernetes.core.k8s_taint:
//!     name: homelab
//!     state: absent
//!     taints:
//!       - key: maintenance
//! ```
//!
//! Taints are told apart by `key` and `effect`; without an `effect` those of any are removed. `present` adds what is
//! missing and changes a `value`; with `replace` all others go where one is missing.
//!
//! Returns `result`, the node; after a removal it is empty, as in Ansible.
//!
//! Differences to Ansible: the node is returned as the API has it (`metadata.creationTimestamp`), where Ansible has
//! names of Python's (`metadata.creation_timestamp`); taints that stay keep their `timeAdded`; to remove none changes
//! nothing; a taint that is to be there without an `effect` is refused before anything is done.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Module;
use super::kubernetes::client::FIELD_MANAGER;
use super::kubernetes::{Call, Client, Json, node, value, with_connection, words};
use crate::host::{Change, Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sTaint {
        name: String,
        #[serde(default)]
        state: State,
        taints: Vec<Taint>,
        #[serde(default)]
        replace: bool,
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Taint {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
}

#[derive(Deserialize, Serialize, Clone, Copy)]
enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl Taint {
    /// By key, and by effect where one is named.
    fn is(&self, other: &Json) -> bool {
        let effect = self.effect.map(|effect| json!(effect));
        other["key"] == self.key.as_str() && effect.is_none_or(|effect| other["effect"] == effect)
    }

    fn has_value_of(&self, other: &Json) -> bool {
        self.value.as_deref().unwrap_or_default() == other["value"].as_str().unwrap_or_default()
    }
}

impl Module for K8sTaint {
    const NAME: &'static str = "k8s_taint";
    const COLLECTION: &'static str = "kubernetes.core";

    fn check(&self) -> Result<(), Halt> {
        let without = self.taints.iter().find(|taint| taint.effect.is_none());
        match without.filter(|_| self.state == State::Present) {
            Some(taint) => Err(fail(format!(
                "the taint `{}` needs an `effect`: NoSchedule, PreferNoSchedule or NoExecute",
                taint.key
            ))),
            None => self.connection().check(),
        }
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let nodes = node::look(host, &client, std::slice::from_ref(&self.name)).await?;
        let node = nodes.into_iter().next().unwrap_or_default();
        let existing = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let wanted = self.wanted(&existing);
        if wanted == existing {
            let is_told = self.state == State::Present || existing.is_empty();
            let told = if is_told { value(node) } else { nothing() };
            return Ok(Outcome::new().with("result", told));
        }
        let patched = self.patch(host, &client, &existing, &wanted).await?;
        let told = if self.state == State::Present {
            value(patched)
        } else {
            nothing()
        };
        Ok(Outcome::new().with("result", told))
    }
}

impl K8sTaint {
    /// The taints that the node is to have.
    fn wanted(&self, existing: &[Json]) -> Vec<Json> {
        let others = existing
            .iter()
            .filter(|old| !self.taints.iter().any(|taint| taint.is(old)));
        let others: Vec<Json> = others.cloned().collect();
        if self.state == State::Absent {
            return others;
        }
        let is_there = |taint: &Taint| existing.iter().any(|old| taint.is(old));
        let is_so = |taint: &Taint| {
            existing
                .iter()
                .any(|old| taint.is(old) && taint.has_value_of(old))
        };
        if self.taints.iter().all(is_so) {
            return existing.to_vec();
        }
        let is_replaced = self.replace && !self.taints.iter().all(is_there);
        let kept = if is_replaced { Vec::new() } else { others };
        kept.into_iter()
            .chain(self.taints.iter().map(|taint| json!(taint)))
            .collect()
    }

    async fn patch(
        &self,
        host: &Host,
        client: &Client,
        existing: &[Json],
        wanted: &[Json],
    ) -> Result<Json, Halt> {
        let patch = json!({"spec": {"taints": wanted}}).to_string();
        let call = Call::new(["patch", "node", &self.name, "-o", "json", "--type", "merge"])
            .words(["--patch-file", "/dev/stdin"].map(String::from))
            .word(format!("--field-manager={FIELD_MANAGER}"))
            .input(patch);
        let change = Change::new(format!("taint {}", self.name)).difference(
            format!("taints of {}", self.name),
            lines(existing),
            lines(wanted),
        );
        let asked = [call.dry()];
        let said = client.change_or_ask(host, change, &[call], &asked).await?;
        match said.first() {
            Some(said) if said.ok() => Ok(said.objects().into_iter().next().unwrap_or_default()),
            Some(said) => Err(words::refused(&format!("taint {}", self.name), said)),
            None => Err(fail("kubectl was not called")),
        }
    }
}

fn nothing() -> Value {
    Value::map([("", Value::Null); 0])
}

/// Taints as kubectl writes them, each on its line.
fn lines(taints: &[Json]) -> String {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_string();
    let line = |taint: &Json| {
        format!(
            "{}={}:{}\n",
            text(&taint["key"]),
            text(&taint["value"]),
            text(&taint["effect"])
        )
    };
    taints.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(options: &Json, existing: &Json) -> Json {
        let taint: K8sTaint = serde_json::from_value(options.clone()).unwrap();
        json!(taint.wanted(existing.as_array().unwrap()))
    }

    #[test]
    fn what_a_node_is_to_have() {
        let (a, a1) = (
            json!({"key": "a", "effect": "NoSchedule"}),
            json!({"key": "a", "value": "1", "effect": "NoSchedule"}),
        );
        let b = json!({"key": "b", "effect": "NoExecute", "timeAdded": "now"});
        let there = json!([a, b]);
        let of = |state: &str, taints: Json| json!({"name": "n", "state": state, "taints": taints});
        assert_eq!(wanted(&of("present", json!([a])), &there), there);
        assert_eq!(wanted(&of("present", json!([a1])), &there), json!([b, a1]));
        assert_eq!(wanted(&of("absent", json!([{"key": "a"}])), &there), json!([b]));
        assert_eq!(
            wanted(
                &of("absent", json!([{"key": "b", "effect": "NoSchedule"}])),
                &there
            ),
            there
        );
        let mut replaced = of("present", json!([a]));
        replaced["replace"] = true.into();
        assert_eq!(wanted(&replaced, &there), there);
        assert_eq!(wanted(&replaced, &json!([b])), json!([a]));
    }
}
