//! A machine reached by a [`Transport`]: frames become requests to long-lived shells, one or more per identity.
//!
//! A shell serves one frame at a time. A second frame for the same identity gets another shell, up to a limit;
//! then frames queue. Shells are opened when they are needed, in the same flight as their first request.

use std::fmt;
use std::sync::Arc;

use super::errand::lost;
use super::identity::Site;
use super::machine::{Frame, Identity, Lost, Machine, Reply, Trip};
use super::pool::Connection;
use super::session::{SHELLS, Session, lock};
use crate::transport::{Boxed, Transport, TransportError};

/// Opens a connection, or opens it again after it was lost or closed.
pub type Connector =
    Arc<dyn Fn() -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> + Send + Sync>;

/// A host over SSH, or this machine over [`Local`](crate::transport::Local).
pub struct Remote {
    session: Arc<Session>,
}

impl Remote {
    /// Connects at the first frame.
    pub fn new(host: impl Into<Arc<str>>, connect: Connector) -> Self {
        let site = Site {
            host: host.into(),
            shell: Arc::from("/bin/sh"),
        };
        Self {
            session: Arc::new(Session::new(site, connect)),
        }
    }

    /// Over a connection that is already there; `connect` opens it again.
    #[must_use]
    pub fn connected(self, transport: Arc<dyn Transport>) -> Self {
        self.change(|session| {
            let connection = Connection::new(transport, 0);
            lock(&session.pool).connections.push(Arc::clone(&connection));
            session.connection = tokio::sync::Mutex::new(Some(connection));
        })
    }

    /// `ansible_shell_executable`: the POSIX shell to use instead of `/bin/sh`.
    #[must_use]
    pub fn shell(self, path: impl Into<Arc<str>>) -> Self {
        self.change(|session| session.site.shell = path.into())
    }

    /// How many shells there may be at once.
    #[must_use]
    pub fn at_most(self, shells: usize) -> Self {
        self.change(|session| session.shells = shells.clamp(1, SHELLS))
    }

    /// Settles how the session is set up; once it is in use, nothing can be changed.
    fn change(mut self, change: impl FnOnce(&mut Session)) -> Self {
        if let Some(session) = Arc::get_mut(&mut self.session) {
            change(session);
        }
        self
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("host", &self.session.site.host)
            .finish_non_exhaustive()
    }
}

impl Machine for Remote {
    fn frame(&self, identity: Identity, frame: Frame) -> Boxed<'static, Result<Reply, Lost>> {
        let session = Arc::clone(&self.session);
        let host = Arc::clone(&session.site.host);
        Box::pin(async move {
            // A task of its own: whoever asked may go away, and the bytes are read all the same.
            let running = tokio::spawn(session.run(identity, frame));
            running.await.unwrap_or_else(|_| Err(Lost::During(lost(&host))))
        })
    }

    fn interrupt(&self) -> Boxed<'static, ()> {
        let session = Arc::clone(&self.session);
        Box::pin(async move { session.interrupt().await })
    }

    fn forget_identities(&self) {
        self.session.forget_identities();
    }

    fn reconnect(&self) {
        self.session.reconnect();
    }

    fn close(&self) -> Boxed<'static, ()> {
        let session = Arc::clone(&self.session);
        Box::pin(async move { session.close().await })
    }

    fn trips(&self) -> Vec<Trip> {
        lock(&self.session.trips).clone()
    }
}
