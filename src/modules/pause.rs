//! `pause`: waits a while, or until somebody presses Enter.
//!
//! ```yaml
//! - pause:
//!     seconds: 10
//! - pause:
//!     minutes: 2
//! - pause:
//!     prompt: The name of the new node
//!     echo: true
//! ```
//!
//! Runs once for all hosts. Without `seconds` and `minutes` it asks; where nobody is there to answer it goes on
//! at once, with a warning.
//!
//! Returns `user_input`, `stdout` (how long it took), `start`, `stop`, `delta` in seconds, `echo`, `rc`, `stderr`.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Module, Rule};
use crate::host::{Halt, Host, Local, LocalAnswer, Outcome, fail};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    seconds: Option<f64>,
    minutes: Option<f64>,
    prompt: Option<String>,
    #[serde(default = "yes")]
    echo: bool,
}

fn yes() -> bool {
    true
}

impl Module for Pause {
    const NAME: &'static str = "pause";
    const FENCE: bool = true;
    const ONCE: bool = true;
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["minutes", "seconds"])];

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let start = now(host).await;
        let began = Instant::now();
        let typed = self.wait(host).await?;
        let took = began.elapsed();
        let nobody = typed.is_none();
        let outcome = Outcome::new()
            .with("user_input", typed.unwrap_or_default())
            .with("stdout", self.stdout(took))
            .with("stderr", "")
            .with("rc", 0_i64)
            .with("start", start)
            .with("stop", now(host).await)
            .with("delta", i64::try_from(took.as_secs()).unwrap_or(i64::MAX))
            .with("echo", self.echo);
        if nobody {
            return Ok(outcome.warn("nobody is there to answer the prompt; went on without an answer"));
        }
        Ok(outcome)
    }
}

impl Pause {
    /// What was typed; `None`: there was nobody to ask.
    async fn wait(&self, host: &Host) -> Result<Option<String>, Halt> {
        if let Some(time) = self.duration()? {
            host.sleep(time).await?;
            return Ok(Some(String::new()));
        }
        let hidden = if self.echo { "" } else { " (output is hidden)" };
        let prompt = self
            .prompt
            .as_deref()
            .unwrap_or("Press enter to continue, Ctrl+C to interrupt");
        let question = Local::Prompt {
            text: format!("{prompt}{hidden}:"),
            echo: self.echo,
        };
        match host.local(question).await? {
            LocalAnswer::Typed(typed) => Ok(typed),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// Whole units, a second at least.
    fn duration(&self) -> Result<Option<Duration>, Halt> {
        let seconds = match (self.minutes, self.seconds) {
            (Some(minutes), _) => minutes.trunc() * 60.0,
            (None, Some(seconds)) => seconds.trunc(),
            (None, None) => return Ok(None),
        };
        Duration::try_from_secs_f64(seconds.max(1.0))
            .map(Some)
            .map_err(|_| fail("the time to pause is no number of seconds"))
    }

    fn stdout(&self, took: Duration) -> String {
        let (number, unit) = if self.seconds.is_some() {
            (took.as_secs_f64(), "seconds")
        } else {
            (took.as_secs_f64() / 60.0, "minutes")
        };
        format!("Paused for {:?} {unit}", (number * 100.0).round() / 100.0)
    }
}

/// The time as Python writes it, in this machine's time zone.
async fn now(host: &Host) -> Value {
    let time = host.expression("now() | string".into()).await;
    time.unwrap_or_else(|_| "".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(seconds: Option<f64>, minutes: Option<f64>) -> Pause {
        Pause {
            seconds,
            minutes,
            prompt: None,
            echo: true,
        }
    }

    #[test]
    fn pauses_a_second_at_least() {
        let time = |seconds, minutes| pause(seconds, minutes).duration().unwrap();
        assert_eq!(time(Some(0.0), None), Some(Duration::from_secs(1)));
        assert_eq!(time(Some(2.9), None), Some(Duration::from_secs(2)));
        assert_eq!(time(None, Some(2.0)), Some(Duration::from_secs(120)));
        assert_eq!(time(None, None), None);
    }

    #[test]
    fn says_how_long() {
        let took = Duration::from_millis(1500);
        assert_eq!(pause(Some(1.0), None).stdout(took), "Paused for 1.5 seconds");
        assert_eq!(pause(None, None).stdout(took), "Paused for 0.03 minutes");
        assert_eq!(
            pause(Some(1.0), None).stdout(Duration::from_secs(1)),
            "Paused for 1.0 seconds"
        );
    }
}
