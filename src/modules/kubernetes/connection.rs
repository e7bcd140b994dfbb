//! How a task says which cluster it means, in the options that Ansible has for it or by its variables in the
//! environment (`K8S_AUTH_…`, the task's or the host's own), and what kubectl is told.
//!
//! An option is laid over its variable, and what is made of the variables is made on the host.

use std::fmt::Write;

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

/// The variables that stand in for an option, as for Ansible's modules: the first that says anything counts.
type Names = &'static [&'static str];

const KUBECONFIG: Names = &["K8S_AUTH_KUBECONFIG"];
const CONTEXT: Names = &["K8S_AUTH_CONTEXT"];
const HOST: Names = &["K8S_AUTH_HOST"];
const API_KEY: Names = &["K8S_AUTH_API_KEY"];
const USERNAME: Names = &["K8S_AUTH_USERNAME"];
const PASSWORD: Names = &["K8S_AUTH_PASSWORD"];
const CA_CERT: Names = &["K8S_AUTH_CA_CERT", "K8S_AUTH_SSL_CA_CERT"];
const CLIENT_CERT: Names = &["K8S_AUTH_CLIENT_CERT", "K8S_AUTH_CERT_FILE"];
const CLIENT_KEY: Names = &["K8S_AUTH_CLIENT_KEY", "K8S_AUTH_KEY_FILE"];
const VALIDATE_CERTS: Names = &["K8S_AUTH_VALIDATE_CERTS", "K8S_AUTH_VERIFY_SSL"];
const PROXY: Names = &["K8S_AUTH_PROXY"];
const NO_PROXY: Names = &["K8S_AUTH_NO_PROXY"];
const IMPERSONATE_USER: Names = &["K8S_AUTH_IMPERSONATE_USER"];
const IMPERSONATE_GROUPS: Names = &["K8S_AUTH_IMPERSONATE_GROUPS"];

/// Variables for options that are refused.
const REFUSED: [(&str, &str); 4] = [
    ("K8S_AUTH_PERSIST_CONFIG", "persist_config"),
    ("K8S_AUTH_PROXY_HEADERS_BASIC_AUTH", "proxy_headers"),
    ("K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH", "proxy_headers"),
    ("K8S_AUTH_PROXY_HEADERS_USER_AGENT", "proxy_headers"),
];

/// What all programs are told: `vmstation_f` is the kubeconfig, if one is named, and `vmstation_d` makes a directory
/// (`vmstation_t`) for what must not be seen in the list of processes.
///
/// A file that `KUBECONFIG` names need not be there, and then some other cluster would be meant.
const FILES: &str = r#"vmstation_t=
vmstation_d() {
    [ -z "$vmstation_t" ] || return 0
    vmstation_t=$(umask 077; mktemp -d) || exit 1
    trap 'rm -rf -- "$vmstation_t"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
}
: "${K8S_AUTH_CA_CERT:=${K8S_AUTH_SSL_CA_CERT-}}" "${K8S_AUTH_VALIDATE_CERTS:=${K8S_AUTH_VERIFY_SSL-}}"
case $K8S_AUTH_VALIDATE_CERTS in 0 | [Ff]alse | FALSE | [Nn]o | NO) vmstation_n=true ;; *) vmstation_n= ;; esac
vmstation_f=${K8S_AUTH_KUBECONFIG-}
case $vmstation_f in '~/'*) vmstation_f=$HOME/${vmstation_f#??} ;; esac
case $vmstation_f in
'' | *:*) ;;
*) [ -e "$vmstation_f" ] || { echo "error: stat $vmstation_f: no such file or directory" >&2; exit 1; } ;;
esac
"#;

