//! A machine reached by a [`Transport`]: frames become requests to long-lived shells, one or more per identity.
//!
//! A shell serves one frame at a time. A second frame for the same identity gets another shell, up to a limit;
//! then frames queue. Shells are opened when they are needed, in the same flight as their first request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use super::errand::{Again, Errand, Limits, Stopped, lost};
use super::identity::{self, OPENING, Site};
use super::machine::{Form, Frame, Identity, Lost, Machine, Reply, Script, Stdin, Trip};
use super::pool::{Connection, Next, Open, Pool};
use super::request::{self, Input};
use super::shell::{End, Ticket};
use crate::transport::{Boxed, Transport, TransportError, TransportErrorKind};

/// Opens a connection, or opens it again after it was lost or closed.
pub type Connector =
    Arc<dyn Fn() -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> + Send + Sync>;

/// sshd allows ten sessions on a connection (`MaxSessions`); two are kept for killing.
const SHELLS: usize = 8;

/// The largest standard input that goes by `printf`; a larger one gets a shell of its own, three round trips.
const INLINE: usize = 1 << 20;
const INLINE_FOR_BASH: usize = 64 << 10;

/// How long the killer may take, which is patient for two seconds itself.
const KILLING: Duration = Duration::from_secs(5);

/// How often a frame is sent again because its shell was gone before it read it.
const TRIES: usize = 6;

/// A host over SSH, or this machine over [`Local`](crate::transport::Local).
pub struct Remote {
    session: Arc<Session>,
}

struct Session {
    site: Site,
    connect: Connector,
    shells: usize,
    /// Where new shells are opened.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    pool: Mutex<Pool>,
    freed: Notify,
    /// Rises whenever who a user is may have changed.
    epoch: AtomicU64,
    /// Rises with every interrupt.
    interrupts: watch::Sender<u64>,
    busy: watch::Sender<usize>,
    /// One killer at a time: there are few channels to spare.
    killing: tokio::sync::Mutex<()>,
    shell_is_bash: OnceLock<bool>,
    trips: Mutex<Vec<Trip>>,
}

/// A place among the shells that may be open: given back when dropped.
struct Place {
    session: Arc<Session>,
    /// Its shell lies idle.
    kept: bool,
}

/// A frame under way, for whoever waits until there is none.
struct AtWork {
    session: Arc<Session>,
}

/// A shell that serves a frame.
struct Lease {
    open: Open,
    place: Place,
    /// The session's epoch when it was handed out.
    epoch: u64,
}

impl Remote {
    /// Connects at the first frame.
    pub fn new(host: impl Into<Arc<str>>, connect: Connector) -> Self {
        let session = Session {
            site: Site {
                host: host.into(),
                shell: Arc::from("/bin/sh"),
            },
            connect,
            shells: SHELLS,
            connection: tokio::sync::Mutex::default(),
            pool: Mutex::default(),
            freed: Notify::new(),
            epoch: AtomicU64::new(0),
            interrupts: watch::Sender::new(0),
            busy: watch::Sender::new(0),
            killing: tokio::sync::Mutex::default(),
            shell_is_bash: OnceLock::new(),
            trips: Mutex::default(),
        };
        Self::of(session)
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

    fn of(session: Session) -> Self {
        Self {
            session: Arc::new(session),
        }
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

    fn close(&self) -> Boxed<'static, ()> {
        let session = Arc::clone(&self.session);
        Box::pin(async move { session.close().await })
    }

    fn trips(&self) -> Vec<Trip> {
        lock(&self.session.trips).clone()
    }
}

impl Session {
    async fn run(self: Arc<Self>, identity: Identity, frame: Frame) -> Result<Reply, Lost> {
        let _at_work = AtWork::of(&self);
        self.serve(identity, frame).await
    }

    async fn serve(self: &Arc<Self>, identity: Identity, frame: Frame) -> Result<Reply, Lost> {
        let mut errand = Errand::new(identity, frame, self.interrupts.subscribe());
        errand.refuse_nul();
        for _ in 0..TRIES {
            if errand.is_interrupted() {
                return Ok(errand.interrupted());
            }
            if errand.is_over() {
                break;
            }
            let sent = match errand.payload() {
                Some((script, payload)) if self.is_large(payload.len()) => {
                    self.send_with_payload(&mut errand, &script, payload).await
                }
                _ => self.send(&mut errand).await,
            };
            match sent {
                Ok(None | Some(Again::ShellGone)) => {}
                Ok(Some(Again::Stale(connection))) => self.retire(&connection).await,
                // What was done is not forgotten because the questions behind it could not be asked.
                Err(_) if errand.done.is_some() => {
                    errand.is_lost = true;
                    break;
                }
                Err(lost) => return Err(lost),
            }
        }
        Ok(errand.reply())
    }

