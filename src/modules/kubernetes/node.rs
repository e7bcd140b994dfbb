//! Nodes that take no more pods, or none at all.

use super::client::{Call, Client, Said};
use super::object::{Id, Json};
use super::words;
use crate::host::{Change, Halt, Host, fail};

/// How a node is emptied.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are kubectl's flags")]
pub struct Draining {
    /// Pods that nobody makes again go too.
    pub force: bool,
    /// Pods of a `DaemonSet` stay.
    pub ignore_daemonsets: bool,
    /// Pods whose directories are lost with them go too.
    pub delete_emptydir_data: bool,
    pub disable_eviction: bool,
    /// Seconds that a pod is given, in place of its own.
    pub grace_period: Option<u64>,
    /// Seconds in all.
    pub timeout: u64,
    pub selectors: Vec<String>,
}

/// What is on a node.
#[derive(Debug, Default)]
struct Pods {
    /// `namespace/name` of those that have to go.
    going: Vec<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Drained {
    pub was_cordoned: bool,
    pub pods: usize,
    pub warnings: Vec<String>,
}

/// The nodes of these names, in order; fails if one is missing.
pub async fn look(host: &Host, client: &Client, names: &[String]) -> Result<Vec<Json>, Halt> {
    let ids: Vec<Id> = names.iter().map(|name| id(name)).collect();
    let said = client.get(host, &ids.iter().collect::<Vec<_>>()).await?;
    if !said.ok() {
        return Err(words::refused("look at the nodes", &said));
    }
    let found = said.objects();
    let of = |id: &Id| found.iter().find(|object| id.is_that_of(object)).cloned();
    let missing = |id: &Id| {
        let failure = fail(format!("Node {} not found.", id.name));
        host.lacks(format!("the node {}, which is not there", id.name), failure)
    };
    ids.iter().map(|id| of(id).ok_or_else(|| missing(id))).collect()
}

fn id(name: &str) -> Id {
    Id {
        api_version: "v1".to_string(),
        kind: "Node".to_string(),
        namespace: None,
        name: name.to_string(),
    }
}

pub fn is_cordoned(node: &Json) -> bool {
    node["spec"]["unschedulable"] == true
}

/// Cordons those that are not, or the other way; the names of those that were changed.
pub async fn cordon(host: &Host, client: &Client, names: &[String], to: bool) -> Result<Vec<String>, Halt> {
    let nodes = look(host, client, names).await?;
    let differing = nodes
        .iter()
        .zip(names)
        .filter(|(node, _)| is_cordoned(node) != to);
    let differing: Vec<String> = differing.map(|(_, name)| name.clone()).collect();
    if differing.is_empty() {
        return Ok(differing);
    }
    let verb = if to { "cordon" } else { "uncordon" };
    let mut change = Change::new(format!("{verb} {}", differing.join(", ")));
    for name in &differing {
        change = change.difference(
            format!("Node {name}"),
            format!("unschedulable: {}\n", !to),
            format!("unschedulable: {to}\n"),
        );
    }
    let call = Call::new([verb]).words(differing.iter().cloned());
    let asked = [call.dry()];
    match client.change_or_ask(host, change, &[call], &asked).await?.first() {
        Some(said) if !said.ok() => Err(words::refused(verb, said)),
        _ => Ok(differing),
    }
}

/// Empties a node, unless it is cordoned and empty.
pub async fn drain(host: &Host, client: &Client, name: &str, how: &Draining) -> Result<Drained, Halt> {
    let (node, pods) = inhabited(host, client, name, how).await?;
    if !pods.errors.is_empty() {
        return Err(fail(format!("Pod deletion errors: {}", pods.errors.join(" "))));
    }
    let drained = Drained {
        was_cordoned: is_cordoned(&node),
        pods: pods.going.len(),
        warnings: pods.warnings,
    };
    if drained.was_cordoned && pods.going.is_empty() {
        return Ok(drained);
    }
    let list = |pods: &[String]| format!("{}\n", pods.join("\n"));
    let mut change = Change::new(format!("drain {name}"));
    if !drained.was_cordoned {
        change = change.difference(
            format!("Node {name}"),
            "unschedulable: false\n",
            "unschedulable: true\n",
        );
    }
    if !pods.going.is_empty() {
        change = change.difference(format!("pods on {name}"), list(&pods.going), "");
    }
    let said = client.change(host, change, &[how.call(name)]).await?;
    match said.first() {
        Some(said) if !said.ok() => Err(refused(name, said)),
        _ => Ok(drained),
    }
}

fn refused(name: &str, said: &Said) -> Halt {
    let left: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.contains("Cannot evict pod") || line.starts_with("error when evicting"))
        .collect();
    match left.last() {
        Some(last) => fail(format!(
            "{name} could not be emptied in time, and stays cordoned: {last}"
        )),
        None => words::refused(&format!("drain {name}"), said),
    }
}

