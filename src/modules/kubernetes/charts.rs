//! Calls of helm: like those of kubectl, with the connection in the environment.

use std::fmt::Write;

use super::client::{Client, Said};
use super::connection::Connection;
use super::words;
use crate::host::{Failure, Halt, Host, fail, quote};
use crate::modules::process::words::expanded;
use crate::vars::Value;

/// A helm for this cluster.
pub fn client(host: &Host, connection: &Connection, program: Option<&str>) -> Result<Client, Halt> {
    let mut setup = connection.setup(host)?;
    if let Some(Value::String(path)) = &connection.kubeconfig {
        let _ = writeln!(setup, "export KUBECONFIG={}", expanded(path));
    }
    // As words they would be in the list of processes, the token too.
    let insecure = (connection.validate_certs == Some(false)).then(|| "true".to_string());
    let variables = [
        ("HELM_KUBECONTEXT", &connection.context),
        ("HELM_KUBEAPISERVER", &connection.server),
        ("HELM_KUBETOKEN", &connection.api_key),
        ("HELM_KUBECAFILE", &connection.ca_cert),
        ("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", &insecure),
    ];
    for (name, value) in variables {
        if let Some(value) = value {
            let _ = writeln!(setup, "export {name}={}", quote(value));
        }
    }
    Ok(Client::of(program.unwrap_or("helm"), setup))
}

/// The failure of a call.
pub fn refused(doing: &str, said: &Said, command: &str) -> Halt {
    let why = said.stderr.lines().find_map(|line| line.strip_prefix("Error: "));
    let why = why.unwrap_or(said.stderr.trim());
    // Of charts' repositories it says much the same.
    let is_of_the_cluster = why.starts_with("Kubernetes cluster unreachable");
    let away = is_of_the_cluster.then(|| words::away(said)).flatten();
    let why = away
        .as_ref()
        .map_or(why.to_string(), |(why, help)| format!("{why}\nhelp: {help}"));
    let help = if why.contains("repo") && why.contains("not found") && !why.contains(" index") {
        "\nhelp: add the repository first, with `helm_repository`"
    } else {
        ""
    };
    Failure::new(format!("cannot {doing}: {why}{help}"))
        .with("command", command)
        .with("stdout", said.stdout.as_str())
        .with("stderr", said.stderr.as_str())
        .with("rc", i64::from(said.status))
        .into()
}

/// What a call printed as JSON.
pub fn json(said: &Said) -> Result<super::Json, Halt> {
    serde_json::from_str(&said.stdout).map_err(|error| fail(format!("helm printed no JSON: {error}")))
}
