//! A lab with a cluster, and what tests ask of it.

use std::collections::BTreeMap;
use std::process::{Command, Output};

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

    pub fn kubectl(&self, words: &str) -> String {
        self.on(
            "masternode",
            &format!("kubectl --kubeconfig /etc/kubernetes/admin.conf {words}"),
        )
    }

    pub fn run(&self, playbook: &str, options: &[&str]) -> Output {
        let lab = format!("--lab={}", self.0);
        program(&[&["run", lab.as_str(), playbook, "--json"], options].concat())
    }

    /// How many tasks changed something, by host.
    pub fn changed(&self, playbook: &str) -> BTreeMap<String, u64> {
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
