//! A Kubernetes control plane on one of the hosts, for a lab that is asked for one.
//!
//! etcd, the API server, the controllers and the scheduler are the real programs, built
//! once from source and laid over the host's root as a layer of its overlay. No container
//! runtime runs here: kwok plays the kubelets, so that nodes are Ready and pods Running.
//! What there is to do on the host is a script there (`control-plane`), which others that
//! make or end a cluster may run as well.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::hosts::Host;
use super::place::{Place, failed, lock, lock_shared, write};
use super::recipe::{ENDS_WITH_US, hash, remove_old, script, whole};
use super::{Progress, hosts, machine, program, tools};
use crate::source::Diagnostic;

const BUILD: &str = include_str!("kubernetes/build.sh");
const GO_MOD: &str = include_str!("kubernetes/go.mod");
const GO_SUM: &str = include_str!("kubernetes/go.sum");
/// Programs that nobody else has: `CoreDNS` with few plugins, and what stands in for a kubelet.
const GO_FILES: [(&str, &str); 5] = [
    ("coredns/main.go", include_str!("kubernetes/coredns/main.go")),
    ("kubelet/main.go", include_str!("kubernetes/kubelet/main.go")),
    (
        "kubelet/network.go",
        include_str!("kubernetes/kubelet/network.go"),
    ),
    (
        "kubelet/containers.go",
        include_str!("kubernetes/kubelet/containers.go"),
    ),
    ("kubelet/server.go", include_str!("kubernetes/kubelet/server.go")),
];
const CONTROL_PLANE: &str = include_str!("kubernetes/control-plane.sh");
/// The stand-in of kubeadm; the package of that name hands over to it.
const KUBEADM: &str = include_str!("kubernetes/kubeadm.sh");
const KWOK: &str = include_str!("kubernetes/kwok.yaml");

/// The host that the control plane is on.
const MASTER: &str = "masternode";

/// The hosts that are nodes of the cluster.
const NODES: [&str; 3] = [MASTER, "storagenodet3500", "homelab"];

const KUBELET: &str = "v1.29.15";

/// The API server's port in state LISTEN, as /proc/net/tcp6 has it.
const LISTENS: &str = ":192B 00000000000000000000000000000000:0000 0A";

/// What every pod has written, in the words of the file that a container runtime writes.
const POD_LOG: &str =
    "2026-01-01T00:00:00.000000000Z stdout F nothing runs in here: the pods of the lab are played\n";

/// Where the script that does the work is on the host, and what it needs.
const COMMAND: &str = "usr/local/sbin/control-plane";
const LIBRARY: &str = "usr/local/lib/control-plane";
const KUBECONFIG: &str = "var/lib/control-plane/admin.conf";

/// The built programs, kept where they are for as long as this is: from a mount on, the
/// mount itself keeps them.
pub struct Programs {
    dir: PathBuf,
    _lock: File,
}

impl Programs {
    /// The layers that lie over a host's root, the topmost first.
    pub fn layers(&self, host: &Host) -> Vec<PathBuf> {
        let mut names = Vec::new();
        if host.name == MASTER {
            names.push("control-plane");
        }
        if is_node(host) {
            names.extend(["client", "node"]);
        }
        names.into_iter().map(|name| self.dir.join(name)).collect()
    }
}

fn is_node(host: &Host) -> bool {
    NODES.contains(&host.name)
}

/// Finds the programs, or builds them: a quarter of an hour the first time.
pub fn build(place: &Place, progress: Progress) -> Result<Programs, Diagnostic> {
    let mut parts = vec![BUILD, GO_MOD, GO_SUM];
    parts.extend(GO_FILES.map(|(_, text)| text));
    let done = Place::programs().join(hash(&parts));
    let guard = place.state().with_file_name("kubernetes.lock");
    loop {
        let shared = lock_shared(&guard)?;
        if done.is_dir() {
            return Ok(Programs {
                dir: done,
                _lock: shared,
            });
        }
        drop(shared);
        let _alone = lock(&guard)?;
        build_now(&done, progress)?;
    }
}

