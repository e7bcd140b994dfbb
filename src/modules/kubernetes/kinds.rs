//! Names of kinds: Ansible takes a kind by its plural or short name too, in any case, and one of any group as `v1`.

/// A kind, its group, its plural, its short names.
struct Row(&'static str, &'static str, &'static str, &'static [&'static str]);

/// Kinds of Kubernetes itself, each of which is there as version 1 of its group.
const KINDS: &[Row] = &[
    Row("ClusterRole", "rbac.authorization.k8s.io", "clusterroles", &[]),
    Row(
        "ClusterRoleBinding",
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        &[],
    ),
    Row("CronJob", "batch", "cronjobs", &["cj"]),
    Row("DaemonSet", "apps", "daemonsets", &["ds"]),
    Row("Deployment", "apps", "deployments", &["deploy"]),
    Row("EndpointSlice", "discovery.k8s.io", "endpointslices", &[]),
    Row(
        "HorizontalPodAutoscaler",
        "autoscaling",
        "horizontalpodautoscalers",
        &["hpa"],
    ),
    Row("Ingress", "networking.k8s.io", "ingresses", &["ing"]),
    Row("IngressClass", "networking.k8s.io", "ingressclasses", &[]),
    Row("Job", "batch", "jobs", &[]),
    Row("Lease", "coordination.k8s.io", "leases", &[]),
    Row(
        "NetworkPolicy",
        "networking.k8s.io",
        "networkpolicies",
        &["netpol"],
    ),
    Row("PodDisruptionBudget", "policy", "poddisruptionbudgets", &["pdb"]),
    Row("PriorityClass", "scheduling.k8s.io", "priorityclasses", &["pc"]),
    Row("ReplicaSet", "apps", "replicasets", &["rs"]),
    Row("Role", "rbac.authorization.k8s.io", "roles", &[]),
    Row("RoleBinding", "rbac.authorization.k8s.io", "rolebindings", &[]),
    Row("RuntimeClass", "node.k8s.io", "runtimeclasses", &[]),
    Row("StatefulSet", "apps", "statefulsets", &["sts"]),
    Row("StorageClass", "storage.k8s.io", "storageclasses", &["sc"]),
    Row("VolumeAttachment", "storage.k8s.io", "volumeattachments", &[]),
];

/// The kinds of `v1`, the group without a name: nobody can add one.
const CORE: &[Row] = &[
    Row("Binding", "", "bindings", &[]),
    Row("ComponentStatus", "", "componentstatuses", &["cs"]),
    Row("ConfigMap", "", "configmaps", &["cm"]),
    Row("Endpoints", "", "endpoints", &["ep"]),
    Row("Event", "", "events", &["ev"]),
    Row("LimitRange", "", "limitranges", &["limits"]),
    Row("Namespace", "", "namespaces", &["ns"]),
    Row("Node", "", "nodes", &["no"]),
    Row("PersistentVolume", "", "persistentvolumes", &["pv"]),
    Row("PersistentVolumeClaim", "", "persistentvolumeclaims", &["pvc"]),
    Row("Pod", "", "pods", &["po"]),
    Row("PodTemplate", "", "podtemplates", &[]),
    Row("ReplicationController", "", "replicationcontrollers", &["rc"]),
    Row("ResourceQuota", "", "resourcequotas", &["quota"]),
    Row("Secret", "", "secrets", &[]),
    Row("Service", "", "services", &["svc"]),
    Row("ServiceAccount", "", "serviceaccounts", &["sa"]),
];

/// Those that have no namespace.
const OF_THE_CLUSTER: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "ComponentStatus",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

fn find(kinds: &'static [Row], name: &str) -> Option<&'static Row> {
    let name = name.to_ascii_lowercase();
    let is = |Row(kind, _, plural, short): &&Row| {
        kind.to_ascii_lowercase() == name || *plural == name || short.contains(&&*name)
    };
    kinds.iter().find(is)
}

/// The row of a kind of this version. `v1` is any group's, as in Ansible, the group without a name first.
fn row(kind: &str, api_version: &str) -> Option<&'static Row> {
    if api_version == "v1" {
        return find(CORE, kind).or_else(|| find(KINDS, kind));
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    find(KINDS, kind).filter(|Row(_, of, ..)| *of == group)
}

/// The kind and its version as the server spells them; `None`: it is not known here, and may be of anything.
pub fn spelled(kind: &str, api_version: &str) -> Option<(&'static str, String)> {
    let Row(kind, group, ..) = row(kind, api_version)?;
    let version = match api_version {
        "v1" if !group.is_empty() => format!("{group}/v1"),
        given => given.to_string(),
    };
    Some((kind, version))
}

/// The plural that the server has for a kind.
pub fn plural(kind: &str, api_version: &str) -> Option<&'static str> {
    row(kind, api_version).map(|Row(_, _, plural, _)| *plural)
}

/// Whether the kind is known to have no namespace.
pub fn is_of_the_cluster(kind: &str) -> bool {
    OF_THE_CLUSTER.contains(&kind)
}

/// The version under which a kind is usually found, for a hint.
pub fn usual_version(kind: &str) -> Option<String> {
    spelled(kind, "v1").map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_by_any_of_its_names() {
        let deployment = Some(("Deployment", "apps/v1".to_string()));
        for name in ["deployment", "Deployment", "deployments", "deploy"] {
            assert_eq!(spelled(name, "apps/v1"), deployment);
            assert_eq!(spelled(name, "v1"), deployment);
        }
        assert_eq!(spelled("svc", "v1"), Some(("Service", "v1".to_string())));
        assert_eq!(spelled("Certificate", "cert-manager.io/v1"), None);
        assert_eq!(spelled("Ingress", "extensions/v1beta1"), None);
        assert_eq!(
            plural("NetworkPolicy", "networking.k8s.io/v1"),
            Some("networkpolicies")
        );
    }
}
