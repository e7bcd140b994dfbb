//! Calls of helm: like those of kubectl, with the connection in the environment.

use super::client::{Client, Said};
use super::connection::{Connection, program_path};
use super::words;
use crate::host::{Failure, Halt, Host, fail};

/// A helm for this cluster.
pub fn client(host: &Host, connection: &Connection, program: Option<&str>) -> Result<Client, Halt> {
    Ok(Client::of(program.unwrap_or("helm"), connection.helm(host)?))
}

/// A helm for what is no matter of any cluster.
pub fn without_cluster(host: &Host, program: Option<&str>) -> Result<Client, Halt> {
    Ok(Client::of(program.unwrap_or("helm"), program_path(host)?))
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
