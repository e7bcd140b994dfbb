//! The life of the cluster, by this repository's playbooks, on a lab whose API server is real:
//! `cargo test --test cluster -- --ignored` (root, the lab's tools and `go`; the first run builds Kubernetes).

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod clustered;

use std::process::Command;

use clustered::{DEPLOY, Lab, NODES, RESET, said};

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn a_cluster_is_made_kept_mended_and_taken_away() {
    let lab = Lab::up("clustertest");
    lab.changed(RESET);
    let changed = lab.changed(DEPLOY);
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    lab.has_a_cluster();
    lab.changes_nothing(DEPLOY);

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

/// Every heading of the role's lists stands in what is kept, with something below it.
fn evidence_is_collected(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("diagnostics_directory={}", folder.path().display());
    said(&lab.run("playbooks/diagnose.yml", &["-e", &place]));
    let kept = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (archives, folders): (Vec<_>, Vec<_>) = kept.partition(|path| path.is_file());
    let (archive, kept) = (&archives[0], &folders[0]);
    let listed = said(&Command::new("tar").arg("-tzf").arg(archive).output().unwrap());
    let role = concat!(env!("CARGO_MANIFEST_DIR"), "/roles/diagnostics/defaults/main.yml");
    let lists = std::fs::read_to_string(role).unwrap();
    let (of_node, of_cluster) = lists.split_once("diagnostics_of_cluster:").unwrap();
    for (lists, names) in [(of_node, &NODES[..]), (of_cluster, &["cluster"])] {
        let headings = lists
            .lines()
            .filter_map(|line| line.strip_prefix("  - [")?.split_once(','));
        let headings: Vec<&str> = headings.map(|(heading, _)| heading).collect();
        assert!(headings.len() > 8, "{headings:?}");
        for name in names {
            assert!(listed.contains(&format!("/{name}.txt")), "{listed}");
            let text = std::fs::read_to_string(kept.join(format!("{name}.txt"))).unwrap();
            for heading in &headings {
                let below = text
                    .split_once(&format!("=== {heading}\n"))
                    .map(|(_, below)| below);
                assert!(
                    below.is_some_and(|below| !below.starts_with("===")),
                    "{name}: {heading}"
                );
            }
        }
    }
}
