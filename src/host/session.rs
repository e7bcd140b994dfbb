//! Frames on their way to a machine and back: what is sent, what is waited for, and what is ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use super::errand::{Again, Errand, Limits, Stopped, lost};
use super::identity::{self, OPENING, Site};
use super::lease::{Ahead, Lease};
use super::machine::{Form, Frame, Identity, Lost, Reply, Script, Stdin, Trip};
use super::pool::{Connection, Open, Pool};
use super::remote::Connector;
use super::request::{self, Input};
use super::shell::{End, Ticket};
use crate::transport::TransportErrorKind;

/// sshd allows ten sessions on a connection (`MaxSessions`); two are kept for killing.
pub(super) const SHELLS: usize = 8;

/// The largest standard input that goes by `printf`; a larger one gets a shell of its own, three round trips.
const INLINE: usize = 1 << 20;
const INLINE_FOR_BASH: usize = 64 << 10;

/// How long the killer may take, which is patient for two seconds itself.
const KILLING: Duration = Duration::from_secs(5);

/// How often a frame is sent again because its shell was gone before it read it.
const TRIES: usize = 6;

pub(super) struct Session {
    pub site: Site,
    pub connect: Connector,
    pub shells: usize,
    /// Where new shells are opened.
    pub connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    pub pool: Mutex<Pool>,
    pub freed: Notify,
    /// Rises whenever who a user is may have changed.
    pub epoch: AtomicU64,
    /// Rises with every interrupt.
    interrupts: watch::Sender<u64>,
    busy: watch::Sender<usize>,
    /// One killer at a time: there are few channels to spare.
    killing: tokio::sync::Mutex<()>,
    shell_is_bash: OnceLock<bool>,
    /// The login shell does not take what goes with the command that opens a shell.
    pub opens_plainly: AtomicBool,
    pub trips: Mutex<Vec<Trip>>,
}

/// A frame under way, for whoever waits until there is none.
struct AtWork {
    session: Arc<Session>,
}

/// What of a frame is on its way.
struct Sent {
    /// For the list of round trips.
    what: String,
    begun: Instant,
    /// With the command that opened the shell.
    went_ahead: bool,
    check: Option<Ticket>,
    work: Option<Ticket>,
    questions: Option<Ticket>,
}

impl Sent {
    fn ahead(errand: &Errand, ahead: Ahead) -> Self {
        let Ahead { tickets, begun } = ahead;
        let mut tickets = tickets.into_iter();
        Self {
            what: format!("open a shell, {}", errand.what()),
            begun,
            went_ahead: true,
            check: None,
            work: errand.work.as_ref().and_then(|_| tickets.next()),
            questions: errand.sheet.as_ref().and_then(|_| tickets.next()),
        }
    }
}

impl Session {
    pub fn new(site: Site, connect: Connector) -> Self {
        Self {
            site,
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
            opens_plainly: AtomicBool::new(false),
            trips: Mutex::default(),
        }
    }

    pub async fn run(self: Arc<Self>, identity: Identity, frame: Frame) -> Result<Reply, Lost> {
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
        let mut interrupts = errand.interrupts.clone();
        let looks = errand.public_looks();
        let found = tokio::select! {
            biased;
            // A host that cannot be reached is nothing to wait for.
            _ = interrupts.changed() => return Ok(None),
            found = self.find_shell(&errand.identity, true, &looks) => found,
        };
        let mut lease = found?;
        let sent = match lease.ahead.take() {
            Some(ahead) => Sent::ahead(errand, ahead),
            None if errand.is_interrupted() => {
                self.give_back(lease);
                return Ok(None);
            }
            None => self.submit(errand, &lease),
        };
        let (what, begun) = (sent.what.clone(), sent.begun);
        let outcome = self.receive(errand, lease, sent).await;
        self.record(what, begun);
        outcome
    }

    fn submit(&self, errand: &Errand, lease: &Lease) -> Sent {
        let begun = Instant::now();
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
        Sent {
            what: errand.what(),
            begun,
            went_ahead: false,
            check,
            work,
            questions,
        }
    }

    async fn receive(
        self: &Arc<Self>,
        errand: &mut Errand,
        mut lease: Lease,
        sent: Sent,
    ) -> Result<Option<Again>, Lost> {
        let Sent {
            went_ahead,
            check,
            work,
            questions,
            ..
        } = sent;
        match self.greet(&mut lease, errand.interrupts.clone()).await {
            Ok(()) => {}
            // Some login shells take no long words. What went ahead only looks: it can be asked again.
            Err(Lost::Transport(error)) if went_ahead && error.kind == TransportErrorKind::Denied => {
                self.opens_plainly.store(true, Ordering::Relaxed);
                return Ok(Some(Again::ShellGone));
            }
            Err(lost) => return Err(errand.doubted(lost)),
        }
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
        let mut lease = self.find_shell(&errand.identity, false, &[]).await?;
        let check = self
            .must_check(&lease.open)
            .then(|| lease.open.shell.check_membership());
        let Ticket { started, ended } = lease.open.shell.submit(&script.text, Input::Channel, script.form);
        self.greet(&mut lease, errand.interrupts.clone()).await?;
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

    /// Waits for a new shell to say that it is there. If everything is to stop, not for long: but what was sent
    /// behind the opening can be ended only once it has begun.
    async fn greet(&self, lease: &mut Lease, mut interrupts: watch::Receiver<u64>) -> Result<(), Lost> {
        let open = &mut lease.open;
        let mut character = std::pin::pin!(open.shell.character());
        let character = tokio::select! {
            biased;
            character = timeout(OPENING, &mut character) => character,
            _ = interrupts.changed() => timeout(KILLING, &mut character).await,
        };
        let character = match character {
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
    }

    pub async fn interrupt(&self) {
        self.interrupts.send_modify(|count| *count += 1);
        let mut busy = self.busy.subscribe();
        let _ = timeout(KILLING * 2, busy.wait_for(|busy| *busy == 0)).await;
    }

    pub fn forget_identities(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub fn reconnect(&self) {
        for connection in &lock(&self.pool).connections {
            connection.is_left.store(true, Ordering::Release);
        }
        self.forget_identities();
    }

    /// Shells end when their input does; that they have ended is nothing to wait for.
    pub async fn close(&self) {
        self.interrupt().await;
        let (idle, connections) = {
            let mut pool = lock(&self.pool);
            let idle = std::mem::take(&mut pool.idle);
            pool.open -= idle.len();
            (idle, std::mem::take(&mut pool.connections))
        };
        drop(idle);
        *self.connection.lock().await = None;
        for connection in connections {
            connection.transport.close().await;
        }
        self.freed.notify_waiters();
    }

    pub fn record(&self, what: String, begun: Instant) {
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