    /// Everything that is left of a frame, in one write.
    async fn send(self: &Arc<Self>, errand: &mut Errand) -> Result<Option<Again>, Lost> {
        let lease = self.find_shell(&errand.identity, true).await?;
        if errand.is_interrupted() {
            self.give_back(lease);
            return Ok(None);
        }
        let begun = Instant::now();
        let what = errand.what();
        let shell = &lease.open.shell;
        let check = self.must_check(&lease.open).then(|| shell.check_membership());
        let work = errand.work.as_ref().map(|script| {
            let input = match &script.stdin {
                Stdin::Null => Input::Null,
                Stdin::Bytes(bytes) => Input::Inline(bytes),
            };
            shell.submit(&script.text, input, script.form)
        });
        let questions = errand
            .sheet
            .as_ref()
            .map(|sheet| shell.submit(sheet.script(), Input::Null, Form::Internal));
        let outcome = self.receive(errand, lease, check, work, questions).await;
        self.record(what, begun);
        outcome
    }

    async fn receive(
        self: &Arc<Self>,
        errand: &mut Errand,
        mut lease: Lease,
        check: Option<Ticket>,
        work: Option<Ticket>,
        questions: Option<Ticket>,
    ) -> Result<Option<Again>, Lost> {
        self.greet(&mut lease)
            .await
            .map_err(|lost| errand.doubted(lost))?;
        if let Some(again) = self
            .settle_check(&lease, check)
            .await
            .map_err(|lost| errand.doubted(lost))?
        {
            return Ok(Some(again));
        }
        if let (Some(ticket), Some(script)) = (work, errand.work.clone()) {
            let limits = Limits::of(&script);
            let (end, stopped) = self
                .watch_over(ticket, &lease, limits, &mut errand.interrupts)
                .await;
            if let Some(again) = errand.settle_work(end, stopped, &self.site.host)? {
                return Ok(Some(again));
            }
        }
        if let Some(ticket) = questions {
            let limits = Limits {
                form: Form::Internal,
                time: errand.patience,
            };
            let (end, stopped) = self
                .watch_over(ticket, &lease, limits, &mut errand.interrupts)
                .await;
            if let Some(again) = errand.settle_questions(end, stopped) {
                return Ok(Some(again));
            }
        }
        self.give_back(lease);
        Ok(None)
    }

    /// A script whose standard input is too large for its program text: in a shell of its own, which ends with
    /// it, because the rest of that shell's input is the payload.
    async fn send_with_payload(
        self: &Arc<Self>,
        errand: &mut Errand,
        script: &Script,
        payload: Bytes,
    ) -> Result<Option<Again>, Lost> {
        let begun = Instant::now();
        let mut lease = self.find_shell(&errand.identity, false).await?;
        let check = self
            .must_check(&lease.open)
            .then(|| lease.open.shell.check_membership());
        let Ticket { started, ended } = lease.open.shell.submit(&script.text, Input::Channel, script.form);
        self.greet(&mut lease).await?;
        if let Some(again) = self.settle_check(&lease, check).await? {
            return Ok(Some(again));
        }
        let (starting, restarted) = oneshot::channel();
        if let Ok(pid) = started.await {
            lease.open.shell.pour(payload);
            let _ = starting.send(pid);
        }
        let ticket = Ticket {
            started: restarted,
            ended,
        };
        let limits = Limits::of(script);
        let (end, stopped) = self
            .watch_over(ticket, &lease, limits, &mut errand.interrupts)
            .await;
        self.record(script.label.to_string(), begun);
        errand.settle_work(end, stopped, &self.site.host)
    }

    /// Waits for a new shell to say that it is there.
    async fn greet(&self, lease: &mut Lease) -> Result<(), Lost> {
        let open = &mut lease.open;
        let character = match timeout(OPENING, open.shell.character()).await {
            Ok(Ok(character)) => character,
            Ok(Err(end)) => return Err(identity::not_greeted(&open.identity, &self.site, Some(end))),
            Err(_) => return Err(identity::not_greeted(&open.identity, &self.site, None)),
        };
        open.is_root = character.is_root;
        let _ = self.shell_is_bash.set(character.is_bash);
        Ok(())
    }

    async fn settle_check(&self, lease: &Lease, check: Option<Ticket>) -> Result<Option<Again>, Lost> {
        let Some(check) = check else { return Ok(None) };
        let connection = &lease.open.connection;
        match check.end().await {
            End::Finished(_) => {
                connection.epoch.fetch_max(lease.epoch, Ordering::AcqRel);
                Ok(None)
            }
            End::ShellEnded { exit: None, .. } => Err(Lost::Transport(lost(&self.site.host))),
            End::ShellEnded { .. } => Ok(Some(Again::Stale(Arc::clone(connection)))),
        }
    }

    /// Whether the groups of the login user have to be looked at before anything runs: sshd reads them when a
    /// connection is opened, and never again.
    fn must_check(&self, open: &Open) -> bool {
        open.identity == Identity::Login
            && !open.is_root
            && open.connection.epoch.load(Ordering::Acquire) < self.epoch.load(Ordering::Acquire)
    }

