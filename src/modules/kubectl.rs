//! `kubectl`: what people do with kubectl by hand, done only where it is needed.
//!
//! ```yaml
//! - kubectl:
//!     verb: apply
//!     src: monitoring.yml
//!     namespace: monitoring
//!     selector: app.kubernetes.io/part-of=monitoring
//!     prune: true
//! - kubectl:
//!     verb: label
//!     resource: node/masternode
//!     labels:
//!       monitoring: 'yes'
//!       obsolete: null
//! - kubectl:
//!     verb: taint
//!     resource: node/masternode
//!     taints:
//!       - node-role.kubernetes.io/control-plane:NoSchedule-
//! - kubectl:
//!     verb: patch
//!     resource: configmap/kube-proxy
//!     namespace: kube-system
//!     patch:
//!       data:
//!         mode: iptables
//!   register: mode
//! - kubectl:
//!     verb: rollout_restart
//!     resource: daemonset/kube-proxy
//!     namespace: kube-system
//! - kubectl:
//!     verb: rollout_status
//!     resource: daemonset/kube-proxy
//!     namespace: kube-system
//!     timeout: 120
//! - kubectl:
//!     verb: wait
//!     resource: pod
//!     selector: k8s-app=kube-dns
//!     namespace: kube-system
//!     for: condition=Ready
//!     timeout: 60
//! - kubectl:
//!     verb: get
//!     resource: [nodes, pods]
//!     all_namespaces: true
//!   register: there
//! - kubectl:
//!     verb: drain
//!     resource: [node/homelab, node/storagenodet3500]
//!     ignore_daemonsets: true
//! - kubectl:
//!     verb: run
//!     resource: pod/dns-check
//!     image: busybox:1.36
//!     command: nslookup kubernetes.default
//! - kubectl:
//!     verb: logs
//!     resource: pod/dns-check
//!     tail: 20
//! ```
//!
//! `resource` names things as kubectl does: `TYPE/NAME`, or `TYPE` with a `selector` or `all: true`. `definition`,
//! `src` and `template` describe objects as they do for `k8s`.
//!
//! | verb | what it takes | when it changes |
//! |---|---|---|
//! | `apply` | descriptions; `field_manager`, `force_conflicts`, `prune` with `selector` | the server says that an object would differ |
//! | `create` | descriptions | an object is not there; what is there stays as it is |
//! | `delete` | descriptions or `resource` | an object is there |
//! | `get` | `resource` | never |
//! | `patch` | `resource`, `patch`, `type` (strategic, merge, json) | the server says that an object would differ |
//! | `label`, `annotate` | `resource`, `labels`, `annotations`; null removes | an object has other ones |
//! | `taint` | `resource`, `taints` (`key=value:Effect`; with `-` at the end: removed) | a node has other ones |
//! | `scale` | `resource`, `replicas` | an object has another number |
//! | `cordon`, `uncordon` | `resource` (nodes) | a node is not so |
//! | `drain` | `resource` (nodes); `ignore_daemonsets`, `delete_emptydir_data`, `force`, `grace_period` | a node is not cordoned, or has pods that have to go |
//! | `rollout_restart` | `resource` | always |
//! | `rollout_status`, `wait` | `resource`; `for` | never; fails when it takes longer than `timeout` seconds |
//! | `run` | `resource: pod/NAME`, `image`, `command` | there is no such pod |
//! | `exec` | `resource: pod/NAME`, `container`, `command` | always, unless `changed_when` says otherwise |
//! | `logs` | `resource` or `selector`, `container`, `previous`, `tail`, `since` | never |
//!
//! `apply` is the server's, under the name `vmstation` unless `field_manager` gives another. With `prune` it deletes
//! what that manager has applied earlier, of the kinds and in the namespaces that are described, that has the labels
//! of `selector` and is not described any more.
//!
//! Which cluster is meant is said by the options that `k8s` has for it, or by the same variables in the environment.
//!
//! Returns `objects`, as they are then; for `apply`, `create` and `delete` of descriptions what `k8s` returns, and
//! with `prune` also `pruned`; for `exec` `stdout`, `stderr` and `rc`, for `logs` `log` and `log_lines`, for
//! `rollout_status` and `wait` `stdout`.
//!
//! Logs are whole unless `tail` says otherwise, also those of a `selector`, of which kubectl shows ten lines each.

