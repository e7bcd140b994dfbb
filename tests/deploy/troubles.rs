//! Everything that can be wrong with a node, brought about and mended.

use std::collections::BTreeSet;
use std::process::Command;

use super::own_lab::{NODES, said};
use super::{DEPLOY, Lab, RESET, rhel_is_ready};

/// One thing that is wrong on some hosts.
struct Trouble {
    hosts: &'static [&'static str],
    /// A script that brings it about on a node that was ready.
    script: &'static str,
    /// The task that mends it.
    task: &'static str,
    /// What a host prints when it is mended.
    look: &'static str,
    mended: &'static str,
}

pub const DEBIAN: &[&str] = &["masternode", "storagenodet3500"];
const RHEL: &[&str] = &["homelab"];

/// Of each thing that docs/nodes.md lists.
const TROUBLES: &[Trouble] = &[
    Trouble {
        hosts: &NODES,
        // Indented, with tabs, and without an end of line.
        script: r"printf '  /swap.img\tnone\tswap\tsw\t0\t0\n/dev/zram0 none swap' >>/etc/fstab",
        task: "Comment swap out in fstab",
        look: "grep -c ^#.vmstation:.*swap /etc/fstab; grep -v ^# /etc/fstab; true",
        mended: "3",
    },
    Trouble {
        hosts: &NODES,
        script: "systemctl unmask -q swap.target",
        task: "Keep swap off at boot, wherever it would come from",
        look: "systemctl is-enabled swap.target || true",
        mended: "masked",
    },
    Trouble {
        hosts: &NODES,
        script: "sed -i /vxlan/d /etc/modules-load.d/kubernetes.conf",
        task: "Load kernel modules at boot",
        look: "grep -c . /etc/modules-load.d/kubernetes.conf",
        mended: "5",
    },
    Trouble {
        hosts: &NODES,
        script: "sysctl -q net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=0; \
                 sed -i /ip6tables/d /etc/sysctl.d/99-zz-kubernetes.conf",
        task: "Set kernel settings, now and at boot",
        look: "sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables; \
               grep -c . /etc/sysctl.d/99-zz-kubernetes.conf",
        mended: "1\n1\n3",
    },
    Trouble {
        hosts: &NODES,
        // What is read earlier, and what says the same, is left alone.
        script: "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/10-early.conf; \
                 printf '%s\\n' '-net/bridge/bridge-nf-call-iptables = 0' 'net.ipv4.ip_forward = 1' \
                 >/etc/sysctl.d/99-zzz-hardening.conf",
        task: "Comment that out where it is read after ours",
        look: "cat /etc/sysctl.d/10-early.conf /etc/sysctl.d/99-zzz-hardening.conf",
        mended: "net.ipv4.ip_forward=0\n# vmstation: -net/bridge/bridge-nf-call-iptables = 0\nnet.ipv4.ip_forward = 1",
    },
    Trouble {
        hosts: RHEL,
        // A package's: the name decides, not the directory.
        script: "mkdir -p /run/sysctl.d; echo net.ipv4.ip_forward=0 >/usr/lib/sysctl.d/99-zzzz.conf; \
                 echo net.ipv4.ip_forward=0 >/run/sysctl.d/99-zzzzz.conf",
        task: "Comment that out where it is read after ours",
        look: "cat /usr/lib/sysctl.d/99-zzzz.conf /run/sysctl.d/99-zzzzz.conf",
        mended: "# vmstation: net.ipv4.ip_forward=0\n# vmstation: net.ipv4.ip_forward=0",
    },
    Trouble {
        hosts: &NODES,
        script: "printf '%s\\n' 'net/ipv4/ip_forward=0' 'net.ipv4.ip_forward = 1' >>/etc/sysctl.conf",
        task: "Comment out what sysctl.conf sets to something else",
        look: "tail -n 2 /etc/sysctl.conf",
        mended: "# vmstation: net/ipv4/ip_forward=0\nnet.ipv4.ip_forward = 1",
    },
    Trouble {
        // Where legacy's iptables is not at work, which makes it itself.
        hosts: &["masternode", "homelab"],
        script: "rm /run/xtables.lock",
        task: "Make the lock file of xtables",
        look: "stat -c %a /run/xtables.lock",
        mended: "600",
    },
    Trouble {
        hosts: &NODES,
        script: "rm /etc/tmpfiles.d/kubernetes.conf",
        task: "Make the lock file of xtables at boot",
        look: "grep -o ^f.*.lock /etc/tmpfiles.d/kubernetes.conf",
        mended: "f /run/xtables.lock",
    },
    Trouble {
        hosts: &NODES,
        script: "systemctl disable -q kubernetes-iptables",
        task: "Have it run at boot",
        look: "systemctl is-enabled kubernetes-iptables",
        mended: "enabled",
    },
    Trouble {
        hosts: &NODES,
        script: "chmod 644 /usr/local/sbin/kubernetes-iptables",
        task: "Write the script that makes rules and chains",
        look: "stat -c %a /usr/local/sbin/kubernetes-iptables",
        mended: "755",
    },
    Trouble {
        // Where ufw, when it is turned off, does not do it.
        hosts: &["storagenodet3500", "homelab"],
        script: "iptables-nft -P FORWARD DROP",
        task: "Make rules and chains now",
        look: "iptables -S FORWARD | head -n 1",
        mended: "-P FORWARD ACCEPT",
    },
    Trouble {
        hosts: RHEL,
        script: "iptables-nft -t nat -F; iptables-nft -t nat -X",
        task: "Make rules and chains now",
        look: "iptables -t nat -S | grep -c KUBE",
        mended: "7",
    },
    Trouble {
        hosts: DEBIAN,
        // Or it locks us out.
        script: "ufw allow 22 >/dev/null; sed -i s/^ENABLED=no/ENABLED=yes/ /etc/ufw/ufw.conf",
        task: "Turn ufw off",
        look: "grep ^ENABLED /etc/ufw/ufw.conf",
        mended: "ENABLED=no",
    },
    Trouble {
        hosts: DEBIAN,
        script: "systemctl enable -q --now ufw; systemctl is-active -q ufw",
        task: "Stop and disable ufw",
        look: "systemctl is-enabled ufw; systemctl is-active ufw; true",
        mended: "disabled\ninactive",
    },
    Trouble {
        hosts: &["storagenodet3500"],
        script: "for name in iptables ip6tables; do update-alternatives --set $name /usr/sbin/$name-legacy; done",
        task: "Select the backend of iptables",
        look: "readlink /etc/alternatives/iptables /etc/alternatives/ip6tables",
        mended: "/usr/sbin/iptables-nft\n/usr/sbin/ip6tables-nft",
    },
    Trouble {
        hosts: DEBIAN,
        script: "dpkg -r --force-depends conntrack >/dev/null",
        task: "Install packages on Debian",
        look: "dpkg-query -W -f \"\\${db:Status-Abbrev}\" conntrack",
        mended: "ii",
    },
    Trouble {
        hosts: RHEL,
        script: "rpm -e --nodeps conntrack-tools",
        task: "Install packages on RHEL",
        look: "rpm -q --qf %{NAME} conntrack-tools",
        mended: "conntrack-tools",
    },
    Trouble {
        hosts: RHEL,
        // To register it selects it.
        script: "rm /var/lib/alternatives/iptables /etc/alternatives/iptables",
        task: "Register iptables with alternatives",
        look: "readlink /etc/alternatives/iptables /etc/alternatives/ip6tables",
        mended: "/usr/sbin/iptables-nft\n/usr/sbin/ip6tables-nft",
    },
    Trouble {
        hosts: RHEL,
        script: "systemctl enable -q --now firewalld; systemctl is-active -q firewalld",
        task: "Stop and disable firewalld",
        look: "systemctl is-enabled firewalld; systemctl is-active firewalld; true",
        mended: "disabled\ninactive",
    },
    Trouble {
        hosts: RHEL,
        script: "sed -i s/interface-name:cali/interface-name:xcali/ /etc/NetworkManager/conf.d/99-kubernetes.conf",
        task: "Keep NetworkManager off the interfaces of the CNI",
        look: "grep -o interface-name:cali /etc/NetworkManager/conf.d/99-kubernetes.conf",
        mended: "interface-name:cali",
    },
    Trouble {
        hosts: RHEL,
        script: "sed -i s/=permissive/=enforcing/ /etc/selinux/config",
        task: "Make SELinux permissive from the next boot on",
        look: "grep ^SELINUX= /etc/selinux/config",
        mended: "SELINUX=permissive",
    },
    Trouble {
        hosts: RHEL,
        script: "systemctl enable -q systemd-oomd.socket systemd-oomd.service",
        task: "Stop and disable systemd-oomd",
        look: "systemctl is-enabled systemd-oomd.socket systemd-oomd.service; true",
        mended: "disabled\ndisabled",
    },
];