/// What kubectl is told: words in `"$@"`, and a user beside those of the kubeconfig where the task brings one. Who has
/// a server and what it takes to be let in needs no kubeconfig.
const KUBECTL: &str = r#": "${K8S_AUTH_CLIENT_CERT:=${K8S_AUTH_CERT_FILE-}}" "${K8S_AUTH_CLIENT_KEY:=${K8S_AUTH_KEY_FILE-}}"
[ -z "${K8S_AUTH_PROXY-}" ] || export HTTPS_PROXY="$K8S_AUTH_PROXY"
[ -z "${K8S_AUTH_NO_PROXY-}" ] || export NO_PROXY="$K8S_AUTH_NO_PROXY"
vmstation_u=${K8S_AUTH_API_KEY:+y}${K8S_AUTH_USERNAME:+y}${K8S_AUTH_PASSWORD:+y}
if [ -z "$vmstation_f${K8S_AUTH_CONTEXT-}" ] && [ -n "${K8S_AUTH_HOST-}" ] && [ -n "$vmstation_u$K8S_AUTH_CLIENT_CERT" ]; then
    vmstation_f=/dev/null
fi
[ -z "$vmstation_f" ] || export KUBECONFIG="$vmstation_f"
if [ -n "$vmstation_u" ]; then
    vmstation_d
    vmstation_j() { printf %s "$1" | sed 's/[\\"]/\\&/g'; }
    printf '{"apiVersion":"v1","kind":"Config","users":[{"name":"of-the-task","user":{"token":"%s","username":"%s","password":"%s"}}]}' \
        "$(vmstation_j "${K8S_AUTH_API_KEY-}")" "$(vmstation_j "${K8S_AUTH_USERNAME-}")" \
        "$(vmstation_j "${K8S_AUTH_PASSWORD-}")" >"$vmstation_t/user" || exit 1
    export KUBECONFIG="$vmstation_t/user:${KUBECONFIG:-$HOME/.kube/config}"
fi
set -- ${K8S_AUTH_CONTEXT:+"--context=$K8S_AUTH_CONTEXT"} ${K8S_AUTH_HOST:+"--server=$K8S_AUTH_HOST"} \
    ${K8S_AUTH_CA_CERT:+"--certificate-authority=$K8S_AUTH_CA_CERT"} \
    ${K8S_AUTH_CLIENT_CERT:+"--client-certificate=$K8S_AUTH_CLIENT_CERT"} \
    ${K8S_AUTH_CLIENT_KEY:+"--client-key=$K8S_AUTH_CLIENT_KEY"} ${vmstation_u:+--user=of-the-task} \
    ${vmstation_n:+--insecure-skip-tls-verify=true} ${K8S_AUTH_IMPERSONATE_USER:+"--as=$K8S_AUTH_IMPERSONATE_USER"}
if [ -n "${K8S_AUTH_IMPERSONATE_GROUPS-}" ]; then
    set -f; IFS=,
    for vmstation_g in $K8S_AUTH_IMPERSONATE_GROUPS; do set -- "$@" "--as-group=$vmstation_g"; done
    set +f; unset IFS
fi
"#;

/// What helm is told, by its environment: as words they would be in the list of processes, the token too.
const HELM: &str = r#"[ -z "$vmstation_f" ] || export KUBECONFIG="$vmstation_f"
[ -z "${K8S_AUTH_CONTEXT-}" ] || export HELM_KUBECONTEXT="$K8S_AUTH_CONTEXT"
[ -z "${K8S_AUTH_HOST-}" ] || export HELM_KUBEAPISERVER="$K8S_AUTH_HOST"
[ -z "${K8S_AUTH_API_KEY-}" ] || export HELM_KUBETOKEN="$K8S_AUTH_API_KEY"
[ -z "$K8S_AUTH_CA_CERT" ] || export HELM_KUBECAFILE="$K8S_AUTH_CA_CERT"
[ -z "$vmstation_n" ] || export HELM_KUBEINSECURE_SKIP_TLS_VERIFY=true
"#;

impl Connection {
    pub fn check(&self) -> Result<(), Halt> {
        self.refused.map_or(Ok(()), |option| Err(refused(option, option)))
    }

