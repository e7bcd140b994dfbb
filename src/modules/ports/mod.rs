//! TCP connections as the kernel lists them in `/proc/net/tcp`.

use std::fmt::Write;
use std::net::IpAddr;

/// Connections to a local port that count, for a script that looks whether there are any.
#[derive(Debug)]
pub struct Sockets {
    pub port: u16,
    /// Local addresses; `0.0.0.0` and `::` stand for all.
    pub local: Vec<IpAddr>,
    /// Peers that do not count.
    pub excluded: Vec<IpAddr>,
    /// Names of states that count.
    pub states: Vec<String>,
}

/// The states that `wait_for` counts unless told otherwise.
pub fn active_states() -> Vec<String> {
    [
        "ESTABLISHED",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "SYN_RECV",
        "SYN_SENT",
        "TIME_WAIT",
    ]
    .map(String::from)
    .to_vec()
}

/// The kernel's number of a state.
pub fn state_number(name: &str) -> Option<&'static str> {
    Some(match name {
        "ESTABLISHED" => "01",
        "SYN_SENT" => "02",
        "SYN_RECV" => "03",
        "FIN_WAIT1" => "04",
        "FIN_WAIT2" => "05",
        "TIME_WAIT" => "06",
        _ => return None,
    })
}

impl Sockets {
    /// A command of `sh` that succeeds when there are none.
    pub fn quiet(&self) -> String {
        let any = self.local.iter().any(IpAddr::is_unspecified);
        let local = if any { String::new() } else { keys(&self.local) };
        let states: Vec<_> = self.states.iter().filter_map(|s| state_number(s)).collect();
        format!(
            "awk -v port={port:04X} -v local='{local}' -v excluded='{excluded}' -v states='{states}' '\
             BEGIN {{ n = split(local, l, \" \"); for (i in l) here[l[i]]; split(excluded, e, \" \"); \
             for (i in e) not[e[i]]; split(states, s, \" \"); for (i in s) active[s[i]] }} \
             {{ split($2, a, \":\"); split($3, b, \":\") }} \
             a[2] == port && ($4 in active) && !(b[1] in not) && (n == 0 || a[1] in here) {{ found = 1 }} \
             END {{ exit found }}' /proc/net/tcp $([ ! -r /proc/net/tcp6 ] || echo /proc/net/tcp6)",
            port = self.port,
            excluded = keys(&self.excluded),
            states = states.join(" "),
        )
    }
}

fn keys(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .flat_map(hexadecimal)
        .collect::<Vec<_>>()
        .join(" ")
}

/// An address as the kernel prints it: words of four bytes, each turned round on a little-endian machine. An
/// IPv4 address also stands among those of IPv6.
fn hexadecimal(address: &IpAddr) -> Vec<String> {
    match address {
        IpAddr::V4(v4) => vec![words(&v4.octets()), words(&v4.to_ipv6_mapped().octets())],
        IpAddr::V6(v6) => vec![words(&v6.octets())],
    }
}

fn words(octets: &[u8]) -> String {
    let mut text = String::new();
    for byte in octets.chunks(4).flat_map(|word| word.iter().rev()) {
        let _ = write!(text, "{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_kernels() {
        assert_eq!(
            hexadecimal(&"127.0.0.1".parse().unwrap()),
            ["0100007F", "0000000000000000FFFF00000100007F"]
        );
        assert_eq!(
            hexadecimal(&"::1".parse().unwrap()),
            ["00000000000000000000000001000000"]
        );
    }
}
