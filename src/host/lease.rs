//! Shells on loan: found idle or opened anew for a frame, and given back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::identity;
use super::machine::{Identity, Lost};
use super::pool::{Connection, Next, Open};
use super::session::{Session, lock};
use super::shell::{Shell, Ticket};
use crate::transport::TransportErrorKind;

/// A place among the shells that may be open: given back when dropped.
pub(super) struct Place {
    session: Arc<Session>,
    /// Its shell lies idle.
    kept: bool,
}

/// A shell that serves a frame.
pub(super) struct Lease {
    pub open: Open,
    place: Place,
    /// The session's epoch when it was handed out.
    pub epoch: u64,
    /// What was sent with its opening, and when that began.
    pub ahead: Option<Ahead>,
}

/// Requests that went with the command that opened a shell.
pub(super) struct Ahead {
    pub tickets: Vec<Ticket>,
    pub begun: Instant,
}

impl Session {
    /// The connection, opened if need be.
    async fn connection(&self) -> Result<Arc<Connection>, Lost> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot
            && connection.is_usable()
        {
            return Ok(Arc::clone(connection));
        }
        let begun = Instant::now();
        let epoch = self.epoch.load(Ordering::Acquire);
        let transport = (self.connect)().await.map_err(Lost::Transport)?;
        self.record("connect".to_owned(), begun);
        let connection = Connection::new(transport, epoch);
        *slot = Some(Arc::clone(&connection));
        let mut pool = lock(&self.pool);
        pool.connections.retain(|old| !old.transport.is_closed());
        pool.connections.push(Arc::clone(&connection));
        Ok(connection)
    }

    /// New shells are not to be opened there any more; those that are there stay.
    pub async fn retire(&self, connection: &Arc<Connection>) {
        let mut slot = self.connection.lock().await;
        if slot
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, connection))
        {
            *slot = None;
        }
    }

    /// A shell that is idle, or a new one. With a new one go `looks`, if they can; nothing that alters.
    pub async fn find_shell(
        self: &Arc<Self>,
        identity: &Identity,
        may_be_idle: bool,
        looks: &[&str],
    ) -> Result<Lease, Lost> {
        loop {
            let freed = self.freed.notified();
            let epoch = self.epoch.load(Ordering::Acquire);
            let next = lock(&self.pool).next(identity, may_be_idle, epoch, self.shells);
            let place = || Place {
                session: Arc::clone(self),
                kept: false,
            };
            match next {
                Next::Take(open) => {
                    return Ok(Lease {
                        open,
                        place: place(),
                        epoch,
                        ahead: None,
                    });
                }
                Next::Wait => freed.await,
                Next::Make => {
                    let place = place();
                    if let Some((open, ahead)) = self.make(identity, looks).await? {
                        return Ok(Lease {
                            open,
                            place,
                            epoch,
                            ahead,
                        });
                    }
                }
            }
        }
    }

    /// `None`: the host allows no more channels for now.
    async fn make(&self, identity: &Identity, looks: &[&str]) -> Result<Option<(Open, Option<Ahead>)>, Lost> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let connection = self.connection().await?;
        match self.open(&connection, identity, looks).await {
            Ok((shell, ahead)) => {
                let open = Open {
                    shell,
                    identity: identity.clone(),
                    connection,
                    epoch,
                    is_root: false,
                };
                Ok(Some((open, ahead)))
            }
            Err(Lost::Transport(error)) if error.kind == TransportErrorKind::Full => {
                let mut pool = lock(&self.pool);
                if pool.open <= 1 {
                    return Err(Lost::Transport(error));
                }
                pool.limit = Some(pool.open - 1);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn open(
        &self,
        connection: &Connection,
        identity: &Identity,
        looks: &[&str],
    ) -> Result<(Shell, Option<Ahead>), Lost> {
        let begun = Instant::now();
        let transport = &*connection.transport;
        // Where the user's groups have to be looked at first, nothing can go ahead of that.
        let may_go_ahead = *identity == Identity::Login
            && !looks.is_empty()
            && connection.epoch.load(Ordering::Acquire) >= self.epoch.load(Ordering::Acquire)
            && !self.opens_plainly.load(Ordering::Relaxed);
        if may_go_ahead
            && let Some((shell, tickets)) = identity::open_asking(transport, &self.site, looks).await?
        {
            return Ok((shell, Some(Ahead { tickets, begun })));
        }
        let shell = identity::open(transport, identity, &self.site).await?;
        self.record(format!("open a shell{}", whose(identity)), begun);
        Ok((shell, None))
    }

    /// Keeps a shell for the next frame.
    pub fn give_back(&self, lease: Lease) {
        let Lease { open, mut place, .. } = lease;
        if open.shell.is_dead() || !open.connection.is_usable() {
            return;
        }
        lock(&self.pool).idle.push(open);
        place.kept = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            lock(&self.session.pool).open -= 1;
        }
        self.session.freed.notify_one();
    }
}

/// For the list of round trips.
fn whose(identity: &Identity) -> String {
    match identity {
        Identity::Login => String::new(),
        Identity::Become(to) => format!(" as {}", to.user),
    }
}
