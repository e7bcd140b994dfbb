//! What is wrong with a cluster's network is named, mended and proved, where kube-proxy and packets are real.

use std::path::Path;

use super::lab::{DEPLOY, Lab, RESET, evidence, until};
use super::own_lab::Ran;

const REMEDIATE: &str = "playbooks/remediate.yml";
const DIAGNOSE: &str = "playbooks/diagnose.yml";
const FIX_IPVS: &str = "playbooks/fix-ipvs.yml";
const FIX_SERVICE_CIDR: &str = "playbooks/fix-kubeproxy-servicecidr.yml";
const FIX_BACKEND: &str = "playbooks/fix-iptables-backend.yml";

/// Something that goes wrong, and how it is known to be right again.
struct Trouble {
    /// Where it is brought about, and by which command of a shell there.
    host: &'static str,
    command: &'static str,
    /// What diagnose says of it.
    named: &'static str,
    /// The playbook that mends it.
    playbook: &'static str,
    /// What a command there says when it is mended.
    well: (&'static str, &'static str),
}

/// What keeps the backend of iptables with which it was started.
fn users_of_iptables(lab: &Lab) -> Vec<String> {
    let mut pods = lab.pods("kube-system", "k8s-app=kube-proxy");
    pods.extend(lab.pods("kube-flannel", "app=flannel"));
    pods
}

/// Changes kube-proxy's configuration as somebody would who edits it, and starts it anew.
macro_rules! reconfigure {
    ($edit:literal) => {
        concat!(
            "export KUBECONFIG=/etc/kubernetes/admin.conf; kubectl -n kube-system get configmap kube-proxy -o yaml | sed '",
            $edit,
            "' | kubectl apply -f - && kubectl -n kube-system rollout restart daemonset kube-proxy"
        )
    };
}

macro_rules! configured {
    ($key:literal) => {
        concat!(
            "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get configmap kube-proxy -o yaml | ",
            "sed -n 's/^ *",
            $key,
            ": //p' | head -n 1"
        )
    };
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        host: "homelab",
        command: "sysctl -qw net.ipv4.ip_forward=0",
        named: "homelab: net.ipv4.ip_forward is 0, not 1",
        playbook: REMEDIATE,
        well: ("cat /proc/sys/net/ipv4/ip_forward", "1"),
    },
    Trouble {
        host: "storagenodet3500",
        command: "iptables-legacy -P FORWARD DROP",
        named: "storagenodet3500: rules of both backends are in force",
        playbook: REMEDIATE,
        well: ("iptables-legacy -S FORWARD | head -n 1", "-P FORWARD ACCEPT"),
    },
    Trouble {
        host: "storagenodet3500",
        command: "update-alternatives --set iptables /usr/sbin/iptables-legacy",
        named: "storagenodet3500: iptables is the legacy one, not nft",
        playbook: FIX_BACKEND,
        well: ("readlink /etc/alternatives/iptables", "/usr/sbin/iptables-nft"),
    },
    Trouble {
        host: "masternode",
        command: reconfigure!("s|clusterCIDR: .*|clusterCIDR: 10.96.0.0/12|"),
        named: "kube-proxy's clusterCIDR is 10.96.0.0/12 (that is the range of services), and pods have 10.244.0.0/16",
        playbook: FIX_SERVICE_CIDR,
        well: (configured!("clusterCIDR"), "10.244.0.0/16"),
    },
    // This kernel has no IPVS: kube-proxy does not start with it.
    Trouble {
        host: "masternode",
        command: reconfigure!("s|mode: .*|mode: ipvs|"),
        named: "kube-proxy's mode is ipvs, and should be iptables",
        playbook: REMEDIATE,
        well: (configured!("mode"), "iptables"),
    },
    Trouble {
        host: "masternode",
        command: "export KUBECONFIG=/etc/kubernetes/admin.conf; kubectl -n kube-system annotate \
                  $(kubectl -n kube-system get pods -l k8s-app=kube-proxy --field-selector spec.nodeName=homelab -o name) \
                  vmstation.lab/pod=CrashLoopBackOff",
        named: " on homelab is not ready (CrashLoopBackOff)",
        playbook: REMEDIATE,
        well: (
            "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get daemonset kube-proxy -o jsonpath={.status.numberReady}",
            "3",
        ),
    },
    Trouble {
        host: "masternode",
        command: "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system scale deployment coredns --replicas 0",
        named: "CoreDNS has 0 pods, not 1",
        playbook: REMEDIATE,
        well: (
            "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get deployment coredns -o jsonpath={.status.readyReplicas}",
            "2",
        ),
    },
];

