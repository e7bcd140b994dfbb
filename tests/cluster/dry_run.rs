//! A dry run of making the cluster and of taking it away says what it can, and changes nothing.

use super::lab::{DEPLOY, Lab, RESET};
use super::own_lab::{NODES, Ran};

/// Files, packages, units, rules and settings of a node.
const NODE: &str = "find /etc /usr/local /root /var/lib/kubelet -xdev -type f -printf '%p %s %T@\\n' 2>/dev/null | sort; \
                    (dpkg-query -W || rpm -qa) 2>/dev/null | sort; systemctl list-unit-files --no-legend | sort; \
                    iptables-save | grep ^-A | sort; sysctl net.ipv4.ip_forward; ls /sys/class/net; \
                    ls -A /etc/kubernetes /var/lib/etcd 2>&1; swapon --show";

/// Objects, by what nobody but a task changes.
const CLUSTER: &str = "get deployments,daemonsets,configmaps,services,serviceaccounts,nodes -A --sort-by=.metadata.uid \
                       -o custom-columns=K:.kind,N:.metadata.name,G:.metadata.generation,D:.data,T:.spec.taints,\
                       U:.spec.unschedulable";

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn a_dry_run_foresees_a_cluster_and_its_end() {
    let lab = Lab::up("clusterdry");
    lab.play(RESET);
    // As on a machine that is new.
    lab.on(
        "masternode",
        "mv /usr/local/bin/kubectl /usr/local/bin/kubectl.away",
    );
    let ran = dry(&lab, DEPLOY);
    is_unknown(
        &ran,
        "Have containerd run, now and at boot",
        "the service containerd, which is not there",
    );
    let kubeconfig = "the kubeconfig /etc/kubernetes/admin.conf, which is not there";
    is_unknown(&ran, "Deploy flannel", kubeconfig);
    is_unknown(&ran, "Wait for flannel on all nodes", kubeconfig);
    nothing_brings_it(&lab, "the host has no `kubectl`", "/etc/hostname");
    lab.on(
        "masternode",
        "mv /usr/local/bin/kubectl.away /usr/local/bin/kubectl",
    );
    nothing_brings_it(
        &lab,
        "there is no kubeconfig /etc/kubernetes/admin.conf",
        "/etc/kubernetes/admin.conf",
    );

    lab.play(DEPLOY);
    let before = lab.kubectl(CLUSTER);
    dry(&lab, RESET);
    let changed = dry(&lab, DEPLOY).count("changed");
    assert!(
        NODES.iter().all(|node| changed.get(*node) == Some(&0)),
        "{changed:?}"
    );
    assert_eq!(lab.kubectl(CLUSTER), before);
    lab.has_a_cluster();
}

/// Ends well, and leaves the nodes as they are.
fn dry(lab: &Lab, playbook: &str) -> Ran {
    let look = || NODES.map(|node| lab.on(node, NODE));
    let before = look();
    let ran = lab.run(&["run", playbook, "--check"]).ok();
    for (before, after) in before.iter().zip(look()) {
        let other: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
        assert_eq!(*before, after, "{playbook}: {other:?}");
    }
    ran
}

fn is_unknown(ran: &Ran, task: &str, because: &str) {
    let of_task = |event: &&serde_json::Value| {
        event["event"] == "task_finished" && event["task"].as_str().is_some_and(|name| name.ends_with(task))
    };
    let mut found = 0;
    for event in ran.events.iter().filter(of_task) {
        assert_eq!(event["status"], "unknown", "{event}");
        assert!(
            event["error"].as_str().is_some_and(|why| why.contains(because)),
            "{event}"
        );
        found += 1;
    }
    assert!(found > 0, "{task} was not there");
}

/// Where no earlier task would change anything, what is missing is missing.
fn nothing_brings_it(lab: &Lab, msg: &str, kubeconfig: &str) {
    let folder = tempfile::tempdir().unwrap();
    let playbook = folder.path().join("play.yml");
    let play = format!(
        "- hosts: masternode\n  become: true\n  gather_facts: false\n  tasks:\n    - kubernetes.core.k8s_info: {{kind: Node, kubeconfig: {kubeconfig}}}\n"
    );
    std::fs::write(&playbook, play).unwrap();
    let said = lab
        .run(&["run", playbook.to_str().unwrap(), "--check"])
        .ends_with(3)
        .failures()
        .join("\n");
    assert!(said.contains(msg), "{said}");
}
