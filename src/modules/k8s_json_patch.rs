//! `k8s_json_patch`: operations on an object of a Kubernetes cluster (RFC 6902), where they would change it.
//!
//! ```yaml
//! - kubernetes.core.k8s_json_patch:
//!     kind: Pod
//!     namespace: testing
//!     name: mypod
//!     patch:
//!       - op: add
//!         path: /metadata/labels/app
//!         value: myapp
//!       - op: replace
//!         path: /spec/containers/0/image
//!         value: nginx
//! - kubernetes.core.k8s_json_patch:
//!     api_version: apps/v1
//!     kind: Deployment
//!     namespace: kube-system
//!     name: coredns
//!     patch:
//!       - {op: replace, path: /spec/replicas, value: 3}
//!     wait: true
//!     wait_timeout: 60
//! ```
//!
//! The server is asked what it would make of the operations (`--dry-run=server`), and only what would differ is sent:
//! `add` of what is there already changes nothing. A `test` that does not hold is a failure.
//!
//! Returns `result`, the object as it is then, and with `wait` `duration`.
//!
//! A difference to Ansible: without a `namespace` the connection's own is meant, where Ansible fails.

use serde::Deserialize;
use serde_json::json;

use super::Module;
use super::kubectl::{Kubectl, connection_options};
use super::kubernetes::condition::{self, Condition};
use super::kubernetes::waiting::Patience;
use super::kubernetes::{Client, Id, Json, kinds, object, value, with_connection};
use crate::host::{Failure, Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sJsonPatch {
        #[serde(default = "v1", alias = "api", alias = "version")]
        api_version: String,
        kind: String,
        name: String,
        namespace: Option<String>,
        patch: Vec<Value>,
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

impl Module for K8sJsonPatch {
    const NAME: &'static str = "k8s_json_patch";
    const COLLECTION: &'static str = "kubernetes.core";

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let mut patched = self.kubectl()?.run(host).await?;
        let object = match patched.values.shift_remove("objects") {
            Some(Value::List(objects)) => objects.first().cloned(),
            _ => None,
        };
        let object = object.ok_or_else(|| fail("kubectl returned no object"))?;
        if !self.wait || host.check() {
            return Ok(Outcome::new().with("result", object));
        }
        self.wait(host).await
    }
}

impl K8sJsonPatch {
    fn id(&self) -> Id {
        let (kind, api_version) =
            kinds::spelled(&self.kind, &self.api_version).unwrap_or((&self.kind, self.api_version.clone()));
        Id {
            kind: kind.to_string(),
            api_version,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The same as a task of `kubectl`.
    fn kubectl(&self) -> Result<Kubectl, Halt> {
        let id = self.id();
        let resource = object::resource(&id.kind, &id.api_version);
        let mut options = connection_options(&self.connection());
        let given = [
            ("verb", json!("patch")),
            ("type", json!("json")),
            ("resource", json!([format!("{resource}/{}", id.name)])),
            ("namespace", json!(self.namespace)),
            ("patch", json!(self.patch)),
        ];
        options.extend(given.map(|(name, value)| (name.to_string(), value)));
        serde_json::from_value(Json::Object(options)).map_err(|error| fail(format!("`patch`: {error}")))
    }

    async fn wait(&self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let patience = Patience {
            condition: self.wait_condition.as_ref(),
            sleep: self.wait_sleep,
            timeout: self.wait_timeout,
        };
        let id = self.id();
        let mut waited = patience.present(host, &client, std::slice::from_ref(&id)).await?;
        let object = waited.objects.pop().flatten().unwrap_or_default();
        let state = condition::state(&object);
        let duration = i64::try_from(waited.duration).unwrap_or(i64::MAX);
        if waited.ready.contains(&false) {
            let msg = format!("Resource update timed out: {}", patience.in_vain(&id, &state));
            let failure = Failure::new(msg).with("result", value(object));
            return Err(failure.with("duration", duration).into());
        }
        Ok(Outcome::new()
            .with("result", value(object))
            .with("duration", duration))
    }
}
