//! `helm`: a release of a chart, through the host's helm.
//!
//! ```yaml
//! - kubernetes.core.helm:
//!     kubeconfig: /etc/kubernetes/admin.conf
//!     name: loki
//!     chart_ref: grafana/loki
//!     chart_version: 6.6.2
//!     release_namespace: monitoring
//!     create_namespace: true
//!     wait: true
//!     timeout: 10m
//!     values:
//!       loki:
//!         auth_enabled: false
//! - kubernetes.core.helm:
//!     name: old
//!     release_namespace: monitoring
//!     state: absent
//!     wait: true
//! ```
//!
//! What an upgrade would come to is asked with `--dry-run` (`=server`, from helm 3.13 on, so that a chart may look at
//! what is there): another chart, another version, other values, or other
//! objects (of a chart in a directory that was edited) change the release; what comes out otherwise each time, as
//! random passwords do, counts as the same, with a warning. `--diff` shows the objects, Secrets hidden. Values reach
//! helm by its standard input, a token by the environment: neither is in the list of processes.
//!
//! Which cluster is meant is said by options or by the variables that Ansible's reads (`K8S_AUTH_KUBECONFIG`, `_CONTEXT`,
//! `_HOST`, `_API_KEY`, `_SSL_CA_CERT`, `_VERIFY_SSL`) in the task's environment or the host's own. A kubeconfig that is
//! named and not there is a failure.
//!
//! Returns `status` (the release, with its `values`), `stdout`, `stderr` and `command`.
//!
//! Differences to Ansible: `values_files` and `set_values` count together with `values` when the release is compared,
//! and so do the objects; no plugin is used. Refused: `dependency_update` for a chart that is not in a directory.

use serde::Deserialize;

