//! Interfaces, addresses, the way out, and name servers.
//!
//! Interfaces that Kubernetes makes by the hundred are passed over before any of their files is touched.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::addresses::{self, Inet, Inet6};
use super::{FAMILY, Family, Seen, set, strings};
use crate::vars::{Key, Map, Value};

pub(super) const DNS: Family = Family {
    name: "dns",
    minimal: true,
    files: &["etc/resolv.conf"],
    read: read_dns,
    ..FAMILY
};

pub(super) const NETWORK: Family = Family {
    name: "network",
    ids: &[
        "interfaces",
        "default_ipv4",
        "default_ipv6",
        "all_ipv4_addresses",
        "all_ipv6_addresses",
    ],
    needs: &["distribution", "platform"],
    shell: r#"echo =interfaces
V=0
for i in sys/class/net/*; do
  x=${i##*/}
  case $x in
    cali*|veth*|cni*|flannel*|lxc*|kube-ipvs*) V=$((V+1)); continue ;;
  esac
  [ -d "$i" ] || continue
  F=$F$NL$i/address$NL$i/mtu$NL$i/operstate$NL$i/type$NL$i/flags$NL$i/speed
  if [ -d "$i/bridge" ]; then
    F=$F$NL$i/bridge/bridge_id$NL$i/bridge/stp_state
    for p in "$i"/brif/*; do
      [ -e "$p" ] && x="$x ${p##*/}"
    done
  fi
  [ -d "$i/bonding" ] && for p in slaves mode miimon lacp_rate primary all_slaves_active; do
    F=$F$NL$i/bonding/$p
  done
  [ -d "$i/bonding_slave" ] && F=$F$NL$i/bonding_slave/perm_hwaddr
  l "$i/device" "$i/device/driver/module"
  echo "$x"
done
[ "$V" -gt 20 ] || f proc/net/if_inet6 proc/net/ipv6_route
command -v ip >/dev/null || f proc/net/route proc/net/fib_trie
"#,
    late: r#"if [ "$V" -gt 20 ]; then
  # Their hundreds of lines stay on the host.
  echo =files
  grep -aEv ' (cali|veth|cni|flannel|lxc|kube-ipvs)[^ ]*$' proc/net/if_inet6 proc/net/ipv6_route 2>/dev/null
fi
echo =ip
if command -v ip >/dev/null; then
  # One process for all three; of another make than iproute2, `ip` knows no batch and says nothing.
  x=$(ip -4 -force -batch - 2>/dev/null <<E
addr show
route get 8.8.8.8
route show table local
E
)
  if [ -n "$x" ]; then
    printf '%s\n' "$x"
  else
    { ip -4 addr show; ip -4 route get 8.8.8.8; ip -4 route show table local; } 2>/dev/null
  fi
fi
"#,
    read,
    ..FAMILY
};

fn read_dns(seen: &Seen, facts: &mut Map) {
    let mut dns = Map::new();
    let mut servers: Vec<&str> = Vec::new();
    for line in seen.lines("etc/resolv.conf") {
        let mut words = line.split_whitespace();
        let rest = || line.split_whitespace().skip(1);
        match words.next().filter(|_| !line.starts_with(['#', ';'])) {
            Some("nameserver") => {
                servers.extend(rest());
                set(&mut dns, "nameservers", strings(&servers));
            }
            Some("domain") => {
                if let Some(domain) = words.next() {
                    set(&mut dns, "domain", domain);
                }
            }
            Some(name @ ("search" | "sortlist")) => set(&mut dns, name, strings(rest())),
            Some("options") => set(&mut dns, "options", Value::map(rest().map(option))),
            _ => {}
        }
    }
    set(facts, "dns", dns);
}

/// `ndots:5` or `rotate`.
fn option(word: &str) -> (&str, Value) {
    match word.split_once(':') {
        Some((name, value)) if !value.is_empty() => (name, Value::from(value)),
        Some((name, _)) => (name, Value::Bool(true)),
        None => (word, Value::Bool(true)),
    }
}

