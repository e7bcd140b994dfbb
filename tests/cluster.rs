//! The life of the cluster, by this repository's playbooks, on a lab whose API server is real:
//! `cargo test --test cluster -- --ignored` (root, the lab's tools and `go`; the first run builds Kubernetes).

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::collections::BTreeMap;
use std::process::{Command, Output};

const DEPLOY: &str = "playbooks/deploy.yml";
const CLUSTER: &str = "playbooks/cluster.yml";
const RESET: &str = "playbooks/cluster_reset.yml";
const NODES: [&str; 3] = ["masternode", "storagenodet3500", "homelab"];

struct Lab(String);

impl Lab {
    /// A lab with the programs of Kubernetes, and no cluster yet.
    fn up() -> Self {
        let lab = Self(format!("clustertest{}", std::process::id()));
        said(&lab.lab(&["up", "--kubernetes"]));
        lab.on("masternode", "control-plane reset");
        lab
    }

    fn lab(&self, words: &[&str]) -> Output {
        program(&[&["lab", "--name", &self.0], words].concat())
    }

    /// What a command prints on a host, as root.
    fn on(&self, host: &str, command: &str) -> String {
        said(&self.lab(&[
            "ssh",
            host,
            &format!("sudo env PATH=/usr/local/bin:$PATH {command}"),
        ]))
    }

    fn kubectl(&self, words: &str) -> String {
        self.on(
            "masternode",
            &format!("kubectl --kubeconfig /etc/kubernetes/admin.conf {words}"),
        )
    }

    fn run(&self, playbook: &str, options: &[&str]) -> Output {
        let lab = format!("--lab={}", self.0);
        program(&[&["run", lab.as_str(), playbook, "--json"], options].concat())
    }

    /// How many tasks changed something, by host.
    fn changed(&self, playbook: &str) -> BTreeMap<String, u64> {
        let events = said(&self.run(playbook, &[]));
        let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
        let hosts = last["hosts"].as_array().unwrap().iter();
        hosts
            .map(|host| {
                (
                    host["host"].as_str().unwrap().to_owned(),
                    host["changed"].as_u64().unwrap(),
                )
            })
            .collect()
    }

    fn changes_nothing(&self, playbook: &str) {
        let changed = self.changed(playbook);
        assert!(
            changed.values().all(|count| *count == 0),
            "{playbook}: {changed:?}"
        );
    }

    /// Nodes, and the pods of each part.
    fn has_a_cluster(&self) {
        let ready = self.kubectl("get nodes --no-headers");
        let ready = ready.lines().filter(|line| line.contains(" Ready ")).count();
        assert_eq!(ready, 3);
        for (namespace, selector, count) in [
            ("kube-flannel", "app=flannel", 3),
            ("kube-system", "k8s-app=kube-proxy", 3),
            ("kube-system", "k8s-app=kube-dns", 2),
            ("monitoring", "app=prometheus", 1),
            ("monitoring", "app=grafana", 1),
            ("monitoring", "app=loki", 1),
        ] {
            let pods = self.kubectl(&format!("-n {namespace} get pods -l {selector} --no-headers"));
            let running = pods.lines().filter(|line| line.contains(" 1/1 ")).count();
            assert_eq!(running, count, "{selector}: {pods}");
        }
        let place = "-n monitoring get pods -o custom-columns=NODE:.spec.nodeName --no-headers";
        assert_eq!(self.kubectl(place), "masternode\nmasternode\nmasternode");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.lab(&["down"]);
    }
}

fn program(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout.trim_end().to_owned()
}

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn a_cluster_is_made_kept_mended_and_taken_away() {
    let lab = Lab::up();
    lab.changed(DEPLOY);
    let changed = lab.changed(CLUSTER);
    assert!(NODES.iter().all(|node| changed[*node] > 0), "{changed:?}");
    lab.has_a_cluster();
    lab.changes_nothing(CLUSTER);
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
    lab.changed(CLUSTER);
    lab.has_a_cluster();
    lab.changes_nothing(CLUSTER);
}

fn coredns_comes_back(lab: &Lab) {
    lab.kubectl("-n kube-system scale deployment coredns --replicas=0");
    assert_eq!(lab.changed(CLUSTER)["masternode"], 1);
    lab.has_a_cluster();
    lab.kubectl("-n kube-system delete deployment coredns");
    lab.changed(CLUSTER);
    lab.has_a_cluster();
    lab.changes_nothing(CLUSTER);
}

fn what_is_missing_is_named(lab: &Lab) {
    let pod = lab.kubectl("-n kube-system get pods -l k8s-app=kube-proxy -o name");
    let pod = pod.lines().next().unwrap();
    lab.kubectl(&format!(
        "-n kube-system annotate {pod} vmstation.lab/pod=CrashLoopBackOff"
    ));
    let output = lab.run(CLUSTER, &["-e", "cluster_state_retries=1"]);
    assert_eq!(output.status.code(), Some(3));
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = format!("kube-proxy: {} on ", pod.replacen("pod/", "pod ", 1));
    assert!(
        events.contains(&wanted) && events.contains("is not ready (CrashLoopBackOff)"),
        "{wanted}: {events}"
    );
    lab.kubectl(&format!("-n kube-system delete {pod}"));
    lab.changes_nothing(CLUSTER);
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
