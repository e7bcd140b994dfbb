//! Addresses and routes, from `ip` where there is one, else from /proc.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Seen, strings};
use crate::vars::Value;

/// An IPv4 address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inet {
    pub device: String,
    /// The alias it has, such as `eth0:1`; usually the interface's name.
    pub label: String,
    pub ip: Ipv4Addr,
    pub prefix: u32,
    pub broadcast: Option<Ipv4Addr>,
    pub secondary: bool,
}

/// An IPv6 address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inet6 {
    pub device: String,
    pub ip: Ipv6Addr,
    pub prefix: u32,
    pub scope: &'static str,
    flags: u32,
}

/// The way to the rest of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route<Ip> {
    pub device: String,
    pub gateway: Option<Ip>,
    pub source: Option<Ip>,
}

impl Inet {
    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - self.prefix.min(32)).unwrap_or(0)
    }

    pub(super) fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask())
    }

    pub(super) fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.ip) & self.mask())
    }

    pub(super) fn fact(&self) -> Value {
        Value::map([
            ("address", Value::from(self.ip.to_string())),
            (
                "broadcast",
                Value::from(self.broadcast.map(|ip| ip.to_string()).unwrap_or_default()),
            ),
            ("netmask", Value::from(self.netmask().to_string())),
            ("network", Value::from(self.network().to_string())),
            ("prefix", Value::from(self.prefix.to_string())),
        ])
    }
}

impl Inet6 {
    pub(super) fn fact(&self) -> Value {
        Value::map([
            ("address", Value::from(self.ip.to_string())),
            ("prefix", Value::from(self.prefix.to_string())),
            ("scope", Value::from(self.scope)),
        ])
    }
}

pub(super) fn inet(seen: &Seen) -> Vec<Inet> {
    let lines = seen.section("ip");
    if lines.is_empty() {
        inet_from_proc(seen)
    } else {
        inet_from_ip(lines)
    }
}

fn inet_from_ip(lines: &[String]) -> Vec<Inet> {
    let mut list = Vec::new();
    let mut device = String::new();
    for line in lines {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            // `2: eth0@if7: <BROADCAST,…>`; a route's first word is followed by a blank, not a colon.
            if let Some(name) = line
                .split_once(": ")
                .and_then(|(_, rest)| rest.split([':', '@']).next())
            {
                device = name.to_string();
            }
            continue;
        }
        list.extend(inet_line(line, &device));
    }
    // Per interface, first those that are not secondary, as Ansible asks for them.
    list.sort_by_key(|address: &Inet| address.secondary);
    list
}

/// `inet 192.0.2.5/24 brd 192.0.2.255 scope global secondary eth0:1`
fn inet_line(line: &str, device: &str) -> Option<Inet> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.first() != Some(&"inet") {
        return None;
    }
    let address = words.get(1)?;
    let (ip, prefix) = address.split_once('/').unwrap_or((address, "32"));
    let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1);
    Some(Inet {
        device: device.to_string(),
        label: words.last()?.to_string(),
        ip: ip.parse().ok()?,
        prefix: prefix.parse().ok()?,
        broadcast: after("brd").and_then(|ip| ip.parse().ok()),
        secondary: words.contains(&"secondary"),
    })
}

/// A line of /proc/net/route.
struct Entry<'a> {
    device: &'a str,
    destination: u32,
    gateway: u32,
    flags: u32,
    metric: u32,
    mask: u32,
}

fn routes(seen: &Seen) -> impl Iterator<Item = Entry<'_>> {
    // Numbers are printed as the processor keeps them: little end first on all that matter.
    let ip = |word: &str| u32::from_str_radix(word, 16).ok().map(u32::swap_bytes);
    seen.lines("proc/net/route").iter().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(Entry {
            device: words.first()?,
            destination: ip(words.get(1)?)?,
            gateway: ip(words.get(2)?)?,
            flags: u32::from_str_radix(words.get(3)?, 16).ok()?,
            metric: words.get(6)?.parse().ok()?,
            mask: ip(words.get(7)?)?,
        })
    })
}

