//! `k8s_exec`: runs a command in a container.
//!
//! ```yaml
//! - kubernetes.core.k8s_exec:
//!     namespace: monitoring
//!     pod: prometheus-0
//!     container: prometheus
//!     command: promtool check config /etc/prometheus/prometheus.yml
//!   register: checked
//! ```
//!
//! The line is split into words as a shell would, and no shell runs. Without `container` the pod's default one is
//! meant. Returns `stdout`, `stderr`, both also as `_lines`, `rc` and `return_code`; a command that ends with
//! another `rc` than 0 is no failure. Not run in a dry run, where Ansible runs it.

use serde::Deserialize;

use super::Module;
use super::kubernetes::container::{self, Pod};
use super::kubernetes::{Client, with_connection};
use super::process::text;
use super::process::words::split;
use crate::host::{Halt, Host, Outcome, fail};

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sExec {
        namespace: String,
        pod: String,
        container: Option<String>,
        command: String,
    }
}

impl Module for K8sExec {
    const NAME: &'static str = "k8s_exec";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &["community.kubernetes.k8s_exec"];

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()?;
        split(&self.command).map(|_| ()).map_err(fail)
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let place = Pod {
            name: &self.pod,
            namespace: Some(&self.namespace),
            container: self.container.as_deref(),
        };
        let executed = container::exec(host, &client, &place, split(&self.command).map_err(fail)?).await?;
        Ok(Outcome::new()
            .with("stdout_lines", text::lines(&executed.stdout))
            .with("stderr_lines", text::lines(&executed.stderr))
            .with("stdout", executed.stdout)
            .with("stderr", executed.stderr)
            .with("rc", executed.rc)
            .with("return_code", executed.rc))
    }
}