/// What follows from the troubles.
const FOLLOWS: &[(&[&str], &str)] = &[(RHEL, "Reload NetworkManager")];

/// The tasks by which preflight names what it finds.
const FORESEEN: &[&str] = &[
    "Comment swap out in fstab",
    "Load kernel modules at boot",
    "Set kernel settings, now and at boot",
    "Comment that out where it is read after ours",
    "Turn ufw off",
    "Select the backend of iptables",
    "Register iptables with alternatives",
    "Make rules and chains now",
    "Stop and disable firewalld",
    "Keep NetworkManager off the interfaces of the CNI",
];

/// What `vmstation preflight` finds: the host and the task that would mend it; and its exit code.
fn preflight(lab: &Lab) -> (Option<i32>, BTreeSet<(String, String)>) {
    let ran = lab.run(&["preflight"]);
    // The connection, sudo where it asks, and one look.
    let trips = ran.count("round_trips");
    assert!(trips.values().all(|count| *count <= 3), "{trips:?}");
    let mut found = BTreeSet::new();
    for (.., event) in ran.endings().filter(|(_, task, _)| *task == "Compare the nodes") {
        for finding in event["result"]["findings"].as_array().into_iter().flatten() {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            found.insert((text("host"), text("task")));
        }
    }
    (ran.status.code(), found)
}