/// Without `ip`: the local addresses of the routing trie, each on the interface that its network is reached by.
fn inet_from_proc(seen: &Seen) -> Vec<Inet> {
    let mut list: Vec<Inet> = Vec::new();
    let mut named = None;
    for line in seen.lines("proc/net/fib_trie") {
        let line = line.trim();
        if let Some(ip) = line.strip_prefix("|-- ") {
            named = ip.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(ip) = named
            && !list.iter().any(|address| address.ip == ip)
        {
            list.push(placed(seen, ip));
        }
    }
    list
}

fn placed(seen: &Seen, ip: Ipv4Addr) -> Inet {
    let number = u32::from(ip);
    let near =
        |entry: &Entry| entry.gateway == 0 && entry.mask != 0 && number & entry.mask == entry.destination;
    let network = routes(seen).filter(near).max_by_key(|entry| entry.mask);
    let (device, mask) = match network {
        Some(entry) => (entry.device, entry.mask),
        None if ip.is_loopback() => ("lo", 0xff00_0000),
        None => ("", u32::MAX),
    };
    let prefix = mask.count_ones();
    let broadcast = (prefix < 31 && !ip.is_loopback()).then(|| Ipv4Addr::from(number | !mask));
    Inet {
        device: device.to_string(),
        label: device.to_string(),
        ip,
        prefix,
        broadcast,
        secondary: false,
    }
}

pub(super) fn inet6(seen: &Seen) -> Vec<Inet6> {
    let mut list: Vec<Inet6> = seen
        .lines("proc/net/if_inet6")
        .iter()
        .filter_map(|line| inet6_line(line))
        .collect();
    // The widest scope first, as `ip` lists them.
    list.sort_by_key(|address| {
        ["global", "site", "link", "host"]
            .iter()
            .position(|s| *s == address.scope)
    });
    list
}

fn inet6_line(line: &str) -> Option<Inet6> {
    let mut words = line.split_whitespace();
    let ip = address6(words.next()?)?;
    let mut number = || u32::from_str_radix(words.next()?, 16).ok();
    let (_, prefix, scope, flags) = (number()?, number()?, number()?, number()?);
    let scope = match scope {
        0x10 => "host",
        0x20 => "link",
        0x40 => "site",
        _ => "global",
    };
    Some(Inet6 {
        device: words.next()?.to_string(),
        ip,
        prefix,
        scope,
        flags,
    })
}

fn address6(hex: &str) -> Option<Ipv6Addr> {
    u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from)
}

/// The route to an address far away.
pub(super) fn route4(seen: &Seen, inet: &[Inet]) -> Option<Route<Ipv4Addr>> {
    if seen.section("ip").is_empty() {
        return route4_from_proc(seen, inet);
    }
    let line = seen
        .section("ip")
        .iter()
        .find(|line| line.starts_with("8.8.8.8 "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1);
    Some(Route {
        device: after("dev")?.to_string(),
        gateway: after("via").and_then(|ip| ip.parse().ok()),
        source: after("src").and_then(|ip| ip.parse().ok()),
    })
}

fn route4_from_proc(seen: &Seen, inet: &[Inet]) -> Option<Route<Ipv4Addr>> {
    let usable = |entry: &Entry| entry.mask == 0 && entry.flags & 1 != 0 && entry.flags & 0x200 == 0;
    let entry = routes(seen).filter(usable).min_by_key(|entry| entry.metric)?;
    let gateway = (entry.gateway != 0).then(|| Ipv4Addr::from(entry.gateway));
    let on_device = || inet.iter().filter(|address| address.device == entry.device);
    let beside = |address: &&Inet| u32::from(address.network()) == entry.gateway & address.mask();
    let source = on_device()
        .find(beside)
        .or_else(|| on_device().next())
        .map(|address| address.ip);
    Some(Route {
        device: entry.device.to_string(),
        gateway,
        source,
    })
}

/// The default route of IPv6 with the lowest metric that does not refuse.
pub(super) fn route6(seen: &Seen) -> Option<Route<Ipv6Addr>> {
    let parse = |line: &String| -> Option<(u32, Route<Ipv6Addr>)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let gateway = address6(words.get(4)?)?;
        if number(1)? != 0 || number(8)? & 0x200 != 0 {
            return None;
        }
        let gateway = (!gateway.is_unspecified()).then_some(gateway);
        Some((
            number(5)?,
            Route {
                device: words.last()?.to_string(),
                gateway,
                source: None,
            },
        ))
    };
    let routes = seen.lines("proc/net/ipv6_route").iter().filter_map(parse);
    routes.min_by_key(|(metric, _)| *metric).map(|(_, route)| route)
}

/// The address that would be used on this interface: not deprecated, not temporary, if possible.
pub(super) fn source6<'a>(list: &'a [Inet6], device: &str) -> Option<&'a Inet6> {
    let on_device = list
        .iter()
        .filter(|address| address.device == device && address.scope == "global");
    on_device.min_by_key(|address| (address.flags & 0x60 != 0, address.flags & 1 != 0))
}

/// What the host answers for itself.
pub(super) fn local(seen: &Seen) -> Value {
    let mut four: Vec<&str> = Vec::new();
    for line in seen.section("ip") {
        if let Some(address) = line
            .strip_prefix("local ")
            .and_then(|rest| rest.split_whitespace().next())
            && !four.contains(&address)
        {
            four.push(address);
        }
    }
    let mut six: Vec<Ipv6Addr> = seen
        .lines("proc/net/ipv6_route")
        .iter()
        .filter_map(|line| local6(line))
        .collect();
    six.sort_unstable();
    six.dedup();
    Value::map([
        ("ipv4", strings(four)),
        ("ipv6", strings(six.iter().map(ToString::to_string))),
    ])
}

/// A local route of `/proc/net/ipv6_route`; anycast addresses are not ours alone.
fn local6(line: &str) -> Option<Ipv6Addr> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let flags = u32::from_str_radix(words.get(8)?, 16).ok()?;
    if flags & 0x8000_0000 == 0 || flags & 0x0010_0000 != 0 {
        return None;
    }
    address6(words.first()?)
}
