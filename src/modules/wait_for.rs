//! `wait_for`: waits until a port answers, a file is there, a text appears, or until they are gone.
//!
//! ```yaml
//! - wait_for:
//!     port: 6443
//!     host: 192.168.4.63
//!     timeout: 60
//! - wait_for:
//!     path: /var/log/app.log
//!     search_regex: 'listening on (\d+)'
//! - wait_for:
//!     port: 22
//!     search_regex: OpenSSH
//! - wait_for:
//!     path: /run/app.pid
//!     state: absent
//! - wait_for:
//!     port: 8080
//!     state: drained
//!     exclude_hosts: 10.0.0.5
//! - wait_for:
//!     timeout: 10
//! ```
//!
//! The whole wait is one script on the host, looked at from there. A connection is tried by `bash`, else by
//! `nc`; where neither is installed, a port of the host itself is looked up among those that listen, and any
//! other is refused by name. `drained` needs `awk`, and `getent` for names. With `search_regex` the text comes
//! here, as often as it changes, and is searched with Python's rules.
//!
//! Returns `elapsed`, `state`, `port`, `path`, `search_regex`, `match_groups`, `match_groupdict`; with `path` also its
//! `mode`, `owner`, `group`, `uid`, `gid`, `size`, and `state` is what it is then. Skipped in a dry run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fancy_regex::Regex;
use serde::Deserialize;

use super::ports::{self, Sockets};
use super::process::words::expanded;
use super::{Module, Rule};
use crate::host::question::{FileKind, Stat};
use crate::host::{Failure, Halt, Host, Outcome, Output, Script, fail, quote};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitFor {
    #[serde(default = "this_host")]
    host: String,
    port: Option<u16>,
    path: Option<String>,
    search_regex: Option<String>,
    #[serde(default)]
    state: State,
    #[serde(default = "timeout")]
    timeout: u64,
    #[serde(default = "connect_timeout")]
    connect_timeout: u64,
    #[serde(default)]
    delay: u64,
    #[serde(default = "one")]
    sleep: u64,
    exclude_hosts: Option<Vec<String>>,
    #[serde(default = "ports::active_states")]
    active_connection_states: Vec<String>,
    msg: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Started,
    Present,
    Stopped,
    Absent,
    Drained,
}

fn this_host() -> String {
    "127.0.0.1".to_string()
}

fn timeout() -> u64 {
    300
}

fn connect_timeout() -> u64 {
    5
}

fn one() -> u64 {
    1
}

/// The script's status when the time was over.
const TIMED_OUT: i32 = 3;
/// The script's status when the host has no program that could try.
const NO_MEANS: i32 = 4;

impl Module for WaitFor {
    const NAME: &'static str = "wait_for";
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["port", "path"])];
    const FENCE: bool = true;

    fn check(&self) -> Result<(), Halt> {
        self.refuse_what_does_not_go_together()?;
        self.regex().map(|_| ())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let regex = self.regex()?;
        if host.check() {
            let outcome = Outcome::new().with("msg", "remote module (wait_for) does not support check mode");
            return Ok(Outcome {
                skipped: true,
                ..outcome
            });
        }
        let wait = Wait {
            began: Instant::now(),
            of: &self,
            host,
        };
        let found = wait.through(regex.as_ref()).await?;
        let elapsed = wait.elapsed();
        let about = match &self.path {
            Some(path) => about(host, path).await?,
            None => Map::new(),
        };
        let mut outcome = self.outcome(elapsed, found);
        outcome.values.extend(about);
        Ok(outcome)
    }
}

/// What a search found.
#[derive(Default)]
struct Found {
    groups: Vec<Value>,
    named: BTreeMap<String, Value>,
}

