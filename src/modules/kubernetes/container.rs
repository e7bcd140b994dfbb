//! What runs in a container: its log, and commands in it.

use super::client::{Call, Client, Said};
use super::words;
use crate::host::{Change, Halt, Host, fail};

/// What a command in a container came to.
pub struct Executed {
    pub stdout: String,
    pub stderr: String,
    pub rc: i64,
}

/// Runs a command in a container of a pod. That it cannot be run is a failure; how it ends is not.
pub async fn exec(
    host: &Host,
    client: &Client,
    place: &Pod<'_>,
    command: Vec<String>,
) -> Result<Executed, Halt> {
    let mut call = Call::new(["exec", place.name]).namespace(place.namespace);
    if let Some(container) = place.container {
        call = call.word("-c").word(container);
    }
    let what = Change::command(format!("{} in {}", command.join(" "), place.name));
    let said = client
        .change(host, what, &[call.word("--").words(command)])
        .await?;
    let Some(said) = said.into_iter().next() else {
        return Err(fail("kubectl was not called"));
    };
    ended(said, place.name)
}

/// Where a command runs.
pub struct Pod<'a> {
    pub name: &'a str,
    pub namespace: Option<&'a str>,
    pub container: Option<&'a str>,
}

/// kubectl says with which status a command has ended, and takes the same.
fn ended(said: Said, pod: &str) -> Result<Executed, Halt> {
    const MARK: &str = "command terminated with exit code ";
    let lines: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| !line.starts_with(MARK) && !line.starts_with("Defaulted container "))
        .collect();
    if !said.ok() && !said.stderr.contains(MARK) {
        return Err(words::refused(&format!("execute in {pod}"), &said));
    }
    let mut stderr = lines.join("\n");
    if !stderr.is_empty() {
        stderr.push('\n');
    }
    Ok(Executed {
        stdout: said.stdout,
        stderr,
        rc: i64::from(said.status),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_told_from_one_that_did_not_run() {
        let said = |stderr: &str| Said {
            stdout: "out\n".into(),
            stderr: stderr.into(),
            status: 3,
            ..Said::default()
        };
        let executed = ended(
            said("Defaulted container \"c\" out of: c, d\nno\ncommand terminated with exit code 3"),
            "p",
        );
        let executed = executed.ok().unwrap();
        assert_eq!(
            (&*executed.stdout, &*executed.stderr, executed.rc),
            ("out\n", "no\n", 3)
        );
        let error = ended(said("Error from server (NotFound): pods \"p\" not found"), "p").err();
        let Some(Halt::Failed(failure)) = error else {
            panic!()
        };
        assert_eq!(failure.msg, "cannot execute in p: pods \"p\" not found");
    }
}