fn build_now(done: &Path, progress: Progress) -> Result<(), Diagnostic> {
    require_go()?;
    let began = Instant::now();
    progress("building Kubernetes (once; a quarter of an hour on two processors)");
    whole(done, |part| {
        write(&part.join("go.mod"), GO_MOD, 0o644)?;
        write(&part.join("go.sum"), GO_SUM, 0o644)?;
        for (name, text) in GO_FILES {
            write(&part.join(name), text, 0o644)?;
        }
        let build = script(part, "build.sh", BUILD)?;
        let mut words = ENDS_WITH_US.map(Path::new).to_vec();
        words.extend(["unshare", "--pid", "--fork", "--kill-child", "sh"].map(Path::new));
        words.extend([&build, part]);
        let built = program::run(&words);
        built.map(drop).map_err(|error| {
            error.help("the modules come from where `go env GOPROXY` says; does `go mod download` work?")
        })
    })?;
    remove_old(Place::programs(), &[done]);
    progress(&format!(
        "Kubernetes is built ({:.0} s) and kept in {}",
        began.elapsed().as_secs_f64(),
        done.display()
    ));
    Ok(())
}

fn require_go() -> Result<(), Diagnostic> {
    let path = program::search_path();
    if env::split_paths(&path).any(|dir| dir.join("go").is_file()) {
        return Ok(());
    }
    Err(
        Diagnostic::error("the lab's Kubernetes is built from source, and this machine has no `go`")
            .help("install Go 1.24 or newer; `scripts/go.sh` of this project does it on Debian"),
    )
}

/// Gives a host what it needs before it boots.
pub fn furnish(place: &Place, host: &Host, programs: &Programs) -> Result<(), Diagnostic> {
    if !is_node(host) {
        return Ok(());
    }
    let root = place.host(host.name).join("root");
    let library = root.join(LIBRARY);
    write(&library.join("kubeadm"), KUBEADM, 0o755)?;
    for (index, name) in NODES.iter().enumerate() {
        let file = library.join("nodes").join(format!("{name}.json"));
        write(&file, &node(hosts::find(place, name)?, index), 0o644)?;
    }
    if host.name != MASTER {
        return Ok(());
    }
    write(&root.join(COMMAND), CONTROL_PLANE, 0o755)?;
    // Before there is a package of that name: whoever resets a node finds it.
    write(&root.join("usr/local/bin/kubeadm"), KUBEADM, 0o755)?;
    write(&library.join("kwok.yaml"), KWOK, 0o644)?;
    write(&library.join("pod.log"), POD_LOG, 0o644)?;
    let link = place.client();
    let target = programs.dir.join("client/usr/local/bin");
    symlink(&target, &link).map_err(|error| failed("linked", &link, &error))
}

/// A node as its kubelet would register it.
fn node(host: &Host, index: usize) -> String {
    let mut labels = json!({
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": host.name,
        "kubernetes.io/os": "linux",
    });
    let pods = format!("10.244.{index}.0/24");
    let mut spec = json!({"podCIDR": pods, "podCIDRs": [pods]});
    if host.name == MASTER {
        labels["node-role.kubernetes.io/control-plane"] = json!("");
        labels["node.kubernetes.io/exclude-from-external-load-balancers"] = json!("");
        spec["taints"] = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    }
    let resources = json!({"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"});
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": host.name,
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": spec,
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": host.address},
                {"type": "Hostname", "address": host.name},
                // Where the API server reaches what plays the kubelets, until there is one.
                {"type": "InternalDNS", "address": MASTER},
            ],
            "capacity": resources,
            "allocatable": resources,
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "containerd://1.7.27",
                "kernelVersion": if host.root == "rhel" { "6.12.0" } else { "6.1.0" },
                "kubeProxyVersion": KUBELET,
                "kubeletVersion": KUBELET,
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": if host.root == "rhel" {
                    "Red Hat Enterprise Linux 10.0 (Coughlan)"
                } else {
                    "Debian GNU/Linux 12 (bookworm)"
                },
                "systemUUID": "",
            },
        },
    });
    format!("{node:#}\n")
}

