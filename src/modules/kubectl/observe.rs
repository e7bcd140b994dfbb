//! The verbs that change nothing: `get`, `wait`, `rollout_status`, `logs`.

use std::time::{Duration, Instant};

use super::{Verb, Work, objects, one};
use crate::host::{Halt, Outcome, Script, fail};
use crate::modules::kubernetes::{Call, words};
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
        let said = loop {
            let left = of.timeout.saturating_sub(began.elapsed().as_secs());
            let calls = self.waits(left);
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

    /// The calls that wait, so many seconds each.
    fn waits(&self, seconds: u64) -> Vec<Call> {
        let of = self.of;
        let limit = format!("--timeout={seconds}s");
        if of.verb == Verb::Wait {
            let until = format!("--for={}", of.until.as_deref().unwrap_or_default());
            vec![of.named(Call::new(["wait", &until, &limit]))]
        } else {
            // It takes one at a time.
            let call = |resource: &String| {
                Call::new(["rollout", "status", resource, &limit]).namespace(of.namespace.as_deref())
            };
            of.resources().iter().map(call).collect()
        }
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
        if let Some(lines) = of.tail {
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
