//! How a task says which cluster it means, in the options that Ansible has for it, and what kubectl is told.

use std::fmt::Write;

use serde_json::json;

use crate::host::{Halt, Host, fail, quote};
use crate::modules::process::environment;
use crate::modules::process::words::expanded;
use crate::vars::Value;

/// The options of a connection, with a module's own.
macro_rules! with_connection {
    ($(#[$outer:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $(#[$outer])*
        pub struct $name {
            $($body)*
            kubeconfig: Option<crate::vars::Value>,
            context: Option<String>,
            #[serde(rename = "host")]
            server: Option<String>,
            api_key: Option<String>,
            username: Option<String>,
            password: Option<String>,
            #[serde(alias = "ssl_ca_cert")]
            ca_cert: Option<String>,
            #[serde(alias = "cert_file")]
            client_cert: Option<String>,
            #[serde(alias = "key_file")]
            client_key: Option<String>,
            #[serde(alias = "verify_ssl")]
            validate_certs: Option<bool>,
            proxy: Option<String>,
            no_proxy: Option<String>,
            proxy_headers: Option<crate::vars::Value>,
            persist_config: Option<bool>,
            impersonate_user: Option<String>,
            impersonate_groups: Option<Vec<String>>,
        }

        impl $name {
            /// Which cluster, and as whom.
            fn connection(&self) -> crate::modules::kubernetes::Connection {
                crate::modules::kubernetes::Connection {
                    kubeconfig: self.kubeconfig.clone(),
                    context: self.context.clone(),
                    server: self.server.clone(),
                    api_key: self.api_key.clone(),
                    username: self.username.clone(),
                    password: self.password.clone(),
                    ca_cert: self.ca_cert.clone(),
                    client_cert: self.client_cert.clone(),
                    client_key: self.client_key.clone(),
                    validate_certs: self.validate_certs,
                    proxy: self.proxy.clone(),
                    no_proxy: self.no_proxy.clone(),
                    refused: match (&self.proxy_headers, self.persist_config) {
                        (Some(_), _) => Some("proxy_headers"),
                        (None, Some(true)) => Some("persist_config"),
                        _ => None,
                    },
                    impersonate_user: self.impersonate_user.clone(),
                    impersonate_groups: self.impersonate_groups.clone().unwrap_or_default(),
                }
            }
        }
    };
}
pub(in crate::modules) use with_connection;

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// A path on the host, or the configuration itself.
    pub kubeconfig: Option<Value>,
    pub context: Option<String>,
    pub server: Option<String>,
    pub api_key: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub ca_cert: Option<String>,
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    pub validate_certs: Option<bool>,
    pub proxy: Option<String>,
    pub no_proxy: Option<String>,
    /// An option that is given and cannot be met.
    pub refused: Option<&'static str>,
    pub impersonate_user: Option<String>,
    pub impersonate_groups: Vec<String>,
}

/// Variables of the host's environment that stand in for options, as for Ansible's modules.
const FROM_ENVIRONMENT: [(&str, &str); 3] = [
    ("kubeconfig", "K8S_AUTH_KUBECONFIG"),
    ("context", "K8S_AUTH_CONTEXT"),
    ("server", "K8S_AUTH_HOST"),
];

/// The user of a kubeconfig that is made for one task.
const OF_THE_TASK: &str = "of-the-task";

impl Connection {
    pub fn check(&self) -> Result<(), Halt> {
        match self.refused {
            Some("persist_config") => Err(fail(
                "the option `persist_config` is not supported: kubectl keeps what it refreshes by itself",
            )),
            Some(option) => Err(fail(format!(
                "the option `{option}` is not supported: kubectl sends no headers of its caller's"
            ))),
            None => Ok(()),
        }
    }

    /// Lines of `sh` that come before the calls: the task's environment, and a kubeconfig that holds what must
    /// not be seen in the list of processes.
    pub fn setup(&self, host: &Host) -> Result<String, Halt> {
        let mut lines = environment(host)?;
        // sudo's own path has not got the place where kubectl is put by hand.
        lines.push_str("PATH=$PATH:/usr/local/bin:/opt/bin\n");
        for (name, value) in [("HTTPS_PROXY", &self.proxy), ("NO_PROXY", &self.no_proxy)] {
            if let Some(value) = value {
                let _ = writeln!(lines, "export {name}={}", quote(value));
            }
        }
        if let Some(config) = self.temporary()? {
            lines.push_str(
                "vmstation_k=$(umask 077; mktemp) || exit 1\n\
                 trap 'rm -f -- \"$vmstation_k\"' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n",
            );
            let _ = writeln!(lines, "printf %s {} >\"$vmstation_k\" || exit 1", quote(&config));
            let others = match self.path() {
                Some(path) => expanded(path),
                None if matches!(self.kubeconfig, Some(Value::Map(_))) => String::new(),
                None => "\"${K8S_AUTH_KUBECONFIG:-${KUBECONFIG:-$HOME/.kube/config}}\"".to_string(),
            };
            let _ = writeln!(lines, "export KUBECONFIG=\"$vmstation_k\":{others}");
        }
        Ok(lines)
    }

