//! The way back where the cluster is broken, where an earlier one was interrupted, and where others have something too.

use super::lab::{Lab, RESET, until};
use super::own_lab::{NODES, Ran};

const CLUSTER_RESET: &str = "playbooks/cluster_reset.yml";
const WORKER: &str = "storagenodet3500";

/// Of others, beside what Kubernetes has there; and what is in force in the iptables that is not selected.
const OTHERS: &str = "
    mkdir -p /etc/cni/net.d /root/.kube /var/lib/cni/networks/podman
    for file in /etc/cni/net.d/87-podman.conflist /root/.kube/others /var/lib/cni/networks/podman/last_reserved_ip.0; do
        echo others >$file
    done
    mkdir -p /var/lib/cni/flannel
    mount -t tmpfs none /var/lib/cni/flannel
    echo old >/var/lib/cni/flannel/id
    iptables-legacy -N KUBE-LEFT
    ip6tables-nft -N KUBE-LEFT
    mkdir /tmp/image
    cd /tmp/image
    tar -cf layer.tar --files-from /dev/null
    sum=$(sha256sum layer.tar)
    echo '{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:'${sum%% *}'\"]}}' >config.json
    echo '[{\"Config\":\"config.json\",\"RepoTags\":[\"registry.example/pause:1\"],\"Layers\":[\"layer.tar\"]}]' >manifest.json
    tar -cf image.tar manifest.json config.json layer.tar
    for space in k8s.io moby; do ctr -n $space images import --all-platforms --no-unpack image.tar; done";

/// A volume that a pod has mounted, with somebody's file, and a process that is in it.
const MOUNTED: &str = "
    mkdir -p /srv/volume '/var/lib/kubelet/pods/x/volumes/of somebody'
    mount -t tmpfs none /srv/volume
    echo precious >/srv/volume/file
    mount --bind /srv/volume '/var/lib/kubelet/pods/x/volumes/of somebody'
    cd '/var/lib/kubelet/pods/x/volumes/of somebody'
    systemd-run -q --unit=in-the-way --working-directory=\"$PWD\" sleep infinity";

/// It takes away what is not Kubernetes'.
const CARELESS_KUBEADM: &str = "
    ip address add 198.51.100.7/32 dev host0
    printf '#!/bin/sh\\nip address del 198.51.100.7/32 dev host0\\nexec /usr/bin/kubeadm \"$@\"\\n' >/usr/local/bin/kubeadm
    chmod 755 /usr/local/bin/kubeadm";

/// Ends with three machines that have nothing left.
pub fn what_is_broken_is_reset_all_the_same(lab: &Lab) {
    lab.script(WORKER, OTHERS);
    what_is_mounted_stays(lab);
    the_api_does_not_answer_and_an_address_is_lost(lab);
    a_pod_does_not_go_and_a_node_is_gone(lab);
    the_control_plane_is_off(lab);
    lab.play(RESET);
    nothing_is_left(lab);
    what_others_have_stays(lab);
}

fn reset(lab: &Lab, more: &[&str]) -> Ran {
    let hurry = ["run", CLUSTER_RESET, "-e", "node_reset_drain_timeout=5"];
    lab.run(&[&hurry, more].concat())
}

fn what_is_mounted_stays(lab: &Lab) {
    lab.script(WORKER, MOUNTED);
    let ran = reset(lab, &[]).ends_with(3);
    let said = ran.failures().join("\n");
    let wanted = "/var/lib/kubelet/pods/x/volumes/of\\040somebody cannot be unmounted";
    assert!(said.contains(wanted) && said.contains("target is busy"), "{said}");
    let there = lab.script(
        WORKER,
        "cat /srv/volume/file /var/lib/kubelet/pods/x/*/*/file; ls /etc/kubernetes/kubelet.conf",
    );
    assert_eq!(there, "precious\nprecious\n/etc/kubernetes/kubelet.conf");
    // Nothing was begun elsewhere.
    assert_eq!(lab.kubectl("get nodes -o name"), "node/homelab\nnode/masternode");
    lab.script(WORKER, "systemctl stop in-the-way");
}

