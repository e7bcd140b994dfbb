//! The chains of kube-proxy, where others use them too.

use super::{DEPLOY, Lab, RESET};

/// The chains of kube-proxy are hooked once, however often and by whom they were hooked; what others have put there
/// stays.
#[test]
fn chains_are_hooked_once() {
    let Some(lab) = Lab::up("hooktest") else { return };
    let limit = ["--limit", "homelab"];
    lab.play(DEPLOY, &limit);
    let rules = || {
        lab.on("homelab", "iptables-save -t nat; iptables-save -t filter")
            .replace(char::is_numeric, "")
    };
    let before = rules();
    let portals = "-m comment --comment 'kubernetes service portals' -j KUBE-SERVICES";
    lab.script(
        "homelab",
        &format!(
            "iptables -t nat -I PREROUTING -j KUBE-SERVICES; iptables -t nat -I PREROUTING -j KUBE-SERVICES\n\
             iptables -t nat -A OUTPUT {portals}; iptables -t nat -A OUTPUT {portals}\n\
             iptables -t nat -F POSTROUTING; iptables -t nat -A POSTROUTING -j KUBE-POSTROUTING\n\
             iptables -F FORWARD; iptables -X KUBE-FORWARD"
        ),
    );
    assert_ne!(rules(), before);
    let ran = lab.play(DEPLOY, &limit);
    assert_eq!(ran.changed(), [("homelab", "Make rules and chains now")]);
    assert_eq!(rules(), before);
    // Somebody's rule with a condition of its own.
    lab.script(
        "homelab",
        "iptables -t nat -A PREROUTING -s 10.9.0.0/16 -j KUBE-SERVICES; iptables -t nat -A KUBE-MARK-MASQ -j RETURN",
    );
    let with_theirs = rules();
    lab.play(DEPLOY, &limit).changed_nothing();
    assert_eq!(rules(), with_theirs);
    lab.play(RESET, &limit);
    let left = lab.on("homelab", "iptables-save | grep KUBE");
    assert_eq!(
        left.lines()
            .filter(|line| line.starts_with("-A"))
            .collect::<Vec<_>>(),
        [
            "-A PREROUTING -s 10.9.0.0/16 -j KUBE-SERVICES",
            "-A KUBE-MARK-MASQ -j RETURN"
        ]
    );
    lab.play(RESET, &limit).changed_nothing();
}