#[test]
#[ignore = "root and go: cargo test --test cluster -- --ignored"]
fn what_is_wrong_is_named_mended_and_proved() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::up("remediatetest");
    lab.play(RESET);
    lab.play(DEPLOY);
    for playbook in [REMEDIATE, FIX_IPVS, FIX_SERVICE_CIDR, FIX_BACKEND] {
        changes_nothing(&lab, playbook, folder.path());
    }
    assert!(evidence(folder.path()).is_empty());
    for trouble in TROUBLES {
        is_mended(&lab, trouble, folder.path());
    }
    the_backend_is_switched_under_what_runs(&lab, folder.path());
    nodes_take_pods_again(&lab, folder.path());
    stale_ipvs_is_emptied(&lab, folder.path());
    what_does_not_work_is_taken_back(&lab, folder.path());
    what_cannot_be_mended_is_given_up(&lab);
    a_cluster_that_cannot_be_asked_is_told(&lab, folder.path());
    lab.changes_nothing(DEPLOY);
}

/// Runs a playbook, which keeps what it keeps in a folder.
fn run(lab: &Lab, playbook: &str, folder: &Path, more: &[&str]) -> Ran {
    let place = format!("diagnostics_directory={}", folder.display());
    let options = ["run", playbook, "-e", &place, "-e", "network_check_retries=3"];
    lab.run(&[&options, more].concat())
}

fn changes_nothing(lab: &Lab, playbook: &str, folder: &Path) {
    run(lab, playbook, folder, &[]).ok().changed_nothing();
}

fn is_well(lab: &Lab, folder: &Path) -> bool {
    run(lab, REMEDIATE, folder, &[]).status.success()
}

fn is_mended(lab: &Lab, trouble: &Trouble, folder: &Path) {
    let Trouble { host, command, .. } = trouble;
    lab.on(host, command);
    until(trouble.named, || {
        run(lab, DIAGNOSE, folder, &[]).ok().tells(trouble.named)
    });
    let mended = run(lab, trouble.playbook, folder, &[]).ok();
    assert!(!mended.changed().is_empty(), "{command}: nothing was mended");
    assert_eq!(lab.on(host, trouble.well.0), trouble.well.1, "{command}");
    changes_nothing(lab, trouble.playbook, folder);
    changes_nothing(lab, REMEDIATE, folder);
}

/// kube-proxy and flannel choose a backend when they start: they are started anew where it was switched, and only there.
fn the_backend_is_switched_under_what_runs(lab: &Lab, folder: &Path) {
    let switch = "update-alternatives --set iptables /usr/sbin/iptables-legacy";
    let legacy = "iptables-legacy -P FORWARD DROP";
    for (command, playbook) in [(switch, FIX_BACKEND), (switch, DEPLOY), (legacy, REMEDIATE)] {
        let before = users_of_iptables(lab);
        lab.on("storagenodet3500", command);
        run(lab, playbook, folder, &[]).ok();
        let after = users_of_iptables(lab);
        assert!(
            after.iter().all(|pod| !before.contains(pod)),
            "{playbook}: {before:?} {after:?}"
        );
        changes_nothing(lab, playbook, folder);
        assert_eq!(users_of_iptables(lab), after, "{playbook}");
    }
}

/// One that was cordoned or tainted by hand is as the inventory says after a deploy.
fn nodes_take_pods_again(lab: &Lab, folder: &Path) {
    let homelab = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
    lab.on(
        "masternode",
        &format!("{homelab} cordon homelab; {homelab} taint node homelab of=somebody:NoSchedule"),
    );
    let ran = run(lab, DIAGNOSE, folder, &[]).ok();
    for named in [
        "node homelab takes no pods: it is cordoned",
        "node homelab takes few pods: it has the taint of=somebody:NoSchedule",
    ] {
        assert!(ran.tells(named), "{named}: {:#?}", ran.events);
    }
    let taints = [
        "-e",
        r#"{"cluster_state_taints": {"homelab": ["of:NoSchedule-", "media=yes:NoSchedule"]}}"#,
    ];
    let ran = run(lab, DEPLOY, folder, &taints).ok();
    assert_eq!(ran.changed().len(), 2, "{:?}", ran.changed());
    let spec = "get node homelab -o jsonpath={.spec.unschedulable}:{.spec.taints[*].key}";
    assert_eq!(lab.kubectl(spec), ":media");
    run(lab, DEPLOY, folder, &taints).ok().changed_nothing();
    assert!(
        !run(lab, DIAGNOSE, folder, &taints)
            .ok()
            .tells("node homelab takes")
    );
    lab.kubectl("taint node homelab media-");
}

