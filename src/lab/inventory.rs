//! The inventory of a lab, as Ansible and this program read it.

use std::fmt::Write as _;

use super::hosts::{self, Host};
use super::kubernetes;
use super::place::Place;

/// Where to reach a host, if not at its own address.
pub struct Route {
    pub address: String,
    pub port: u16,
}

/// The inventory with every host at its own address.
pub fn text(place: &Place) -> String {
    render(place, &place.known_hosts().display().to_string(), |_| None)
}

/// Where the role `kubelet` of this repository finds its packages: on the hosts, and their key on this machine.
fn packages(place: &Place) -> String {
    format!(
        "          kubelet_apt_repository: 'deb [signed-by=/etc/apt/keyrings/kubernetes.asc] file:/srv/debs-kubernetes /'
          kubelet_apt_key_url: file://{}
          kubelet_yum_baseurl: file:///srv/rpms-kubernetes
          kubelet_yum_gpgkey: ''
          kubelet_runtime_yum_baseurl: file:///srv/rpms-docker
          kubelet_runtime_yum_gpgkey: ''
",
        place.packages_key().display()
    )
}

/// Where no control plane can run, deploy prepares the nodes and leaves it at that.
const NODES_ONLY: &str = "          deploy_cluster: false\n";

/// The inventory with other routes to the hosts.
pub fn text_through(place: &Place, known_hosts: &str, route: impl Fn(&Host) -> Option<Route>) -> String {
    render(place, known_hosts, route)
}

fn render(place: &Place, known_hosts: &str, route: impl Fn(&Host) -> Option<Route>) -> String {
    let mut out = String::from(
        "# Written by `vmstation lab up`. The host without Python is in a group of its\n\
         # own, so that playbooks for the usual groups leave it alone. Kubernetes' packages\n\
         # come from repositories that lie on the hosts: there is no way out.\n\
         all:\n  children:\n",
    );
    for host in hosts::of(place) {
        let _ = writeln!(out, "    {}:\n      hosts:\n        {}:", host.group, host.name);
        let (address, port) = match route(host) {
            Some(route) => (route.address, Some(route.port)),
            None => (host.address.to_owned(), None),
        };
        let _ = writeln!(out, "          ansible_host: {address}");
        if let Some(port) = port {
            let _ = writeln!(out, "          ansible_port: {port}");
        }
        // On each host, not on `all`: what `group_vars` of a project say must not win.
        let _ = writeln!(
            out,
            "          ansible_user: {}\n          \
             ansible_ssh_private_key_file: {}\n          \
             ansible_ssh_common_args: -o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
            host.user,
            place.key().display()
        );
        if host.become_root {
            out.push_str("          ansible_become: true\n");
        }
        out.push_str(&packages(place));
        if !kubernetes::is_wanted(place) {
            out.push_str(NODES_ONLY);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_its_group_address_and_user() {
        let text = text(&Place::new("lab").unwrap());
        assert!(text.contains(
            "    compute_nodes:\n      hosts:\n        homelab:\n          ansible_host: 192.0.2.13\n          \
             ansible_user: admin\n"
        ));
        assert!(text.contains("ansible_become: true\n"));
        assert!(text.contains("ansible_ssh_private_key_file: /run/vmstation/lab/key\n"));
        assert!(text.contains("kubelet_apt_key_url: file:///run/vmstation/lab/kubernetes.asc\n"));
        assert!(!text.contains("ansible_port"));
    }

    #[test]
    fn a_route_replaces_address_and_port() {
        let text = text_through(&Place::new("lab").unwrap(), "/k", |host| {
            (host.name == "homelab").then(|| Route {
                address: "127.0.0.1".into(),
                port: 2203,
            })
        });
        assert!(text.contains("ansible_host: 127.0.0.1\n          ansible_port: 2203\n"));
        assert!(text.contains("UserKnownHostsFile=/k "));
        assert!(text.contains("ansible_host: 192.0.2.11\n"));
    }
}
