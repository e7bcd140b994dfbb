//! `reboot`: restarts a host, and waits until it has come back.
//!
//! ```yaml
//! - reboot:
//! - reboot:
//!     reboot_timeout: 300
//!     pre_reboot_delay: 60
//!     post_reboot_delay: 10
//!     connect_timeout: 5
//!     msg: A new kernel
//! - reboot:
//!     test_command: systemctl is-active kubelet
//! - reboot:
//!     reboot_command: systemctl reboot
//!     boot_time_command: cat /proc/sys/kernel/random/boot_id
//! - reboot:
//!     search_paths:
//!       - /lib/molly-guard
//! ```
//!
//! That the host is another than before is known by the kernel's boot id (`boot_time_command`), asked over a new
//! connection each time: after 1, 2, 4, 8 s and then every 12 s. A try takes 30 s at most, or 10 s beyond
//! `connect_timeout`. Then `test_command` (`whoami`) has to succeed. Each of the two may take `reboot_timeout` (600
//! s) from when the waiting for it begins. `pre_reboot_delay` is given to `shutdown` in whole minutes.
//!
//! A command's first word is looked up in `search_paths` unless it is a path.
//!
//! Returns `rebooted`, `elapsed`. Refuses to restart the machine that runs the playbook. In a dry run `changed`, and
//! the host is not even asked.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Module;
use crate::host::{Change, Failure, Halt, Host, Lost, Outcome, Output, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "they are Ansible's options")]
pub struct Reboot {
    #[serde(default)]
    pre_reboot_delay: i64,
    #[serde(default)]
    post_reboot_delay: i64,
    #[serde(default = "reboot_timeout")]
    reboot_timeout: i64,
    connect_timeout: Option<i64>,
    #[serde(default = "test_command")]
    test_command: String,
    #[serde(default = "message")]
    msg: String,
    #[serde(default = "search_paths")]
    search_paths: Vec<String>,
    boot_time_command: Option<String>,
    reboot_command: Option<String>,
}

fn reboot_timeout() -> i64 {
    600
}

fn test_command() -> String {
    "whoami".to_string()
}

fn message() -> String {
    "Reboot initiated by Ansible".to_string()
}

fn search_paths() -> Vec<String> {
    ["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"]
        .map(str::to_string)
        .to_vec()
}

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// How long one look at the boot id may take, connecting included.
const LOOK: u64 = 30;
/// The same beyond `connect_timeout`.
const BEYOND: u64 = 10;
/// The longest pause between two tries.
const LONGEST_PAUSE: u64 = 12;
/// A try that had less time than this tells little of the host: what the one before it met is the better reason.
const TELLING: Duration = Duration::from_secs(5);

impl Module for Reboot {
    const NAME: &'static str = "reboot";
    const FENCE: bool = true;

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if host.task().local {
            let failure = Failure::new("Running reboot with local connection would reboot the control node.");
            return Err(failure.with("rebooted", false).with("elapsed", 0_i64).into());
        }
        let change = Change::new("restart the host")
            .knowing("rebooted", true)
            .knowing("elapsed", 0_i64);
        if host.check() {
            host.change(change, Script::new("restart", "")).await?;
            return Ok(Outcome::new());
        }
        let before = self
            .boot_id(host)
            .await
            .map_err(|halt| unless_failed(halt, false))?;
        let command = self.command(host).await?;
        let said = host
            .change(change, Script::new("restart", command).command())
            .await;
        let began = Instant::now();
        if let Some(said) = received(said)?.filter(|said| !said.ok()) {
            let msg = format!(
                "Reboot command failed. Error was: '{}, {}'",
                said.stdout_text().trim(),
                said.stderr_text().trim()
            );
            return Err(failed(msg, false, began));
        }
        host.sleep(seconds(self.post_reboot_delay)).await?;
        self.wait_for_boot(host, &before, began).await?;
        self.wait_for_test(host, began).await?;
        Ok(Outcome::new()
            .with("rebooted", true)
            .with("elapsed", elapsed(began)))
    }
}

impl Reboot {
    fn boot_time_command(&self) -> &str {
        self.boot_time_command.as_deref().unwrap_or(BOOT_ID)
    }

    /// What tells this boot from another.
    async fn boot_id(&self, host: &Host) -> Result<String, Halt> {
        judged(
            &host
                .ask_now(Script::new("boot id", self.boot_time_command()).command())
                .await?,
        )
    }