    /// Lines of `sh` that come before calls of kubectl, whose first words are `"$@"` then.
    pub fn kubectl(&self, host: &Host) -> Result<String, Halt> {
        let mut lines = self.setup(host)?;
        lines.push_str(KUBECTL);
        // One of a task may have a comma in its name.
        for group in &self.impersonate_groups {
            let _ = writeln!(lines, "set -- \"$@\" --as-group={}", quote(group));
        }
        Ok(lines)
    }

    /// Lines of `sh` that come before calls of helm.
    pub fn helm(&self, host: &Host) -> Result<String, Halt> {
        Ok(self.setup(host)? + HELM)
    }

    fn setup(&self, host: &Host) -> Result<String, Halt> {
        for (name, value) in &host.task().environment {
            if let Some((_, option)) = REFUSED.iter().find(|(refused, _)| refused == name)
                && !(*option == "persist_config" && is_false(value))
            {
                return Err(refused(option, name));
            }
        }
        let mut lines = program_path(host)?;
        lines.push_str(&self.variables());
        lines.push_str(FILES);
        if let Some(given @ Value::Map(_)) = &self.kubeconfig {
            let config = serde_json::to_string(given)
                .map_err(|error| fail(format!("the option `kubeconfig` cannot be written: {error}")))?;
            let _ = writeln!(
                lines,
                "vmstation_d\nvmstation_f=$vmstation_t/config\nprintf %s {} >\"$vmstation_f\" || exit 1",
                quote(&config)
            );
        }
        Ok(lines)
    }

    /// What the options say, as their variables.
    fn variables(&self) -> String {
        let path = |value: &Option<String>| value.as_deref().map(expanded);
        let text = |value: &Option<String>| value.as_deref().map(quote);
        let validate = self.validate_certs.map(|validate| validate.to_string());
        // Those of the task are words of their own.
        let groups = (!self.impersonate_groups.is_empty()).then(String::new);
        let kubeconfig = self.kubeconfig.as_ref();
        let given = [
            (
                KUBECONFIG,
                kubeconfig.map(|given| given.as_str().map_or(String::new(), expanded)),
            ),
            (CONTEXT, text(&self.context)),
            (HOST, text(&self.server)),
            (API_KEY, text(&self.api_key)),
            (USERNAME, text(&self.username)),
            (PASSWORD, text(&self.password)),
            (CA_CERT, path(&self.ca_cert)),
            (CLIENT_CERT, path(&self.client_cert)),
            (CLIENT_KEY, path(&self.client_key)),
            (VALIDATE_CERTS, validate),
            (PROXY, text(&self.proxy)),
            (NO_PROXY, text(&self.no_proxy)),
            (IMPERSONATE_USER, text(&self.impersonate_user)),
            (IMPERSONATE_GROUPS, groups),
        ];
        let mut lines = String::new();
        for (names, value) in given {
            for name in names.iter().filter(|_| value.is_some()) {
                let _ = writeln!(lines, "{name}={}", value.as_deref().unwrap_or_default());
            }
        }
        lines
    }
}

/// The task's environment, and a path on which kubectl and helm are found that were put there by hand.
pub fn program_path(host: &Host) -> Result<String, Halt> {
    // sudo's own path has not got the place where kubectl is put by hand.
    Ok(environment(host)? + "PATH=$PATH:/usr/local/bin:/opt/bin\n")
}

/// As Ansible reads a flag in the environment.
fn is_false(value: &str) -> bool {
    ["0", "false", "no"].contains(&value.to_lowercase().as_str())
}

