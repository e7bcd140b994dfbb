//! The verbs that change nothing: `get`, `wait`, `rollout_status`, `logs`.

use std::time::{Duration, Instant};

use super::{Verb, Work, objects, one};
use crate::host::{Halt, Outcome, Script, fail};
use crate::modules::kubernetes::{Call, Id, words};
use crate::vars::Value;

impl Work<'_> {
    pub(super) async fn get(&self) -> Result<Outcome, Halt> {
        Ok(objects(self.look(true).await?))
    }

    pub(super) async fn wait(&self) -> Result<Outcome, Halt> {
        let of = self.of;
        if self.host.check() {
            // What it waits for may come of a change that a dry run does not make.
            let outcome = Outcome::new().with("msg", "nothing is waited for in a dry run");
            return Ok(Outcome {
                skipped: true,
                ..outcome
            });
        }
        let began = Instant::now();
        let waits = match of.verb {
            Verb::Wait => {
                let until = format!("--for={}", of.until.as_deref().unwrap_or_default());
                vec![of.named(Call::new(["wait", &until]))]
            }
            _ => self.each_alone(&["rollout", "status"]).await?,
        };
        let said = loop {
            let left = of.timeout.saturating_sub(began.elapsed().as_secs());
            let limit = format!("--timeout={left}s");
            let calls: Vec<Call> = waits.iter().map(|call| call.clone().word(&limit)).collect();
            let said = self.client.ask_now(self.host, "kubectl wait", &calls).await?;
            // A server that is away may be back in time.
            if left <= 1 || !said.iter().any(|said| !said.ok() && words::is_away(said)) {
                break said;
            }
            self.host.sleep(Duration::from_secs(1)).await?;
        };
        // The cluster has changed by itself: what later tasks have seen of it ahead of their turn counts no more.
        self.host.act(Script::new("the wait is over", ":")).await?;
        let mut stdout = String::new();
        for said in &said {
            if said.stderr.contains("timed out waiting") {
                return Err(fail(format!(
                    "{} did not come to be so within {} s: {}",
                    of.resources().join(", "),
                    of.timeout,
                    last_line(&said.stdout).unwrap_or_else(|| said.stderr.trim())
                )));
            }
            if !said.ok() {
                return Err(words::refused("wait", said));
            }
            stdout.push_str(&said.stdout);
        }
        Ok(Outcome::new().with("stdout", stdout))
    }

    /// A call for each object that is meant, for verbs that take one at a time, and know neither `--all` nor `-A`.
    pub(super) async fn each_alone(&self, verb: &[&str]) -> Result<Vec<Call>, Halt> {
        let of = self.of;
        let call = |resource: &str, namespace: Option<&str>| {
            Call::new(verb.iter().copied())
                .word(resource)
                .namespace(namespace)
        };
        let resources = of.resources();
        if of.selector.is_none() && resources.iter().all(|resource| resource.contains('/')) {
            let namespace = of.namespace.as_deref();
            let calls = resources.iter().map(|resource| call(resource, namespace));
            return Ok(calls.collect());
        }
        let found = self.look(false).await?;
        if found.is_empty() {
            return Err(fail(format!(
                "there is no {} that is meant",
                resources.join(", ")
            )));
        }
        let calls = found.iter().map(|object| {
            let id = Id::of(object);
            call(&format!("{}/{}", id.resource(), id.name), id.namespace.as_deref())
        });
        Ok(calls.collect())
    }

    pub(super) async fn logs(&self) -> Result<Outcome, Halt> {
        let of = self.of;
        let mut call = of.named(Call::new(["logs"]));
        if let Some(container) = &of.container {
            call = call.word("-c").word(container);
        }
        if of.previous {
            call = call.word("--previous");
        }
        // Of pods that it finds by a selector kubectl shows ten lines each, unless it is told.
        let lines = of.tail.or(of.selector.as_ref().map(|_| -1));
        if let Some(lines) = lines {
            call = call.word(format!("--tail={lines}"));
        }
        if let Some(since) = &of.since {
            call = call.word(format!("--since={since}"));
        }
        let said = one(self.client.ask_now(self.host, "kubectl logs", &[call]).await?)?;
        if !said.ok() {
            return Err(words::refused("read the log", &said));
        }
        let lines: Vec<Value> = said.stdout.lines().map(Value::from).collect();
        Ok(Outcome::new()
            .with("log", said.stdout.as_str())
            .with("log_lines", lines))
    }
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().find(|line| !line.trim().is_empty())
}
