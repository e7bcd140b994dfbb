//! When an object is as it is to be: a condition of its status, or what its kind means by "ready".

use serde::Deserialize;

use super::object::Json;

/// `wait_condition`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default = "yes")]
    status: Status,
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
enum Status {
    True,
    False,
    Unknown,
}

fn yes() -> Status {
    Status::True
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Condition {
    fn holds(&self, object: &Json, kind: &str) -> bool {
        let Some(found) = named(object, kind) else {
            return false;
        };
        let reason = self.reason.as_deref().filter(|reason| !reason.is_empty());
        found["status"] == self.status.word() && reason.is_none_or(|reason| found["reason"] == reason)
    }
}

fn named<'a>(object: &'a Json, kind: &str) -> Option<&'a Json> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// Whether the object is as it is to be.
pub fn is_met(object: &Json, condition: Option<&Condition>) -> bool {
    let wanted = condition.and_then(|condition| Some((condition, condition.kind.as_deref()?)));
    match wanted {
        Some((condition, kind)) => condition.holds(object, kind),
        None => is_ready(object),
    }
}

/// A count, which a server leaves out where it is 0.
fn count(object: &Json, name: &str) -> i64 {
    object["status"][name].as_i64().unwrap_or(0)
}

fn is_observed(object: &Json) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// What each kind means by it; of all others, being there is enough.
fn is_ready(object: &Json) -> bool {
    let status = &object["status"];
    let has_status = status.as_object().is_some_and(|status| !status.is_empty());
    let replicas = object["spec"]["replicas"].as_i64().unwrap_or(1);
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => {
            has_status
                && is_observed(object)
                && count(object, "replicas") == replicas
                && count(object, "availableReplicas") == replicas
                && count(object, "unavailableReplicas") == 0
        }
        "DaemonSet" => {
            let wanted = count(object, "desiredNumberScheduled");
            status["desiredNumberScheduled"].is_number()
                && is_observed(object)
                && count(object, "updatedNumberScheduled") == wanted
                && count(object, "numberReady") == wanted
                && count(object, "numberUnavailable") == 0
        }
        "StatefulSet" => {
            let updated = object["spec"]["updateStrategy"]["type"] == "OnDelete"
                || status["updateRevision"] == status["currentRevision"]
                    && count(object, "updatedReplicas") == replicas
                    && count(object, "readyReplicas") == replicas;
            has_status && is_observed(object) && count(object, "replicas") == replicas && updated
        }
        "Pod" => status["containerStatuses"]
            .as_array()
            .is_some_and(|containers| containers.iter().all(|container| container["ready"] == true)),
        _ => true,
    }
}

/// What an object is like that is not as it is to be, in a few words.
pub fn state(object: &Json) -> String {
    let mut words = Vec::new();
    let status = &object["status"];
    if let Some(phase) = status["phase"].as_str() {
        words.push(format!("it is {phase}"));
    }
    let replicas = object["spec"]["replicas"].as_i64();
    if let Some(wanted) = replicas {
        let of_pods = if object["kind"] == "Deployment" {
            "availableReplicas"
        } else {
            "readyReplicas"
        };
        words.push(format!(
            "{} of {wanted} replicas are ready",
            count(object, of_pods)
        ));
    }
    if let Some(wanted) = status["desiredNumberScheduled"].as_i64() {
        words.push(format!(
            "{} of {wanted} pods are ready",
            count(object, "numberReady")
        ));
    }
    for container in status["containerStatuses"].as_array().into_iter().flatten() {
        let waiting = &container["state"]["waiting"];
        if let Some(reason) = waiting["reason"].as_str() {
            let name = container["name"].as_str().unwrap_or_default();
            words.push(format!("container {name} waits: {reason}"));
        }
    }
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let text = |name: &str| condition[name].as_str().unwrap_or_default();
        if condition["status"] != "True" && !text("message").is_empty() {
            words.push(format!(
                "{} is {}: {}",
                text("type"),
                text("status"),
                text("message")
            ));
        }
    }
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(kind: &str, status: Status, reason: Option<&str>) -> Condition {
        Condition {
            kind: Some(kind.into()),
            status,
            reason: reason.map(String::from),
        }
    }

    #[test]
    fn a_condition_of_the_status() {
        let object = json!({"kind": "X", "status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "Fine"}, {"type": "Old", "status": "Unknown"}]}});
        let met = |c: Condition| is_met(&object, Some(&c));
        assert!(met(condition("Ready", Status::True, None)));
        assert!(met(condition("Ready", Status::True, Some("Fine"))));
        assert!(!met(condition("Ready", Status::True, Some("Other"))));
        assert!(!met(condition("Ready", Status::False, None)));
        assert!(met(condition("Old", Status::Unknown, None)));
        assert!(!met(condition("Absent", Status::False, None)));
    }

    #[test]
    fn a_deployment_is_ready_when_all_of_it_is() {
        let deployment = |observed: i64, available: i64| {
            json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": observed, "replicas": 2, "availableReplicas": available}})
        };
        assert!(is_met(&deployment(2, 2), None));
        assert!(!is_met(&deployment(1, 2), None));
        assert!(!is_met(&deployment(2, 1), None));
        assert_eq!(state(&deployment(2, 1)), "1 of 2 replicas are ready");
        let none = json!({"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 0},
            "status": {"observedGeneration": 1}});
        assert!(is_met(&none, None));
        assert!(!is_met(
            &json!({"kind": "Deployment", "spec": {"replicas": 0}, "status": {}}),
            None
        ));
    }

    #[test]
    fn of_other_kinds_being_there_is_enough() {
        assert!(is_met(&json!({"kind": "ConfigMap"}), None));
        assert!(!is_met(
            &json!({"kind": "Pod", "status": {"phase": "Pending"}}),
            None
        ));
        assert!(!is_met(&json!({"kind": "DaemonSet", "status": {}}), None));
    }
}
