//! A lab with a cluster, and what tests ask of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const DEPLOY: &str = "playbooks/deploy.yml";
pub const RESET: &str = "playbooks/reset.yml";
pub const NODES: [&str; 3] = ["masternode", "storagenodet3500", "homelab"];

pub struct Lab(String);

impl Lab {
    /// A lab with a control plane of its own; reset takes it away.
    pub fn up(name: &str) -> Self {
        let lab = Self(format!("{name}{}", std::process::id()));
        said(&lab.lab(&["up", "--kubernetes"]));
        lab
    }

    fn lab(&self, words: &[&str]) -> Output {
        program(&[&["lab", "--name", &self.0], words].concat())
    }

    /// What a command prints on a host, as root.
    pub fn on(&self, host: &str, command: &str) -> String {
        said(&self.lab(&[
            "ssh",
            host,
            &format!("sudo env PATH=/usr/local/bin:$PATH {command}"),
        ]))
    }

    /// What a line of a shell prints on a host, as root.
    pub fn shell(&self, host: &str, line: &str) -> String {
        self.on(host, &format!("sh -c {}", quoted(line)))
    }

    pub fn kubectl(&self, words: &str) -> String {
        said(&self.kubectl_output(words))
    }

    pub fn kubectl_output(&self, words: &str) -> Output {
        let kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
        self.lab(&[
            "ssh",
            "masternode",
            &format!("sudo env PATH=/usr/local/bin:$PATH {kubectl} {words}"),
        ])
    }

    pub fn run(&self, playbook: &str, options: &[&str]) -> Output {
        let lab = format!("--lab={}", self.0);
        program(&[&["run", lab.as_str(), playbook, "--json"], options].concat())
    }

    /// How many tasks changed something, by host.
    pub fn changed(&self, playbook: &str) -> BTreeMap<String, u64> {
        changed(&said(&self.run(playbook, &[])))
    }

    pub fn changes_nothing(&self, playbook: &str) {
        let changed = self.changed(playbook);
        assert!(
            changed.values().all(|count| *count == 0),
            "{playbook}: {changed:?}"
        );
    }

    /// Nodes, and the pods of each part.
    pub fn has_a_cluster(&self) {
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

pub fn said(output: &Output) -> String {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout.trim_end().to_owned()
}

/// How many tasks changed something, by host, as a run's events have it.
pub fn changed(events: &str) -> BTreeMap<String, u64> {
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

/// What was changed takes a moment until it is so everywhere; a minute at most.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(500));
    }
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The archives in a folder: every heading of the role's lists stands in what each has, with something below it.
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
    assert!(listed.contains("/findings.txt"), "{listed}");
}