fn read(seen: &Seen, facts: &mut Map) {
    let (inet, inet6) = (addresses::inet(seen), addresses::inet6(seen));
    let mut interfaces: indexmap::IndexMap<String, Map> = indexmap::IndexMap::new();
    for line in seen.section("interfaces") {
        let mut names = line.split(' ');
        let Some(name) = names.next() else { continue };
        interfaces.insert(
            name.to_string(),
            interface(seen, name, &names.collect::<Vec<_>>()),
        );
    }
    for address in &inet {
        if interfaces.contains_key(&address.device) {
            attach(&mut interfaces, address);
        }
    }
    let mut per_device: HashMap<&str, Vec<Value>> = HashMap::new();
    for address in &inet6 {
        per_device
            .entry(&address.device)
            .or_default()
            .push(address.fact());
    }
    for (device, list) in per_device {
        if let Some(interface) = interfaces.get_mut(device) {
            set(interface, "ipv6", list);
        }
    }
    let default4 = default_ipv4(seen, &inet, &interfaces);
    let default6 = default_ipv6(seen, &inet6, &interfaces);
    let known =
        |address: &&Inet6| interfaces.contains_key(&address.device) && address.ip != Ipv6Addr::LOCALHOST;
    let all4 = inet
        .iter()
        .filter(|address| !address.ip.is_loopback())
        .map(|address| address.ip.to_string());
    let all6 = inet6.iter().filter(known).map(|address| address.ip.to_string());
    set(facts, "all_ipv4_addresses", strings(all4));
    set(facts, "all_ipv6_addresses", strings(all6));
    set(facts, "default_ipv4", default4);
    set(facts, "default_ipv6", default6);
    set(facts, "locally_reachable_ips", addresses::local(seen));
    // A colon is hard to use in a template.
    let names = interfaces.keys().map(|name| name.replace(':', "_"));
    set(facts, "interfaces", strings(names));
    for (name, interface) in interfaces {
        // A fact's name has no dash; an interface that is called like a fact does not replace it.
        let key = Key::from(name.replace([':', '-'], "_"));
        facts.entry(key).or_insert_with(|| Value::from(interface));
    }
}

fn interface(seen: &Seen, name: &str, ports: &[&str]) -> Map {
    let file = |path: &str| seen.content(&format!("sys/class/net/{name}/{path}"));
    let number = |path: &str| file(path)?.parse::<i64>().ok();
    let mut fact = Map::new();
    set(&mut fact, "device", name);
    if let Some(mac) = file("address").filter(|mac| mac != "00:00:00:00:00:00") {
        set(&mut fact, "macaddress", mac);
    }
    if let Some(mtu) = number("mtu") {
        set(&mut fact, "mtu", mtu);
    }
    if let Some(state) = file("operstate") {
        set(&mut fact, "active", state != "down");
    }
    let last = |path: &str| {
        seen.link(&format!("sys/class/net/{name}/{path}"))?
            .rsplit('/')
            .next()
    };
    if let Some(module) = last("device/driver/module") {
        set(&mut fact, "module", module);
    }
    if let Some(kind) = file("type") {
        set(&mut fact, "type", hardware_type(&kind));
    }
    if let Some(id) = file("bridge/bridge_id") {
        set(&mut fact, "type", "bridge");
        set(&mut fact, "interfaces", strings(ports));
        set(&mut fact, "id", id);
        set(&mut fact, "stp", file("bridge/stp_state").as_deref() == Some("1"));
    }
    bonding(seen, name, &mut fact);
    if let Some(device) = last("device") {
        set(&mut fact, "pciid", device);
    }
    if let Some(speed) = number("speed") {
        set(&mut fact, "speed", speed);
    }
    if let Some(flags) = file("flags") {
        let flags = i64::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
        set(&mut fact, "promisc", flags & 0x100 != 0);
    }
    fact
}

fn bonding(seen: &Seen, name: &str, fact: &mut Map) {
    let file = |path: &str| seen.content(&format!("sys/class/net/{name}/{path}"));
    let first = |text: String| text.split_whitespace().next().unwrap_or_default().to_string();
    if let Some(mode) = file("bonding/mode") {
        set(fact, "type", "bonding");
        set(
            fact,
            "slaves",
            strings(file("bonding/slaves").unwrap_or_default().split_whitespace()),
        );
        set(fact, "mode", first(mode));
        set(fact, "miimon", first(file("bonding/miimon").unwrap_or_default()));
        set(
            fact,
            "lacp_rate",
            first(file("bonding/lacp_rate").unwrap_or_default()),
        );
        if let Some(primary) = file("bonding/primary") {
            set(fact, "primary", primary);
            set(
                fact,
                "all_slaves_active",
                file("bonding/all_slaves_active").as_deref() == Some("1"),
            );
        }
    }
    if let Some(mac) = file("bonding_slave/perm_hwaddr") {
        set(fact, "perm_macaddress", mac);
    }
}

