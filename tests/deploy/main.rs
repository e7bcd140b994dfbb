//! The repository's own content on throwaway hosts: what it does to them, that it does nothing twice, that
//! it can be undone, and that every example runs.
//!
//! Needs root and the lab's tools, so it runs when `VMSTATION_LAB=1` is set, in labs of its own.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod chains;
mod dry_run;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../own_lab/mod.rs"]
mod own_lab;
mod services;
mod troubles;

use std::io::{self, Write as _};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use own_lab::{NODES, Ran};

/// One at a time: a machine has inotify instances for three or so.
struct Lab {
    lab: own_lab::Lab,
    _turn: MutexGuard<'static, ()>,
}

static ONE: Mutex<()> = Mutex::new(());

impl Lab {
    /// `None`: there is no lab here.
    fn up(name: &str) -> Option<Self> {
        if std::env::var_os("VMSTATION_LAB").is_none_or(|value| value != "1") {
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: set VMSTATION_LAB=1 to run the content on the lab (needs root)"
            );
            return None;
        }
        // After a test that failed, too.
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Self {
            lab: own_lab::Lab::up(name, &[]),
            _turn: turn,
        })
    }

    /// Runs a playbook, which must end well.
    fn play(&self, playbook: &str, options: &[&str]) -> Ran {
        self.run(&[&["run", playbook], options].concat()).ok()
    }
}

impl Deref for Lab {
    type Target = own_lab::Lab;

    fn deref(&self) -> &Self::Target {
        &self.lab
    }
}

const DEPLOY: &str = "playbooks/nodes.yml";
const RESET: &str = "playbooks/nodes_reset.yml";

#[test]
fn deploy_prepares_the_nodes_once_and_reset_undoes_it() {
    let Some(lab) = Lab::up("deploytest") else { return };
    // What a machine may have that was in use before.
    lab.on(
        "masternode",
        "echo net/ipv4/ip_forward = 0 >> /etc/sysctl.conf; iptables -P FORWARD DROP; \
         sed -i s/^ENABLED=no/ENABLED=yes/ /etc/ufw/ufw.conf",
    );
    let before: Vec<String> = NODES.iter().map(|host| traces(&lab, host)).collect();

    more_than(5, &lab.play(DEPLOY, &["--check"]));
    for (host, before) in NODES.iter().zip(&before) {
        assert_eq!(traces(&lab, host), *before, "a dry run altered {host}");
    }

    more_than(5, &lab.play(DEPLOY, &[]));
    for host in NODES {
        a_node_is_ready(&lab, host);
    }
    debian_is_ready(&lab);
    rhel_is_ready(&lab);
    lab.changes_nothing(DEPLOY);
    few_round_trips(&lab);

    drift_is_noticed(&lab);
    a_service_is_restarted(&lab);
    lab.changes_nothing(DEPLOY);
    all_of_it_survives_a_reboot(&lab);

    lab.play(RESET, &[]);
    for host in NODES {
        let left = lab.on(
            host,
            "cat /etc/fstab /etc/sysctl.conf | grep -c vmstation; \
             grep -rl vmstation /etc /usr/local 2>/dev/null; iptables -S; iptables -t nat -S",
        );
        assert_eq!(left.lines().next(), Some("0"), "{host}: {left}");
        assert!(
            !left.contains("KUBE") && !left.contains("kubernetes"),
            "{host}: {left}"
        );
    }
    lab.changes_nothing(RESET);

    more_than(5, &lab.play(DEPLOY, &[]));
    lab.changes_nothing(DEPLOY);
}

/// Of a deploy that finds all in order. One more is one more for every host, each time.
fn few_round_trips(lab: &Lab) {
    let trips = lab.play(DEPLOY, &[]).count("round_trips");
    let most = NODES.iter().zip([5, 5, 6]);
    for (node, most) in most {
        assert!(trips[*node] <= most, "{trips:?}");
    }
}

/// Each node has more changes than that.
fn more_than(least: u64, ran: &Ran) {
    let changed = ran.count("changed");
    assert_eq!(changed.len(), NODES.len(), "{changed:?}");
    assert!(changed.values().all(|count| *count > least), "{changed:?}");
}

/// What is looked at to see that nothing was altered.
fn traces(lab: &Lab, host: &str) -> String {
    lab.on(
        host,
        "find /etc /usr/local /run/xtables.lock -newer /etc/hostname -type f 2>/dev/null | sort; \
         cat /etc/fstab /etc/sysctl.conf; sysctl net.ipv4.ip_forward; systemctl is-enabled ufw firewalld 2>&1; true",
    )
}

fn a_node_is_ready(lab: &Lab, host: &str) {
    let fstab = lab.on(
        host,
        "grep -w swap /etc/fstab | grep -v ^# | wc -l; tail -n +2 /proc/swaps | wc -l",
    );
    assert_eq!(fstab, "0\n0", "{host}");
    assert_eq!(lab.on(host, "systemctl is-enabled swap.target || true"), "masked");
    assert_eq!(
        lab.on(host, "grep -v ^# /etc/modules-load.d/kubernetes.conf"),
        "br_netfilter\noverlay\nnf_conntrack\nvxlan"
    );
    assert_eq!(
        lab.on(host, "cat /etc/sysctl.d/99-zz-kubernetes.conf"),
        "net.ipv4.ip_forward=1\nnet.bridge.bridge-nf-call-iptables=1\nnet.bridge.bridge-nf-call-ip6tables=1"
    );
    assert_eq!(
        lab.on(
            host,
            "sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables"
        ),
        "1\n1\n1"
    );
    assert_eq!(
        lab.on(
            host,
            "stat -c \"%a %s\" /run/xtables.lock; iptables -S FORWARD | head -n 1"
        ),
        "600 0\n-P FORWARD ACCEPT"
    );
    assert_eq!(
        lab.on(host, "systemctl is-enabled kubernetes-iptables"),
        "enabled"
    );
    assert!(lab.on(host, "iptables -V").contains("nf_tables"), "{host}");
}