/// An option that cannot be met, as it was given: by itself, or by its variable.
fn refused(option: &str, given: &str) -> Halt {
    let what = if option == given {
        "option"
    } else {
        "environment variable"
    };
    let why = if option == "persist_config" {
        "kubectl keeps what it refreshes by itself"
    } else {
        "kubectl sends no headers of its caller's"
    };
    fail(format!("the {what} `{given}` is not supported: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubectl and helm would be told: words, variables, and the files of `KUBECONFIG`.
    fn told(connection: &Connection, environment: &[(&str, &str)], lines: &str) -> String {
        let script = format!(
            "{}{FILES}{lines}printf '%s\\n' \"$@\"; env | grep -E '^(KUBECONFIG|HELM_.*|HTTPS_PROXY)=' | sort\n\
             [ -z \"$vmstation_t\" ] || cat \"$vmstation_t\"/*",
            connection.variables()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", "/home/me")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        said.trim().to_string()
    }

    #[test]
    fn secrets_are_no_words() {
        let connection = Connection {
            api_key: Some("se\"same".into()),
            kubeconfig: Some("/dev/null".into()),
            validate_certs: Some(false),
            ..Connection::default()
        };
        let said = told(&connection, &[("K8S_AUTH_VERIFY_SSL", "true")], KUBECTL);
        let (words, rest) = said.split_once("KUBECONFIG=").unwrap();
        assert_eq!(words, "--user=of-the-task\n--insecure-skip-tls-verify=true\n");
        let (files, config) = rest.split_once('\n').unwrap();
        assert!(files.ends_with("/user:/dev/null"), "{files}");
        let user = r#"{"name":"of-the-task","user":{"token":"se\"same","username":"","password":""}}"#;
        assert_eq!(
            config,
            format!(r#"{{"apiVersion":"v1","kind":"Config","users":[{user}]}}"#)
        );
    }

    #[test]
    fn the_environment_stands_in_for_what_is_not_given() {
        let connection = Connection {
            context: Some("mine".into()),
            ca_cert: Some("/dev/null".into()),
            ..Connection::default()
        };
        let environment = [
            ("K8S_AUTH_KUBECONFIG", "/dev/null"),
            ("K8S_AUTH_CONTEXT", "theirs"),
            ("K8S_AUTH_HOST", "https://host:1"),
            ("K8S_AUTH_SSL_CA_CERT", "/theirs"),
            ("K8S_AUTH_CERT_FILE", "/cert"),
            ("K8S_AUTH_KEY_FILE", "/key"),
            ("K8S_AUTH_VERIFY_SSL", "No"),
            ("K8S_AUTH_PROXY", "http://proxy"),
            ("K8S_AUTH_IMPERSONATE_USER", "a b"),
            ("K8S_AUTH_IMPERSONATE_GROUPS", "one,two*"),
        ];
        assert_eq!(
            told(&connection, &environment, KUBECTL),
            "--context=mine\n--server=https://host:1\n--certificate-authority=/dev/null\n--client-certificate=/cert\n\
             --client-key=/key\n--insecure-skip-tls-verify=true\n--as=a b\n--as-group=one\n--as-group=two*\n\
             HTTPS_PROXY=http://proxy\nKUBECONFIG=/dev/null"
        );
        assert_eq!(
            told(&connection, &environment, HELM),
            "HELM_KUBEAPISERVER=https://host:1\nHELM_KUBECAFILE=/dev/null\nHELM_KUBECONTEXT=mine\n\
             HELM_KUBEINSECURE_SKIP_TLS_VERIFY=true\nKUBECONFIG=/dev/null"
        );
    }

    #[test]
    fn who_brings_all_needs_no_kubeconfig() {
        let given = [
            ("K8S_AUTH_HOST", "https://host:1"),
            ("K8S_AUTH_API_KEY", "sesame"),
        ];
        let said = told(&Connection::default(), &given, KUBECTL);
        assert!(said.contains("/user:/dev/null\n"), "{said}");
        let said = told(&Connection::default(), &given[1..], KUBECTL);
        assert!(said.contains("/user:/home/me/.kube/config\n"), "{said}");
    }

    #[test]
    fn a_kubeconfig_that_is_not_there_is_no_other_cluster() {
        let given = [("K8S_AUTH_KUBECONFIG", "~/none")];
        for lines in [KUBECTL, HELM] {
            assert_eq!(
                told(&Connection::default(), &given, lines),
                "error: stat /home/me/none: no such file or directory"
            );
        }
    }
}
