//! The shells of one machine: which are idle, how many there may be, and on which connection each is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::machine::Identity;
use super::shell::Shell;
use crate::transport::Transport;

pub(super) struct Connection {
    pub transport: Arc<dyn Transport>,
    /// The session's epoch when this connection's groups were last known to be right.
    pub epoch: AtomicU64,
    /// A new one is wanted in its place.
    pub is_left: AtomicBool,
}

#[derive(Default)]
pub(super) struct Pool {
    pub idle: Vec<Open>,
    /// Idle, at work and being opened.
    pub open: usize,
    /// Known once the host has refused a channel.
    pub limit: Option<usize>,
    /// Every connection that may still have shells, for the end.
    pub connections: Vec<Arc<Connection>>,
}

/// A shell and where it belongs.
pub(super) struct Open {
    pub shell: Shell,
    pub identity: Identity,
    pub connection: Arc<Connection>,
    pub epoch: u64,
    pub is_root: bool,
}

/// What a frame that needs a shell is to do.
pub(super) enum Next {
    Take(Open),
    Make,
    Wait,
}

impl Connection {
    pub fn new(transport: Arc<dyn Transport>, epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            transport,
            epoch: AtomicU64::new(epoch),
            is_left: AtomicBool::new(false),
        })
    }

    pub fn is_usable(&self) -> bool {
        !self.is_left.load(Ordering::Acquire) && !self.transport.is_closed()
    }
}

impl Pool {
    pub fn next(&mut self, identity: &Identity, may_be_idle: bool, epoch: u64, most: usize) -> Next {
        let before = self.idle.len();
        self.idle.retain(|open| open.is_usable(epoch));
        self.open -= before - self.idle.len();
        let same = self.idle.iter().position(|open| open.identity == *identity);
        if let (true, Some(at)) = (may_be_idle, same) {
            return Next::Take(self.idle.swap_remove(at));
        }
        if self.open < self.limit.map_or(most, |limit| limit.min(most)) {
            self.open += 1;
            return Next::Make;
        }
        if self.idle.is_empty() {
            return Next::Wait;
        }
        // The place of a shell that nobody needs now.
        self.idle.remove(0);
        Next::Make
    }
}

impl Open {
    /// sudo computes anew who a user is; so do we, by another shell. Root is root. Whether the login user's
    /// groups still hold is looked at when the shell is used.
    fn is_usable(&self, epoch: u64) -> bool {
        let holds = self.identity == Identity::Login || self.is_root || self.epoch >= epoch;
        holds && !self.shell.is_dead() && self.connection.is_usable()
    }
}
