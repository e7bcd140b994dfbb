//! `k8s_scale`: how many replicas a deployment or its kin has, or how many pods of a job run at once.
//!
//! ```yaml
//! - kubernetes.core.k8s_scale:
//!     api_version: apps/v1
//!     kind: Deployment
//!     name: coredns
//!     namespace: kube-system
//!     replicas: 2
//!     wait_timeout: 60
//! - kubernetes.core.k8s_scale:
//!     api_version: apps/v1
//!     kind: Deployment
//!     namespace: shop
//!     label_selectors: [tier=web]
//!     replicas: 0
//!     current_replicas: 3
//!     wait: false
//! ```
//!
//! Returns `result` (and `duration` unless `wait: false`), or `results` where selectors find several. What has other
//! than `current_replicas` or another `resource_version` is left alone, with a `warning`.
//!
//! A difference to Ansible: all that a selector finds is scaled in one call, and waited for together.

use serde::Deserialize;

use super::kubernetes::manifest::{self, Defaults, Sources};
use super::kubernetes::waiting::Patience;
use super::kubernetes::{Call, Client, Id, Json, condition, difference, with_connection, words};
use super::{Module, Rule};
use crate::host::{Change, Failure, Halt, Host, Outcome, fail};
use crate::vars::Value;

with_connection! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct K8sScale {
        #[serde(default = "v1", alias = "api", alias = "version")]
        api_version: String,
        kind: Option<String>,
        name: Option<String>,
        namespace: Option<String>,
        #[serde(alias = "definition", alias = "inline")]
        resource_definition: Option<Value>,
        src: Option<String>,
        label_selectors: Option<Vec<String>>,
        replicas: i64,
        current_replicas: Option<i64>,
        resource_version: Option<String>,
        #[serde(default)]
        continue_on_error: bool,
        #[serde(default = "yes")]
        wait: bool,
        #[serde(default = "five")]
        wait_sleep: u64,
        #[serde(default = "twenty")]
        wait_timeout: u64,
    }
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

fn twenty() -> u64 {
    20
}

/// One of those that are to be scaled.
struct Target {
    live: Json,
    id: Id,
    /// Why it is left alone.
    warning: Option<String>,
    error: Option<String>,
    differs: bool,
}

impl Module for K8sScale {
    const NAME: &'static str = "k8s_scale";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &["community.kubernetes.k8s_scale"];
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["resource_definition", "src"])];

    fn check(&self) -> Result<(), Halt> {
        self.connection().check()?;
        if self.replicas < 0 {
            return Err(fail("`replicas` is 0 or more"));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = Client::kubectl(host, &self.connection())?;
        let mut targets: Vec<Target> = self
            .look(host, &client)
            .await?
            .iter()
            .map(|live| self.target(live))
            .collect();
        if let Some(error) = targets.iter().find_map(|target| target.error.as_ref())
            && !self.continue_on_error
        {
            return Err(fail(error.clone()));
        }
        if targets.iter().any(|target| target.differs) {
            self.scale(host, &client, &mut targets).await?;
        }
        let mut duration = 0;
        if self.wait && !host.check() && targets.iter().any(|target| target.differs) {
            duration = self.await_pods(host, &client, &mut targets).await?;
        }
        Ok(self.outcome(targets, duration))
    }
}

impl K8sScale {
    async fn look(&self, host: &Host, client: &Client) -> Result<Vec<Json>, Halt> {
        let sources = Sources {
            definition: self.resource_definition.as_ref(),
            src: self.src.as_deref(),
            template: None,
        };
        let defaults = Defaults {
            api_version: &self.api_version,
            kind: self.kind.as_deref(),
            name: self.name.as_deref(),
            namespace: self.namespace.as_deref(),
            generate_name: None,
        };
        let manifests = manifest::read(host, sources, defaults).await?;
        let Some(manifest) = manifests.first() else {
            return Err(fail(
                "`k8s_scale` needs the `kind` and the `name` of what to scale",
            ));
        };
        let id = manifest.id();
        let selectors = self.label_selectors.as_deref().unwrap_or_default();
        if !id.name.is_empty() && selectors.is_empty() {
            let said = client.get(host, &[&id]).await?;
            let mut found = said.objects();
            found.retain(|object| id.is_that_of(object));
            if said.ok() && found.is_empty() {
                let failure = fail(format!("Failed to retrieve requested object: there is no {id}"));
                return Err(host.lacks(format!("{id}, which is not there"), failure));
            }
            return if said.ok() {
                Ok(found)
            } else {
                Err(words::failure("look", &said, &[manifest], &[]))
            };
        }
        let mut call = Call::new(["get", &id.resource(), "-o", "json"]);
        call = match &id.namespace {
            Some(namespace) => call.namespace(Some(namespace)),
            None => call.word("-A"),
        };
        if !selectors.is_empty() {
            call = call.word("-l").word(selectors.join(","));
        }
        let said = client.ask(host, "kubectl get", &[call]).await?;
        match said.first() {
            Some(said) if said.ok() => Ok(said.objects()),
            Some(said) => Err(words::failure("look", said, &[manifest], &[])),
            None => Ok(Vec::new()),
        }
    }

    fn target(&self, live: &Json) -> Target {
        let id = Id::of(live);
        let count = &live["spec"][member(&id)];
        let about = format!(
            "for object kind={} name={} namespace={}.",
            id.kind,
            id.name,
            id.namespace.as_deref().unwrap_or("None")
        );
        let version = live["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let mut target = Target {
            warning: None,
            error: None,
            differs: false,
            id,
            live: live.clone(),
        };
        let Some(count) = count.as_i64() else {
            target.error = Some(format!("Failed to retrieve the available count {about}"));
            return target;
        };
        if let Some(wanted) = self
            .resource_version
            .as_deref()
            .filter(|wanted| *wanted != version)
        {
            let warning =
                format!("expected resource version {wanted} does not match with actual {version} {about}");
            target.warning = Some(warning);
        } else if let Some(wanted) = self.current_replicas.filter(|wanted| *wanted != count) {
            target.warning = Some(format!(
                "current replicas {wanted} does not match with actual {count} {about}"
            ));
        } else {
            target.differs = count != self.replicas;
        }
        target
    }