use super::Module;
use super::Rule;
use super::kubernetes::client::Call;
use super::kubernetes::{Client, Connection, Id, Json, Said, charts, difference, manifest};
use super::process::text;
use crate::host::{Change, Halt, Host, Outcome, fail};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Helm {
    #[serde(alias = "name")]
    release_name: String,
    #[serde(alias = "namespace")]
    release_namespace: String,
    #[serde(default, alias = "state")]
    release_state: State,
    chart_ref: Option<String>,
    chart_repo_url: Option<String>,
    chart_version: Option<String>,
    #[serde(alias = "values")]
    release_values: Option<Value>,
    values_files: Option<Vec<String>>,
    set_values: Option<Vec<SetValue>>,
    #[serde(default, alias = "dep_up")]
    dependency_update: bool,
    #[serde(default)]
    update_repo_cache: bool,
    #[serde(default)]
    create_namespace: bool,
    #[serde(default)]
    atomic: bool,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    skip_crds: bool,
    #[serde(default)]
    disable_hook: bool,
    #[serde(default = "yes")]
    purge: bool,
    history_max: Option<u64>,
    post_renderer: Option<String>,
    reuse_values: Option<bool>,
    #[serde(default = "yes")]
    reset_values: bool,
    #[serde(default)]
    reset_then_reuse_values: bool,
    #[serde(default)]
    wait: bool,
    wait_timeout: Option<String>,
    timeout: Option<String>,
    #[serde(default, alias = "skip_tls_certs_check")]
    insecure_skip_tls_verify: bool,
    binary_path: Option<String>,
    #[serde(alias = "kubeconfig_path")]
    kubeconfig: Option<Value>,
    #[serde(alias = "kube_context")]
    context: Option<String>,
    host: Option<String>,
    api_key: Option<String>,
    #[serde(alias = "ssl_ca_cert")]
    ca_cert: Option<String>,
    #[serde(alias = "verify_ssl")]
    validate_certs: Option<bool>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetValue {
    value: String,
    #[serde(default)]
    value_type: ValueType,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum ValueType {
    #[default]
    Raw,
    String,
    Json,
    File,
}

fn yes() -> bool {
    true
}

impl Module for Helm {
    const NAME: &'static str = "helm";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &["community.kubernetes.helm"];
    const RULES: &'static [Rule] = &[
        Rule::Exclusive(&["context", "ca_cert"]),
        Rule::Exclusive(&["replace", "history_max"]),
        Rule::Exclusive(&["wait_timeout", "timeout"]),
    ];

    fn check(&self) -> Result<(), Halt> {
        if self.release_state == State::Absent && self.replace {
            return Err(fail("replace is not applicable when state is absent"));
        }
        let Some(chart) = &self.chart_ref else {
            return match self.release_state {
                State::Present => Err(fail("`helm` needs `chart_ref`, unless `state: absent`")),
                State::Absent => Ok(()),
            };
        };
        if self.dependency_update && !chart.starts_with(['/', '.', '~']) {
            return Err(fail(
                "the option `dependency_update` is not supported for a chart that is not in a directory",
            ));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = charts::client(host, &self.connection(), self.binary_path.as_deref())?;
        match self.release_state {
            State::Present => self.present(host, &client).await,
            State::Absent => self.absent(host, &client).await,
        }
    }
}

impl Helm {
    fn connection(&self) -> Connection {
        Connection {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            server: self.host.clone(),
            api_key: self.api_key.clone(),
            ca_cert: self.ca_cert.clone(),
            validate_certs: self.validate_certs,
            ..Connection::default()
        }
    }

    /// The release in helm's list, and its values and objects.
    fn looks(&self, all: bool) -> [Call; 2] {
        let list = [
            "list",
            "--filter",
            &format!("^{}$", self.release_name),
            "-o",
            "json",
        ];
        let mut list = Call::new(list).namespace(Some(&self.release_namespace));
        if all {
            list = list.word("--all");
        }
        let status = Call::new(["status", &self.release_name, "-o", "json"]);
        [list, status.namespace(Some(&self.release_namespace))]
    }

    fn release(said: &[Said]) -> Result<Option<Release>, Halt> {
        let [list, status, ..] = said else {
            return Err(fail("helm was not called"));
        };
        if !list.ok() {
            return Err(charts::refused("list the releases", list, "helm list"));
        }
        let Some(entry) = charts::json(list)?
            .as_array()
            .and_then(|all| all.first())
            .cloned()
        else {
            return Ok(None);
        };
        let state = if status.ok() {
            charts::json(status)?
        } else {
            Json::Null
        };
        Ok(Some(Release { entry, state }))
    }

    async fn present(&self, host: &Host, client: &Client) -> Result<Outcome, Halt> {
        if self.update_repo_cache {
            self.act(host, client, Call::new(["repo", "update"])).await?;
        }
        let chart = self.chart_ref.as_deref().unwrap_or_default();
        if self.dependency_update {
            self.act(host, client, Call::new(["dependency", "update", chart]))
                .await?;
        }
        let mut calls = self.looks(false).to_vec();
        let mut dry = self.dry("--dry-run=server");
        calls.push(dry.clone());
        let mut said = client.ask_now(host, "helm --dry-run", &calls).await?;
        if said.get(2).is_some_and(is_before_server_side) {
            dry = self.dry("--dry-run");
            let last = client
                .ask_now(host, "helm --dry-run", std::slice::from_ref(&dry))
                .await?;
            said.splice(2.., last);
        }
        let release = Self::release(&said)?;
        let command = Self::command(&self.upgrade());
        let foreseen = match said.get(2) {
            Some(said) if said.ok() => charts::json(said)?,
            Some(said) => return Err(charts::refused("foresee the release", said, &command)),
            None => return Err(fail("helm was not called")),
        };
        let mut outcome = Outcome::new().with("command", command.as_str());
        let would = match &release {
            None => Difference::Certain,
            Some(release) => release.compare(&foreseen),
        };
        let would = if would == Difference::OfObjects {
            self.once_more(host, client, dry, &foreseen, &mut outcome).await?
        } else {
            would
        };
        if would == Difference::None && !self.force {
            let status = release.map_or(Json::Null, Release::status);
            return Ok(said_by(
                outcome.with("status", Value::from(status)),
                &Said::default(),
            ));
        }
        let verb = if release.is_some() { "upgrade" } else { "install" };
        let change = self.change(verb, release.as_ref(), &foreseen);
        let mut calls = vec![self.upgrade()];
        calls.extend(self.looks(true).map(|mut call| {
            call.if_well = true;
            call
        }));
        let said = client.change(host, change, &calls).await?;
        self.done(outcome, verb, &said, &command)
    }

    fn dry(&self, flag: &str) -> Call {
        self.upgrade().words([flag, "-o", "json"].map(String::from))
    }

    /// What comes out differently each time is no difference.
    async fn once_more(
        &self,
        host: &Host,
        client: &Client,
        dry: Call,
        foreseen: &Json,
        outcome: &mut Outcome,
    ) -> Result<Difference, Halt> {
        let said = client.ask_now(host, "helm --dry-run", &[dry]).await?;
        let again = match said.first() {
            Some(said) if said.ok() => charts::json(said)?,
            _ => return Ok(Difference::Certain),
        };
        if again["manifest"] == foreseen["manifest"] {
            return Ok(Difference::Certain);
        }
        outcome.warnings.push(format!(
            "the chart of {} makes other objects each time: whether it was edited is not known; `force: true` upgrades",
            self.release_name
        ));
        Ok(Difference::None)
    }

    async fn absent(&self, host: &Host, client: &Client) -> Result<Outcome, Halt> {
        let said = client.ask(host, "helm list", &self.looks(true)).await?;
        let release = Self::release(&said)?;
        let mut call = Call::new(["uninstall", &self.release_name]).namespace(Some(&self.release_namespace));
        let flags = [
            (!self.purge, "--keep-history"),
            (self.disable_hook, "--no-hooks"),
            (self.wait, "--wait"),
        ];
        call = call.words(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, flag)| (*flag).to_string()),
        );
        if let Some(timeout) = self.wait_timeout.as_ref().or(self.timeout.as_ref()) {
            call = call.word("--timeout").word(timeout);
        }
        let command = Self::command(&call);
        let outcome = Outcome::new().with("command", command.as_str());
        let gone = |release: &Release| {
            release.entry["status"]
                .as_str()
                .is_some_and(|status| status.starts_with("uninstall"))
        };
        let Some(release) = release.filter(|release| !gone(release)) else {
            return Ok(said_by(outcome.with("status", Value::Null), &Said::default()));
        };
        let change = self.change("uninstall", Some(&release), &Json::Null);
        let mut calls = vec![call];
        calls.extend(self.looks(true));
        let said = client.change(host, change, &calls).await?;
        self.done(outcome, "uninstall", &said, &command)
    }

    async fn act(&self, host: &Host, client: &Client, call: Call) -> Result<(), Halt> {
        let command = Self::command(&call);
        match client.act(host, &command, &[call]).await?.first() {
            Some(said) if !said.ok() => Err(charts::refused("prepare the chart", said, &command)),
            _ => Ok(()),
        }
    }

    fn done(&self, outcome: Outcome, verb: &str, said: &[Said], command: &str) -> Result<Outcome, Halt> {
        let Some((done, looks)) = said.split_first() else {
            return Err(fail("helm was not called"));
        };
        if !done.ok() {
            return Err(charts::refused(
                &format!("{verb} {}", self.release_name),
                done,
                command,
            ));
        }
        let status = Self::release(looks)?.map_or(Json::Null, Release::status);
        Ok(said_by(outcome.with("status", Value::from(status)), done))
    }

    fn command(call: &Call) -> String {
        format!("helm {}", call.words.join(" "))
    }

    /// The call that installs or upgrades; values come by its standard input.
    fn upgrade(&self) -> Call {
        let chart = self.chart_ref.as_deref().unwrap_or_default();
        let mut call = if self.replace {
            Call::new(["install", &self.release_name, chart, "--replace"])
        } else {
            let call = Call::new(["upgrade", "-i", &self.release_name, chart]);
            if self.reset_values {
                call.word("--reset-values")
            } else {
                call
            }
        };
        call = call.namespace(Some(&self.release_namespace));
        let flags = [
            (self.reset_then_reuse_values, "--reset-then-reuse-values"),
            (self.wait, "--wait"),
            (self.atomic, "--atomic"),
            (self.force, "--force"),
            (self.disable_hook, "--no-hooks"),
            (self.create_namespace, "--create-namespace"),
            (self.skip_crds, "--skip-crds"),
            (self.insecure_skip_tls_verify, "--insecure-skip-tls-verify"),
        ];
        call = call.words(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, flag)| (*flag).to_string()),
        );
        let reuse = self.reuse_values.map(|reuse| format!("--reuse-values={reuse}"));
        let given = [
            ("--version", &self.chart_version),
            ("--repo", &self.chart_repo_url),
            (
                "--timeout",
                &self
                    .timeout
                    .clone()
                    .or_else(|| self.wait_timeout.clone().filter(|_| self.wait)),
            ),
            ("--post-renderer", &self.post_renderer),
            ("--history-max", &self.history_max.map(|count| count.to_string())),
        ];
        call = call.words(reuse);
        for (flag, value) in given {
            if let Some(value) = value {
                call = call.word(flag).word(value);
            }
        }
        for file in self.values_files.iter().flatten() {
            call = call.word("--values").word(file);
        }
        let values = self.release_values.as_ref().filter(|values| values.is_true());
        if let Some(Ok(values)) = values.map(serde_json::to_string) {
            call = call.word("-f").word("-").input(values);
        }
        for set in self.set_values.iter().flatten() {
            let flag = match set.value_type {
                ValueType::Raw => "--set",
                ValueType::String => "--set-string",
                ValueType::Json => "--set-json",
                ValueType::File => "--set-file",
            };
            call = call.word(flag).word(&set.value);
        }
        call
    }

    /// What happens, with the objects that differ.
    fn change(&self, verb: &str, release: Option<&Release>, foreseen: &Json) -> Change {
        let what = format!("{verb} {} in {}", self.release_name, self.release_namespace);
        let before = release.map_or(Vec::new(), |release| objects(&release.state));
        let mut after = objects(foreseen);
        let mut change = Change::new(what);
        for object in &before {
            let id = Id::of(object);
            let at = after.iter().position(|other| id.is_that_of(other));
            let other = at.map(|at| after.remove(at));
            if other.as_ref() != Some(object) {
                let (before, after) = difference::texts(Some(object), other.as_ref());
                change = change.difference(id.to_string(), before, after);
            }
        }
        for object in &after {
            let (before, after) = difference::texts(None, Some(object));
            change = change.difference(Id::of(object).to_string(), before, after);
        }
        change
    }
}

