//! Who the node is, and what time it has.

use super::Check;
use super::finding::Finding;
use super::network::{backend, proxy_mode};
use super::seen::Seen;
use crate::vars::Value;

pub const CLOCK: Check = Check {
    name: "clock",
    look: |_| {
        "echo =clock; date +%s.%N
echo =synchronized; for x in /run/systemd/timesync/synchronized /run/chrony/chronyd.pid /run/chronyd/chronyd.pid /run/ntpd.pid; do
[ -e \"$x\" ] && echo yes; done
# A container has the clock of its machine.
[ -e /run/systemd/container ] && echo yes
"
        .to_string()
    },
    judge: |wanted, seen| {
        let mut found = Vec::new();
        if let Some(ahead) = ahead(seen)
            && ahead.abs() > wanted.clock_skew
        {
            let direction = if ahead > 0.0 { "ahead" } else { "behind" };
            found.push(Finding {
                what: format!("the clock is {:.0} s {direction}", ahead.abs()),
                place: "date".into(),
                why: "certificates and tokens are not yet or no longer valid",
                fix: "set the clock: chronyc makestep, or timedatectl set-time".into(),
                task: None,
            });
        }
        if seen.lines("synchronized").is_empty() {
            found.push(Finding {
                what: "nothing keeps the clock".into(),
                place: "systemd-timesyncd, chronyd".into(),
                why: "clocks of nodes drift apart, and certificates and leases go wrong",
                fix: "install chrony or systemd-timesyncd and enable it".into(),
                task: None,
            });
        }
        found
    },
};

/// By how many seconds the node's clock is ahead of this machine's, at least.
fn ahead(seen: &Seen) -> Option<f64> {
    let there: f64 = seen.line("clock", 0).parse().ok()?;
    let (asked, answered) = seen.asked_between;
    Some(match there {
        there if there < asked => there - asked,
        there if there > answered => there - answered,
        _ => 0.0,
    })
}

pub const NAMES: Check = Check {
    name: "names",
    look: |_| {
        "echo =names; read -r x </proc/sys/kernel/hostname; echo \"$x\"
echo =ids; x=; [ ! -r /etc/machine-id ] || read -r x </etc/machine-id; echo \"$x\"
x=-; [ ! -r /sys/class/dmi/id/product_uuid ] || read -r x </sys/class/dmi/id/product_uuid; echo \"$x\"
"
        .to_string()
    },
    judge: |_, seen| {
        let mut found = Vec::new();
        let name = seen.line("names", 0);
        if !is_label(name) {
            found.push(Finding {
                what: format!("the host's name `{name}` is no name of a node"),
                place: "/etc/hostname".into(),
                why: "kubeadm takes it as the node's name: small letters, digits, dots and dashes",
                fix: "hostnamectl set-hostname".into(),
                task: None,
            });
        }
        if seen.line("ids", 0).is_empty() {
            found.push(Finding {
                what: "there is no machine id".into(),
                place: "/etc/machine-id".into(),
                why: "the kubelet reports it, and address leases hang on it",
                fix: "systemd-machine-id-setup".into(),
                task: None,
            });
        }
        found
    },
};

fn is_label(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    !name.is_empty() && name.chars().all(fine) && !name.starts_with(['.', '-']) && !name.ends_with(['.', '-'])
}

/// What no two nodes may share, and what all must.
pub fn node(seen: &Seen) -> Value {
    let text = |section: &str, line: usize| Value::from(seen.line(section, line));
    Value::map([
        ("hostname", text("names", 0)),
        ("machine_id", text("ids", 0)),
        ("product_uuid", text("ids", 1)),
        ("iptables_backend", backend(seen).unwrap_or_default().into()),
        ("proxy_mode", proxy_mode(seen).unwrap_or_default().into()),
        ("kernel", text("kernels", 0)),
    ])
}
