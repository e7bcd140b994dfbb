//! The life of the cluster, by this repository's playbooks, on a lab whose API server is real:
//! `cargo test --test cluster -- --ignored --test-threads 1` (root, the lab's tools and `go`; the first run builds
//! Kubernetes).

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod lab;
mod packets;
mod remediate;

use lab::{DEPLOY, Lab, NODES, RESET, evidence, said};

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn a_cluster_is_made_kept_mended_and_taken_away() {
    let lab = Lab::up("clustertest");
    lab.changed(RESET);
    let changed = lab.changed(DEPLOY);
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);

    packets::packets_pass_where_nothing_stops_them(&lab);
    packets::kube_proxy_shows_why_it_ends(&lab);
    coredns_comes_back(&lab);
    what_is_missing_is_named(&lab);
    evidence_is_collected(&lab);

    let changed = lab.changed(RESET);
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    for node in NODES {
        let left = lab.on(
            node,
            "sh -c 'ls -A /etc/kubernetes /var/lib/kubelet 2>/dev/null; true'",
        );
        assert_eq!(left, "", "{node}");
        let of_pods = "sh -c 'cd /sys/class/net && ls -d cni* flannel* veth* /run/netns/* /var/log/pods 2>/dev/null; \
                       pgrep \"kube-proxy|coredns\"; iptables-save | grep -E \"KUBE|FLANNEL\"; true'";
        assert_eq!(lab.on(node, of_pods), "", "{node}");
    }
    lab.changes_nothing(RESET);
    lab.changed(DEPLOY);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);
}

fn coredns_comes_back(lab: &Lab) {
    lab.kubectl("-n kube-system scale deployment coredns --replicas=0");
    assert_eq!(lab.changed(DEPLOY)["masternode"], 1);
    lab.has_a_cluster();
    lab.kubectl("-n kube-system delete deployment coredns");
    lab.changed(DEPLOY);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);
}

fn what_is_missing_is_named(lab: &Lab) {
    let pod = lab.kubectl("-n kube-system get pods -l k8s-app=kube-proxy -o name");
    let pod = pod.lines().next().unwrap();
    lab.kubectl(&format!(
        "-n kube-system annotate {pod} vmstation.lab/pod=CrashLoopBackOff"
    ));
    let output = lab.run(DEPLOY, &["-e", "cluster_state_retries=1"]);
    assert_eq!(output.status.code(), Some(3));
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = format!("kube-proxy: {} on ", pod.replacen("pod/", "pod ", 1));
    assert!(
        events.contains(&wanted) && events.contains("is not ready (CrashLoopBackOff)"),
        "{wanted}: {events}"
    );
    lab.kubectl(&format!("-n kube-system delete {pod}"));
    lab.changes_nothing(DEPLOY);
}

/// What is wrong is said, and what is seen is kept.
fn evidence_is_collected(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("diagnostics_directory={}", folder.path().display());
    let events = said(&lab.run("playbooks/diagnose.yml", &["-e", &place]));
    assert!(events.contains("nothing is found to be wrong"), "{events}");
    assert_eq!(evidence(folder.path()).len(), 1);
}