    async fn scale(&self, host: &Host, client: &Client, targets: &mut [Target]) -> Result<(), Halt> {
        let which: Vec<usize> = (0..targets.len()).filter(|i| targets[*i].differs).collect();
        let mut change = Change::new(match &*which {
            [one] => format!("scale {} to {}", targets[*one].id, self.replicas),
            many => format!("scale {} objects to {}", many.len(), self.replicas),
        });
        let (mut jobs, mut others) = (Vec::new(), Vec::new());
        for index in &which {
            let target = &targets[*index];
            let mut after = target.live.clone();
            after["spec"][member(&target.id)] = self.replicas.into();
            let (before, after) = difference::texts(Some(&target.live), Some(&after));
            change = change.difference(target.id.to_string(), before, after);
            if target.id.kind == "Job" {
                jobs.push(target);
            } else {
                others.push(target);
            }
        }
        let mut calls: Vec<Call> = jobs.iter().map(|job| self.parallelism(job)).collect();
        if !others.is_empty() {
            let stubs: Vec<Json> = others.iter().map(|target| target.id.stub()).collect();
            let replicas = format!("--replicas={}", self.replicas);
            calls.push(Call::new(["scale", "-f", "-", "-o", "name", &replicas]).objects(&stubs));
        }
        let asked: Vec<Call> = calls.iter().map(Call::dry).collect();
        let stubs: Vec<Json> = which.iter().map(|i| targets[*i].id.stub()).collect();
        calls.push(Call::new(["get", "-f", "-", "-o", "json", "--ignore-not-found"]).objects(&stubs));
        let said = client.change_or_ask(host, change, &calls, &asked).await?;
        if let Some(failed) = said.iter().find(|said| !said.ok()) {
            return Err(words::refused("scale", failed));
        }
        let mut found = said
            .last()
            .map(super::kubernetes::Said::objects)
            .unwrap_or_default();
        for index in which {
            if let Some(at) = found
                .iter()
                .position(|object| targets[index].id.is_that_of(object))
            {
                targets[index].live = found.remove(at);
            }
        }
        Ok(())
    }

    fn parallelism(&self, job: &Target) -> Call {
        let patch = serde_json::json!({"spec": {"parallelism": self.replicas}});
        Call::new([
            "patch",
            &job.id.resource(),
            &job.id.name,
            "-o",
            "name",
            "--type",
            "merge",
        ])
        .namespace(job.id.namespace.as_deref())
        .words(["--patch-file", "/dev/stdin"].map(String::from))
        .input(patch.to_string())
    }

    async fn await_pods(&self, host: &Host, client: &Client, targets: &mut [Target]) -> Result<u64, Halt> {
        let patience = Patience {
            condition: None,
            sleep: self.wait_sleep,
            timeout: self.wait_timeout,
        };
        let which: Vec<usize> = (0..targets.len()).filter(|i| targets[*i].differs).collect();
        let ids: Vec<Id> = which.iter().map(|i| targets[*i].id.clone()).collect();
        let waited = patience.present(host, client, &ids).await?;
        let late = waited.ready.iter().position(|ready| !ready);
        for (index, object) in which.into_iter().zip(waited.objects) {
            if let Some(object) = object {
                targets[index].live = object;
            }
        }
        let Some(late) = late else {
            return Ok(waited.duration);
        };
        let target = targets.iter().find(|target| target.id == ids[late]);
        let state = target
            .map(|target| condition::state(&target.live))
            .unwrap_or_default();
        let object = target.map_or(Json::Null, |target| target.live.clone());
        Err(
            Failure::new(format!("Resource scaling timed out: {}: {state}", ids[late]))
                .with("result", Value::from(object))
                .with("duration", seconds(waited.duration))
                .into(),
        )
    }

    fn outcome(&self, targets: Vec<Target>, duration: u64) -> Outcome {
        let several = targets.len() > 1;
        let mut results = Vec::new();
        let mut errors = Vec::new();
        for target in targets {
            let mut result = Outcome::new();
            if let Some(error) = target.error {
                errors.push(Value::map([
                    ("error", Value::from(error)),
                    ("failed", true.into()),
                ]));
                continue;
            }
            result = match target.warning {
                Some(warning) => result
                    .with("warning", warning)
                    .with("result", Value::map([("", Value::Null); 0])),
                None => result.with("result", Value::from(target.live)),
            };
            if self.wait {
                result = result.with("duration", seconds(duration));
            }
            if several {
                result = result.with("changed", target.differs);
            }
            results.push(result.values);
        }
        let mut outcome = Outcome::new();
        if several {
            let results: Vec<Value> = results.into_iter().map(Value::from).collect();
            outcome = outcome.with("results", Value::list(results));
        } else if let Some(result) = results.pop() {
            outcome.values = result;
        } else {
            outcome = outcome.with("result", Value::map([("", Value::Null); 0]));
        }
        if !errors.is_empty() {
            outcome = outcome.with("errors", Value::list(errors));
        }
        outcome
    }
}

fn seconds(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX)
}

/// Where a kind keeps the count.
fn member(id: &Id) -> &'static str {
    if id.kind == "Job" {
        "parallelism"
    } else {
        "replicas"
    }
}
