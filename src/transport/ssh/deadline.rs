//! The time that a way may take, from the first look-up to the handshake, and that the authentication may take.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::TransportError;
use super::failure::{Peer, Phase, timed_out};

/// When the whole way has to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    pub(super) timeout: Duration,
}

impl Deadline {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            at: Instant::now() + timeout,
            timeout,
        }
    }

    /// The same, but no sooner than `least` from now.
    pub(super) fn at_least(self, least: Duration) -> Self {
        Self {
            at: self.at.max(Instant::now() + least),
            timeout: self.timeout.max(least),
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(super) async fn within<T>(
        &self,
        peer: &Peer,
        phase: Phase,
        work: impl Future<Output = T>,
    ) -> Result<T, TransportError> {
        timeout_at(self.at, work)
            .await
            .map_err(|_| timed_out(peer, phase, self.timeout))
    }
}
