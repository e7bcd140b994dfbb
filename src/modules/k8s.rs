//! `k8s`: objects of a Kubernetes cluster as they are described, through the host's kubectl.
//!
//! ```yaml
//! - kubernetes.core.k8s:
//!     kubeconfig: /etc/kubernetes/admin.conf
//!     state: present
//!     definition:
//!       apiVersion: v1
//!       kind: Namespace
//!       metadata:
//!         name: monitoring
//! - kubernetes.core.k8s:
//!     src: prometheus.yml
//!     namespace: monitoring
//!     wait: true
//!     wait_timeout: 300
//! - kubernetes.core.k8s:
//!     template: grafana.yml.j2
//!     apply: true
//!     server_side_apply:
//!       field_manager: vmstation
//!       force_conflicts: true
//!   delegate_to: localhost
//! - kubernetes.core.k8s:
//!     kind: Deployment
//!     api_version: apps/v1
//!     namespace: monitoring
//!     name: grafana
//!     state: patched
//!     definition:
//!       spec:
//!         replicas: 2
//! - kubernetes.core.k8s:
//!     kind: Pod
//!     namespace: monitoring
//!     label_selectors: [app=old]
//!     state: absent
//!     wait: true
//! ```
//!
//! The objects are looked at first, all in one call. What holds all that is described is left alone, and nobody is
//! asked any more; for the rest the server is asked what it would make of it (`--dry-run=server`, at the task's
//! turn), and only what would differ is changed. `changed` is what the server says. `--diff` shows objects without
//! what the server keeps for itself; of a Secret only how many bytes each value has, and which have changed.
//!
//! `present` merges as Ansible does: the server's own strategy for its own kinds, plainly for others, or by
//! `merge_type`; `apply` is `kubectl apply`, by the annotation that Ansible and kubectl share, and with
//! `server_side_apply` the server's, under the name `vmstation` unless another is given; a conflict names the other
//! manager and the fields. `force` replaces. One call creates all that is missing, one applies all; each merge is a
//! call of its own, all of them one script.
//!
//! `src` is a file of the project (a path relative to `files/`), a file of the host (an absolute path), or a URL,
//! which is fetched by this machine. What is wrong with a manifest is told with the field, the object and its line.
//!
//! Which cluster is meant is said by options or by Ansible's variables (`K8S_AUTH_KUBECONFIG`, `_CONTEXT`, `_HOST`,
//! `_API_KEY`, `_USERNAME`, `_PASSWORD`, `_SSL_CA_CERT`, `_CERT_FILE`, `_KEY_FILE`, `_VERIFY_SSL`, `_PROXY`, `_NO_PROXY`,
//! `_IMPERSONATE_USER`, `_IMPERSONATE_GROUPS`) in the task's environment or the host's own; an option counts before its
//! variable. Who names a server and brings a token, a certificate or a name needs no kubeconfig.
//!
//! A server that ends or falls silent in the middle makes the task fail, with its address and with how many objects
//! have been changed; the next run does the others. While there is something to wait for, it may come back in time.
//! What a Secret holds is returned, and masked wherever it is shown or kept.
//!
//! Returns `method` and `result` (and `duration` after a wait) for one object; for several `result.results`, each
//! with `changed`, `method` and `result`. After a deletion `result` is a
//! `Status`, in which of a kind that is none of Kubernetes' own the plural is missing.
//!
//! Differences to Ansible: without a `namespace` the connection's own is meant, where Ansible fails; all objects are
//! waited for together; `kubeconfig` is a path on the host that runs the task. Unknown fields are warned of with
//! their line. Refused: `validate` with `version`, `delete_options` with `preconditions`, `proxy_headers`,
//! `persist_config`, and these two by their variables.

mod absent;
mod item;
mod present;
mod result;
mod step;

use serde::Deserialize;