async fn inhabited(host: &Host, client: &Client, name: &str, how: &Draining) -> Result<(Json, Pods), Halt> {
    let node = look(host, client, std::slice::from_ref(&name.to_string())).await?;
    let on_it = format!("spec.nodeName={name}");
    let mut call = Call::new(["get", "pods", "-A", "-o", "json", "--field-selector", &on_it]);
    if !how.selectors.is_empty() {
        call = call.word("-l").word(how.selectors.join(","));
    }
    let said = client.ask(host, "kubectl get", &[call]).await?;
    let pods = match said.first() {
        Some(said) if said.ok() => how.sorted(&said.objects()),
        Some(said) => return Err(words::refused("look at the pods", said)),
        None => Pods::default(),
    };
    Ok((node.into_iter().next().unwrap_or(Json::Null), pods))
}

impl Draining {
    fn call(&self, name: &str) -> Call {
        let mut call = Call::new(["drain", name]).word(format!("--timeout={}s", self.timeout));
        let flags = [
            (self.force, "--force"),
            (self.ignore_daemonsets, "--ignore-daemonsets"),
            (self.delete_emptydir_data, "--delete-emptydir-data"),
            (self.disable_eviction, "--disable-eviction"),
        ];
        call = call.words(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, flag)| (*flag).to_string()),
        );
        if let Some(seconds) = self.grace_period {
            call = call.word(format!("--grace-period={seconds}"));
        }
        if !self.selectors.is_empty() {
            call = call.word("--pod-selector").word(self.selectors.join(","));
        }
        call
    }

    /// Which pods go, and what is to be said of the others.
    fn sorted(&self, pods: &[Json]) -> Pods {
        let (mut going, mut mirrors, mut local, mut unmanaged, mut daemons) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for pod in pods {
            let id = Id::of(pod);
            let name = format!("{}/{}", id.namespace.unwrap_or_default(), id.name);
            let owners = pod["metadata"]["ownerReferences"].as_array();
            let of_a_daemon = owners.is_some_and(|owners| owners.iter().any(|o| o["kind"] == "DaemonSet"));
            let volumes = pod["spec"]["volumes"].as_array();
            if pod["metadata"]["annotations"]
                .get("kubernetes.io/config.mirror")
                .is_some()
            {
                mirrors.push(name);
            } else if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                going.push(name);
            } else if of_a_daemon {
                daemons.push(name);
            } else if volumes.is_some_and(|volumes| volumes.iter().any(|v| v.get("emptyDir").is_some())) {
                local.push(name);
            } else if owners.is_none_or(Vec::is_empty) {
                unmanaged.push(name);
            } else {
                going.push(name);
            }
        }
        let mut pods = Pods::default();
        if !mirrors.is_empty() {
            pods.warnings.push(format!(
                "cannot delete mirror Pods using API server: {}.",
                mirrors.join(",")
            ));
        }
        for (names, allowed, option, what) in [
            (
                &unmanaged,
                self.force,
                "force",
                "not managed by ReplicationController, ReplicaSet, Job, DaemonSet or StatefulSet",
            ),
            (
                &local,
                self.delete_emptydir_data,
                "delete_emptydir_data",
                "with local storage",
            ),
        ] {
            let list = names.join(",");
            match (names.is_empty(), allowed) {
                (true, _) => {}
                (false, true) => {
                    pods.warnings.push(format!("Deleting Pods {what}: {list}."));
                    going.extend(names.iter().cloned());
                }
                (false, false) => {
                    pods.errors.push(format!(
                        "cannot delete Pods {what} (use option {option}): {list}."
                    ));
                }
            }
        }
        if !daemons.is_empty() {
            let list = daemons.join(",");
            if self.ignore_daemonsets {
                pods.warnings
                    .push(format!("Ignoring DaemonSet-managed Pods: {list}."));
            } else {
                pods.errors.push(format!(
                    "cannot delete DaemonSet-managed Pods (use option ignore_daemonsets): {list}."
                ));
            }
        }
        pods.going = going;
        pods
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, owner: Option<&str>, more: &Json) -> Json {
        let mut pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "n"},
            "spec": more, "status": {"phase": "Running"}});
        if let Some(kind) = owner {
            pod["metadata"]["ownerReferences"] = json!([{"kind": kind}]);
        }
        pod
    }

    #[test]
    fn who_goes_and_who_is_in_the_way() {
        let empty = json!({});
        let pods = [
            pod("a", Some("ReplicaSet"), &empty),
            pod("b", Some("DaemonSet"), &empty),
            pod("c", None, &empty),
            pod(
                "d",
                Some("ReplicaSet"),
                &json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            ),
        ];
        let strict = Draining::default().sorted(&pods);
        assert_eq!((strict.going, strict.errors.len()), (vec!["n/a".to_string()], 3));
        let all = Draining {
            force: true,
            ignore_daemonsets: true,
            delete_emptydir_data: true,
            ..Draining::default()
        };
        let sorted = all.sorted(&pods);
        assert_eq!(sorted.going, ["n/a", "n/c", "n/d"]);
        assert!(sorted.errors.is_empty());
        assert_eq!(sorted.warnings.len(), 3);
    }
}