/// Starts the control plane on a host that is up; the API answers when this returns.
pub fn start_control_plane(place: &Place) -> Result<(), Diagnostic> {
    control_plane(place, &["init"])
}

/// Makes the hosts nodes of the cluster; they are Ready when this returns.
pub fn add_nodes(place: &Place) -> Result<(), Diagnostic> {
    for name in NODES {
        control_plane(place, &["node", name])?;
    }
    let mut words = vec!["wait"];
    words.extend(NODES);
    control_plane(place, &words)
}

/// Puts the kubeconfig for this machine beside the inventory.
pub fn write_kubeconfig(place: &Place) -> Result<(), Diagnostic> {
    let file = place.host(MASTER).join("root").join(KUBECONFIG);
    let text = fs::read_to_string(&file).map_err(|error| failed("read", &file, &error))?;
    place.write(&place.kubeconfig(), &text)
}

/// Whether this lab was started with a control plane.
pub fn is_wanted(place: &Place) -> bool {
    place.client().is_symlink()
}

/// Whether the API answers, as far as one can see without being root: whether it listens.
pub fn answers(place: &Place) -> bool {
    let listens = hosts::find(place, MASTER)
        .ok()
        .and_then(|host| machine::init(place, host))
        .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/net/tcp6")).ok())
        .is_some_and(|text| text.contains(LISTENS));
    listens && (!tools::is_root() || control_plane(place, &["status"]).is_ok())
}

/// Runs the host's script.
fn control_plane(place: &Place, arguments: &[&str]) -> Result<(), Diagnostic> {
    let Some(mut words) = machine::inside(place, hosts::find(place, MASTER)?) else {
        return Err(Diagnostic::error(format!("{MASTER} does not run"))
            .help(format!("vmstation lab{} reset", place.option())));
    };
    words.push(format!("/{COMMAND}"));
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    program::run(&words).map(drop)
}

/// The lines of an inventory that tell where the kubeconfig is.
pub fn inventory(place: &Place) -> String {
    format!(
        "  vars:\n    lab_kubeconfig: {}\n    lab_kubectl: {}\n",
        place.kubeconfig().display(),
        place.client().join("kubectl").display()
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_script_is_one_that_sh_can_read() {
        for text in [BUILD, CONTROL_PLANE, KUBEADM] {
            let ok = Command::new("sh").args(["-n", "-c", text]).status().unwrap();
            assert!(ok.success(), "{}", text.lines().nth(1).unwrap());
        }
    }

    #[test]
    fn the_nodes_are_of_the_version_that_is_built() {
        let line = format!("\tk8s.io/kubernetes {KUBELET} ");
        assert!(GO_MOD.contains(&line), "{line}");
    }

    #[test]
    fn a_node_is_made_with_its_address_and_its_role() {
        let read = |name, index| -> Value {
            serde_json::from_str(&node(hosts::find(&Place::default(), name).unwrap(), index)).unwrap()
        };
        let master = read("masternode", 0);
        assert_eq!(
            master["spec"]["taints"][0]["key"],
            "node-role.kubernetes.io/control-plane"
        );
        let worker = read("homelab", 2);
        assert_eq!(worker["status"]["addresses"][0]["address"], "192.0.2.13");
        assert_eq!(worker["spec"]["podCIDR"], "10.244.2.0/24");
        assert!(worker["spec"]["taints"].is_null());
    }

    #[test]
    fn only_nodes_have_layers_and_only_one_the_control_plane() {
        let file = tempfile::tempfile().unwrap();
        let programs = Programs {
            dir: PathBuf::from("/p"),
            _lock: file,
        };
        let layers = |name| programs.layers(hosts::find(&Place::default(), name).unwrap());
        assert_eq!(
            layers("masternode"),
            ["/p/control-plane", "/p/client", "/p/node"].map(PathBuf::from)
        );
        assert_eq!(layers("homelab"), ["/p/client", "/p/node"].map(PathBuf::from));
        assert!(layers("nopython").is_empty());
    }
}