    /// The command that restarts the host.
    async fn command(&self, host: &Host) -> Result<String, Halt> {
        let (program, arguments) = self.words();
        if program.starts_with('/') {
            return Ok(format!("{} {arguments}", quote(program)));
        }
        let mut look = String::from("for dir in");
        // What holds a slash is in no directory.
        for path in self.search_paths.iter().filter(|_| !program.contains('/')) {
            look.push(' ');
            look.push_str(&quote(path));
        }
        let program = quote(program);
        let _ = write!(
            look,
            "; do path=$dir/{program}; if [ -e \"$path\" ] || [ -L \"$path\" ]; then printf %s \"$path\"; exit; fi; done"
        );
        let found = host
            .ask_now(Script::new("find the command", look))
            .await?
            .stdout_text();
        if found.is_empty() {
            let (program, _) = self.words();
            let msg = format!(
                "Unable to find command \"{program}\" in search paths: ['{}']",
                self.search_paths.join("', '")
            );
            return Err(fail(msg));
        }
        Ok(format!("{} {arguments}", quote(&found)))
    }

    /// The program that restarts the host, and what it is told, as words for `sh`.
    fn words(&self) -> (&str, Cow<'_, str>) {
        if let Some(command) = &self.reboot_command {
            let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
            return (program, arguments.into());
        }
        let minutes = self.pre_reboot_delay.max(0) / 60;
        ("shutdown", format!("-r {minutes} {}", quote(&self.msg)).into())
    }

    /// Waits until the host answers, and is not as it was.
    async fn wait_for_boot(&self, host: &Host, before: &str, began: Instant) -> Result<(), Halt> {
        let longest = self
            .connect_timeout
            .map_or(LOOK, |limit| unsigned(limit) + BEYOND);
        let mut wait = Wait::new("last boot time check", seconds(self.reboot_timeout));
        loop {
            let limit = wait.left(began)?.min(Duration::from_secs(longest));
            let script = Script::new("boot id", self.boot_time_command())
                .command()
                .over_new_connection(limit);
            let now = host.ask_now(script).await.and_then(|output| judged(&output));
            match now {
                // FreeBSD says nothing just before it goes down.
                Ok(now) if !now.is_empty() && now != before => return Ok(()),
                Ok(_) => wait.last = "boot time has not changed".to_string(),
                Err(halt) => wait.met(tolerated(halt)?, limit),
            }
            wait.pause(host).await?;
        }
    }

    async fn wait_for_test(&self, host: &Host, began: Instant) -> Result<(), Halt> {
        let mut wait = Wait::new("post-reboot test command", seconds(self.reboot_timeout));
        let mut is_first = true;
        loop {
            let limit = wait.left(began)?;
            let mut script = Script::new("test command", self.test_command.as_str())
                .command()
                .timeout(Some(limit));
            if !is_first {
                // Another restart may have ended the connection.
                script = script.over_new_connection(limit);
            }
            is_first = false;
            match host.ask_now(script).await {
                Ok(output) if output.ok() => return Ok(()),
                Ok(output) => {
                    wait.last = format!(
                        "Test command failed: {} {}",
                        output.stderr_text().trim(),
                        output.stdout_text().trim()
                    );
                }
                Err(halt) => wait.met(tolerated(halt)?, limit),
            }
            wait.pause(host).await?;
        }
    }
}

/// A wait for one thing, which has an end.
struct Wait {
    what: &'static str,
    limit: Duration,
    since: Instant,
    tries: u32,
    /// Why the last try was not the last.
    last: String,
}

impl Wait {
    fn new(what: &'static str, limit: Duration) -> Self {
        Self {
            what,
            limit,
            since: Instant::now(),
            tries: 0,
            last: String::new(),
        }
    }

    /// A try came to nothing, for which it had so much time.
    fn met(&mut self, why: String, time: Duration) {
        if time >= TELLING || self.last.is_empty() {
            self.last = why;
        }
    }

    /// What is left of the time, or the failure that it is over.
    fn left(&self, began: Instant) -> Result<Duration, Halt> {
        let left = self.limit.saturating_sub(self.since.elapsed());
        if !left.is_zero() {
            return Ok(left);
        }
        let mut msg = format!(
            "Timed out waiting for {} (timeout={}).",
            self.what,
            self.limit.as_secs()
        );
        if !self.last.is_empty() {
            msg.push_str(" Last error message before the timeout exception - ");
            msg.push_str(&self.last);
        }
        Err(failed(msg, true, began))
    }

    async fn pause(&mut self, host: &Host) -> Result<(), Halt> {
        let pause = Duration::from_secs(pause(self.tries));
        self.tries += 1;
        let left = self.limit.saturating_sub(self.since.elapsed());
        host.sleep(pause.min(left)).await
    }
}

/// Seconds from one try to the next.
fn pause(tries: u32) -> u64 {
    2_u64.saturating_pow(tries).min(LONGEST_PAUSE)
}

