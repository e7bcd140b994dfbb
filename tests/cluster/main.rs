//! The life of the cluster, by this repository's playbooks, on a lab whose API server is real:
//! `cargo test --test cluster -- --ignored --test-threads 1` (root, the lab's tools and `go`; the first run builds
//! Kubernetes).

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod dry_run;
mod lab;
#[path = "../own_lab/mod.rs"]
mod own_lab;
mod packets;
mod remediate;
mod reset;
mod unfinished;

use lab::{DEPLOY, Lab, RESET, evidence, until};
use own_lab::NODES;

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn a_cluster_is_made_kept_mended_and_taken_away() {
    let lab = Lab::up("clustertest");
    lab.play(RESET);
    let changed = lab.play(DEPLOY).count("changed");
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    lab.has_a_cluster();
    packages_come_from_where_they_should(&lab);
    lab.changes_nothing(DEPLOY);

    packets::packets_pass_where_nothing_stops_them(&lab);
    packets::kube_proxy_shows_why_it_ends(&lab);
    coredns_comes_back(&lab);
    what_is_missing_is_named(&lab);
    evidence_is_collected(&lab);

    reset::what_is_broken_is_reset_all_the_same(&lab);
    lab.play(DEPLOY);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);

    let changed = lab.play(RESET).count("changed");
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    reset::nothing_is_left(&lab);
    unfinished::what_is_in_the_way_of_a_cluster_is_said(&lab);
    unfinished::what_was_cut_short_begins_anew(&lab);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);
    unfinished::what_is_gone_is_made_again(&lab);
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);
}

/// With the key that signs them, on Debian; on RHEL the container runtime is not RHEL's own.
fn packages_come_from_where_they_should(lab: &Lab) {
    for node in ["masternode", "storagenodet3500"] {
        let keys =
            "sha256sum </etc/apt/keyrings/kubernetes.asc; sha256sum </srv/debs-kubernetes/kubernetes.asc";
        let keys = lab.on(node, keys);
        let (placed, signs) = keys.split_once('\n').unwrap();
        assert_eq!(placed, signs, "{node}");
        let source = lab.on(node, "cat /etc/apt/sources.list.d/kubernetes.list");
        assert!(
            source.contains("signed-by=/etc/apt/keyrings/kubernetes.asc]"),
            "{source}"
        );
    }
    let list = "dnf -C -q list --installed containerd.io | tail -n 1";
    let listed = lab.on("homelab", list);
    assert!(listed.ends_with("@container-runtime"), "{listed}");
    let others = "dnf -C -q --disablerepo=container-runtime list --available containerd.io 2>&1; true";
    let others = lab.on("homelab", others);
    assert!(others.contains("No matching Packages"), "{others}");
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

/// All of it at the end, and what can be deployed is.
fn what_is_missing_is_named(lab: &Lab) {
    let first = |words: &str| lab.kubectl(words).lines().next().unwrap().replacen("pod/", "", 1);
    let proxy = first("-n kube-system get pods -l k8s-app=kube-proxy -o name");
    let flannel =
        first("-n kube-flannel get pods -l app=flannel --field-selector spec.nodeName=homelab -o name");
    for words in [
        format!("-n kube-system annotate pod {proxy} vmstation.lab/pod=CrashLoopBackOff").as_str(),
        format!("-n kube-flannel annotate pod {flannel} vmstation.lab/pod=ImagePullBackOff").as_str(),
        "annotate node homelab vmstation.lab/node=NotReady",
        "-n monitoring delete deployment grafana",
    ] {
        lab.kubectl(words);
    }
    // That its container runs does not make it ready.
    let running = &lab.pods("monitoring", "app=prometheus")[0];
    let unready = r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;
    lab.kubectl(&format!(
        "-n monitoring patch {running} --subresource=status -p '{unready}'"
    ));
    let nodes = || lab.kubectl("get nodes --no-headers");
    until("homelab is not Ready", || nodes().contains(" NotReady "));

    let once = ["-e", "flannel_retries=0", "-e", "cluster_state_retries=1"];
    let ran = lab.run(&[&["run", DEPLOY][..], &once].concat()).ends_with(3);
    let said = ran.failures().join("\n");
    for wanted in [
        format!("kube-proxy: pod {proxy} on "),
        "is not ready (CrashLoopBackOff)".to_owned(),
        format!("flannel: pod {flannel} on homelab is not ready (ImagePullBackOff)"),
        "node homelab is not Ready".to_owned(),
        "is not ready (Running)".to_owned(),
    ] {
        assert!(said.contains(&wanted), "{wanted}: {said}");
    }
    assert!(ran.tells("flannel is ready on 2 of 3 nodes"), "{:#?}", ran.events);
    lab.kubectl("-n monitoring get deployment grafana");

    lab.kubectl("annotate node homelab vmstation.lab/node-");
    lab.kubectl(&format!("-n kube-system delete pod {proxy}"));
    lab.kubectl(&format!("-n kube-flannel delete pod {flannel}"));
    lab.kubectl(&format!("-n monitoring delete {running}"));
    lab.changes_nothing(DEPLOY);
    // One that was evicted stays in the list, and another one runs in its place.
    let pod = &lab.pods("monitoring", "app=loki")[0];
    lab.kubectl(&format!("-n monitoring annotate {pod} vmstation.lab/pod=Failed"));
    lab.kubectl(&format!(
        "-n monitoring wait {pod} --for=jsonpath={{.status.phase}}=Failed"
    ));
    lab.changes_nothing(DEPLOY);
    lab.kubectl(&format!("-n monitoring delete {pod}"));
}

/// What is wrong is said, and what is seen is kept.
fn evidence_is_collected(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("diagnostics_directory={}", folder.path().display());
    let ran = lab.run(&["run", "playbooks/diagnose.yml", "-e", &place]).ok();
    assert!(ran.tells("nothing is found to be wrong"), "{:#?}", ran.events);
    assert_eq!(evidence(folder.path()).len(), 1);
}
