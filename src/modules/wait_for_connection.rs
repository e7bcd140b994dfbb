//! `wait_for_connection`: waits until a host can be reached and runs commands.
//!
//! ```yaml
//! - wait_for_connection:
//! - wait_for_connection:
//!     delay: 5
//!     timeout: 300
//! - wait_for_connection:
//!     connect_timeout: 10
//!     sleep: 3
//! ```
//!
//! Each try is a new connection: that the last one still seems to stand says nothing. A try takes 10 s at most beyond
//! `connect_timeout` (5 s), and all of them together `timeout` (600 s), not counting `delay`. Less than none is none.
//!
//! Returns `elapsed`. Skipped in a dry run.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Module;
use crate::host::{Failure, Halt, Host, Outcome, Script};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitForConnection {
    #[serde(default = "connect_timeout")]
    connect_timeout: i64,
    #[serde(default)]
    delay: i64,
    #[serde(default = "one")]
    sleep: i64,
    #[serde(default = "timeout")]
    timeout: i64,
}

fn connect_timeout() -> i64 {
    5
}

fn one() -> i64 {
    1
}

fn timeout() -> i64 {
    600
}

/// What a try may take beside connecting.
const BEYOND: i64 = 10;

impl Module for WaitForConnection {
    const NAME: &'static str = "wait_for_connection";
    const FENCE: bool = true;

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if host.check() {
            return Ok(Outcome {
                skipped: true,
                ..Outcome::new()
            });
        }
        let began = Instant::now();
        host.sleep(seconds(self.delay)).await?;
        let since = Instant::now();
        let limit = seconds(self.timeout);
        let mut last = String::from("no time to try");
        loop {
            let left = limit.saturating_sub(since.elapsed());
            if left.is_zero() {
                let msg = format!("timed out waiting for ping module test: {last}");
                return Err(Failure::new(msg).with("elapsed", elapsed(began)).into());
            }
            match self.attempt(host, left).await {
                Ok(()) => return Ok(Outcome::new().with("elapsed", elapsed(began))),
                Err(Halt::Failed(failure)) => last = failure.msg,
                Err(Halt::Lost(lost)) => last = lost.to_string(),
                Err(halt) => return Err(halt),
            }
            let left = limit.saturating_sub(since.elapsed());
            host.sleep(seconds(self.sleep).min(left)).await?;
        }
    }
}

impl WaitForConnection {
    async fn attempt(&self, host: &Host, left: Duration) -> Result<(), Halt> {
        let limit = left.min(seconds(self.connect_timeout.max(0).saturating_add(BEYOND)));
        let script = Script::new("connection", "echo pong").over_new_connection(limit);
        let output = host.ask_now(script).await?;
        if output.ok() && output.stdout_text().trim() == "pong" {
            return Ok(());
        }
        Err(Failure::new("the host does not answer as a POSIX shell would").into())
    }
}

/// Less than none is none.
fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

fn elapsed(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_none_is_none() {
        let options = r#"{"connect_timeout": -1, "delay": -5, "sleep": -1, "timeout": 60}"#;
        let wait: WaitForConnection = serde_json::from_str(options).unwrap();
        assert_eq!(seconds(wait.delay), Duration::ZERO);
        assert_eq!(seconds(wait.sleep), Duration::ZERO);
        assert_eq!(seconds(wait.timeout), Duration::from_secs(60));
    }
}
