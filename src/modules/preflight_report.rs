//! `preflight_report`: what `preflight` found on all nodes, and what is wrong between them.
//!
//! ```yaml
//! - preflight_report:
//!     nodes:
//!       masternode: "{{ hostvars.masternode.preflight_node | default({}) }}"
//!       homelab: "{{ hostvars.homelab.preflight_node | default({}) }}"
//! ```
//!
//! Runs once for all hosts. Compares what no two nodes may share (host name, machine id, product id) and what all must
//! (the backend of iptables; where there is a cluster, beside the mode of its kube-proxy). Fails if something was found that no task of deploy mends.
//!
//! Returns `findings`: those of `preflight` with their `host`, then those between nodes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Module;
use crate::host::{Failure, Halt, Host, Outcome};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreflightReport {
    nodes: Map,
}

/// What no two nodes may share.
const OWN: &[(&str, &str, &str)] = &[
    (
        "hostname",
        "host name",
        "hostnamectl set-hostname, and other names for all but one",
    ),
    (
        "machine_id",
        "machine id",
        "rm /etc/machine-id; systemd-machine-id-setup, on all but one; machines that were copied share it",
    ),
    (
        "product_uuid",
        "product id",
        "give the virtual machines ids of their own",
    ),
];

impl Module for PreflightReport {
    const NAME: &'static str = "preflight_report";
    const COLLECTION: &'static str = "vmstation.kubernetes";
    const ONCE: bool = true;

    async fn run(self, _host: &Host) -> Result<Outcome, Halt> {
        let mut findings = Vec::new();
        for (name, node) in &self.nodes {
            findings.extend(of_node(&name.to_string(), node));
        }
        let between = between(&self.nodes);
        let mut outcome = Outcome::new();
        for finding in &between {
            outcome = outcome.warn(sentence(finding));
        }
        findings.extend(between);
        let unmended: Vec<String> = findings
            .iter()
            .filter(|f| text(f, "task").is_empty())
            .map(sentence)
            .collect();
        let findings = Value::list(findings);
        if unmended.is_empty() {
            return Ok(outcome.with("findings", findings));
        }
        let msg = format!("deploy would not mend:\n{}", unmended.join("\n"));
        Err(Failure::new(msg).with("findings", findings).into())
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value
        .as_map()
        .and_then(|map| map.get(key)?.as_str())
        .unwrap_or_default()
}

/// `homelab: swap is on (/proc/swaps): kubelet does not start with swap on`.
fn sentence(finding: &Value) -> String {
    let part = |key| text(finding, key);
    format!(
        "{}: {} ({}): {}; {}",
        part("host"),
        part("what"),
        part("where"),
        part("why"),
        part("fix")
    )
}

fn of_node(host: &str, node: &Value) -> Vec<Value> {
    let findings = node.as_map().and_then(|map| map.get("findings")?.as_list());
    let with_host = |finding: &Value| {
        let mut all = Map::new();
        all.insert("host".into(), host.into());
        all.extend(finding.as_map().cloned().unwrap_or_default());
        Value::from(all)
    };
    findings.into_iter().flatten().map(with_host).collect()
}

fn between(nodes: &Map) -> Vec<Value> {
    let mut found = Vec::new();
    for (key, word, fix) in OWN {
        for (value, hosts) in by_value(nodes, key) {
            if hosts.len() > 1 && value != "-" {
                let what = format!("{} have the same {word}", hosts.join(" and "));
                let why = "Kubernetes takes them for one node, and networks mix up their leases";
                found.push(finding(&hosts, what, word, why, fix));
            }
        }
    }
    let backends = by_value(nodes, "iptables_backend");
    let modes = by_value(nodes, "proxy_mode");
    let mode = modes.keys().next();
    if let (Some("nftables"), Some(legacy)) = (mode.map(String::as_str), backends.get("legacy")) {
        let verb = if legacy.len() == 1 { "is" } else { "are" };
        let what = format!(
            "kube-proxy is in nftables mode, and iptables of {} {verb} legacy",
            legacy.join(", ")
        );
        let why = "rules of the CNI and of ports of the host stand in tables that kube-proxy's do not know, and a packet \
                   passes both";
        let mut mended = finding(legacy, what, "iptables", why, "iptables-nft on all nodes");
        if let Value::Map(map) = &mut mended {
            std::sync::Arc::make_mut(map)
                .insert("task".into(), "network : Select the backend of iptables".into());
        }
        found.push(mended);
    }
    if backends.len() > 1 {
        let of = |(backend, hosts): (&String, &Vec<String>)| format!("{} {backend}", hosts.join(", "));
        let each: Vec<String> = backends.iter().map(of).collect();
        let hosts: Vec<String> = backends.values().flatten().cloned().collect();
        let mode = mode.map_or(String::new(), |mode| format!(" (kube-proxy is in {mode} mode)"));
        let what = format!("iptables is not the same everywhere: {}{mode}", each.join("; "));
        let why =
            "kube-proxy's one configuration is for all nodes, and its rules stand where some do not look";
        let mut mended = finding(&hosts, what, "iptables", why, "one backend for all");
        if let Value::Map(map) = &mut mended {
            std::sync::Arc::make_mut(map)
                .insert("task".into(), "network : Select the backend of iptables".into());
        }
        found.push(mended);
    }
    found
}

/// The hosts that have each value; those without one are left out.
fn by_value(nodes: &Map, key: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, node) in nodes {
        let Some(node) = node.as_map().and_then(|map| map.get("node")) else {
            continue;
        };
        let value = text(node, key);
        if !value.is_empty() {
            all.entry(value.to_owned()).or_default().push(name.to_string());
        }
    }
    all
}