/// The lab's kernel has no IPVS, so a file stands for its table, and a script for ipvsadm.
fn stale_ipvs_is_emptied(lab: &Lab, folder: &Path) {
    let host = "storagenodet3500";
    lab.on(
        host,
        "cat >/usr/local/sbin/ipvsadm <<'EOF'\n\
         #!/bin/sh\n\
         case $1 in -Sn) echo '-A -t 10.96.0.10:53 -s rr';; -C) sed -i '4,$d' /run/ip_vs;; *) exit 2;; esac\n\
         EOF\n\
         chmod 755 /usr/local/sbin/ipvsadm\n\
         printf 'IP Virtual Server version 1.2.1 (size=4096)\\nProt\\n  ->\\nTCP  0A60000A:0035 rr\\n' >/run/ip_vs
         ip link add kube-ipvs0 type bridge",
    );
    let table = ["-e", "ipvs_table=/run/ip_vs"];
    let named = "storagenodet3500: IPVS holds what an earlier mode of kube-proxy left (its mode is iptables)";
    let ran = run(lab, DIAGNOSE, folder, &table).ok();
    assert!(
        ran.tells(named) && !ran.tells("homelab: IPVS"),
        "{:#?}",
        ran.events
    );
    let ran = run(lab, FIX_IPVS, folder, &table).ok();
    assert!(
        ran.tells("Annotate the pods of kube-proxy"),
        "{:#?}",
        ran.changed()
    );
    assert_eq!(lab.on(host, "wc -l </run/ip_vs"), "3");
    assert_eq!(lab.on(host, "ls /sys/class/net | grep ipvs; true"), "");
    assert!(!run(lab, DIAGNOSE, folder, &table).ok().tells("IPVS holds"));
    let kept = lab.on(host, "cat /root/identity-backup/ipvs-*.rules");
    assert_eq!(kept, "-A -t 10.96.0.10:53 -s rr");
    run(lab, FIX_IPVS, folder, &table).ok().changed_nothing();
}

/// A mode is asked for that this kernel does not have: kube-proxy does not come up, and gets its old configuration back.
fn what_does_not_work_is_taken_back(lab: &Lab, folder: &Path) {
    let asked = r#"{"kube_proxy_modes": ["ipvs"], "kube_proxy_mode": "ipvs", "kube_proxy_retries": 5}"#;
    let ran = run(lab, FIX_SERVICE_CIDR, folder, &["-e", asked]).ends_with(3);
    let said = ran.failures().join("\n");
    assert!(
        said.contains("kube-proxy does not come up with its configuration put right (kube-proxy's mode is iptables, and should be ipvs), and has the one again that it had"),
        "{said}"
    );
    assert_eq!(lab.on("masternode", configured!("mode")), "iptables");
    // The copy that is kept is what there is again.
    let differs = lab.on(
        "masternode",
        "kubectl --kubeconfig /etc/kubernetes/admin.conf diff \
         -f $(ls /root/identity-backup/kube-proxy-configmap-backup-*.yaml | tail -n 1) | grep ^[+-][^+-]; true",
    );
    assert_eq!(differs, "");
    until("kube-proxy is well again", || is_well(lab, folder));
    changes_nothing(lab, REMEDIATE, folder);
}

/// Three attempts, the evidence of each and of the end, and one error that says what to do.
fn what_cannot_be_mended_is_given_up(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let rule = "PREROUTING -t raw -i cni0 -p udp --dport 53 -j DROP";
    lab.on("homelab", &format!("iptables -I {rule}"));
    let ran = run(lab, REMEDIATE, folder.path(), &[]);
    lab.on("homelab", &format!("iptables -D {rule}"));
    let said = ran.ends_with(3).failures().join("\n");
    for part in [
        "a pod on homelab does not reach DNS at 10.96.0.10 (;; connection timed out; no servers could be reached)",
        "KUBE-SERVICES on homelab sees no packets to 10.96.0.10",
        "That is so after 3 attempts to mend it",
        "given-up.tar.gz",
        "look at the rules of iptables",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("a pod on masternode"), "{said}");
    let names: Vec<_> = evidence(folder.path())
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let ends = ["attempt-1", "attempt-2", "attempt-3", "given-up"];
    assert_eq!(names.len(), ends.len(), "{names:?}");
    for (name, end) in names.iter().zip(ends) {
        assert!(name.ends_with(&format!("Z-{end}.tar.gz")), "{names:?}");
    }
    changes_nothing(lab, REMEDIATE, folder.path());
}

/// Without an API server there is an end, too, and one sentence of it.
fn a_cluster_that_cannot_be_asked_is_told(lab: &Lab, folder: &Path) {
    lab.on("masternode", "systemctl stop kube-apiserver");
    let hurry =
        r#"{"network_remediation_attempts": 1, "cluster_state_retries": 0, "network_check_retries": 0}"#;
    let ran = run(lab, REMEDIATE, folder, &["-e", hurry]);
    lab.on("masternode", "systemctl start kube-apiserver");
    let said = ran.ends_with(3).failures().join("\n");
    assert!(said.contains("the cluster cannot be asked ("), "{said}");
    until("the API answers again", || is_well(lab, folder));
}
