//! A lab with a cluster, and what tests ask of it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::own_lab::{self, NODES, Ran, said};

pub const DEPLOY: &str = "playbooks/deploy.yml";
pub const RESET: &str = "playbooks/reset.yml";

/// With a control plane of its own; reset takes it away.
pub struct Lab(own_lab::Lab);

impl Deref for Lab {
    type Target = own_lab::Lab;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Lab {
    pub fn up(name: &str) -> Self {
        Self(own_lab::Lab::up(name, &["--kubernetes"]))
    }

    pub fn kubectl(&self, words: &str) -> String {
        said(&self.kubectl_output(words))
    }

    pub fn kubectl_output(&self, words: &str) -> Output {
        let kubectl = "sudo /usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";
        let command = format!("{kubectl} {words}");
        self.command(&["ssh", "masternode", &command]).output().unwrap()
    }

    /// Runs a playbook, which must end well.
    pub fn play(&self, playbook: &str) -> Ran {
        self.run(&["run", playbook]).ok()
    }

    /// The pods with a label, by name.
    pub fn pods(&self, namespace: &str, selector: &str) -> Vec<String> {
        let names = self.kubectl(&format!("-n {namespace} get pods -l {selector} -o name"));
        names.lines().map(str::to_owned).collect()
    }

    /// Nodes, and the pods of each part, as they were asked for.
    pub fn has_a_cluster(&self) {
        self.has_all_pods();
        self.has_flannel();
        for node in NODES {
            let drivers = "grep -c \"SystemdCgroup = true\" /etc/containerd/config.toml; \
                           sed -n \"s/^cgroupDriver: //p\" /var/lib/kubelet/config.yaml";
            assert_eq!(self.on(node, drivers), "1\nsystemd", "{node}");
        }
    }

    /// The one that was asked for, on each node.
    fn has_flannel(&self) {
        let set = |path: &str| {
            self.kubectl(&format!(
                "-n kube-flannel get daemonset kube-flannel-ds -o 'jsonpath={{.spec.template.spec.containers[0].{path}}}'"
            ))
        };
        assert_eq!(set("image"), "ghcr.io/flannel-io/flannel:v0.27.4");
        assert_eq!(
            set(r#"env[?(@.name=="CONT_WHEN_CACHE_NOT_READY")].value"#),
            "true"
        );
        let configured = self
            .kubectl(r"-n kube-flannel get configmap kube-flannel-cfg -o 'jsonpath={.data.net-conf\.json}'");
        let configured: serde_json::Value = serde_json::from_str(&configured).unwrap();
        assert_eq!(configured["EnableNFTables"], false);
        assert_eq!(configured["Network"], "10.244.0.0/16");
        let pods = "-n kube-flannel get pods -l app=flannel --sort-by=.spec.nodeName \
                    -o custom-columns=NODE:.spec.nodeName --no-headers";
        assert_eq!(self.kubectl(pods), "homelab\nmasternode\nstoragenodet3500");
    }

    fn has_all_pods(&self) {
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

/// What was changed takes a moment until it is so everywhere; a minute at most.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(500));
    }
}

/// Of every heading of the role's lists a word that stands below it where the lab has such a thing; empty where it has
/// nothing of the kind (no IPVS in the kernel, no name server of its own, perhaps no rules of raw).
const BELOW: &[(&str, &str)] = &[
    ("Sysctl settings", "net.bridge.bridge-nf-call-iptables = "),
    ("Loaded kernel modules", "br_netfilter"),
    ("iptables backend", "(nf_tables)"),
    ("iptables rules of nat", "] -A KUBE-SERVICES "),
    ("iptables rules of filter", "] -A KUBE-FORWARD "),
    ("iptables rules of raw and mangle", "*mangle"),
    ("IPVS table", ""),
    ("Network interfaces", "flannel.1"),
    ("Routes", "10.244."),
    ("DNS resolver configuration", ""),
    ("Swap", "Filename"),
    ("Kubelet", "kubelet.service"),
    ("Nodes", "homelab"),
    ("CoreDNS deployment and pods", "deployment.apps/coredns"),
    ("kube-dns Service and Endpoints", "clusterIP: 10.96.0.10"),
    ("kube-proxy DaemonSet and pods", "daemonset.apps/kube-proxy"),
    ("kube-proxy logs", "[pod/kube-proxy-"),
    ("CoreDNS logs", "[pod/coredns-"),
    ("kube-proxy ConfigMap", "clusterCIDR: 10.244.0.0/16"),
    ("kube-system Services", "10.96.0.10"),
    ("flannel", "daemonset.apps/kube-flannel-ds"),
    ("Events", "LAST SEEN"),
];

/// The archives in a folder: every heading of the role's lists stands in what each has, with what belongs below it.
pub fn evidence(folder: &Path) -> Vec<PathBuf> {
    let kept = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut archives: Vec<_> = kept.filter(|path| path.is_file()).collect();
    archives.sort();
    for archive in &archives {
        is_whole(archive);
    }
    archives
}

fn is_whole(archive: &Path) {
    let listed = said(&Command::new("tar").arg("-tzf").arg(archive).output().unwrap());
    let kept = archive.with_extension("").with_extension("");
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
                let (_, word) = BELOW.iter().find(|(known, _)| known == heading).unwrap();
                let (_, below) = text.split_once(&format!("=== {heading}\n")).unwrap();
                let below = below.split_once("\n=== ").map_or(below, |(below, _)| below);
                // Not every kernel says which modules it has.
                let word = match *heading {
                    "Loaded kernel modules" if !Path::new("/proc/modules").exists() => "",
                    _ => word,
                };
                let failed = below.contains("(status ") || below == "(nothing)";
                assert!(
                    below.contains(word) && (!failed || word.is_empty()),
                    "{name}: {heading}: {below}"
                );
            }
        }
    }
    assert!(listed.contains("/findings.txt"), "{listed}");
}