impl WaitFor {
    fn refuse_what_does_not_go_together(&self) -> Result<(), Halt> {
        let refuse = |msg: String| Err(Failure::new(msg).with("elapsed", 0_i64).into());
        let only_ports =
            |state| format!("state={state} should only be used for checking a port in the wait_for module");
        if self.path.is_some() && self.state == State::Stopped {
            return refuse(only_ports("stopped"));
        }
        if self.path.is_some() && self.state == State::Drained {
            return refuse(only_ports("drained"));
        }
        if self.exclude_hosts.is_some() && self.state != State::Drained {
            return refuse("exclude_hosts should only be with state=drained".to_string());
        }
        let unknown = |name: &&String| ports::state_number(name).is_none();
        if let Some(state) = self.active_connection_states.iter().find(unknown) {
            return refuse(format!("unknown active_connection_state ({state}) defined"));
        }
        if self.state == State::Drained && self.port.is_none() {
            return refuse("state=drained needs a port".to_string());
        }
        Ok(())
    }

    fn regex(&self) -> Result<Option<Regex>, Halt> {
        let Some(text) = &self.search_regex else {
            return Ok(None);
        };
        // Python's MULTILINE; its `\Z` is `\z` here.
        let pattern = format!("(?m){}", text.replace(r"\Z", r"\z"));
        Regex::new(&pattern)
            .map(Some)
            .map_err(|error| fail(format!("Invalid regular expression: {error}")))
    }

    fn outcome(&self, elapsed: i64, found: Found) -> Outcome {
        let state = match self.state {
            State::Started => "started",
            State::Present => "present",
            State::Stopped => "stopped",
            State::Absent => "absent",
            State::Drained => "drained",
        };
        let text = |value: &Option<String>| value.as_deref().map_or(Value::Null, Value::from);
        Outcome::new()
            .with("state", state)
            .with("port", self.port.map_or(Value::Null, |p| Value::Int(p.into())))
            .with("path", text(&self.path))
            .with("search_regex", text(&self.search_regex))
            .with("match_groups", found.groups)
            .with("match_groupdict", Value::map(found.named))
            .with("elapsed", elapsed)
    }

    /// What was waited for in vain.
    fn in_vain(&self) -> String {
        if let Some(msg) = &self.msg {
            return msg.clone();
        }
        let address = || format!("{}:{}", self.host, self.port.unwrap_or_default());
        match (self.state, &self.path, &self.search_regex) {
            (State::Drained, ..) => format!("Timeout when waiting for {} to drain", address()),
            (State::Absent | State::Stopped, Some(path), _) => {
                format!("Timeout when waiting for {path} to be absent.")
            }
            (State::Absent | State::Stopped, None, _) => {
                format!("Timeout when waiting for {} to stop.", address())
            }
            (_, Some(path), Some(regex)) => {
                format!("Timeout when waiting for search string {regex} in {path}")
            }
            (_, Some(path), None) => format!("Timeout when waiting for file {path}"),
            (_, None, Some(regex)) => {
                format!("Timeout when waiting for search string {regex} in {}", address())
            }
            (_, None, None) => format!("Timeout when waiting for {}", address()),
        }
    }
}

/// Owner, mode and kind of the path, which Ansible adds to a result that names one.
async fn about(host: &Host, path: &str) -> Result<Map, Halt> {
    let Some(stat) = host.ask(Stat::of(host.path(path).await?)).await? else {
        return Ok(Outcome::new().with("state", "absent").values);
    };
    let state = match stat.kind {
        FileKind::Link => "link",
        FileKind::Directory => "directory",
        _ if stat.links > 1 => "hard",
        _ => "file",
    };
    let outcome = Outcome::new()
        .with("state", state)
        .with("mode", format!("{:04o}", stat.mode))
        .with("uid", i64::from(stat.uid))
        .with("gid", i64::from(stat.gid))
        .with("owner", stat.owner)
        .with("group", stat.group)
        .with("size", i64::try_from(stat.size).unwrap_or(i64::MAX));
    Ok(outcome.values)
}

/// A wait under way.
struct Wait<'a> {
    began: Instant,
    of: &'a WaitFor,
    host: &'a Host,
}