/// What a command told, or why it did not.
fn judged(output: &Output) -> Result<String, Halt> {
    if output.ok() {
        return Ok(output.stdout_text().trim().to_string());
    }
    Err(fail(format!(
        "reboot: failed to get host boot time info, rc: {}, stdout: {}, stderr: {}",
        output.status,
        output.stdout_text().trim(),
        output.stderr_text().trim()
    )))
}

/// What the command that restarts the host said; nothing where the host went away before it could. That the command
/// did not come to run at all is no restart.
fn received(said: Result<Output, Halt>) -> Result<Option<Output>, Halt> {
    match said {
        Err(Halt::Lost(Lost::During(_))) => Ok(None),
        said => said.map(Some),
    }
}

/// What may happen while a host restarts, in words; anything else ends the wait.
fn tolerated(halt: Halt) -> Result<String, Halt> {
    match halt {
        Halt::Failed(failure) => Ok(failure.msg),
        Halt::Lost(lost) => Ok(lost.to_string()),
        halt => Err(halt),
    }
}

fn unless_failed(halt: Halt, rebooted: bool) -> Halt {
    match halt {
        Halt::Failed(failure) => failure.with("rebooted", rebooted).into(),
        halt => halt,
    }
}

fn failed(msg: String, rebooted: bool, began: Instant) -> Halt {
    Failure::new(msg)
        .with("rebooted", rebooted)
        .with("elapsed", elapsed(began))
        .into()
}

fn elapsed(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX)
}

fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default()
}

/// As Ansible: less than none is none.
fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(unsigned(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{TransportError, TransportErrorKind};

    #[test]
    fn tries_become_rarer() {
        let pauses: Vec<u64> = (0..6).map(pause).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 12, 12]);
        assert_eq!(pause(200), 12);
    }

    #[test]
    fn a_try_that_had_no_time_is_not_the_reason() {
        let mut wait = Wait::new("last boot time check", Duration::from_secs(20));
        wait.met("refused".to_string(), Duration::from_secs(1));
        assert_eq!(wait.last, "refused");
        wait.last = "boot time has not changed".to_string();
        wait.met("no answer within 2 s".to_string(), Duration::from_secs(2));
        assert_eq!(wait.last, "boot time has not changed");
        wait.met("no answer within 20 s".to_string(), Duration::from_secs(20));
        assert_eq!(wait.last, "no answer within 20 s");
    }

    fn reboot(options: &str) -> Reboot {
        serde_json::from_str(options).unwrap()
    }

    #[test]
    fn shutdown_is_given_whole_minutes_and_a_message() {
        for (delay, minutes) in [(-60, 0), (0, 0), (59, 0), (60, 1), (150, 2)] {
            let reboot = reboot(&format!(r#"{{"pre_reboot_delay": {delay}, "msg": "it's time"}}"#));
            let expected = format!("-r {minutes} {}", quote("it's time"));
            assert_eq!(reboot.words(), ("shutdown", expected.into()), "{delay}");
        }
    }

    #[test]
    fn a_command_is_a_program_and_the_rest() {
        for (command, words) in [
            ("systemctl reboot", ("systemctl", "reboot")),
            ("/sbin/reboot", ("/sbin/reboot", "")),
            ("echo 'a  b' >&2; exit 7", ("echo", "'a  b' >&2; exit 7")),
        ] {
            let reboot = reboot(&serde_json::json!({ "reboot_command": command }).to_string());
            assert_eq!(reboot.words(), (words.0, words.1.into()), "{command}");
        }
    }

    #[test]
    fn only_a_command_that_ran_may_lose_the_connection() {
        let lost = || TransportError {
            kind: TransportErrorKind::Lost,
            message: "gone".to_string(),
            help: None,
        };
        let halted = |lost| received(Err(Halt::Lost(lost)));
        assert_eq!(halted(Lost::During(lost())), Ok(None));
        let undelivered = Lost::Transport(lost());
        assert_eq!(halted(undelivered.clone()), Err(Halt::Lost(undelivered)));
        let refused = Lost::Become {
            message: "sudo wants a password".to_string(),
            help: None,
        };
        assert_eq!(halted(refused.clone()), Err(Halt::Lost(refused)));
        assert_eq!(received(Ok(Output::default())), Ok(Some(Output::default())));
    }

    #[test]
    fn the_end_of_a_wait_tells_what_the_last_try_met() {
        let mut wait = Wait::new("last boot time check", Duration::ZERO);
        wait.last = "no answer".to_string();
        let Err(Halt::Failed(failure)) = wait.left(Instant::now()) else {
            panic!("the time is over")
        };
        assert_eq!(
            failure.msg,
            "Timed out waiting for last boot time check (timeout=0). \
             Last error message before the timeout exception - no answer"
        );
    }
}