mod alter;
mod described;
mod mark;
mod observe;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Module;
use super::kubernetes::node::{self, Draining};
use super::kubernetes::{Call, Client, Connection, Json, Said, value, with_connection, words};
use crate::host::{Change, Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Kubectl {
        verb: Verb,
        resource: Option<Vec<String>>,
        selector: Option<String>,
        #[serde(default)]
        all: bool,
        namespace: Option<String>,
        #[serde(default)]
        all_namespaces: bool,
        definition: Option<Value>,
        src: Option<String>,
        template: Option<Value>,
        field_manager: Option<String>,
        #[serde(default)]
        force_conflicts: bool,
        #[serde(default)]
        prune: bool,
        patch: Option<Value>,
        #[serde(rename = "type")]
        kind_of_patch: Option<PatchType>,
        labels: Option<BTreeMap<String, Value>>,
        annotations: Option<BTreeMap<String, Value>>,
        taints: Option<Vec<String>>,
        replicas: Option<u64>,
        #[serde(rename = "for")]
        until: Option<String>,
        #[serde(default = "two_minutes")]
        timeout: u64,
        #[serde(default)]
        ignore_daemonsets: bool,
        #[serde(default)]
        delete_emptydir_data: bool,
        #[serde(default)]
        force: bool,
        grace_period: Option<u64>,
        image: Option<String>,
        command: Option<Value>,
        container: Option<String>,
        #[serde(default)]
        previous: bool,
        tail: Option<i64>,
        since: Option<String>,
    }
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Annotate,
    Apply,
    Cordon,
    Create,
    Delete,
    Drain,
    Exec,
    Get,
    Label,
    Logs,
    Patch,
    RolloutRestart,
    RolloutStatus,
    Run,
    Scale,
    Taint,
    Uncordon,
    Wait,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum PatchType {
    Strategic,
    Merge,
    Json,
}

fn two_minutes() -> u64 {
    120
}

impl Module for Kubectl {
    const NAME: &'static str = "kubectl";
    const COLLECTION: &'static str = "vmstation.builtin";

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()?;
        let described = self.definition.is_some() || self.src.is_some() || self.template.is_some();
        let named = self
            .resource
            .as_ref()
            .is_some_and(|resource| !resource.is_empty());
        match self.verb {
            Verb::Apply | Verb::Create if !described => self.needs("`definition`, `src` or `template`"),
            Verb::Apply if self.prune && self.selector.is_none() => {
                self.needs("a `selector` with `prune`: what is not described and has these labels goes")
            }
            Verb::Apply | Verb::Create => Ok(()),
            Verb::Delete if !(described || named) => {
                self.needs("`resource`, `definition`, `src` or `template`")
            }
            Verb::Logs if named || self.selector.is_some() => Ok(()),
            Verb::Delete if described => Ok(()),
            _ if !named => self.needs("`resource`, as `TYPE/NAME` or `TYPE`"),
            Verb::Patch if self.patch.is_none() => self.needs("`patch`"),
            Verb::Label if self.labels.is_none() => self.needs("`labels`"),
            Verb::Annotate if self.annotations.is_none() => self.needs("`annotations`"),
            Verb::Taint if self.taints.is_none() => self.needs("`taints`"),
            Verb::Scale if self.replicas.is_none() => self.needs("`replicas`"),
            Verb::Wait if self.until.is_none() => self.needs("`for`, as `condition=Ready` or `delete`"),
            Verb::Run if self.image.is_none() => self.needs("`image`"),
            Verb::Exec if self.command.is_none() => self.needs("`command`"),
            Verb::Taint => mark::taints(self.taints.as_deref().unwrap_or_default()).map(|_| ()),
            _ => Ok(()),
        }
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let work = Work {
            of: &self,
            client,
            host,
        };
        match self.verb {
            Verb::Apply | Verb::Create => work.described().await,
            Verb::Delete if self.resource.is_none() => work.described().await,
            Verb::Delete => work.delete().await,
            Verb::Get => work.get().await,
            Verb::Patch => work.patch().await,
            Verb::Label | Verb::Annotate => work.mark().await,
            Verb::Taint => work.taint().await,
            Verb::Scale => work.scale().await,
            Verb::Cordon | Verb::Uncordon => work.cordon().await,
            Verb::Drain => work.drain().await,
            Verb::RolloutRestart => work.restart().await,
            Verb::RolloutStatus | Verb::Wait => work.wait().await,
            Verb::Run => work.create_pod().await,
            Verb::Exec => work.exec().await,
            Verb::Logs => work.logs().await,
        }
    }
}

impl Kubectl {
    fn needs(&self, what: &str) -> Result<(), Halt> {
        let verb = format!("{:?}", self.verb).to_lowercase();
        Err(fail(format!("`kubectl` with `verb: {verb}` needs {what}")))
    }

    fn resources(&self) -> &[String] {
        self.resource.as_deref().unwrap_or_default()
    }

    /// The words that name what is meant, behind the verb.
    fn named(&self, call: Call) -> Call {
        let resources = self.resources();
        // A type behind a type would be a name of the first.
        let is_of_types = !resources.is_empty() && !resources.iter().any(|resource| resource.contains('/'));
        let mut call = if is_of_types {
            call.word(resources.join(","))
        } else {
            call.words(resources.iter().cloned())
        };
        if let Some(selector) = &self.selector {
            call = call.word("-l").word(selector);
        }
        if self.all {
            call = call.word("--all");
        }
        if self.all_namespaces {
            return call.word("-A");
        }
        call.namespace(self.namespace.as_deref())
    }

    /// The one name of `pod/NAME`.
    fn pod(&self) -> Result<&str, Halt> {
        match self.resources() {
            [one] => Ok(one.rsplit_once('/').map_or(one.as_str(), |(_, name)| name)),
            _ => Err(fail("`resource` names one pod here, as `pod/NAME`")),
        }
    }

