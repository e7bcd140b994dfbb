//! The network: iptables, `NetworkManager`, firewalls, ports, address ranges.

use std::net::Ipv4Addr;

use super::Check;
use super::finding::Finding;
use super::seen::Seen;

/// The backend that the host's iptables works with.
pub fn backend(seen: &Seen) -> Option<&'static str> {
    let line = seen.line("iptables", 0);
    match line {
        _ if line.contains("nf_tables") => Some("nft"),
        _ if line.contains("legacy") || line.contains("iptables v") => Some("legacy"),
        _ => None,
    }
}

/// How kube-proxy is configured to work, where the node can ask the cluster: a control plane.
const PROXY_MODE: &str = "echo '=proxy mode'; x=/etc/kubernetes/admin.conf; [ ! -r $x ] || PATH=$PATH:/usr/local/bin kubectl --kubeconfig $x \
--request-timeout=3s -n kube-system get configmap kube-proxy -o 'jsonpath={.data.config\\.conf}' 2>/dev/null | sed -n 's/^mode: *//p'
";

/// `iptables`, `ipvs` or `nftables`; `None`: there is no cluster yet, or it is not this node that knows.
pub fn proxy_mode(seen: &Seen) -> Option<&str> {
    let given = seen.lines("proxy mode").first()?;
    Some(match given.trim_matches(['"', '\'', ' ']) {
        // Its own default.
        "" => "iptables",
        mode => mode,
    })
}

