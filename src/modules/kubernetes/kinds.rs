//! Names of kinds: Ansible takes a kind by its plural or short name too, in any case.

/// Kinds of Kubernetes itself: the kind, its plural, its short names.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("ClusterRole", "clusterroles", &[]),
    ("ClusterRoleBinding", "clusterrolebindings", &[]),
    ("CronJob", "cronjobs", &["cj"]),
    (
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
    ),
    ("DaemonSet", "daemonsets", &["ds"]),
    ("Deployment", "deployments", &["deploy"]),
    ("EndpointSlice", "endpointslices", &[]),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"]),
    ("Ingress", "ingresses", &["ing"]),
    ("IngressClass", "ingressclasses", &[]),
    ("Job", "jobs", &[]),
    ("Lease", "leases", &[]),
    (
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        &[],
    ),
    ("NetworkPolicy", "networkpolicies", &["netpol"]),
    ("PodDisruptionBudget", "poddisruptionbudgets", &["pdb"]),
    ("PriorityClass", "priorityclasses", &["pc"]),
    ("ReplicaSet", "replicasets", &["rs"]),
    ("Role", "roles", &[]),
    ("RoleBinding", "rolebindings", &[]),
    ("RuntimeClass", "runtimeclasses", &[]),
    ("StatefulSet", "statefulsets", &["sts"]),
    ("StorageClass", "storageclasses", &["sc"]),
    (
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        &[],
    ),
    ("VolumeAttachment", "volumeattachments", &[]),
];

/// The kinds of `v1`, the group without a name: nobody can add one.
const CORE: &[(&str, &str, &[&str])] = &[
    ("Binding", "bindings", &[]),
    ("ComponentStatus", "componentstatuses", &["cs"]),
    ("ConfigMap", "configmaps", &["cm"]),
    ("Endpoints", "endpoints", &["ep"]),
    ("Event", "events", &["ev"]),
    ("LimitRange", "limitranges", &["limits"]),
    ("Namespace", "namespaces", &["ns"]),
    ("Node", "nodes", &["no"]),
    ("PersistentVolume", "persistentvolumes", &["pv"]),
    ("PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"]),
    ("Pod", "pods", &["po"]),
    ("PodTemplate", "podtemplates", &[]),
    ("ReplicationController", "replicationcontrollers", &["rc"]),
    ("ResourceQuota", "resourcequotas", &["quota"]),
    ("Secret", "secrets", &[]),
    ("Service", "services", &["svc"]),
    ("ServiceAccount", "serviceaccounts", &["sa"]),
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

type Row = (&'static str, &'static str, &'static [&'static str]);

fn find(kinds: &'static [Row], name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let is = |(kind, plural, short): &&Row| {
        kind.to_ascii_lowercase() == name || *plural == name || short.contains(&&*name)
    };
    kinds.iter().find(is).map(|(kind, ..)| *kind)
}

/// The kind as the server spells it; one that is not known here stays as it is.
pub fn spelled<'a>(kind: &'a str, api_version: &str) -> &'a str {
    let known = if api_version == "v1" {
        find(CORE, kind)
    } else {
        find(KINDS, kind)
    };
    match known {
        Some(known) => known,
        None => kind,
    }
}

/// Whether the server is known to have no such kind: `v1` is complete.
pub fn is_missing(kind: &str, api_version: &str) -> bool {
    api_version == "v1" && find(CORE, kind).is_none() && kind != "List"
}

/// Whether the kind is known to have no namespace.
pub fn is_of_the_cluster(kind: &str) -> bool {
    OF_THE_CLUSTER.contains(&kind)
}

/// The version under which a kind is usually found, for a hint.
pub fn usual_version(kind: &str) -> Option<&'static str> {
    Some(match find(KINDS, kind)? {
        "CronJob" | "Job" => "batch/v1",
        "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet" => "apps/v1",
        "Ingress" | "IngressClass" | "NetworkPolicy" => "networking.k8s.io/v1",
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => "rbac.authorization.k8s.io/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "PodDisruptionBudget" => "policy/v1",
        "StorageClass" | "VolumeAttachment" => "storage.k8s.io/v1",
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_by_any_of_its_names() {
        for name in ["deployment", "Deployment", "deployments", "deploy"] {
            assert_eq!(spelled(name, "apps/v1"), "Deployment");
        }
        assert_eq!(spelled("svc", "v1"), "Service");
        assert_eq!(spelled("Certificate", "cert-manager.io/v1"), "Certificate");
        assert!(is_missing("Deployment", "v1") && !is_missing("Deployment", "apps/v1"));
        assert_eq!(usual_version("deploy"), Some("apps/v1"));
    }
}
