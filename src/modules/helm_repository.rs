//! `helm_repository`: a repository of charts, as helm on the host knows it.
//!
//! ```yaml
//! - kubernetes.core.helm_repository:
//!     name: grafana
//!     repo_url: https://grafana.github.io/helm-charts
//! - kubernetes.core.helm_repository:
//!     name: old
//!     state: absent
//! ```
//!
//! A repository of this name with another URL fails unless `force_update`, as in Ansible. With `force_update` one
//! that is there is added again each time, and counts as changed.
//!
//! Returns `command`, `stdout`, `stderr`; where nothing changed `repo_name` and `repo_url`. A password reaches helm by
//! its standard input.

use serde::Deserialize;

use super::Module;
use super::kubernetes::client::Call;
use super::kubernetes::{Json, charts};
use super::process::text;
use crate::host::{Change, Halt, Host, Outcome, fail};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelmRepository {
    #[serde(alias = "name")]
    repo_name: String,
    #[serde(alias = "url")]
    repo_url: Option<String>,
    #[serde(alias = "username")]
    repo_username: Option<String>,
    #[serde(alias = "password")]
    repo_password: Option<String>,
    #[serde(default, alias = "state")]
    repo_state: State,
    #[serde(default)]
    pass_credentials: bool,
    #[serde(default, alias = "force")]
    force_update: bool,
    #[serde(default, alias = "skip_tls_certs_check")]
    insecure_skip_tls_verify: bool,
    binary_path: Option<String>,
    // A repository is no matter of any cluster; Ansible takes these all the same.
    #[serde(rename = "kubeconfig", alias = "kubeconfig_path")]
    _kubeconfig: Option<Value>,
    #[serde(rename = "context", alias = "kube_context")]
    _context: Option<String>,
    #[serde(rename = "host")]
    _host: Option<String>,
    #[serde(rename = "api_key")]
    _api_key: Option<String>,
    #[serde(rename = "ca_cert", alias = "ssl_ca_cert")]
    _ca_cert: Option<String>,
    #[serde(rename = "validate_certs", alias = "verify_ssl")]
    _validate_certs: Option<bool>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for HelmRepository {
    const NAME: &'static str = "helm_repository";
    const COLLECTION: &'static str = "kubernetes.core";
    const ALSO: &'static [&'static str] = &["community.kubernetes.helm_repository"];

    fn check(&self) -> Result<(), Halt> {
        if self.repo_state == State::Present && self.repo_url.is_none() {
            return Err(fail("`helm_repository` needs `repo_url`, unless `state: absent`"));
        }
        if self.repo_username.is_some() != self.repo_password.is_some() {
            return Err(fail("`repo_username` and `repo_password` go together"));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let client = charts::without_cluster(host, self.binary_path.as_deref())?;
        let list = Call::new(["repo", "list", "-o", "json"]);
        let said = client.ask(host, "helm repo list", &[list]).await?;
        // Without any repository helm fails, and says nothing but that.
        let known = said
            .first()
            .filter(|said| said.ok())
            .map(charts::json)
            .transpose()?;
        let known = known.as_ref().and_then(Json::as_array).into_iter().flatten();
        let there = known
            .clone()
            .find(|repository| repository["name"] == self.repo_name.as_str());
        let url = self.repo_url.clone().unwrap_or_default();
        let call = match (self.repo_state, there) {
            (State::Absent, Some(_)) => Call::new(["repo", "rm", &self.repo_name]),
            (State::Present, None) => self.add(&url),
            (State::Present, Some(_)) if self.force_update => self.add(&url),
            (State::Present, Some(repository)) if repository["url"] != url.as_str() => {
                return Err(fail(format!(
                    "Repository already have a repository named {}: {}; `force_update: true` replaces it",
                    self.repo_name,
                    repository["url"].as_str().unwrap_or_default()
                )));
            }
            _ => {
                let url = self.repo_url.map_or(Value::Null, Value::from);
                return Ok(Outcome::new()
                    .with("repo_name", self.repo_name)
                    .with("repo_url", url));
            }
        };
        let before = there.map_or(String::new(), |there| {
            format!("{}\n", there["url"].as_str().unwrap_or_default())
        });
        let after = if self.repo_state == State::Present {
            format!("{url}\n")
        } else {
            String::new()
        };
        let command = format!("helm {}", call.words.join(" "));
        let verb = if self.repo_state == State::Present {
            "add"
        } else {
            "remove"
        };
        let change = Change::new(format!("{verb} the repository {}", self.repo_name));
        let change = change.difference(format!("repository {}", self.repo_name), before, after);
        let said = client.change(host, change, &[call]).await?;
        let Some(said) = said.first() else {
            return Err(fail("helm was not called"));
        };
        if !said.ok() {
            return Err(charts::refused(&format!("{verb} the repository"), said, &command));
        }
        Ok(Outcome::new()
            .with("command", command)
            .with("stdout_lines", text::lines(&said.stdout))
            .with("stderr_lines", text::lines(&said.stderr))
            .with("stdout", said.stdout.as_str())
            .with("stderr", said.stderr.as_str()))
    }
}

impl HelmRepository {
    fn add(&self, url: &str) -> Call {
        let mut call = Call::new(["repo", "add", &self.repo_name, url]);
        if let (Some(user), Some(password)) = (&self.repo_username, &self.repo_password) {
            call = call
                .word("--username")
                .word(user)
                .word("--password-stdin")
                .input(password);
        }
        let flags = [
            (self.pass_credentials, "--pass-credentials"),
            (self.force_update, "--force-update"),
            (self.insecure_skip_tls_verify, "--insecure-skip-tls-verify"),
        ];
        call.words(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, flag)| (*flag).to_string()),
        )
    }
}
