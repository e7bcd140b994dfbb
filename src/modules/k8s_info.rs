//! `k8s_info`: objects of a Kubernetes cluster, as they are.
//!
//! ```yaml
//! - kubernetes.core.k8s_info:
//!     kind: Pod
//!     namespace: kube-flannel
//!     label_selectors:
//!       - app=flannel
//!   register: flannel_pods
//! - kubernetes.core.k8s_info:
//!     kubeconfig: /etc/kubernetes/admin.conf
//!     api_version: apps/v1
//!     kind: Deployment
//!     name: coredns
//!     namespace: kube-system
//!     wait: true
//!     wait_condition:
//!       type: Available
//!       status: 'True'
//!     wait_timeout: 120
//! - kubernetes.core.k8s_info:
//!     kind: Node
//!     field_selectors: [spec.unschedulable=true]
//!     hidden_fields: [status.images]
//!   delegate_to: localhost
//! ```
//!
//! `kind` may be the plural or a short name, in any case. Without `namespace` all namespaces are meant, and with a
//! `name` that of the connection.
//!
//! Returns `resources` and `api_found`; a kind that the server does not have is no failure. `managedFields` are left
//! out. With `wait` it fails when an object is not as it is to be in time; all are waited for together.
//!
//! What a Secret holds is returned, and masked wherever it is shown or kept. With `wait` a server that is away may come
//! back in time.
//!
//! A difference to Ansible: of a kind with namespaces, one that is asked for by `name` without `namespace` is looked
//! for in the connection's namespace, where Ansible finds none.

use serde::Deserialize;

use super::Module;
use super::kubernetes::condition::{self, Condition};
use super::kubernetes::waiting::Patience;
use super::kubernetes::{Call, Client, Id, Json, Said, hidden, kinds, object, value, with_connection, words};
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sInfo {
        kind: String,
        #[serde(default = "v1", alias = "api", alias = "version")]
        api_version: String,
        name: Option<String>,
        namespace: Option<String>,
        label_selectors: Option<Vec<String>>,
        field_selectors: Option<Vec<String>>,
        hidden_fields: Option<Vec<String>>,
        #[serde(default)]
        wait: bool,
        #[serde(default = "five")]
        wait_sleep: u64,
        #[serde(default = "two_minutes")]
        wait_timeout: u64,
        wait_condition: Option<Condition>,
    }
}

fn v1() -> String {
    "v1".to_string()
}

fn five() -> u64 {
    5
}

fn two_minutes() -> u64 {
    120
}

impl Module for K8sInfo {
    const NAME: &'static str = "k8s_info";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &[
        "community.kubernetes.k8s_info",
        "community.kubernetes.k8s_facts",
        "ansible.builtin.k8s_facts",
    ];

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let said = self.look(host, &client).await?;
        if !said.ok() && words::is_unknown_kind(&said) {
            let msg = format!(
                "Failed to find API for resource with apiVersion \"{}\" and kind \"{}\"",
                self.api_version, self.kind
            );
            return Ok(Outcome::new()
                .with("resources", Value::list([]))
                .with("api_found", false)
                .with("msg", msg));
        }
        // A server that is away may be back while there is time to wait.
        let patient = self.wait && self.wait_timeout > 0 && !host.check() && words::is_away(&said);
        if !said.ok() && !patient {
            return Err(words::refused(&format!("look at {}", self.kind), &said));
        }
        let mut objects = said.objects();
        if let Some(id) = self.id() {
            objects.retain(|object| id.is_that_of(object));
            // Another task may have asked for the same one in the same call.
            objects.truncate(1);
        }
        if self.wait && !host.check() {
            objects = self.wait(host, &client, objects).await?;
        }
        let hidden_fields = self.hidden_fields.unwrap_or_default();
        let shown = objects
            .into_iter()
            .map(|object| value(hidden::without(object, &hidden_fields)));
        Ok(Outcome::new()
            .with("resources", Value::list(shown))
            .with("api_found", true))
    }
}

impl K8sInfo {
    /// What is asked for, if that is one object of a kind that is known here.
    fn id(&self) -> Option<Id> {
        let (kind, api_version) = kinds::spelled(&self.kind, &self.api_version)?;
        let namespace = self.namespace.clone().filter(|_| !kinds::is_of_the_cluster(kind));
        Some(Id {
            name: self.name.clone()?,
            kind: kind.to_string(),
            api_version,
            namespace,
        })
    }

    async fn look(&self, host: &Host, client: &Client) -> Result<Said, Halt> {
        if let Some(id) = self.id() {
            return client.get(host, &[&id]).await;
        }
        let said = client.ask(host, "kubectl get", &[self.call()]).await?;
        said.into_iter()
            .next()
            .ok_or_else(|| fail("kubectl was not called"))
    }

    fn call(&self) -> Call {
        let resource = match kinds::spelled(&self.kind, &self.api_version) {
            Some((kind, api_version)) => object::resource(kind, &api_version),
            // Of any group, as in Ansible.
            None if self.api_version == "v1" => self.kind.clone(),
            None => object::resource(&self.kind, &self.api_version),
        };
        let mut call = Call::new(["get", &resource]);
        call = match (&self.name, &self.namespace) {
            (Some(name), namespace) => call
                .word(name)
                .word("--ignore-not-found")
                .namespace(namespace.as_deref()),
            (None, Some(namespace)) => call.namespace(Some(namespace)),
            (None, None) => call.word("-A"),
        };
        let selectors = [
            ("-l", &self.label_selectors),
            ("--field-selector", &self.field_selectors),
        ];
        for (flag, selectors) in selectors {
            // kubectl takes no selector beside a name.
            let selectors = selectors.as_deref().unwrap_or_default();
            if self.name.is_none() && !selectors.is_empty() {
                call = call.word(flag).word(selectors.join(","));
            }
        }
        call.word("-o").word("json")
    }

    /// First until there is anything, then until all that was found is ready.
    async fn wait(&self, host: &Host, client: &Client, mut objects: Vec<Json>) -> Result<Vec<Json>, Halt> {
        let patience = Patience {
            condition: self.wait_condition.as_ref(),
            sleep: self.wait_sleep,
            timeout: self.wait_timeout,
        };
        if objects.is_empty() {
            objects = patience.something(host, client, &self.call()).await?;
        }
        if objects
            .iter()
            .all(|object| condition::is_met(object, self.wait_condition.as_ref()))
        {
            return Ok(objects);
        }
        let ids: Vec<Id> = objects.iter().map(Id::of).collect();
        let waited = patience.present(host, client, &ids).await?;
        if let Some(late) = waited.ready.iter().position(|ready| !ready) {
            let state = waited.objects[late]
                .as_ref()
                .map(condition::state)
                .unwrap_or_default();
            return Err(fail(format!(
                "Failed to gather information about {}(s) even after waiting for {} seconds: {}: {state}",
                self.kind, waited.duration, ids[late]
            )));
        }
        Ok(waited.objects.into_iter().flatten().collect())
    }
}