/// Of the first run the node is out of the cluster already.
fn the_api_does_not_answer_and_an_address_is_lost(lab: &Lab) {
    lab.script(WORKER, CARELESS_KUBEADM);
    lab.on("masternode", "systemctl stop kube-apiserver");
    let ran = reset(lab, &[]);
    lab.on("masternode", "systemctl start kube-apiserver");
    let ran = ran.ends_with(3);
    let said = ran.failures().join("\n");
    let wanted = "storagenodet3500 has lost what is not Kubernetes': host0 198.51.100.7/32";
    assert!(said.contains(wanted), "{said}");
    assert!(
        ran.tells("the cluster could not be asked, or did not let the pods go ("),
        "{:#?}",
        ran.events
    );
    assert!(
        ran.tells("storagenodet3500 is reset all the same"),
        "{:#?}",
        ran.events
    );
    assert_eq!(
        lab.script(
            WORKER,
            "cat /srv/volume/file; umount /srv/volume; rm /usr/local/bin/kubeadm"
        ),
        "precious"
    );
    until("the API answers again", || {
        lab.kubectl_output("get nodes").status.success()
    });
}

fn a_pod_does_not_go_and_a_node_is_gone(lab: &Lab) {
    lab.kubectl(
        "run held --image=registry.example/busybox:1 --labels=app=held --overrides='{\"spec\":{\"nodeName\":\"homelab\"}}'",
    );
    lab.kubectl("create poddisruptionbudget held --selector=app=held --min-available=1");
    lab.kubectl("wait pod held --for=condition=Ready");
    // Whose join did not come to its end.
    lab.script(
        WORKER,
        "mkdir -p /etc/kubernetes && touch /etc/kubernetes/bootstrap-kubelet.conf",
    );
    let ran = reset(lab, &[]).ok();
    assert_eq!(ran.ending(WORKER, "Take the pods off it")["status"], "skipped");
    assert_eq!(ran.ending(WORKER, "Undo what kubeadm did")["status"], "changed");
    assert!(
        ran.tells("homelab is reset all the same") && !ran.tells("storagenodet3500 is reset all the same")
    );
    assert_eq!(
        ran.ending("homelab", "Remove the node itself")["status"],
        "changed"
    );
}

/// An address that nobody has stands for it. What a worker has of etcd is not Kubernetes'.
fn the_control_plane_is_off(lab: &Lab) {
    lab.script(WORKER, "mkdir /var/lib/etcd && echo others >/var/lib/etcd/file");
    let ran = reset(
        lab,
        &["--limit", WORKER, "-e", "node_reset_control_plane=192.0.2.250"],
    )
    .ok();
    ran.changed_nothing();
    assert_eq!(
        lab.script(WORKER, "cat /var/lib/etcd/file; rm -r /var/lib/etcd"),
        "others"
    );
}

/// Of what deploy made; and it stays so.
pub fn nothing_is_left(lab: &Lab) {
    lab.changes_nothing(RESET);
    for node in NODES {
        let left = lab.on(
            node,
            "ls -d /etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/cni/net.d/10-flannel.conflist \
                /etc/apt/sources.list.d/kubernetes.list /etc/apt/keyrings/kubernetes.asc \
                /etc/yum.repos.d/kubernetes.repo /etc/containerd/config.toml.* /run/netns/* /var/log/pods 2>/dev/null
             cd /sys/class/net && ls -d cni* flannel* veth* 2>/dev/null
             for name in kube-proxy coredns kubelet; do pgrep -l $name; done
             for save in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
                 ! command -v $save-save >/dev/null || $save-save 2>/dev/null | grep -E \"KUBE|FLANNEL\"
             done
             grep vmstation /etc/containerd/config.toml
             ctr namespaces ls -q | grep k8s.io
             if command -v dpkg >/dev/null; then dpkg --verify containerd | grep /etc/; fi
             systemctl is-enabled kubelet; systemctl is-active kubelet; true",
        );
        assert_eq!(left, "disabled\ninactive", "{node}");
    }
}

fn what_others_have_stays(lab: &Lab) {
    // A file system is emptied, and stays.
    let own = "ls -A /var/lib/cni/flannel; umount /var/lib/cni/flannel";
    assert_eq!(lab.script(WORKER, own), "");
    let stays = "cat /etc/cni/net.d/* /root/.kube/others /var/lib/cni/networks/podman/*; ctr -n moby images ls -q | head -n 1";
    assert_eq!(
        lab.script(WORKER, stays),
        "others\nothers\nothers\nregistry.example/pause:1"
    );
}