    fn path(&self) -> Option<&str> {
        self.kubeconfig.as_ref().and_then(Value::as_str)
    }

    /// A kubeconfig for this task alone, if one is needed.
    fn temporary(&self) -> Result<Option<String>, Halt> {
        let mut config = match &self.kubeconfig {
            Some(given @ Value::Map(_)) => serde_json::to_value(given)
                .map_err(|error| fail(format!("the option `kubeconfig` cannot be written: {error}")))?,
            _ if self.has_secrets() => json!({"apiVersion": "v1", "kind": "Config"}),
            _ => return Ok(None),
        };
        if self.has_secrets() {
            let user = json!({
                "token": self.api_key, "username": self.username, "password": self.password,
            });
            let user = json!({"name": OF_THE_TASK, "user": without_nulls(user)});
            match config.get_mut("users").and_then(|users| users.as_array_mut()) {
                Some(users) => users.push(user),
                None => config["users"] = json!([user]),
            }
        }
        Ok(Some(config.to_string()))
    }

    fn has_secrets(&self) -> bool {
        self.api_key.is_some() || self.username.is_some() || self.password.is_some()
    }

    /// Words of `sh`, already quoted, that go behind `kubectl`, each with a blank before it.
    pub fn words(&self) -> String {
        let mut words = String::new();
        // A path is named in `KUBECONFIG` where a file for this task has to be read beside it.
        let in_variable = self.has_secrets() || matches!(self.kubeconfig, Some(Value::Map(_)));
        let given = [
            self.path().filter(|_| !in_variable),
            self.context.as_deref(),
            self.server.as_deref(),
        ];
        for ((flag, variable), value) in FROM_ENVIRONMENT.iter().zip(given) {
            match value {
                Some(value) => {
                    let _ = write!(words, " --{flag}={}", expanded(value));
                }
                None if *flag == "kubeconfig" && in_variable => {}
                None => {
                    let _ = write!(words, " ${{{variable}:+--{flag}=\"${variable}\"}}");
                }
            }
        }
        let files = [
            ("certificate-authority", &self.ca_cert),
            ("client-certificate", &self.client_cert),
            ("client-key", &self.client_key),
            ("as", &self.impersonate_user),
        ];
        for (flag, value) in files {
            if let Some(value) = value {
                let _ = write!(words, " --{flag}={}", expanded(value));
            }
        }
        for group in &self.impersonate_groups {
            let _ = write!(words, " --as-group={}", quote(group));
        }
        if self.has_secrets() {
            let _ = write!(words, " --user={OF_THE_TASK}");
        }
        if self.validate_certs == Some(false) {
            words.push_str(" --insecure-skip-tls-verify=true");
        }
        words
    }
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => map.into_iter().filter(|(_, v)| !v.is_null()).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_no_words() {
        let connection = Connection {
            api_key: Some("sesame".into()),
            kubeconfig: Some("~/.kube/other".into()),
            validate_certs: Some(false),
            ..Connection::default()
        };
        let words = connection.words();
        assert!(
            !words.contains("sesame") && !words.contains("--kubeconfig"),
            "{words}"
        );
        assert!(
            words.ends_with("--user=of-the-task --insecure-skip-tls-verify=true"),
            "{words}"
        );
        let config = connection.temporary().unwrap().unwrap();
        assert_eq!(
            config,
            r#"{"apiVersion":"v1","kind":"Config","users":[{"name":"of-the-task","user":{"token":"sesame"}}]}"#
        );
    }

    #[test]
    fn the_environment_stands_in_for_what_is_not_given() {
        let connection = Connection {
            kubeconfig: Some("/etc/kubernetes/admin.conf".into()),
            ..Connection::default()
        };
        assert_eq!(
            connection.words(),
            " --kubeconfig=/etc/kubernetes/admin.conf ${K8S_AUTH_CONTEXT:+--context=\"$K8S_AUTH_CONTEXT\"} \
             ${K8S_AUTH_HOST:+--server=\"$K8S_AUTH_HOST\"}"
        );
    }
}
