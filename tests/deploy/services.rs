//! Which services are restarted, and when.

use super::{DEPLOY, Lab};

/// Stand-ins for the services and for a kernel that can load modules: each service is restarted, or reloaded, by what
/// it depends on, once, and by nothing else.
#[test]
fn services_are_restarted_when_they_must_be_and_only_then() {
    let Some(lab) = Lab::up("servicetest") else { return };
    let host = "masternode";
    let limit = ["--limit", host, "-e", "{network_modules: [lab_module]}"];
    lab.script(host, STAND_INS);
    let counts = || {
        lab.on(
            host,
            "cd /run/counts; cat containerd kubelet NetworkManager reloads | tr \"\\n\" \" \"",
        )
    };
    lab.play(DEPLOY, &limit);
    assert_eq!(
        counts(),
        "2 2 1 1",
        "the module is loaded, ip_forward set, and NetworkManager told"
    );
    lab.play(DEPLOY, &limit).changed_nothing();
    assert_eq!(counts(), "2 2 1 1");
    lab.script(host, "sysctl -q net.ipv4.ip_forward=0");
    lab.play(DEPLOY, &limit);
    assert_eq!(counts(), "2 3 1 1");
    lab.script(host, "rm /run/loaded");
    lab.play(DEPLOY, &limit);
    assert_eq!(counts(), "3 4 1 1");
    // In use no more: nobody starts it again.
    lab.script(
        host,
        "systemctl disable -q --now NetworkManager; rm /etc/NetworkManager/conf.d/99-kubernetes.conf",
    );
    lab.play(DEPLOY, &limit);
    assert_eq!(
        lab.on(host, "systemctl is-active NetworkManager || true"),
        "inactive"
    );
    assert_eq!(counts(), "3 4 1 1");
}

const STAND_INS: &str = r#"
mkdir -p /run/counts /etc/NetworkManager/conf.d
echo 0 >/run/counts/reloads
cat >/usr/local/sbin/count <<'EOF'
#!/bin/sh
echo $(($(cat /run/counts/$1 2>/dev/null || echo 0) + 1)) >/run/counts/$1
EOF
chmod 755 /usr/local/sbin/count
for name in containerd kubelet NetworkManager; do
    cat >/usr/lib/systemd/system/$name.service <<EOF
[Service]
ExecStartPre=/usr/local/sbin/count $name
ExecStart=/bin/sleep infinity
ExecReload=/usr/local/sbin/count reloads
[Install]
WantedBy=multi-user.target
EOF
done
systemctl daemon-reload
systemctl enable -q --now containerd kubelet NetworkManager
rm -f /usr/sbin/modprobe
cat >/usr/sbin/modprobe <<'EOF'
#!/bin/sh
case "$*" in
*-n*) [ -e /run/loaded ] || echo insmod lab_module.ko ;;
*) : >/run/loaded ;;
esac
EOF
chmod 755 /usr/sbin/modprobe
"#;