fn hardware_type(number: &str) -> &'static str {
    match number {
        "1" => "ether",
        "32" => "infiniband",
        "512" => "ppp",
        "772" => "loopback",
        "65534" => "tunnel",
        _ => "unknown",
    }
}

/// The first address of an interface is its `ipv4`, others are `ipv4_secondaries`; a label is an interface too.
fn attach(interfaces: &mut indexmap::IndexMap<String, Map>, address: &Inet) {
    let label = if address.label.is_empty() {
        &address.device
    } else {
        &address.label
    };
    let interface = interfaces.entry(label.clone()).or_default();
    if !address.secondary && !interface.contains_key("ipv4") {
        return set(interface, "ipv4", address.fact());
    }
    add(interface, address.fact());
    if address.secondary
        && *label != address.device
        && let Some(device) = interfaces.get_mut(&address.device)
    {
        add(device, address.fact());
    }
}

fn add(interface: &mut Map, address: Value) {
    let mut list = interface
        .get("ipv4_secondaries")
        .and_then(Value::as_list)
        .unwrap_or_default()
        .to_vec();
    list.push(address);
    set(interface, "ipv4_secondaries", list);
}

/// What a default address says of the interface it is on.
fn of_interface(fact: &mut Map, interface: Option<&Map>, mac: Option<String>) {
    let member = |name: &str| interface.and_then(|interface| interface.get(name)).cloned();
    set(fact, "macaddress", mac.unwrap_or_default());
    if let Some(mtu) = member("mtu") {
        set(fact, "mtu", mtu);
    }
    set(
        fact,
        "type",
        member("type").unwrap_or_else(|| Value::from("unknown")),
    );
}

fn default_ipv4(seen: &Seen, inet: &[Inet], interfaces: &indexmap::IndexMap<String, Map>) -> Map {
    let mut fact = Map::new();
    let Some(route) = addresses::route4(seen, inet) else {
        return fact;
    };
    if let Some(gateway) = route.gateway {
        set(&mut fact, "gateway", gateway.to_string());
    }
    set(&mut fact, "interface", route.device.as_str());
    let Some(source) = route.source else { return fact };
    set(&mut fact, "address", source.to_string());
    let Some(address) = inet.iter().find(|address| address.ip == source) else {
        return fact;
    };
    let mac = seen.content(&format!("sys/class/net/{}/address", address.device));
    set(
        &mut fact,
        "broadcast",
        address
            .broadcast
            .map(|ip: Ipv4Addr| ip.to_string())
            .unwrap_or_default(),
    );
    set(&mut fact, "netmask", address.netmask().to_string());
    set(&mut fact, "network", address.network().to_string());
    set(&mut fact, "prefix", address.prefix.to_string());
    set(
        &mut fact,
        "alias",
        if address.label.is_empty() {
            &*address.device
        } else {
            &*address.label
        },
    );
    of_interface(&mut fact, interfaces.get(&address.device), mac);
    fact
}

fn default_ipv6(seen: &Seen, inet6: &[Inet6], interfaces: &indexmap::IndexMap<String, Map>) -> Map {
    let mut fact = Map::new();
    let Some(route) = addresses::route6(seen) else {
        return fact;
    };
    if let Some(gateway) = route.gateway {
        set(&mut fact, "gateway", gateway.to_string());
    }
    set(&mut fact, "interface", route.device.as_str());
    let Some(address) = addresses::source6(inet6, &route.device) else {
        return fact;
    };
    let mac = seen.content(&format!("sys/class/net/{}/address", address.device));
    set(&mut fact, "address", address.ip.to_string());
    set(&mut fact, "prefix", address.prefix.to_string());
    set(&mut fact, "scope", address.scope);
    of_interface(&mut fact, interfaces.get(&address.device), mac);
    fact
}
