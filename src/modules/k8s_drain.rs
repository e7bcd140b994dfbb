//! `k8s_drain`: takes a node out of use, or back into it.
//!
//! ```yaml
//! - kubernetes.core.k8s_drain:
//!     kubeconfig: /etc/kubernetes/admin.conf
//!     name: homelab
//!     state: drain
//!     delete_options:
//!       ignore_daemonsets: true
//!       delete_emptydir_data: true
//!       terminate_grace_period: 30
//!       wait_timeout: 300
//!   delegate_to: masternode
//! - kubernetes.core.k8s_drain:
//!     name: homelab
//!     state: uncordon
//! ```
//!
//! A node that is cordoned, and has no pods that would have to go, is left alone. Returns `result`, a sentence.
//!
//! Differences to Ansible: pods are waited for as `kubectl drain` does it, 120 s without a `wait_timeout`, and what a
//! disruption budget holds back is tried again in that time; a node that could not be emptied stays cordoned;
//! `wait_sleep` does nothing.

use serde::Deserialize;

use super::Module;
use super::kubernetes::node::{self, Draining};
use super::kubernetes::{Client, with_connection};
use crate::host::{Halt, Host, Outcome};

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sDrain {
        name: String,
        #[serde(default)]
        state: State,
        delete_options: Option<DeleteOptions>,
        #[serde(alias = "label_selectors")]
        pod_selectors: Option<Vec<String>>,
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    Cordon,
    #[default]
    Drain,
    Uncordon,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
struct DeleteOptions {
    terminate_grace_period: Option<u64>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    ignore_daemonsets: bool,
    #[serde(default)]
    delete_emptydir_data: bool,
    #[serde(default)]
    disable_eviction: bool,
    wait_timeout: Option<u64>,
    #[serde(rename = "wait_sleep")]
    _wait_sleep: Option<u64>,
}

impl Module for K8sDrain {
    const NAME: &'static str = "k8s_drain";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &["community.kubernetes.k8s_drain"];

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let name = &self.name;
        if self.state != State::Drain {
            let to = self.state == State::Cordon;
            let changed = node::cordon(host, &client, std::slice::from_ref(name), to).await?;
            let already = if changed.is_empty() { "already " } else { "" };
            let word = if to { "unschedulable" } else { "schedulable" };
            return Ok(Outcome::new().with("result", format!("node {name} {already}marked {word}.")));
        }
        let drained = node::drain(host, &client, name, &self.draining()).await?;
        let already = if drained.was_cordoned { "already " } else { "" };
        let mut result = format!("node {name} {already}marked unschedulable.");
        if drained.pods > 0 {
            result = format!("{result} {} Pod(s) deleted from node.", drained.pods);
        }
        let mut outcome = Outcome::new().with("result", result);
        for warning in drained.warnings {
            outcome = outcome.warn(warning);
        }
        Ok(outcome)
    }
}

impl K8sDrain {
    fn draining(&self) -> Draining {
        let none = DeleteOptions::default();
        let options = self.delete_options.as_ref().unwrap_or(&none);
        Draining {
            force: options.force,
            ignore_daemonsets: options.ignore_daemonsets,
            delete_emptydir_data: options.delete_emptydir_data,
            disable_eviction: options.disable_eviction,
            grace_period: options.terminate_grace_period,
            timeout: options.wait_timeout.unwrap_or(120),
            selectors: self.pod_selectors.clone().unwrap_or_default(),
        }
    }
}
