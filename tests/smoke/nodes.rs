//! What deploy makes of a node, where the kernel is its own.

use serde_json::Value;

use super::lab::Lab;
use super::own_lab::{NODES, Ran};
use super::restarts::restart_one;
use super::{ONE, RHEL};

/// The playbook that prepares the nodes.
const DEPLOY: &str = "playbooks/deploy.yml";
const SETTINGS: &str = "tests/smoke/settings.yml";
const IPVS: &str = "tests/smoke/ipvs.yml";

/// Modules that the role loads.
const MODULES: [&str; 4] = ["br_netfilter", "overlay", "nf_conntrack", "vxlan"];

pub fn preflight(lab: &Lab) {
    let ran = lab.run("preflight", &["preflight"]).ok();
    for host in NODES {
        let mending: Vec<&str> = findings(&ran, host)
            .filter_map(|finding| finding["task"].as_str())
            .collect();
        for task in [
            "network : Turn swap off",
            "network : Comment swap out in fstab",
            "network : Load kernel modules at boot",
        ] {
            assert!(
                mending.contains(&task),
                "{host}: {task} is not among {mending:#?}"
            );
        }
    }
}

/// What preflight found on a host.
fn findings<'a>(ran: &'a Ran, host: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = |event: &'a Value| event["result"]["findings"].as_array().into_iter().flatten();
    ran.events
        .iter()
        .flat_map(all)
        .filter(move |finding| finding["host"] == host)
}

pub fn swap_is_on(lab: &Lab) {
    for host in NODES {
        assert_eq!(lab.script(host, "tail -n +2 /proc/swaps | wc -l"), "1", "{host}");
    }
}

pub fn deploy(lab: &Lab) {
    let ran = lab.run("deploy", &["run", DEPLOY]).ok();

    for host in NODES {
        assert_eq!(ran.ending(host, "Turn swap off")["status"], "changed", "{host}");
    }
}

pub fn deploy_again(lab: &Lab) {
    nothing_changes(lab, "again");
}

pub fn deploy_after_reboot(lab: &Lab) {
    nothing_changes(lab, "after-reboot");
}

fn nothing_changes(lab: &Lab, name: &str) {
    lab.run(name, &["run", DEPLOY]).ok().changed_nothing();
}

pub fn modules(lab: &Lab) {
    for host in NODES {
        let loaded = lab.script(host, "lsmod");
        let listed = lab.script(host, "cat /etc/modules-load.d/*.conf");
        for module in MODULES {
            let is_loaded = |line: &str| line.split(' ').next() == Some(module);
            assert!(
                loaded.lines().any(is_loaded),
                "{host}: {module} is not loaded:\n{loaded}"
            );
            assert!(
                listed.lines().any(|line| line == module),
                "{host}: {module} is not listed"
            );
        }
    }
}

pub fn swap_is_off(lab: &Lab) {
    for host in NODES {
        let seen = lab.script(
            host,
            "tail -n +2 /proc/swaps | wc -l; systemctl is-enabled swap.target || true",
        );
        assert_eq!(seen, "0\nmasked", "{host}");
    }
}