impl Wait<'_> {
    async fn through(&self, regex: Option<&Regex>) -> Result<Found, Halt> {
        let of = self.of;
        if of.port.is_none() && of.path.is_none() {
            self.host
                .sleep(Duration::from_secs(of.delay + of.timeout))
                .await?;
            return Ok(Found::default());
        }
        let waits_for_text = matches!(of.state, State::Started | State::Present);
        match regex.filter(|_| waits_for_text) {
            Some(regex) => self.search(regex).await,
            None => self.poll().await.map(|()| Found::default()),
        }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX)
    }

    fn failure(&self, msg: impl Into<String>) -> Halt {
        Failure::new(msg).with("elapsed", self.elapsed()).into()
    }

    /// One script that ends when what is waited for has come.
    async fn poll(&self) -> Result<(), Halt> {
        let of = self.of;
        let (prelude, test) = match (&of.path, of.port, of.state) {
            (_, Some(port), State::Drained) => (String::new(), self.sockets(port).await?.quiet()),
            (Some(path), ..) => (String::new(), format!("[ -e {} ]", expanded(path))),
            (None, port, _) => (
                connecting(&of.host, port.unwrap_or_default(), of.connect_timeout),
                "probe".to_string(),
            ),
        };
        let not = match of.state {
            State::Absent | State::Stopped => "! ",
            _ => "",
        };
        let script = format!(
            "end=$(($(date +%s) + {timeout}))\n{prelude}\n{delay}\
             while now=$(date +%s); [ \"$now\" -lt \"$end\" ]; do\n\
             left=$((end - now))\nif {not}{test}; then exit 0; fi\nsleep {sleep}\ndone\nexit {TIMED_OUT}",
            timeout = of.timeout,
            delay = self.delay(),
            sleep = of.sleep,
        );
        self.finish(&self.run(script).await?)
    }

    fn delay(&self) -> String {
        match self.of.delay {
            0 => String::new(),
            seconds => format!("sleep {seconds}\n"),
        }
    }

    async fn run(&self, script: String) -> Result<Output, Halt> {
        let label = match (&self.of.path, self.of.port) {
            (Some(path), _) => format!("wait for {path}"),
            (None, port) => format!("wait for port {}", port.unwrap_or_default()),
        };
        // A process group of its own, so that an interrupt ends it whole.
        self.host.ask_now(Script::new(label, script).command()).await
    }

    fn finish(&self, output: &Output) -> Result<(), Halt> {
        match output.status {
            0 => Ok(()),
            TIMED_OUT => Err(self.failure(self.of.in_vain())),
            NO_MEANS => Err(self.failure(format!(
                "the host has neither `bash` nor `nc`, one of which is needed to try a connection to {}",
                self.of.host
            ))),
            _ => Err(self.failure(format!("cannot wait: {}", output.stderr_text().trim()))),
        }
    }

    /// The text, as often as it changes, until it matches.
    async fn search(&self, regex: &Regex) -> Result<Found, Halt> {
        let mut seen = String::new();
        let mut patience = 1;
        let mut delay = self.delay();
        loop {
            let left = self.of.timeout.saturating_sub(self.began.elapsed().as_secs());
            if left == 0 {
                return Err(self.failure(self.of.in_vain()));
            }
            let script = match (&self.of.path, self.of.port) {
                (Some(path), _) => reading(path, &seen, left, self.of.sleep),
                (None, port) => listening(
                    &connecting(&self.of.host, port.unwrap_or_default(), self.of.connect_timeout),
                    left,
                    patience.min(left),
                    self.of.sleep,
                ),
            };
            let output = self
                .run(format!("{}{script}", std::mem::take(&mut delay)))
                .await?;
            self.finish(&output)?;
            let text = output.stdout_text();
            let (stamp, text) = text.split_once('\n').unwrap_or(("", &text));
            if let Some(found) = matched(regex, text).map_err(|why| self.failure(why))? {
                return Ok(found);
            }
            seen = stamp.to_string();
            patience *= 2;
        }
    }

    async fn sockets(&self, port: u16) -> Result<Sockets, Halt> {
        let excluded = self.of.exclude_hosts.clone().unwrap_or_default();
        let mut names: Vec<&str> = vec![&self.of.host];
        names.extend(excluded.iter().map(String::as_str));
        let mut addresses: Vec<Vec<IpAddr>> = Vec::new();
        for name in names {
            addresses.push(self.addresses(name).await?);
        }
        let excluded = addresses.split_off(1).concat();
        Ok(Sockets {
            port,
            local: addresses.concat(),
            excluded,
            states: self.of.active_connection_states.clone(),
        })
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Halt> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let script = Script::new(format!("find {name}"), format!("getent ahosts {}", quote(name)));
        let output = self.host.ask_now(script).await?;
        let mut found: Vec<IpAddr> = output
            .stdout_text()
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        found.dedup();
        if found.is_empty() {
            return Err(self.failure(format!("the host knows no address of `{name}`")));
        }
        Ok(found)
    }
}