/// Whether this helm (before 3.13) has no dry run that asks the server.
fn is_before_server_side(said: &Said) -> bool {
    said.stderr
        .contains("invalid argument \"server\" for \"--dry-run\"")
}

/// What helm said, as a task returns it.
fn said_by(outcome: Outcome, said: &Said) -> Outcome {
    outcome
        .with("stdout_lines", text::lines(&said.stdout))
        .with("stderr_lines", text::lines(&said.stderr))
        .with("stdout", said.stdout.as_str())
        .with("stderr", said.stderr.as_str())
}

/// The objects of a release.
fn objects(release: &Json) -> Vec<Json> {
    let text = release["manifest"].as_str().unwrap_or_default();
    manifest::objects(text, "the chart").unwrap_or_default()
}

/// How a release differs from what an upgrade would make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    /// By its objects alone.
    OfObjects,
    Certain,
}

/// A release as it is.
struct Release {
    /// In helm's list.
    entry: Json,
    /// Its values (`config`) and objects (`manifest`).
    state: Json,
}

impl Release {
    fn compare(&self, foreseen: &Json) -> Difference {
        let metadata = &foreseen["chart"]["metadata"];
        let text = |value: &Json| value.as_str().unwrap_or_default().to_string();
        let chart = format!("{}-{}", text(&metadata["name"]), text(&metadata["version"]));
        let is_same_chart = text(&self.entry["chart"]) == chart
            && text(&self.entry["app_version"]) == text(&metadata["appVersion"]);
        let values = |release: &Json| match &release["config"] {
            Json::Null => serde_json::json!({}),
            config => config.clone(),
        };
        if !is_same_chart || values(&self.state) != values(foreseen) {
            return Difference::Certain;
        }
        if self.state["manifest"] == foreseen["manifest"] {
            return Difference::None;
        }
        Difference::OfObjects
    }

    /// As the task returns it.
    fn status(self) -> Json {
        let mut status = self.entry;
        status["values"] = match self.state.get("config") {
            Some(config) if !config.is_null() => config.clone(),
            _ => serde_json::json!({}),
        };
        status
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(values: &Json, manifest: &str) -> Json {
        json!({"chart": {"metadata": {"name": "c", "version": "1.2.3", "appVersion": "7"}}, "config": values,
            "manifest": manifest})
    }

    #[test]
    fn what_makes_an_upgrade() {
        let now = Release {
            entry: json!({"name": "r", "chart": "c-1.2.3", "app_version": "7"}),
            state: release(&json!({"a": 1}), "x"),
        };
        assert_eq!(now.compare(&release(&json!({"a": 1}), "x")), Difference::None);
        assert_eq!(
            now.compare(&release(&json!({"a": 1}), "y")),
            Difference::OfObjects
        );
        assert_eq!(now.compare(&release(&json!({"a": 2}), "x")), Difference::Certain);
        let mut newer = release(&json!({"a": 1}), "x");
        newer["chart"]["metadata"]["version"] = "1.2.4".into();
        assert_eq!(now.compare(&newer), Difference::Certain);
        assert_eq!(now.status()["values"], json!({"a": 1}));
    }
}