use super::kubernetes::client::FIELD_MANAGER;
use super::kubernetes::condition::Condition;
use super::kubernetes::manifest::{self, Defaults, Sources};
use super::kubernetes::waiting::Patience;
use super::kubernetes::{Client, Json, Manifest, applied, hidden, names, with_connection};
use super::{Module, Rule};
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8s {
        #[serde(default)]
        state: State,
        #[serde(default = "v1", alias = "api", alias = "version")]
        api_version: String,
        kind: Option<String>,
        name: Option<String>,
        namespace: Option<String>,
        generate_name: Option<String>,
        #[serde(alias = "definition", alias = "inline")]
        resource_definition: Option<Value>,
        src: Option<String>,
        template: Option<Value>,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        apply: bool,
        server_side_apply: Option<ServerSide>,
        merge_type: Option<Vec<MergeType>>,
        #[serde(default)]
        append_hash: bool,
        #[serde(default)]
        continue_on_error: bool,
        #[serde(default, alias = "all")]
        delete_all: bool,
        delete_options: Option<DeleteOptions>,
        label_selectors: Option<Vec<String>>,
        hidden_fields: Option<Vec<String>>,
        validate: Option<Validate>,
        #[serde(default)]
        wait: bool,
        #[serde(default = "five")]
        wait_sleep: u64,
        #[serde(default = "two_minutes")]
        wait_timeout: u64,
        wait_condition: Option<Condition>,
        /// What is there stays as it is: `kubectl` with `verb: create`.
        #[serde(skip)]
        creates_only: bool,
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
    Patched,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSide {
    field_manager: Option<String>,
    #[serde(default)]
    force_conflicts: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum MergeType {
    Merge,
    StrategicMerge,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteOptions {
    #[serde(rename = "gracePeriodSeconds")]
    grace_period_seconds: Option<u64>,
    #[serde(rename = "propagationPolicy")]
    propagation_policy: Option<Propagation>,
    preconditions: Option<Value>,
}

#[derive(Deserialize, Clone, Copy)]
enum Propagation {
    Foreground,
    Background,
    Orphan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Validate {
    fail_on_error: bool,
    version: Option<String>,
    #[serde(default = "yes", rename = "strict")]
    _strict: bool,
}

fn v1() -> String {
    "v1".to_string()
}

fn yes() -> bool {
    true
}

fn five() -> u64 {
    5
}

fn two_minutes() -> u64 {
    120
}

impl Module for K8s {
    const NAME: &'static str = "k8s";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &[
        "community.kubernetes.k8s",
        "community.okd.k8s",
        "redhat.openshift.k8s",
    ];
    const RULES: &'static [Rule] = &[
        Rule::Exclusive(&["resource_definition", "src"]),
        Rule::Exclusive(&["template", "src"]),
        Rule::Exclusive(&["template", "resource_definition"]),
        Rule::Exclusive(&["merge_type", "apply"]),
        Rule::Needs("server_side_apply", "apply"),
    ];

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()?;
        if self
            .validate
            .as_ref()
            .is_some_and(|validate| validate.version.is_some())
        {
            return Err(fail(
                "the option `validate.version` is not supported: the server validates by its own version",
            ));
        }
        if self
            .delete_options
            .as_ref()
            .is_some_and(|options| options.preconditions.is_some())
        {
            return Err(fail(
                "the option `delete_options.preconditions` is not supported: kubectl has no way to send them",
            ));
        }
        let described = self.resource_definition.is_some() || self.src.is_some() || self.template.is_some();
        if !described && self.kind.is_none() {
            return Err(fail(
                "`k8s` needs a description (`definition`, `src` or `template`) or a `kind`",
            ));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let mut manifests = self.manifests(host).await?;
        if self.append_hash {
            for manifest in &mut manifests {
                names::append_hash(&mut manifest.body);
            }
        }
        let work = Work {
            of: &self,
            client,
            host,
            forced: false,
        };
        match self.state {
            State::Absent => work.absent(manifests).await,
            State::Present | State::Patched => work.present(manifests).await,
        }
    }
}

impl K8s {
    /// The same, but for what is there already, which stays as it is.
    #[must_use]
    pub(super) fn creating(mut self) -> Self {
        self.creates_only = true;
        self
    }

    async fn manifests(&self, host: &Host) -> Result<Vec<Manifest>, Halt> {
        let sources = Sources {
            definition: self.resource_definition.as_ref(),
            src: self.src.as_deref(),
            template: self.template.as_ref(),
        };
        let defaults = Defaults {
            api_version: &self.api_version,
            kind: self.kind.as_deref(),
            name: self.name.as_deref(),
            namespace: self.namespace.as_deref(),
            generate_name: self.generate_name.as_deref(),
        };
        manifest::read(host, sources, defaults).await
    }

    fn selectors(&self) -> &[String] {
        self.label_selectors.as_deref().unwrap_or_default()
    }

    /// How fields are treated that the server does not know. Without `validate` they are warned of, as by Ansible:
    /// see [`dropped`](super::kubernetes::contained::dropped).
    fn validation(&self) -> &'static str {
        match &self.validate {
            Some(Validate {
                fail_on_error: true, ..
            }) => "--validate=strict",
            _ => "--validate=ignore",
        }
    }

    /// In whose name fields are applied by the server.
    fn manager(&self) -> &str {
        let given = self
            .server_side_apply
            .as_ref()
            .and_then(|given| given.field_manager.as_deref());
        given.unwrap_or(FIELD_MANAGER)
    }

    fn is_server_side(&self) -> bool {
        self.apply && self.server_side_apply.is_some()
    }

    /// Whether the object has been applied just so.
    fn is_applied(&self, live: &Json, body: &Json) -> bool {
        if self.is_server_side() {
            applied::by_server(live, body, self.manager())
        } else {
            applied::by_client(live, body)
        }
    }

    fn patience(&self) -> Patience<'_> {
        Patience {
            condition: self.wait_condition.as_ref(),
            sleep: self.wait_sleep,
            timeout: self.wait_timeout,
        }
    }

    fn shown(&self, mut object: Json) -> Json {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        hidden::without(object, self.hidden_fields.as_deref().unwrap_or_default())
    }
}

struct Work<'a> {
    of: &'a K8s,
    client: Client,
    host: &'a Host,
    /// The only conflicts are with what our own manager has set without applying it.
    forced: bool,
}
