//! That packets are real: from a pod on each node to the address of the name servers' service, and back.

use std::process::Output;

use super::lab::{Lab, until};
use super::own_lab::NODES;

/// From a pod on each node to the address of the name servers' service, and back.
pub fn packets_pass_where_nothing_stops_them(lab: &Lab) {
    for node in NODES {
        lab.kubectl(&format!(
            "-n kube-system run network-check-{node} --image=registry.example/busybox:1 --labels=app=network-check \
             --overrides='{{\"spec\":{{\"nodeName\":\"{node}\"}}}}'"
        ));
    }
    // One name server: where it is, pods reach it over the bridge, and from elsewhere over flannel's network.
    lab.kubectl("-n kube-system scale deployment coredns --replicas=1");
    lab.kubectl("-n kube-system wait deployment coredns --for=jsonpath={.status.replicas}=1");
    let place =
        "-n kube-system get pods -l k8s-app=kube-dns -o custom-columns=NODE:.spec.nodeName --no-headers";
    let near = lab.kubectl(place);
    let far = NODES.into_iter().find(|node| *node != near).unwrap();
    resolves_on(lab, &NODES);

    let elsewhere = NODES.map(|node| if node == far { near.as_str() } else { node });
    for (node, breaks, mends, still) in [
        (
            far,
            "sysctl -qw net.ipv4.ip_forward=0",
            "sysctl -qw net.ipv4.ip_forward=1",
            elsewhere,
        ),
        (
            far,
            "iptables -w -P FORWARD DROP",
            "iptables -w -P FORWARD ACCEPT",
            elsewhere,
        ),
        // Without its rules, what the bridge carries back comes from the pod's address, not from the service's.
        (
            near.as_str(),
            "sysctl -qw net.bridge.bridge-nf-call-iptables=0",
            "sysctl -qw net.bridge.bridge-nf-call-iptables=1",
            [far; 3],
        ),
        // What the pods' packets are wrapped in.
        (far, "ip link set flannel.1 down", "true", elsewhere),
    ] {
        lab.on(node, breaks);
        assert!(!resolves(lab, node).status.success(), "{node}: {breaks}");
        resolves_on(lab, &still);
        lab.on(node, mends);
        if breaks.contains("flannel") {
            lab.on(node, "ip link delete flannel.1");
            lab.kubectl("-n kube-flannel rollout restart daemonset kube-flannel-ds");
        }
        resolves_on(lab, &NODES);
    }

    lab.kubectl("-n kube-system scale deployment coredns --replicas=0");
    lab.kubectl("-n kube-system wait pods -l k8s-app=kube-dns --for=delete");
    let refused = resolves(lab, far);
    assert!(!refused.status.success());
    lab.kubectl("-n kube-system scale deployment coredns --replicas=2");
    resolves_on(lab, &NODES);
    lab.kubectl("-n kube-system delete pods -l app=network-check");
}

/// This kernel has no IPVS. What was made before stays, and so do the pods' packets.
pub fn kube_proxy_shows_why_it_ends(lab: &Lab) {
    let set = |mode: &str| {
        let edit = format!("s/mode: .*/mode: {mode}/");
        lab.on(
            "masternode",
            &format!(
                "export KUBECONFIG=/etc/kubernetes/admin.conf; kubectl -n kube-system get cm kube-proxy -o yaml | \
                 sed \"{edit}\" | kubectl replace -f - && kubectl -n kube-system delete pods -l k8s-app=kube-proxy"
            ),
        );
    };
    set("ipvs");
    let crashed = "-n kube-system wait pods -l k8s-app=kube-proxy --timeout=20s \
                   --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff";
    until(crashed, || lab.kubectl_output(crashed).status.success());
    let said = lab.kubectl("-n kube-system logs daemonset/kube-proxy");
    assert!(said.contains("use the IPVS proxier"), "{said}");
    set("iptables");
    lab.kubectl("-n kube-system rollout status daemonset kube-proxy --timeout=60s");
}

/// What a pod on a node learns when it asks the name servers' service.
fn resolves(lab: &Lab, node: &str) -> Output {
    lab.kubectl_output(&format!(
        "-n kube-system exec network-check-{node} -- nslookup kubernetes.default.svc.cluster.local 10.96.0.10"
    ))
}

fn resolves_on(lab: &Lab, nodes: &[&str]) {
    for node in nodes {
        until(node, || resolves(lab, node).status.success());
    }
}
