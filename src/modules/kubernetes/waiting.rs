//! Waiting until objects are as they are to be, or gone: all of them together, one call each time.

use std::time::{Duration, Instant};

use super::client::{Call, Client, LOOK, Said};
use super::condition::{self, Condition};
use super::object::{Id, Json};
use super::words;
use crate::host::{Halt, Host, Script};

/// Seconds that one look may take.
const LONGEST_LOOK: u64 = 20;

/// How long, how often and for what.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    pub condition: Option<&'a Condition>,
    /// Seconds between two looks.
    pub sleep: u64,
    /// Seconds in all; 0: one look.
    pub timeout: u64,
}

/// What came of it.
pub struct Waited {
    /// The objects as they were last seen, in the order of the names.
    pub objects: Vec<Option<Json>>,
    /// Whether each is as it was to be.
    pub ready: Vec<bool>,
    /// Whole seconds.
    pub duration: u64,
}

impl Patience<'_> {
    /// Until all are there and ready.
    pub async fn present(&self, host: &Host, client: &Client, ids: &[Id]) -> Result<Waited, Halt> {
        let is_ready =
            |object: Option<&Json>| object.is_some_and(|object| condition::is_met(object, self.condition));
        self.until(host, client, ids, is_ready).await
    }

    /// Until none is there.
    pub async fn absent(&self, host: &Host, client: &Client, ids: &[Id]) -> Result<Waited, Halt> {
        self.until(host, client, ids, |object| object.is_none()).await
    }

    async fn until(
        &self,
        host: &Host,
        client: &Client,
        ids: &[Id],
        is_ready: impl Fn(Option<&Json>) -> bool,
    ) -> Result<Waited, Halt> {
        let began = Instant::now();
        let mut waited = Waited {
            objects: vec![None; ids.len()],
            ready: vec![false; ids.len()],
            duration: 0,
        };
        let mut looks = 0;
        let mut away = None;
        while !ids.is_empty() {
            let open: Vec<usize> = (0..ids.len()).filter(|i| !waited.ready[*i]).collect();
            let stubs: Vec<Json> = open.iter().map(|i| ids[*i].stub()).collect();
            let call = Call::new(LOOK).objects(&stubs);
            looks += 1;
            let seen = self.look(host, client, &call, began).await?;
            away = seen.as_ref().err().cloned();
            if let Ok(mut found) = seen {
                for index in open {
                    let at = found.iter().position(|object| ids[index].is_that_of(object));
                    let object = at.map(|at| found.remove(at));
                    waited.ready[index] = is_ready(object.as_ref());
                    waited.objects[index] = object;
                }
            }
            waited.duration = began.elapsed().as_secs();
            if waited.ready.iter().all(|ready| *ready) || waited.duration >= self.timeout {
                break;
            }
            let left = self.timeout - waited.duration;
            host.sleep(Duration::from_secs(self.sleep.clamp(1, left.max(1))))
                .await?;
        }
        if looks > 1 {
            over(host).await?;
        }
        match away {
            Some(said) => Err(self.away(&said)),
            None => Ok(waited),
        }
    }

    /// Until the call finds any object, or in vain.
    pub async fn something(&self, host: &Host, client: &Client, call: &Call) -> Result<Vec<Json>, Halt> {
        let began = Instant::now();
        loop {
            let seen = self.look(host, client, call, began).await?;
            let away = seen.as_ref().err().cloned();
            let found = seen.unwrap_or_default();
            let elapsed = began.elapsed().as_secs();
            if !found.is_empty() || elapsed >= self.timeout {
                over(host).await?;
                return match away {
                    Some(said) => Err(self.away(&said)),
                    None => Ok(found),
                };
            }
            host.sleep(Duration::from_secs(self.sleep.clamp(1, self.timeout - elapsed)))
                .await?;
        }
    }

    /// The objects as they are now, or what is said while the server is away: there may be time to ask again.
    async fn look(
        &self,
        host: &Host,
        client: &Client,
        call: &Call,
        began: Instant,
    ) -> Result<Result<Vec<Json>, Said>, Halt> {
        let mut call = call.clone();
        if self.timeout > 0 {
            // A server that takes the question and does not answer must not take all the time there is.
            let left = self.timeout.saturating_sub(began.elapsed().as_secs());
            call = call.word(format!("--request-timeout={}s", left.clamp(2, LONGEST_LOOK)));
        }
        let said = client.ask_now(host, "kubectl get", &[call]).await?;
        match said.into_iter().next() {
            Some(said) if said.ok() => Ok(Ok(said.objects())),
            Some(said) if self.timeout > 0 && words::is_away(&said) => Ok(Err(said)),
            Some(said) => Err(words::refused("wait", &said)),
            None => Ok(Err(Said::default())),
        }
    }

    /// The failure of a wait at whose end the server was away.
    fn away(&self, said: &Said) -> Halt {
        words::refused(&format!("wait any longer than {} s", self.timeout), said)
    }

    /// The failure of a wait that ran out of time.
    pub fn in_vain(&self, id: &Id, state: &str) -> String {
        let state = if state.is_empty() {
            String::new()
        } else {
            format!(": {state}")
        };
        format!(
            "\"{}\" \"{}\": Timed out waiting on resource after {} s{state}",
            id.kind, id.name, self.timeout
        )
    }
}

/// The cluster has changed by itself: what later tasks have seen of it ahead of their turn counts no more.
async fn over(host: &Host) -> Result<(), Halt> {
    host.act(Script::new("the wait is over", ":")).await.map(|_| ())
}
