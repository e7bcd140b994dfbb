//! The kernel modules that a host of the lab sees: this machine's.
//!
//! A container cannot load modules. Where this machine has loadable ones, the lab
//! loads those that Kubernetes' nodes need and shows the hosts the directory; where
//! its kernel has everything built in, and no list of it, one is made from what the
//! kernel tells of itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::write;
use super::program;
use crate::source::Diagnostic;

/// Modules that playbooks ask for, where they lie in a kernel, and the option that
/// builds them.
const MODULES: &[(&str, &str)] = &[
    ("net/bridge/br_netfilter", "BRIDGE_NETFILTER"),
    ("net/bridge/bridge", "BRIDGE"),
    ("fs/overlayfs/overlay", "OVERLAY_FS"),
    ("net/netfilter/nf_conntrack", "NF_CONNTRACK"),
    ("net/netfilter/nf_nat", "NF_NAT"),
    ("net/netfilter/nf_tables", "NF_TABLES"),
    ("net/netfilter/nft_compat", "NFT_COMPAT"),
    ("net/netfilter/xt_conntrack", "NETFILTER_XT_MATCH_CONNTRACK"),
    ("net/netfilter/xt_comment", "NETFILTER_XT_MATCH_COMMENT"),
    ("net/netfilter/xt_MASQUERADE", "NETFILTER_XT_TARGET_MASQUERADE"),
    ("net/netfilter/ipset/ip_set", "IP_SET"),
    ("net/netfilter/ipvs/ip_vs", "IP_VS"),
    ("net/netfilter/ipvs/ip_vs_rr", "IP_VS_RR"),
    ("net/netfilter/ipvs/ip_vs_wrr", "IP_VS_WRR"),
    ("net/netfilter/ipvs/ip_vs_sh", "IP_VS_SH"),
    ("net/ipv4/netfilter/ip_tables", "IP_NF_IPTABLES"),
    ("net/ipv4/netfilter/iptable_nat", "IP_NF_NAT"),
    ("net/ipv4/netfilter/iptable_filter", "IP_NF_FILTER"),
    ("drivers/net/vxlan/vxlan", "VXLAN"),
    ("drivers/net/veth", "VETH"),
    ("net/8021q/8021q", "VLAN_8021Q"),
    ("drivers/block/loop", "BLK_DEV_LOOP"),
    ("fs/fuse/fuse", "FUSE_FS"),
];

/// Gives the root the list of modules, or tells the options that show the
/// machine's own directory to its container.
pub fn modules(root: &Path) -> Result<Vec<String>, Diagnostic> {
    let file = Path::new("/proc/sys/kernel/osrelease");
    let release = fs::read_to_string(file).unwrap_or_default();
    let dir = PathBuf::from("/lib/modules").join(release.trim());
    if dir.join("modules.builtin").exists() {
        for name in ["br_netfilter", "overlay", "nf_conntrack", "vxlan"] {
            // One that this machine does not have is missing on the hosts, too.
            let _ = program::run(&["modprobe", name]);
        }
        return Ok(vec![format!("--bind-ro={}", dir.display())]);
    }
    let config = program::run(&["sh", "-c", "zcat /proc/config.gz 2>/dev/null || true"])?;
    let inside = root.join("usr/lib/modules").join(release.trim());
    write(&inside.join("modules.builtin"), &builtin(&config), 0o644)?;
    write(&inside.join("modules.order"), "", 0o644)?;
    program::run(&["chroot", &root.display().to_string(), "depmod", release.trim()])?;
    Ok(Vec::new())
}

/// The text of modules.builtin for a kernel with this configuration, or, when it
/// keeps that to itself, with what it lists in /sys/module.
fn builtin(config: &str) -> String {
    let mut text = String::new();
    for (path, option) in MODULES {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_in = config.lines().any(|line| line == format!("CONFIG_{option}=y"))
            || Path::new("/sys/module").join(name).exists();
        if is_in {
            text.push_str("kernel/");
            text.push_str(path);
            text.push_str(".ko\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_listed() {
        let text = builtin("CONFIG_BRIDGE_NETFILTER=y\n# CONFIG_IP_VS is not set\n");
        assert!(text.contains("kernel/net/bridge/br_netfilter.ko\n"));
        assert!(!text.contains("ip_vs_rr"));
    }
}