/// What tests/smoke/settings.yml sets, as the kernel has it.
const LIVE: &[(&str, &str)] = &[
    ("kernel.panic", "11"),
    ("kernel.threads-max", "7001"),
    ("vm.max_map_count", "262144"),
    ("vm.overcommit_memory", "1"),
    ("fs.inotify.max_user_instances", "1024"),
    ("net.core.somaxconn", "4000"),
    ("net.ipv4.ip_local_port_range", "32768\t60000"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.ip_forward", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
];

pub fn settings(lab: &Lab) {
    assert_ne!(lab.run("settings", &["run", SETTINGS]).ok().changed(), []);
    lab.run("settings-again", &["run", SETTINGS])
        .ok()
        .changed_nothing();
    settings_are_live(lab);
}

fn settings_are_live(lab: &Lab) {
    let names: Vec<&str> = LIVE.iter().map(|(name, _)| *name).collect();
    let script = format!("sysctl {}; ls -d /sys/block/ram* | wc -l", names.join(" "));
    let settings = LIVE.iter().map(|(name, value)| format!("{name} = {value}"));
    let expected: Vec<String> = settings.chain(["2".to_owned()]).collect();
    for host in NODES {
        let live = lab.script(host, &script);
        assert_eq!(live.lines().collect::<Vec<_>>(), expected, "{host}");
    }
}

/// A file that is read after ours would undo it at the next boot; one that is read before does not matter.
pub fn the_file_that_wins(lab: &Lab) {
    let harmless = "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/10-before.conf";
    let harmful = "echo 'net.ipv4.ip_forward = 0' >/etc/sysctl.d/zz-after.conf";
    lab.script(ONE, &format!("{harmless}; {harmful}"));
    let found = lab.run("file-that-wins-preflight", &["preflight"]).ok();
    let named = |file: &str| findings(&found, ONE).any(|finding| finding.to_string().contains(file));
    assert!(
        named("zz-after.conf"),
        "preflight does not name the file that wins"
    );
    assert!(
        !named("10-before.conf"),
        "preflight names a file that does not matter"
    );
    let ran = lab.run("file-that-wins", &["run", DEPLOY]).ok();
    assert_eq!(
        ran.changed(),
        [(ONE, "Comment that out where it is read after ours")]
    );
    let left =
        "grep -l ^net.ipv4.ip_forward /etc/sysctl.d/10-before.conf /etc/sysctl.d/zz-after.conf || true";
    assert_eq!(lab.script(ONE, left), "/etc/sysctl.d/10-before.conf");
}

/// As kube-proxy leaves it, when its mode is changed from ipvs to iptables.
pub fn ipvs(lab: &Lab) {
    lab.script(
        ONE,
        "apt-get -qq install -y ipvsadm >/dev/null; modprobe ip_vs; ipvsadm -A -t 10.96.0.10:53 -s rr
         ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.2:53 -m",
    );
    let entries = "tail -n +4 /proc/net/ip_vs | wc -l; ipvsadm -Sn | wc -l";
    assert_eq!(lab.script(ONE, entries), "2\n2");
    assert_ne!(lab.run("ipvs", &["run", IPVS]).ok().changed(), []);
    assert_eq!(lab.script(ONE, entries), "0\n0");
    assert_eq!(
        lab.script(ONE, "cat /root/identity-backup/ipvs-*.rules | wc -l"),
        "2"
    );
    lab.run("ipvs-again", &["run", IPVS]).ok().changed_nothing();
}

pub fn all_of_it_again(lab: &Lab) {
    modules(lab);
    swap_is_off(lab);
    settings_are_live(lab);
}

/// Its file is taken away: on Debian as where a kernel was replaced below its feet, on the look-alike in the place of
/// RHEL's kernel, whose modules lie in packages of their own.
pub fn a_module_is_missing(lab: &Lab) {
    const HIDE: &str = "modprobe -r vxlan
        file=$(modinfo -n vxlan)
        mv \"$file\" /var/tmp/vxlan.ko
        echo \"$file\" >/var/tmp/vxlan.path
        depmod";
    for host in [ONE, RHEL] {
        lab.script(host, HIDE);
    }
    let found = lab.run("module-missing-preflight", &["preflight"]);
    let ran = lab.run("module-missing", &["run", DEPLOY]);
    for host in [ONE, RHEL] {
        lab.script(
            host,
            "mv /var/tmp/vxlan.ko \"$(cat /var/tmp/vxlan.path)\"; depmod",
        );
    }
    // What deploy cannot mend.
    let (found, ran) = (found.ends_with(5), ran.ends_with(3));
    for host in [ONE, RHEL] {
        let said = ran.ending(host, "Say what a missing module needs")["result"]["msg"].to_string();
        assert!(said.contains("vxlan cannot be loaded"), "{said}");
        // Those that are there are not named.
        assert!(!said.contains("overlay"), "{said}");
        assert!(
            said.contains("not found"),
            "modprobe's own words are missing: {said}"
        );
        assert!(said.contains(&lab.script(host, "uname -r")), "{said}");
        let named = findings(&found, host).any(|finding| finding.to_string().contains("vxlan"));
        assert!(named, "preflight does not name vxlan on {host}");
    }
    // The third node is none the worse.
    assert_eq!(ran.count("failed")["masternode"], 0);
    let mended = lab.run("module-there-again", &["run", DEPLOY]).ok();
    assert_ne!(mended.changed(), []);
}

pub fn reset(lab: &Lab) {
    assert_ne!(lab.run("reset", &["reset", "--yes"]).ok().changed(), []);
    lab.run("reset-again", &["reset", "--yes"]).ok().changed_nothing();
    // A node of which nobody would know: its next boot is as it was before the first deploy.
    restart_one(lab, "reset-restart");
    let seen = lab.script(
        ONE,
        "tail -n +2 /proc/swaps | wc -l
         systemctl is-enabled swap.target || true
         cat /proc/sys/net/ipv4/ip_forward
         lsmod | grep -c '^vxlan ' || true",
    );
    assert_eq!(seen, "1\nstatic\n0\n0", "swap, swap.target, ip_forward, vxlan");
}