pub const IPTABLES: Check = Check {
    name: "iptables",
    // Whatever lists rules would load the modules of its backend, so it does only where they are there; the kernel
    // says which tables legacy has, and a table without rules does no harm.
    look: |wanted| {
        let Some(backend) = wanted.iptables_backend else {
            return String::new();
        };
        let name = backend.name();
        "echo =iptables; iptables --version 2>/dev/null
echo =alternatives; [ ! -x /usr/sbin/iptables-nft ] || [ ! -d /var/lib/alternatives ] || [ -e /var/lib/alternatives/iptables ] || echo none
echo '=legacy tables'; [ ! -r /proc/net/ip_tables_names ] || while read -r x
do l=$(iptables-legacy -t \"$x\" -S 2>/dev/null </dev/null) || l=unknown
l=$(printf '%s\\n' \"$l\" | grep -v '^-P .* ACCEPT$') || continue
if printf '%s\\n' \"$l\" | grep -Eqv 'KUBE-|CNI-|FLANNEL|^-P FORWARD DROP$'; then echo \"others $x\"; else echo \"$x\"; fi
done </proc/net/ip_tables_names
if [ -d /sys/module/nf_tables ] || grep -qs . /proc/net/ip_tables_names || grep -qs /nf_tables.ko \"/lib/modules/$k/modules.builtin\"
then echo =forward; iptables-NAME -S FORWARD 2>/dev/null || iptables -S FORWARD 2>/dev/null; fi
"
        .replace("NAME", name)
            + PROXY_MODE
    },
    judge: |wanted, seen| {
        let Some(wanted) = wanted.iptables_backend else {
            return Vec::new();
        };
        let name = wanted.name();
        let mut found = Vec::new();
        if seen.line("alternatives", 0) == "none" {
            found.push(Finding {
                what: "iptables is not registered with alternatives".into(),
                place: "/var/lib/alternatives/iptables".into(),
                why: "there is no iptables for kube-proxy, and no backend can be selected",
                fix: format!(
                    "alternatives --install /usr/sbin/iptables iptables /usr/sbin/iptables-{name} 10"
                ),
                task: Some("network : Register iptables with alternatives"),
            });
        }
        let is = backend(seen);
        if let Some(is) = is
            && is != name
        {
            found.push(Finding {
                what: format!("iptables is the {is} one, not {name}"),
                place: "/etc/alternatives/iptables".into(),
                why: "kube-proxy's rules would stand where the other nodes' tools do not look",
                fix: format!("update-alternatives --set iptables /usr/sbin/iptables-{name}"),
                task: Some("network : Select the backend of iptables"),
            });
        }
        if seen.line("forward", 0) == "-P FORWARD DROP" && !lets_pods_pass(seen.lines("forward")) {
            found.push(Finding {
                what: "what is forwarded is dropped, and no rule of the CNI comes before that".into(),
                place: "iptables -S FORWARD".into(),
                why: "no packet of a pod leaves its node",
                fix: "iptables -P FORWARD ACCEPT".into(),
                task: Some("network : Make rules and chains now"),
            });
        }
        if is == Some("nft") {
            found.extend(legacy_rules(seen.lines("legacy tables")));
        }
        found
    },
};

/// Whether the CNI accepts packets of pods by rules of its own. kube-proxy's KUBE-FORWARD does not do: it accepts what
/// is marked for masquerading, and what belongs to a connection that is known.
fn lets_pods_pass(rules: &[String]) -> bool {
    let chains = ["FLANNEL-FWD", "cali-FORWARD", "CILIUM_FORWARD"];
    rules
        .iter()
        .any(|rule| chains.iter().any(|chain| rule.contains(chain)))
}

/// Rules of Kubernetes and of others, in tables that legacy iptables has beside nft's.
fn legacy_rules(tables: &[String]) -> Vec<Finding> {
    let (others, own): (Vec<&String>, Vec<&String>) =
        tables.iter().partition(|table| table.starts_with("others "));
    let names = |tables: &[&String]| {
        let names = tables
            .iter()
            .map(|table| table.strip_prefix("others ").unwrap_or(table));
        names.collect::<Vec<_>>().join(", ")
    };
    let finding = |what: String, fix: &str, task| Finding {
        what,
        place: "/proc/net/ip_tables_names".into(),
        why: "a packet passes both, and what one accepts the other drops",
        fix: fix.into(),
        task,
    };
    let mut found = Vec::new();
    if !own.is_empty() {
        let names = names(&own);
        found.push(finding(
            format!("rules of both backends are in force: legacy ones in {names}"),
            "iptables-legacy-save, then flush what is there, or reboot",
            Some("network : Make rules and chains now"),
        ));
    }
    if !others.is_empty() {
        let names = names(&others);
        found.push(finding(
            format!(
                "rules of both backends are in force: legacy ones in {names}, and not only of Kubernetes"
            ),
            "iptables-legacy-save tells whose they are; let that work with nft, too, or reboot",
            None,
        ));
    }
    found
}

pub const NETWORKMANAGER: Check = Check {
    name: "networkmanager",
    look: |wanted| {
        if wanted.unmanaged_interfaces.is_empty() {
            return String::new();
        }
        "echo =networkmanager; systemctl is-active NetworkManager 2>/dev/null
cat /usr/lib/NetworkManager/conf.d/*.conf /run/NetworkManager/conf.d/*.conf /etc/NetworkManager/conf.d/*.conf \\
  /etc/NetworkManager/NetworkManager.conf 2>/dev/null | grep '^[[:space:]]*unmanaged-devices'
"
        .to_string()
    },
    judge: |wanted, seen| {
        let said = seen.lines("networkmanager");
        if said.first().is_none_or(|line| line != "active") {
            return Vec::new();
        }
        let unmanaged = said[1..].join(";");
        let unmanaged: Vec<&str> = (unmanaged.split([';', ',', '=', ' ']))
            .filter_map(|word| word.strip_prefix("interface-name:"))
            .collect();
        let managed: Vec<&str> = wanted
            .unmanaged_interfaces
            .iter()
            .map(String::as_str)
            .filter(|name| !unmanaged.contains(name))
            .collect();
        if managed.is_empty() {
            return Vec::new();
        }
        vec![Finding {
            what: format!("NetworkManager manages {}", managed.join(", ")),
            place: "/etc/NetworkManager/conf.d".into(),
            why: "it takes the addresses and the routes of the CNI away",
            fix: "unmanaged-devices= with these names".into(),
            task: Some("network : Keep NetworkManager off the interfaces of the CNI"),
        }]
    },
};

pub const FIREWALLS: Check = Check {
    name: "firewalls",
    look: |_| {
        "echo =firewalls; [ \"$(systemctl is-active firewalld 2>/dev/null)\" = active ] && echo firewalld
[ ! -r /etc/ufw/ufw.conf ] || while read -r x; do [ \"$x\" = ENABLED=yes ] && echo ufw; done </etc/ufw/ufw.conf
"
        .to_string()
    },
    judge: |_, seen| {
        let finding = |name: &String| {
            let (fix, task) = match name.as_str() {
                "ufw" => ("ufw disable", "network : Turn ufw off"),
                _ => (
                    "systemctl disable --now firewalld",
                    "network : Stop and disable firewalld",
                ),
            };
            Finding {
                what: format!("{name} is on"),
                place: name.clone(),
                why: "it drops the CNI's packets between nodes (UDP 8472), and a reload flushes kube-proxy's rules",
                fix: fix.into(),
                task: Some(task),
            }
        };
        seen.lines("firewalls").iter().map(finding).collect()
    },
};

pub const PORTS: Check = Check {
    name: "ports",
    look: |wanted| {
        let sockets = |section: &str, option: &str, ports: &[u16]| {
            if ports.is_empty() {
                return String::new();
            }
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            format!(
                "echo '={section}'; ss -H{option} 2>/dev/null | while read -r x x x a x u; do
case ${{a##*:}} in {}) u=${{u#*\\(\\(\\\"}}; echo \"${{a##*:}} ${{u%%\\\"*}}\" ;; esac; done
",
                ports.join("|")
            )
        };
        sockets("sockets", "ltnp", &wanted.ports)
            + &sockets("udp sockets", "lunp", &wanted.udp_ports)
            + "echo =kubernetes; [ -f /etc/kubernetes/kubelet.conf ] && echo yes\n"
    },
    judge: |_, seen| {
        let mut found = taken(seen, "sockets", "");
        found.extend(taken(seen, "udp sockets", " (UDP)"));
        found
    },
};

/// What others than Kubernetes listen on. The kernel, which has VXLAN's port, has no name among the programs.
fn taken(seen: &Seen, section: &str, kind: &str) -> Vec<Finding> {
    let is_in_use = seen.line("kubernetes", 0) == "yes";
    let mut taken: Vec<(&str, &str)> = (seen.lines(section).iter())
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, who)| !(is_kubernetes(who) || who.len() < 2 && is_in_use))
        .collect();
    taken.sort_unstable();
    taken.dedup();
    let finding = |(port, who): (&str, &str)| Finding {
        what: format!(
            "port {port}{kind} is taken by {}",
            if who.is_empty() { "something" } else { who }
        ),
        place: format!("port {port}"),
        why: "a part of Kubernetes has to listen there",
        fix: "stop it, or let it listen elsewhere".into(),
        task: None,
    };
    taken.into_iter().map(finding).collect()
}

fn is_kubernetes(program: &str) -> bool {
    program.starts_with("kube") || program == "etcd"
}

pub const CIDRS: Check = Check {
    name: "cidrs",
    look: |wanted| {
        if wanted.pod_cidr.is_none() && wanted.service_cidr.is_none() {
            return String::new();
        }
        "echo =addresses; ip -4 -o addr show 2>/dev/null; echo =routes; ip -4 route show 2>/dev/null\n"
            .to_string()
    },
    judge: |wanted, seen| {
        let ranges = [
            ("pods", wanted.pod_cidr.as_deref().and_then(Cidr::parse)),
            ("services", wanted.service_cidr.as_deref().and_then(Cidr::parse)),
        ];
        let addresses = seen.lines("addresses").iter().filter_map(|line| address(line));
        let routes = seen.lines("routes").iter().filter_map(|line| route(line));
        let mut found = Vec::new();
        for (name, network) in addresses.chain(routes) {
            for (whose, range) in &ranges {
                let Some(range) = range.filter(|range| range.overlaps(network)) else {
                    continue;
                };
                found.push(overlap(&format!("{network} of {name}"), &name, whose, range));
            }
        }
        if let [(_, Some(pods)), (_, Some(services))] = ranges
            && pods.overlaps(services)
        {
            found.push(overlap(
                &format!("the pods' {pods}"),
                "the cluster's ranges",
                "services",
                services,
            ));
        }
        found
    },
};

fn overlap(what: &str, place: &str, whose: &str, range: Cidr) -> Finding {
    Finding {
        what: format!("{what} overlaps with the {whose}' {range}"),
        place: place.into(),
        why: "packets for the one go to the other",
        fix: "choose another range for the cluster".into(),
        task: None,
    }
}

/// Interfaces that the cluster makes itself.
fn is_the_clusters(interface: &str) -> bool {
    let its = [
        "cni",
        "flannel",
        "cali",
        "veth",
        "kube-ipvs",
        "tunl",
        "vxlan",
        "lo",
    ];
    its.iter().any(|own| interface.starts_with(own))
}

/// `10.101.0.0/16 via 10.0.2.2 dev eth0 …`: where it leads and by which interface, unless it is the cluster's own, a
/// network of an interface's address, or the way to everywhere.
fn route(line: &str) -> Option<(String, Cidr)> {
    let mut words = line.split_whitespace();
    let network = Cidr::parse(words.next()?)?;
    let interface = words.skip_while(|word| *word != "dev").nth(1)?;
    let is_left_out = is_the_clusters(interface) || line.contains("scope link") || network.bits == 0;
    (!is_left_out).then(|| (format!("a route by {interface}"), network))
}

/// `2: eth0    inet 10.0.2.15/24 …`: the interface and its network, unless it is the cluster's own.
fn address(line: &str) -> Option<(String, Cidr)> {
    let mut words = line.split_whitespace().skip(1);
    let name = words.next()?.to_owned();
    if is_the_clusters(&name) {
        return None;
    }
    let cidr = words.nth(1)?;
    Some((name, Cidr::parse(cidr)?))
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    first: u32,
    bits: u8,
}

impl Cidr {
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
        let cidr = Self { first: 0, bits };
        Some(Self {
            first: u32::from(address) & cidr.mask(),
            bits,
        })
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)
    }

    fn overlaps(self, other: Self) -> bool {
        let mask = self.mask() & other.mask();
        self.first & mask == other.first & mask
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_kube_proxy_where_it_is_known() {
        let mode = |said: &str| proxy_mode(&Seen::read(said)).map(String::from);
        assert_eq!(mode("=proxy mode\n=names\na\n"), None);
        assert_eq!(mode("=proxy mode\n\"\"\n"), Some("iptables".to_string()));
        assert_eq!(mode("=proxy mode\nipvs\n"), Some("ipvs".to_string()));
        assert_eq!(mode("=proxy mode\n\"nftables\"\n"), Some("nftables".to_string()));
    }
}
