//! `preflight`: what of a node would keep Kubernetes from working. It looks, in one round trip, and changes nothing.
//!
//! ```yaml
//! - preflight:
//!     modules: [br_netfilter, overlay]
//!     sysctls:
//!       net.ipv4.ip_forward: 1
//!     iptables_backend: nft
//!     unmanaged_interfaces: [cni*, flannel*]
//!     pod_cidr: 10.244.0.0/16
//!     service_cidr: 10.96.0.0/12
//!     ports: [10250]
//!     udp_ports: [8472]
//!   register: preflight_node
//! ```
//!
//! Each option names what the node is to have; what is left out is not looked at. The rest is always looked at: swap,
//! control groups, `SELinux`, firewalls, the clock, the host's name, the machine's id, the disk.
//!
//! Returns `findings`, each with `check`, `what` was found, `where`, `why` it breaks Kubernetes, the `fix`, and the
//! `task` that would apply it (empty where only a person can); and `node`, by which nodes can be compared
//! (`preflight_report`). A finding is a warning too.

mod finding;
mod identity;
mod kernel;
mod network;
mod seen;
mod storage;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use self::finding::Finding;
use self::seen::Seen;
use super::Module;
use crate::host::question::Look;
use crate::host::{Halt, Host, Outcome, fail};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    #[serde(default)]
    modules: Vec<String>,
    #[serde(default)]
    sysctls: BTreeMap<String, String>,
    iptables_backend: Option<Backend>,
    #[serde(default)]
    unmanaged_interfaces: Vec<String>,
    pod_cidr: Option<String>,
    service_cidr: Option<String>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    udp_ports: Vec<u16>,
    /// Of each file system that Kubernetes writes to, in MiB.
    #[serde(default = "disk_free")]
    disk_free: u64,
    /// Seconds.
    #[serde(default = "clock_skew")]
    clock_skew: f64,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Backend {
    Nft,
    Legacy,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

fn disk_free() -> u64 {
    4096
}

fn clock_skew() -> f64 {
    5.0
}

/// One thing to look at.
struct Check {
    name: &'static str,
    /// Shell text, which prints sections of its own; `$k` is the running kernel, `$n` the next one.
    look: fn(&Preflight) -> String,
    judge: fn(&Preflight, &Seen) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    kernel::MODULES,
    kernel::SYSCTLS,
    kernel::SWAP,
    kernel::CGROUPS,
    kernel::SELINUX,
    network::IPTABLES,
    network::NETWORKMANAGER,
    network::FIREWALLS,
    network::PORTS,
    network::CIDRS,
    identity::CLOCK,
    identity::NAMES,
    storage::DISK,
];

impl Module for Preflight {
    const NAME: &'static str = "preflight";
    const COLLECTION: &'static str = "vmstation.kubernetes";

    fn check(&self) -> Result<(), Halt> {
        for cidr in self.pod_cidr.iter().chain(&self.service_cidr) {
            if network::Cidr::parse(cidr).is_none() {
                return Err(fail(format!("`{cidr}` is no network: 10.244.0.0/16 is one")));
            }
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let mut script = String::from(kernel::VERSIONS);
        for check in CHECKS {
            script.push_str(&(check.look)(&self));
        }
        let asked = now();
        let output = host.ask(Look::new("preflight", script)).await?;
        let mut seen = Seen::read(&output.stdout_text());
        seen.asked_between = (asked, now());
        let mut outcome = Outcome::new();
        let mut findings = Vec::new();
        for check in CHECKS {
            for finding in (check.judge)(&self, &seen) {
                outcome = outcome.warn(finding.text());
                findings.push(finding.value(check.name));
            }
        }
        Ok(outcome
            .with("findings", findings)
            .with("node", identity::node(&seen)))
    }
}

/// Seconds since 1970 on this machine.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Preflight {
        Preflight {
            modules: vec!["br_netfilter".into(), "vxlan".into()],
            sysctls: [("net.ipv4.ip_forward".to_string(), "1".to_string())].into(),
            iptables_backend: Some(Backend::Nft),
            unmanaged_interfaces: vec!["cni*".into(), "flannel*".into()],
            pod_cidr: Some("10.244.0.0/16".into()),
            service_cidr: Some("10.96.0.0/12".into()),
            ports: vec![6443, 10250],
            udp_ports: vec![8472],
            disk_free: 4096,
            clock_skew: 5.0,
        }
    }

    fn found(said: &str) -> Vec<String> {
        let text = |finding: Finding| format!("{}: {}", finding.place, finding.what);
        judged(said).into_iter().map(text).collect()
    }

    /// A node that is as it should be.
    const GOOD: &str = "=kernels\n6.1.0-1\n6.1.0-1\n=loaded\nbr_netfilter\n=listed\nbr-netfilter\n vxlan\n=built 6.1.0-1\n/br_netfilter.ko\n/vxlan.ko\n\
        =blacklist\n=live\n/proc/sys/net/ipv4/ip_forward:1\n=boot\n/etc/sysctl.d/99-zz.conf:1:net.ipv4.ip_forward=1\n=swaps\n\
        Filename\tType\n=fstab\n=cgroups\n2\n=drivers\n=selinux\n=iptables\niptables v1.8.9 (nf_tables)\n=alternatives\n=legacy tables\n\
        =networkmanager\n=firewalls\n=sockets\n=udp sockets\n=kubernetes\n=addresses\n2: eth0    inet 10.0.2.15/24 scope global eth0\n=routes\n\
        =clock\n1000.2\n=synchronized\nyes\n=names\nmasternode\n=ids\nabc\n-\n=disk\n/dev/sda1 20000000 9000000 11000000 45% /\n";

    #[test]
    fn a_good_node_has_nothing() {
        assert_eq!(found(GOOD), Vec::<String>::new());
    }

    fn judged(said: &str) -> Vec<Finding> {
        let mut seen = Seen::read(said);
        seen.asked_between = (1000.0, 1000.5);
        let options = options();
        CHECKS
            .iter()
            .flat_map(|check| (check.judge)(&options, &seen))
            .collect()
    }

    /// The tasks of a role, as findings name them.
    fn tasks(role: &str) -> Vec<String> {
        let folder = format!("{}/roles/{role}/tasks", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let names = |text: String| {
            let names = text
                .lines()
                .filter_map(|line| line.trim_start().strip_prefix("- name: "));
            names.map(|name| format!("{role} : {name}")).collect::<Vec<_>>()
        };
        texts.flat_map(names).collect()
    }

    /// Each of these changes one thing for the worse: what was good, what is there instead, what is found.
    const TROUBLES: &[(&str, &str, &str)] = &[
        (
            "=listed\nbr-netfilter\n vxlan\n",
            "=listed\nvxlan\n",
            "br_netfilter is not listed for the next boot",
        ),
        (
            "=legacy tables\n",
            "=forward\n-P FORWARD DROP\n=legacy tables\n",
            "what is forwarded is dropped",
        ),
        (
            "6.1.0-1\n6.1.0-1\n",
            "6.1.0-1\n6.2.0-2\n",
            "there is no directory /lib/modules/6.2.0-2",
        ),
        (
            "/vxlan.ko\n",
            "",
            "vxlan is not there for the running kernel 6.1.0-1",
        ),
        (
            "=blacklist\n",
            "=blacklist\n/etc/modprobe.d/a.conf:3:install vxlan /bin/false\n",
            "vxlan is kept from being loaded",
        ),
        (
            "ip_forward:1\n",
            "ip_forward:0\n",
            "net.ipv4.ip_forward is 0, not 1",
        ),
        ("ip_forward:1\n", "", "net.ipv4.ip_forward is not there"),
        (
            ":1:net.ipv4.ip_forward=1\n",
            ":1:net.ipv4.ip_forward=1\n/etc/sysctl.d/99-zzz.conf:7:net/ipv4/ip_forward = 0\n",
            "sets net.ipv4.ip_forward to 0",
        ),
        (
            "Filename\tType\n",
            "Filename\tType\n/dev/sdb2 partition\n",
            "swap is on: /dev/sdb2",
        ),
        (
            "=fstab\n",
            "=fstab\n/etc/fstab:4:/dev/sdb2 none swap sw 0 0\n",
            "swap comes back at the next boot",
        ),
        (
            "=cgroups\n2\n",
            "=cgroups\n1\n",
            "control groups are of version 1",
        ),
        (
            "=drivers\n",
            "=drivers\ncontainerd cgroupfs\nkubelet systemd\n",
            "containerd uses the cgroup driver cgroupfs, not systemd",
        ),
        (
            "=drivers\n",
            "=drivers\ncontainerd systemd\nkubelet cgroupfs\n",
            "kubelet uses the cgroup driver cgroupfs, not systemd",
        ),
        (
            "=routes\n",
            "=routes\n10.101.0.0/16 via 10.0.2.2 dev eth0\n",
            "10.101.0.0/16 of a route by eth0 overlaps with the services' 10.96.0.0/12",
        ),
        (
            "=udp sockets\n",
            "=udp sockets\n8472 openvpn\n",
            "port 8472 (UDP) is taken by openvpn",
        ),
        ("=selinux\n", "=selinux\n1\n", "SELinux is enforcing"),
        ("(nf_tables)", "(legacy)", "iptables is the legacy one, not nft"),
        (
            "=alternatives\n",
            "=alternatives\nnone\n",
            "iptables is not registered with alternatives",
        ),
        (
            "=legacy tables\n",
            "=legacy tables\nnat\n",
            "rules of both backends are in force: legacy ones in nat",
        ),
        (
            "=legacy tables\n",
            "=legacy tables\nothers filter\n",
            "rules of both backends are in force: legacy ones in filter, and not only of Kubernetes",
        ),
        (
            "=networkmanager\n",
            "=networkmanager\nactive\n",
            "NetworkManager manages cni*, flannel*",
        ),
        ("=firewalls\n", "=firewalls\nfirewalld\n", "firewalld is on"),
        (
            "=sockets\n",
            "=sockets\n6443 nginx\n",
            "port 6443 is taken by nginx",
        ),
        (
            "10.0.2.15/24",
            "10.100.2.15/24",
            "10.100.2.0/24 of eth0 overlaps with the services' 10.96.0.0/12",
        ),
        ("=clock\n1000.2", "=clock\n1060.2", "the clock is 60 s ahead"),
        (
            "=synchronized\nyes\n",
            "=synchronized\n",
            "nothing keeps the clock",
        ),
        ("masternode\n", "Master_Node\n", "the host's name `Master_Node`"),
        ("=ids\nabc\n", "=ids\n\n", "there is no machine id"),
        ("11000000 45%", "1100000 95%", "/ has 1074 MiB left"),
    ];

    #[test]
    fn each_trouble_is_found() {
        let tasks = [tasks("network"), tasks("kubelet")].concat();
        for (good, bad, expected) in TROUBLES {
            assert!(GOOD.contains(good), "{good}");
            let said = GOOD.replacen(good, bad, 1);
            for task in judged(&said).iter().filter_map(|finding| finding.task) {
                assert!(
                    tasks.iter().any(|name| name == task),
                    "no role has the task `{task}`"
                );
            }
            let found = found(&said);
            assert!(
                found.iter().any(|what| what.contains(expected)),
                "{expected}: {found:#?}"
            );
            assert_eq!(found.len(), 1, "{found:#?}");
        }
    }

    #[test]
    fn the_cluster_has_two_ranges() {
        let options = Preflight {
            pod_cidr: Some("10.100.0.0/16".into()),
            ..options()
        };
        let found = (network::CIDRS.judge)(&options, &Seen::read(GOOD));
        assert_eq!(
            found[0].what,
            "the pods' 10.100.0.0/16 overlaps with the services' 10.96.0.0/12"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_name_within_another_is_not_unmanaged() {
        let active = |devices: &str| {
            let said = format!("=networkmanager\nactive\nunmanaged-devices={devices}\n");
            found(&GOOD.replacen("=networkmanager\n", &said, 1))
        };
        assert!(active("interface-name:cni*;interface-name:flannel*").is_empty());
        let said = active("interface-name:cni*;interface-name:xflannel*");
        assert!(said[0].contains("NetworkManager manages flannel*"), "{said:?}");
    }

    #[test]
    fn what_kubernetes_listens_on_is_not_taken() {
        let running = GOOD
            .replacen("=sockets\n", "=sockets\n6443 kube-apiserver\n10250 -\n", 1)
            .replacen("=kubernetes\n", "=kubernetes\nyes\n", 1);
        assert_eq!(found(&running), Vec::<String>::new());
    }
}