fn finding(hosts: &[String], what: String, place: &str, why: &str, fix: &str) -> Value {
    Value::map([
        ("host", Value::from(hosts.join(", "))),
        ("check", "nodes".into()),
        ("what", what.into()),
        ("where", place.into()),
        ("why", why.into()),
        ("fix", fix.into()),
        ("task", "".into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(each: &[(&str, &str, &str)]) -> Map {
        let node = |(name, id, backend): &(&str, &str, &str)| {
            let node = Value::map([
                ("hostname", Value::from(*name)),
                ("machine_id", (*id).into()),
                ("product_uuid", "-".into()),
                ("iptables_backend", (*backend).into()),
            ]);
            (
                (*name).into(),
                Value::map([("node", node), ("findings", Value::list([]))]),
            )
        };
        each.iter().map(node).collect()
    }

    #[test]
    fn nodes_that_were_copied_are_found() {
        let whats = |nodes: &Map| {
            let what = |finding: &Value| text(finding, "what").to_owned();
            between(nodes).iter().map(what).collect::<Vec<_>>()
        };
        let different = nodes(&[("a", "1", "nft"), ("b", "2", "nft"), ("c", "", "nft")]);
        assert!(whats(&different).is_empty());
        let same = nodes(&[("a", "1", "nft"), ("b", "1", "legacy"), ("c", "2", "nft")]);
        assert_eq!(
            whats(&same),
            [
                "a and b have the same machine id",
                "iptables is not the same everywhere: b legacy; a, c nft"
            ]
        );
    }

    /// One node knows the mode, that which can ask the cluster; all nodes' backends are seen beside it.
    #[test]
    fn backends_are_compared_with_the_mode_of_kube_proxy() {
        let whats = |mode: &str, backends: [&str; 3]| {
            let mut all = Map::new();
            for (name, backend) in ["a", "b", "c"].into_iter().zip(backends) {
                let mut node = Map::new();
                node.insert("iptables_backend".into(), backend.into());
                if name == "a" {
                    node.insert("proxy_mode".into(), mode.into());
                }
                all.insert(name.into(), Value::map([("node", Value::from(node))]));
            }
            let what = |finding: &Value| text(finding, "what").to_owned();
            between(&all).iter().map(what).collect::<Vec<_>>()
        };
        for mode in ["iptables", "ipvs", "nftables", ""] {
            assert!(whats(mode, ["nft", "nft", "nft"]).is_empty(), "{mode}");
        }
        assert!(whats("ipvs", ["legacy", "legacy", "legacy"]).is_empty());
        assert_eq!(
            whats("ipvs", ["nft", "legacy", "nft"]),
            ["iptables is not the same everywhere: b legacy; a, c nft (kube-proxy is in ipvs mode)"]
        );
        assert_eq!(
            whats("nftables", ["legacy", "legacy", "legacy"]),
            ["kube-proxy is in nftables mode, and iptables of a, b, c are legacy"]
        );
    }
}