fn debian_is_ready(lab: &Lab) {
    let sysctl = lab.on("masternode", "tail -n 1 /etc/sysctl.conf");
    assert_eq!(sysctl, "# vmstation: net/ipv4/ip_forward = 0");
    for host in ["masternode", "storagenodet3500"] {
        let ufw = lab.on(
            host,
            "grep ^ENABLED /etc/ufw/ufw.conf; systemctl is-enabled ufw; systemctl is-active ufw; true",
        );
        assert_eq!(ufw, "ENABLED=no\ndisabled\ninactive", "{host}");
        let packages = lab.on(
            host,
            "dpkg-query -W -f \"\\${db:Status-Abbrev}\" conntrack socat iptables",
        );
        assert_eq!(packages.matches("ii").count(), 3, "{host}: {packages}");
    }
}

fn rhel_is_ready(lab: &Lab) {
    let firewalls = "systemctl is-enabled firewalld systemd-oomd; systemctl is-active firewalld; true";
    assert_eq!(lab.on("homelab", firewalls), "disabled\ndisabled\ninactive");
    assert_eq!(
        lab.on("homelab", "grep ^SELINUX= /etc/selinux/config"),
        "SELINUX=permissive"
    );
    assert_eq!(
        lab.on(
            "homelab",
            "readlink /etc/alternatives/iptables /etc/alternatives/ip6tables"
        ),
        "/usr/sbin/iptables-nft\n/usr/sbin/ip6tables-nft"
    );
    lab.on(
        "homelab",
        "rpm -q iptables-nft iptables-nft-services conntrack-tools socat kernel-modules-extra",
    );
    let rules = lab.on("homelab", "iptables -S; iptables -t nat -S");
    for hook in [
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
        "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
        "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD",
    ] {
        assert_eq!(rules.matches(hook).count(), 1, "{hook}\n{rules}");
    }
    for chain in ["-N KUBE-FIREWALL", "-N KUBE-MARK-MASQ"] {
        assert!(rules.contains(chain), "{chain}\n{rules}");
    }
    // NetworkManager has read it: an interface of the CNI that comes up now is not its business.
    let device = lab.on(
        "homelab",
        "ip link add veth0 type veth peer name veth1; sleep 1; nmcli -g DEVICE,STATE device; ip link del veth0",
    );
    assert!(device.contains("veth0:unmanaged"), "{device}");
}

/// Somebody else has altered what deploy had made.
fn drift_is_noticed(lab: &Lab) {
    lab.on(
        "homelab",
        "iptables -P FORWARD DROP; iptables -t nat -F PREROUTING; sysctl -q net.ipv4.ip_forward=0; \
         systemctl start firewalld",
    );
    let changed = lab.play(DEPLOY, &[]).count("changed");
    assert_eq!(changed["masternode"], 0);
    assert_eq!(changed["homelab"], 3, "the sysctl, firewalld, the rules");
    rhel_is_ready(lab);
    assert_eq!(lab.on("homelab", "sysctl -n net.ipv4.ip_forward"), "1");
}

/// kubelet, where it is in use, when what it relies on has changed; and only then.
fn a_service_is_restarted(lab: &Lab) {
    let host = "storagenodet3500";
    lab.on(
        host,
        "apt-get install -qq /srv/debs-kubernetes/kubelet_*.deb >/dev/null 2>&1; systemctl enable -q --now kubelet",
    );
    let pid = || lab.on(host, "systemctl show -P MainPID kubelet");
    let before = pid();
    lab.changes_nothing(DEPLOY);
    assert_eq!(pid(), before);
    lab.on(host, "sysctl -q net.ipv4.ip_forward=0");
    lab.play(DEPLOY, &[]);
    assert_ne!(pid(), before);
}

fn all_of_it_survives_a_reboot(lab: &Lab) {
    let words = ["ssh", "homelab", "cat /proc/sys/kernel/random/boot_id"];
    let id = || lab.command(&words).output().unwrap();
    let before = id().stdout;
    // The connection may end before it says how that went.
    let _ = lab.command(&["ssh", "homelab", "sudo reboot"]).output().unwrap();
    let back = (0..60).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = id();
        now.status.success() && now.stdout != before
    });
    assert!(back, "homelab did not come back");
    assert_eq!(
        lab.on(
            "homelab",
            "systemctl is-system-running --wait; systemctl is-active kubernetes-iptables"
        ),
        "running\nactive"
    );
    rhel_is_ready(lab);
    lab.changes_nothing(DEPLOY);
}

#[test]
fn every_example_runs_and_changes_nothing_the_second_time() {
    let Some(lab) = Lab::up("exampletest") else { return };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut examples: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .collect();
    examples.sort();
    assert!(examples.len() >= 8, "{examples:?}");
    for example in examples {
        let example = example.to_str().unwrap();
        // On the host without Python too.
        assert_eq!(lab.play(example, &[]).count("changed").len(), 4, "{example}");
        lab.changes_nothing(example);
    }
    // One after another, each with what the other has written.
    assert_eq!(lab.on("masternode", "wc -l < /etc/known-nodes"), "4");
}