pub fn inject(lab: &Lab) {
    for trouble in TROUBLES {
        for host in trouble.hosts {
            lab.script(host, trouble.script);
        }
    }
}

/// Every trouble at once: each task that has one to mend changes something, no other does, and then all is well.
#[test]
fn every_trouble_is_mended_by_its_task() {
    let Some(lab) = Lab::up("troubletest") else { return };
    lab.play(DEPLOY, &[]);
    assert_eq!(preflight(&lab), (Some(0), BTreeSet::new()));
    inject(&lab);
    let (exit, found) = preflight(&lab);
    assert_eq!(exit, Some(0), "{found:#?}");
    for trouble in TROUBLES.iter().filter(|trouble| FORESEEN.contains(&trouble.task)) {
        for host in trouble.hosts {
            let finding = ((*host).to_owned(), format!("network : {}", trouble.task));
            assert!(found.contains(&finding), "{finding:?} is not among {found:#?}");
        }
    }
    let ran = lab.play(DEPLOY, &[]);
    let changed: BTreeSet<_> = ran.changed().into_iter().collect();
    let named = |hosts: &'static [&str], task: &'static str| hosts.iter().map(move |host| (*host, task));
    let troubles = TROUBLES.iter().flat_map(|t| named(t.hosts, t.task));
    let follows = FOLLOWS.iter().flat_map(|(hosts, task)| named(hosts, task));
    let wanted: BTreeSet<_> = troubles.chain(follows).collect();
    let differ: Vec<_> = changed.symmetric_difference(&wanted).collect();
    assert!(differ.is_empty(), "{differ:#?}");
    for trouble in TROUBLES {
        for host in trouble.hosts {
            assert_eq!(
                lab.on(host, trouble.look),
                trouble.mended,
                "{host}: {}",
                trouble.task
            );
        }
    }
    rhel_is_ready(&lab);
    lab.changes_nothing(DEPLOY);
}

/// What we have mended, Ansible finds in order; and what we have undone.
#[test]
#[ignore = "needs ansible 11: VMSTATION_ANSIBLE names its ansible-playbook"]
fn ansible_finds_nothing_to_do() {
    let ansible = std::env::var("VMSTATION_ANSIBLE").unwrap();
    let lab = Lab::up("ansibletest").unwrap();
    lab.play(DEPLOY, &[]);
    inject(&lab);
    lab.play(DEPLOY, &[]);
    of_ansible(&lab, &ansible, DEPLOY);
    lab.play(RESET, &[]);
    of_ansible(&lab, &ansible, RESET);
}

fn of_ansible(lab: &Lab, ansible: &str, playbook: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("nsenter")
        .arg(format!("--net=/run/netns/vmstation-{}", lab.name))
        // Its modprobe reads /proc/modules, which some kernels of containers lack.
        .args([ansible, playbook, "--skip-tags", "modprobe", "--diff", "-i"])
        .arg(format!("/run/vmstation/{}/inventory.yml", lab.name))
        .env("ANSIBLE_SSH_CONTROL_PATH_DIR", folder.path())
        .env("ANSIBLE_NOCOLOR", "1")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = said(&output);
    assert_eq!(text.matches(" changed=0 ").count(), 3, "{text}");
}
