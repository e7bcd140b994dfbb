//! The life of the cluster, by this repository's playbooks, on a lab whose API server is real:
//! `cargo test --test cluster -- --ignored --test-threads 1` (root, the lab's tools and `go`; the first run builds
//! Kubernetes).

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod lab;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../own_lab/mod.rs"]
mod own_lab;
mod packets;
mod remediate;

use lab::{DEPLOY, Lab, RESET, evidence};
use own_lab::NODES;

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn a_cluster_is_made_kept_mended_and_taken_away() {
    let lab = Lab::up("clustertest");
    lab.play(RESET);
    let changed = lab.play(DEPLOY).count("changed");
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);

    packets::packets_pass_where_nothing_stops_them(&lab);
    packets::kube_proxy_shows_why_it_ends(&lab);
    coredns_comes_back(&lab);
    what_is_missing_is_named(&lab);
    evidence_is_collected(&lab);

    let changed = lab.play(RESET).count("changed");
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    for node in NODES {
        let left = lab.on(node, "ls -A /etc/kubernetes /var/lib/kubelet 2>/dev/null; true");
        assert_eq!(left, "", "{node}");
        let of_pods = "cd /sys/class/net && ls -d cni* flannel* veth* /run/netns/* /var/log/pods 2>/dev/null; \
                       pgrep \"kube-proxy|coredns\"; iptables-save | grep -E \"KUBE|FLANNEL\"; true";
        assert_eq!(lab.on(node, of_pods), "", "{node}");
    }
    lab.changes_nothing(RESET);
    lab.play(DEPLOY);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);
}

fn coredns_comes_back(lab: &Lab) {
    lab.kubectl("-n kube-system scale deployment coredns --replicas=0");
    assert_eq!(lab.play(DEPLOY).count("changed")["masternode"], 1);
    lab.has_a_cluster();
    lab.kubectl("-n kube-system delete deployment coredns");
    lab.play(DEPLOY);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);
}

fn what_is_missing_is_named(lab: &Lab) {
    let pod = lab.kubectl("-n kube-system get pods -l k8s-app=kube-proxy -o name");
    let pod = pod.lines().next().unwrap();
    lab.kubectl(&format!(
        "-n kube-system annotate {pod} vmstation.lab/pod=CrashLoopBackOff"
    ));
    let ran = lab
        .run(&["run", DEPLOY, "-e", "cluster_state_retries=1"])
        .ends_with(3);
    let said = ran.failures().join("\n");
    let wanted = format!("kube-proxy: {} on ", pod.replacen("pod/", "pod ", 1));
    assert!(
        said.contains(&wanted) && said.contains("is not ready (CrashLoopBackOff)"),
        "{wanted}: {said}"
    );
    lab.kubectl(&format!("-n kube-system delete {pod}"));
    lab.changes_nothing(DEPLOY);
}

/// What is wrong is said, and what is seen is kept.
fn evidence_is_collected(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("diagnostics_directory={}", folder.path().display());
    let ran = lab.run(&["run", "playbooks/diagnose.yml", "-e", &place]).ok();
    assert!(ran.tells("nothing is found to be wrong"), "{:#?}", ran.events);
    assert_eq!(evidence(folder.path()).len(), 1);
}