fn matched(regex: &Regex, text: &str) -> Result<Option<Found>, String> {
    let captures = regex.captures(text).map_err(|error| error.to_string())?;
    let Some(captures) = captures else {
        return Ok(None);
    };
    let group = |found: Option<fancy_regex::Match<'_>>| found.map_or(Value::Null, |m| m.as_str().into());
    Ok(Some(Found {
        groups: captures.iter().skip(1).map(group).collect(),
        named: regex
            .capture_names()
            .flatten()
            .map(|name| (name.to_string(), group(captures.name(name))))
            .collect(),
    }))
}

/// Functions for the script: `probe` tries a connection, `hear SECONDS` prints what the other side says.
fn connecting(host: &str, port: u16, limit: u64) -> String {
    let name = quote(host);
    let mut script = format!(
        "limit() {{ t=$left; [ \"$t\" -le {limit} ] || t={limit}; }}\n\
         if command -v bash >/dev/null; then\n\
         probe() {{ limit; timeout \"$t\" bash -c 'exec 3<>\"/dev/tcp/$0/$1\"' {name} {port} </dev/null >/dev/null 2>&1; }}\n\
         hear() {{ timeout \"$1\" bash -c 'exec 3<>\"/dev/tcp/$0/$1\" && exec cat <&3' {name} {port} </dev/null 2>/dev/null; }}\n\
         elif command -v nc >/dev/null; then\n\
         probe() {{ limit; nc -z -w \"$t\" {name} {port} </dev/null >/dev/null 2>&1; }}\n\
         hear() {{ sleep \"$1\" | timeout \"$1\" nc {name} {port} 2>/dev/null; }}\n"
    );
    if ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::"].contains(&host) {
        let _ = write!(
            script,
            "else\nprobe() {{ grep -qs ':{port:04X} [0-9A-F]*:0000 0A ' /proc/net/tcp /proc/net/tcp6; }}\n\
             hear() {{ exit {NO_MEANS}; }}\nfi"
        );
    } else {
        let _ = write!(script, "else exit {NO_MEANS}; fi");
    }
    script
}

/// Waits until a file is there and not as it was when last seen; prints its stamp and its content. A file
/// without a size may be one of the kernel's, and is printed again each time.
fn reading(path: &str, seen: &str, left: u64, sleep: u64) -> String {
    format!(
        "end=$(($(date +%s) + {left}))\nfile={path}\nseen={seen}\n\
         show() {{ printf '%s\\n' \"$stamp\"; cat \"$file\" 2>/dev/null; exit 0; }}\n\
         while [ \"$(date +%s)\" -lt \"$end\" ]; do\n\
         if stamp=$(stat -L -c '%y %s %i' \"$file\" 2>/dev/null); then\n\
         [ \"$stamp\" = \"$seen\" ] || show\n[ -s \"$file\" ] || {{ sleep {sleep}; show; }}\nfi\n\
         sleep {sleep}\ndone\nexit {TIMED_OUT}",
        path = expanded(path),
        seen = quote(seen),
    )
}

/// Connects until the other side says something; prints an empty line and what it says.
fn listening(connecting: &str, left: u64, patience: u64, sleep: u64) -> String {
    format!(
        "left={left}\nend=$(($(date +%s) + left))\n{connecting}\n\
         while now=$(date +%s); [ \"$now\" -lt \"$end\" ]; do\n\
         said=$(hear {patience}; printf .)\n\
         if [ \"$said\" != . ]; then printf '\\n%s' \"${{said%.}}\"; exit 0; fi\n\
         sleep {sleep}\ndone\nexit {TIMED_OUT}"
    )
}
