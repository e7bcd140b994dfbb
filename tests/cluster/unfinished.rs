//! What was begun and not finished, what is gone, and what belongs to another cluster: deploy says it, and makes it good.

use super::lab::{DEPLOY, Lab};

/// Two things at once: packages that are signed with another key, and an API that does not come up.
pub fn what_is_in_the_way_of_a_cluster_is_said(lab: &Lab) {
    lab.on(
        "storagenodet3500",
        "systemctl -q disable --now kubelet; apt-get -qq -y remove kubelet kubeadm kubectl >/dev/null 2>&1",
    );
    lab.on("masternode", "chmod -x /usr/local/bin/kube-apiserver");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("another.asc");
    let another = lab.on("masternode", "cat /srv/debs-kubernetes/another.asc");
    std::fs::write(&key, another).unwrap();
    let key = format!("kubelet_apt_key_url=file://{}", key.display());
    let ran = lab
        .run(&["run", DEPLOY, "-e", &key, "-e", "kubelet_apt_retries=1"])
        .ends_with(3);
    let said = ran.failures().join("\n");
    for wanted in [
        "storagenodet3500: Say what apt makes of its sources: apt cannot use its sources.",
        "it must be signed with the key in /etc/apt/keyrings/kubernetes.asc",
        "NO_PUBKEY",
        "masternode: Start the control plane: ",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

/// A wrong key is replaced; a control plane that has never answered is begun anew.
pub fn what_was_cut_short_begins_anew(lab: &Lab) {
    lab.on("masternode", "chmod +x /usr/local/bin/kube-apiserver");
    // What comes up by itself in the meantime would only be finished.
    lab.on("masternode", "systemctl stop kube-apiserver");
    let ran = lab.run(&["run", DEPLOY, "-e", "control_plane_retries=1"]).ok();
    assert!(
        ran.tells("kubeadm init was cut short on masternode"),
        "{:#?}",
        ran.events
    );
    let left = "ls /etc/kubernetes/kubeadm-init-is-not-finished 2>&1; true";
    assert!(lab.on("masternode", left).contains("No such file"));
}

/// What the last phases of `kubeadm init` left; and workers, under whatever name their host has.
pub fn what_is_gone_is_made_again(lab: &Lab) {
    for words in [
        "-n kube-public delete configmap cluster-info",
        "-n kube-system delete configmap kubeadm-config",
    ] {
        lab.kubectl(words);
    }
    lab.on("homelab", "rm /etc/kubernetes/kubelet.conf");
    lab.on("storagenodet3500", OTHER_AUTHORITY);
    let hurry = r#"{"flannel_retries": 0, "cluster_state_retries": 1}"#;
    let ran = lab.run(&["run", DEPLOY, "-e", hurry]).ends_with(3);
    for told in [
        "or what it left is gone: configmap/kubeadm-config, configmap/cluster-info",
        "homelab has begun to join, and was cut short",
    ] {
        assert!(ran.tells(told), "{told}: {:#?}", ran.events);
    }
    let said = ran.failures().join("\n");
    let alone = "storagenodet3500 is a node of another cluster: the authority";
    assert!(said.contains(alone), "{said}");
    let ran = lab
        .run(&["run", DEPLOY, "-e", "worker_leaves_another_cluster=true"])
        .ok();
    assert!(ran.tells("It is reset, and joins"), "{:#?}", ran.events);
    let flags = lab.on("storagenodet3500", "cat /var/lib/kubelet/kubeadm-flags.env");
    assert!(flags.contains("--hostname-override=storagenodet3500"), "{flags}");
    a_configuration_with_a_mistake_is_refused(lab);
}

/// As if it had joined a cluster that was made before this one; and its host has got another name.
const OTHER_AUTHORITY: &str = r#"
hostname elsewhere
cd "$(mktemp -d)"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out ca.crt -subj /CN=kubernetes -days 30 2>/dev/null
cp ca.crt /etc/kubernetes/pki/ca.crt
sed -i "s|certificate-authority-data: .*|certificate-authority-data: $(base64 -w0 ca.crt)|" /etc/kubernetes/kubelet.conf
"#;

/// The real kubeadm judges what the template of the role says.
fn a_configuration_with_a_mistake_is_refused(lab: &Lab) {
    let said = lab.on(
        "masternode",
        "sed s/podSubnet/podSubnets/ /etc/kubernetes/kubeadm.yaml >/tmp/mistake.yaml
         kubeadm init phase upload-config all --config /tmp/mistake.yaml 2>&1; echo status $?",
    );
    assert!(
        said.contains("unknown field \"networking.podSubnets\"") && said.ends_with("status 1"),
        "{said}"
    );
}
