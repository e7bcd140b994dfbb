//! Whether the machine is a guest or a host of others, and of which kind.

use std::collections::BTreeSet;

use super::hardware::{self, dmi};
use super::{FAMILY, Family, Seen, set, strings};
use crate::vars::Map;

pub(super) const VIRTUAL: Family = Family {
    name: "virtual",
    ids: &[
        "virtualization_type",
        "virtualization_role",
        "virtualization_tech_guest",
        "virtualization_tech_host",
    ],
    files: &[
        "proc/1/cgroup",
        "run/systemd/container",
        "proc/xen/capabilities",
        "proc/cpuinfo",
        hardware::DMI_FILES,
    ],
    exists: &[
        "proc/vz",
        "proc/lve",
        "proc/bc",
        ".dockerenv",
        ".dockerinit",
        "proc/xen",
        "dev/kvm",
        // A module that is built in has no such file, and is not in /proc/modules either.
        "sys/module/kvm/initstate",
        "sys/module/vboxdrv/initstate",
        "sys/module/virtio/initstate",
    ],
    // The environment of process 1 holds NULs, which `read` passes over; it is readable for root only.
    shell: r"echo =init
if [ -r proc/1/environ ]; then
  x=
  IFS= read -r x <proc/1/environ
  case $x in
    *container=lxc*) echo lxc ;;
    *container=podman*) echo podman ;;
    *container=[a-z]*) echo container ;;
  esac
fi 2>/dev/null
",
    read,
    ..FAMILY
};

/// What was found: the first find decides, all finds are listed.
#[derive(Default)]
struct Finds {
    first: Option<(String, &'static str)>,
    guest: BTreeSet<String>,
    host: BTreeSet<String>,
}

impl Finds {
    fn guest(&mut self, technology: &str) {
        self.guest.insert(technology.to_string());
        self.first.get_or_insert((technology.to_string(), "guest"));
    }

    fn host(&mut self, technology: &str) {
        self.host.insert(technology.to_string());
        self.first.get_or_insert((technology.to_string(), "host"));
    }
}

fn read(seen: &Seen, facts: &mut Map) {
    let mut finds = Finds::default();
    containers(seen, &mut finds);
    xen(seen, &mut finds);
    firmware(seen, &mut finds);
    processor(seen, &mut finds);
    modules(seen, &mut finds);
    let (kind, role) = finds.first.unwrap_or(("NA".to_string(), "NA"));
    set(facts, "virtualization_type", kind);
    set(facts, "virtualization_role", role);
    set(facts, "virtualization_tech_guest", strings(&finds.guest));
    set(facts, "virtualization_tech_host", strings(&finds.host));
}

fn containers(seen: &Seen, finds: &mut Finds) {
    for line in seen.lines("proc/1/cgroup") {
        if in_docker(line) {
            finds.guest("docker");
        }
        if line.contains("/lxc/") || line.contains("/machine.slice/machine-lxc") {
            finds.guest("lxc");
        }
        if line.contains("/system.slice/containerd.service") {
            finds.guest("containerd");
        }
    }
    for kind in seen.section("init") {
        finds.guest(kind);
        finds.guest.insert("container".to_string());
    }
    if seen.exists("proc/vz") && !seen.exists("proc/lve") {
        if seen.exists("proc/bc") {
            finds.host("openvz");
        } else {
            finds.guest("openvz");
        }
    }
    let systemd = seen.content("run/systemd/container");
    if let Some(kind) = &systemd {
        finds.guest(kind);
    }
    if seen.exists(".dockerenv") || seen.exists(".dockerinit") {
        finds.guest("docker");
    }
    let known = ["docker", "lxc", "podman", "openvz", "containerd"];
    if systemd.is_some() || known.iter().any(|kind| finds.guest.contains(*kind)) {
        finds.guest.insert("container".to_string());
    }
}

/// `…/docker/…` or `…/docker-<id>.scope`.
fn in_docker(line: &str) -> bool {
    let Some((_, after)) = line.split_once("/docker") else {
        return false;
    };
    let scope = || {
        let id = after.strip_prefix('-')?.split_once(".scope")?.0;
        id.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())
    };
    after.starts_with('/') || scope().is_some()
}

fn xen(seen: &Seen, finds: &mut Finds) {
    if !seen.exists("proc/xen") {
        return;
    }
    if seen
        .content("proc/xen/capabilities")
        .is_some_and(|text| text.contains("control_d"))
    {
        return finds.host("xen");
    }
    finds.first.get_or_insert(("xen".to_string(), "guest"));
}

fn firmware(seen: &Seen, finds: &mut Finds) {
    let file = |name: &str| dmi(seen, name).unwrap_or_default();
    let (product, vendor, bios) = (file("product_name"), file("sys_vendor"), file("bios_vendor"));
    match product.as_str() {
        "KVM" | "KVM Server" | "Bochs" | "AHV" => finds.guest("kvm"),
        "OpenStack Compute" | "OpenStack Nova" => finds.guest("openstack"),
        name if name.starts_with("VMware") => finds.guest("VMware"),
        _ => {}
    }
    match bios.as_str() {
        "Xen" => finds.guest("xen"),
        "innotek GmbH" => finds.guest("virtualbox"),
        "Amazon EC2" | "DigitalOcean" | "Hetzner" => finds.guest("kvm"),
        _ => {}
    }
    match vendor.as_str() {
        "oVirt" => finds.guest("oVirt"),
        "Red Hat" if file("product_family") == "RHV" => finds.guest("RHV"),
        "Red Hat" if product == "RHEV Hypervisor" => finds.guest("RHEV"),
        "QEMU" | "Amazon EC2" | "DigitalOcean" | "Google" | "Scaleway" | "Nutanix" => finds.guest("kvm"),
        "KubeVirt" => finds.guest("KubeVirt"),
        "Microsoft Corporation" => finds.guest("VirtualPC"),
        "Parallels Software International Inc." => finds.guest("parallels"),
        "OpenStack Foundation" => finds.guest("openstack"),
        _ => {}
    }
}

fn processor(seen: &Seen, finds: &mut Finds) {
    for line in seen.lines("proc/cpuinfo") {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        match key.trim() {
            "model name" if value.contains("QEMU Virtual CPU") => finds.guest("kvm"),
            "model name" if value.contains("UML") => finds.guest("uml"),
            "vendor_id" if value.contains("User Mode Linux") => finds.guest("uml"),
            "vendor_id" if value.contains("PowerVM Lx86") => finds.guest("powervm_lx86"),
            "machine" if value.contains("CHRP IBM pSeries (emulated by qemu)") => finds.guest("kvm"),
            _ => {}
        }
    }
}

fn modules(seen: &Seen, finds: &mut Finds) {
    let loaded = |name: &str| seen.exists(&format!("sys/module/{name}/initstate"));
    if loaded("kvm") {
        finds.host("kvm");
    }
    if loaded("vboxdrv") {
        finds.host("virtualbox");
    }
    if loaded("virtio") {
        finds.host.insert("kvm".to_string());
        finds.first.get_or_insert(("kvm".to_string(), "guest"));
    }
    if seen.exists("dev/kvm") {
        finds.host("kvm");
    }
}