    /// Waits for the end of a script, and brings it about when its time is over or everything is to stop.
    async fn watch_over(
        &self,
        ticket: Ticket,
        lease: &Lease,
        limits: Limits,
        interrupts: &mut watch::Receiver<u64>,
    ) -> (End, Option<Stopped>) {
        let Ticket { started, mut ended } = ticket;
        let end = |end: Result<End, _>| end.unwrap_or_else(|_| End::gone(None));
        // A request that never starts drops the sender of its start, and has an end.
        let Ok(pid) = started.await else {
            return (end(ended.await), None);
        };
        let stopped = tokio::select! {
            biased;
            ended = &mut ended => return (end(ended), None),
            stopped = limits.time_is_over() => stopped,
            _ = interrupts.changed() => Stopped::Interrupted,
        };
        self.kill(&lease.open, pid, limits.form).await;
        let end = match timeout(KILLING, ended).await {
            Ok(ended) => end(ended),
            // It is still there and will not end: its shell is given up.
            Err(_) => End::ShellEnded {
                started: true,
                so_far: lease.open.shell.abandon(),
                exit: None,
            },
        };
        (end, Some(stopped))
    }

    /// Kills by another shell of the same identity: the login user may not kill root's processes.
    async fn kill(&self, open: &Open, pid: u32, form: Form) {
        let _turn = self.killing.lock().await;
        let script = match form {
            Form::Command => request::kill_group(pid),
            Form::Internal => request::kill_below(pid),
        };
        let transport = &*open.connection.transport;
        let Ok(killer) = identity::open(transport, &open.identity, &self.site).await else {
            return;
        };
        let ticket = killer.submit(&script, Input::Null, Form::Internal);
        let _ = timeout(KILLING, ticket.end()).await;
        killer.close().await;
    }

    async fn interrupt(&self) {
        self.interrupts.send_modify(|count| *count += 1);
        let mut busy = self.busy.subscribe();
        let _ = timeout(KILLING * 2, busy.wait_for(|busy| *busy == 0)).await;
    }

    fn forget_identities(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    async fn close(&self) {
        self.interrupt().await;
        let (idle, connections) = {
            let mut pool = lock(&self.pool);
            let idle = std::mem::take(&mut pool.idle);
            pool.open -= idle.len();
            (idle, std::mem::take(&mut pool.connections))
        };
        *self.connection.lock().await = None;
        let mut closing = tokio::task::JoinSet::new();
        for open in idle {
            closing.spawn(open.shell.close());
        }
        closing.join_all().await;
        for connection in connections {
            connection.transport.close().await;
        }
        self.freed.notify_waiters();
    }

    fn record(&self, what: String, begun: Instant) {
        lock(&self.trips).push(Trip {
            what,
            took: begun.elapsed(),
        });
    }

    fn is_large(&self, payload: usize) -> bool {
        let most = match self.shell_is_bash.get() {
            Some(false) => INLINE,
            Some(true) | None => INLINE_FOR_BASH,
        };
        payload > most
    }

    /// The connection, opened if need be.
    async fn connection(&self) -> Result<Arc<Connection>, Lost> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot
            && !connection.transport.is_closed()
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
    async fn retire(&self, connection: &Arc<Connection>) {
        let mut slot = self.connection.lock().await;
        if slot
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, connection))
        {
            *slot = None;
        }
    }

    async fn find_shell(self: &Arc<Self>, identity: &Identity, may_be_idle: bool) -> Result<Lease, Lost> {
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
                    let place = place();
                    return Ok(Lease { open, place, epoch });
                }
                Next::Wait => freed.await,
                Next::Make => {
                    let place = place();
                    if let Some(open) = self.make(identity).await? {
                        return Ok(Lease { open, place, epoch });
                    }
                }
            }
        }
    }

    /// `None`: the host allows no more channels for now.
    async fn make(&self, identity: &Identity) -> Result<Option<Open>, Lost> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let connection = self.connection().await?;
        let begun = Instant::now();
        match identity::open(&*connection.transport, identity, &self.site).await {
            Ok(shell) => {
                self.record(format!("open a shell{}", whose(identity)), begun);
                Ok(Some(Open {
                    shell,
                    identity: identity.clone(),
                    connection,
                    epoch,
                    is_root: false,
                }))
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

    /// Keeps a shell for the next frame.
    fn give_back(&self, lease: Lease) {
        let Lease { open, mut place, .. } = lease;
        if open.shell.is_dead() || open.connection.transport.is_closed() {
            return;
        }
        lock(&self.pool).idle.push(open);
        place.kept = true;
    }
}

impl AtWork {
    fn of(session: &Arc<Session>) -> Self {
        session.busy.send_modify(|busy| *busy += 1);
        Self {
            session: Arc::clone(session),
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.session.busy.send_modify(|busy| *busy -= 1);
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