    fn command(&self) -> Result<Vec<String>, Halt> {
        match &self.command {
            None => Ok(Vec::new()),
            Some(Value::List(words)) => words
                .iter()
                .map(|word| match word {
                    Value::Int(number) => Ok(number.to_string()),
                    other => other
                        .as_str()
                        .map(String::from)
                        .ok_or_else(|| fail("`command` is a line, or a list of words")),
                })
                .collect(),
            Some(line) => match line.as_str() {
                Some(line) => super::process::words::split(line).map_err(fail),
                None => Err(fail("`command` is a line, or a list of words")),
            },
        }
    }
}

struct Work<'a> {
    of: &'a Kubectl,
    client: Client,
    host: &'a Host,
}

impl Work<'_> {
    /// What `resource` names, as it is; fails if a name is not there, unless that `may_be_missing`.
    async fn look(&self, may_be_missing: bool) -> Result<Vec<Json>, Halt> {
        let mut call = self.of.named(Call::new(["get", "-o", "json"]));
        // `--all` is for verbs that alter; to look at all is to name none.
        call.words.retain(|word| word != "--all");
        if may_be_missing {
            call = call.word("--ignore-not-found");
        }
        let said = self.client.ask(self.host, "kubectl get", &[call]).await?;
        match said.into_iter().next() {
            Some(said) if said.ok() => Ok(said.objects()),
            Some(said) => {
                let failure = words::refused("look at the objects", &said);
                if words::is_missing(&said) {
                    let named = self.of.resources().join(", ");
                    return Err(self.host.lacks(format!("{named}, which is not there"), failure));
                }
                Err(failure)
            }
            None => Err(fail("kubectl was not called")),
        }
    }

    /// A change by one call, of which a dry run asks the server.
    async fn change_one(&self, change: Change, call: Call) -> Result<Vec<Said>, Halt> {
        let asked = [call.dry()];
        self.client
            .change_or_ask(self.host, change, &[call], &asked)
            .await
    }

    async fn cordon(&self) -> Result<Outcome, Halt> {
        let to = self.of.verb == Verb::Cordon;
        let names = self.nodes();
        let changed = node::cordon(self.host, &self.client, &names, to).await?;
        Ok(Outcome::new().with("nodes", list(&changed)))
    }

    async fn drain(&self) -> Result<Outcome, Halt> {
        let of = self.of;
        let how = Draining {
            force: of.force,
            ignore_daemonsets: of.ignore_daemonsets,
            delete_emptydir_data: of.delete_emptydir_data,
            grace_period: of.grace_period,
            timeout: of.timeout,
            ..Draining::default()
        };
        let mut outcome = Outcome::new();
        for name in self.nodes() {
            let drained = node::drain(self.host, &self.client, &name, &how).await?;
            for warning in drained.warnings {
                outcome = outcome.warn(format!("{name}: {warning}"));
            }
        }
        Ok(outcome)
    }

    /// Nodes by their names, with or without the type before it.
    fn nodes(&self) -> Vec<String> {
        let name = |resource: &String| {
            let (_, name) = resource.rsplit_once('/').unwrap_or(("", resource));
            name.to_string()
        };
        self.of.resources().iter().map(name).collect()
    }
}

fn list(names: &[String]) -> Value {
    Value::list(names.iter().map(|name| Value::from(name.as_str())))
}

/// Objects as they come back.
fn objects(objects: Vec<Json>) -> Outcome {
    Outcome::new().with("objects", Value::list(objects.into_iter().map(value)))
}

/// The answer of a script of one call.
fn one(said: Vec<Said>) -> Result<Said, Halt> {
    said.into_iter()
        .next()
        .ok_or_else(|| fail("kubectl was not called"))
}

/// The options of a connection as another module takes them.
pub(super) fn connection_options(connection: &Connection) -> serde_json::Map<String, Json> {
    let text = |value: &Option<String>| value.clone().map(Json::from);
    let given = [
        (
            "kubeconfig",
            connection
                .kubeconfig
                .as_ref()
                .and_then(|c| serde_json::to_value(c).ok()),
        ),
        ("context", text(&connection.context)),
        ("host", text(&connection.server)),
        ("api_key", text(&connection.api_key)),
        ("username", text(&connection.username)),
        ("password", text(&connection.password)),
        ("ca_cert", text(&connection.ca_cert)),
        ("client_cert", text(&connection.client_cert)),
        ("client_key", text(&connection.client_key)),
        ("validate_certs", connection.validate_certs.map(Json::from)),
        ("proxy", text(&connection.proxy)),
        ("no_proxy", text(&connection.no_proxy)),
        ("impersonate_user", text(&connection.impersonate_user)),
        (
            "impersonate_groups",
            (!connection.impersonate_groups.is_empty()).then(|| connection.impersonate_groups.clone().into()),
        ),
    ];
    let given = given
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_string(), value?)));
    given.collect()
}
