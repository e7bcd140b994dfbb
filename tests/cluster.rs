//! The life of the cluster, by this repository's playbooks, on a lab whose API server is real:
//! `cargo test --test cluster -- --ignored` (root, the lab's tools and `go`; the first run builds Kubernetes).

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

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
        said(&self.kubectl_output(words))
    }

    fn kubectl_output(&self, words: &str) -> Output {
        let kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
        self.lab(&[
            "ssh",
            "masternode",
            &format!("sudo env PATH=/usr/local/bin:$PATH {kubectl} {words}"),
        ])
    }

    /// What a pod on a node learns when it asks the name servers' service.
    fn resolves(&self, node: &str) -> Output {
        self.kubectl_output(&format!(
            "-n kube-system exec network-check-{node} -- nslookup kubernetes.default.svc.cluster.local 10.96.0.10"
        ))
    }

    fn resolves_on(&self, nodes: &[&str]) {
        for node in nodes {
            self.until(|| self.resolves(node).status.success(), node);
        }
    }

    /// What was changed takes a moment until it is so everywhere.
    fn until(&self, is_so: impl Fn() -> bool, what: &str) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60), "{}: {what}", self.0);
            sleep(Duration::from_millis(500));
        }
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

    packets_pass_where_nothing_stops_them(&lab);
    kube_proxy_shows_why_it_ends(&lab);
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
    lab.changed(CLUSTER);
    lab.has_a_cluster();
    lab.changes_nothing(CLUSTER);
}

/// From a pod on each node to the address of the name servers' service, and back.
fn packets_pass_where_nothing_stops_them(lab: &Lab) {
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
    lab.resolves_on(&NODES);

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
        (far, "ip link set flannel.1 down", "/usr/bin/env true", elsewhere),
    ] {
        lab.on(node, breaks);
        assert!(!lab.resolves(node).status.success(), "{node}: {breaks}");
        lab.resolves_on(&still);
        lab.on(node, mends);
        if breaks.contains("flannel") {
            lab.on(node, "ip link delete flannel.1");
            lab.kubectl("-n kube-flannel rollout restart daemonset kube-flannel-ds");
        }
        lab.resolves_on(&NODES);
    }

    lab.kubectl("-n kube-system scale deployment coredns --replicas=0");
    lab.kubectl("-n kube-system wait pods -l k8s-app=kube-dns --for=delete");
    let refused = lab.resolves(far);
    assert!(!refused.status.success());
    lab.kubectl("-n kube-system scale deployment coredns --replicas=2");
    lab.resolves_on(&NODES);
    lab.kubectl("-n kube-system delete pods -l app=network-check");
}

/// This kernel has no IPVS. What was made before stays, and so do the pods' packets.
fn kube_proxy_shows_why_it_ends(lab: &Lab) {
    let set = |mode: &str| {
        let edit = format!("s/mode: .*/mode: {mode}/");
        lab.on(
            "masternode",
            &format!(
                "sh -c 'export KUBECONFIG=/etc/kubernetes/admin.conf; kubectl -n kube-system get cm kube-proxy -o yaml | \
                 sed \"{edit}\" | kubectl replace -f - && kubectl -n kube-system delete pods -l k8s-app=kube-proxy'"
            ),
        );
    };
    set("ipvs");
    let crashed = "-n kube-system wait pods -l k8s-app=kube-proxy --timeout=20s \
                   --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff";
    lab.until(|| lab.kubectl_output(crashed).status.success(), crashed);
    let said = lab.kubectl("-n kube-system logs daemonset/kube-proxy");
    assert!(said.contains("use the IPVS proxier"), "{said}");
    set("iptables");
    lab.kubectl("-n kube-system rollout status daemonset kube-proxy --timeout=60s");
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
