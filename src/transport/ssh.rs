//! SSH, by russh: from a destination to an authenticated session, and the programs started in it.
//!
//! ```text
//! Destination ─arguments, config─→ Options ─expand─→ Plan ─wire─→ stream ─verify─→ session ─authenticate─→ Ssh
//! ```
//!
//! What is slow on this way is sshd, not we: it forks, and delays its answers to each offer of a key. What we can do
//! is to ask for little: no key that need not be offered, no `ssh -G` where the configuration is plain.

mod arguments;
mod authenticate;
mod config;
mod expand;
mod failure;
mod glob;
mod identity;
mod keywords;
mod known_hosts;
mod options;
mod plan;
mod program;
mod verify;
mod wire;

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::Algorithm;
use russh::{Disconnect, Limits, Preferred, SshId, cipher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::failure::{Peer, Phase, lost, no_handshake, timed_out};
use self::identity::KeyFiles;
use self::options::Setting;
use self::plan::{Plan, Route};
use self::verify::{Ending, Notices, Refusal, Verifier};
use super::{Boxed, Channel, Destination, Transport, TransportError, TransportErrorKind};

/// What a channel may send before it is told to go on. With the usual 2 MiB a distance of 10 ms costs three
/// quarters of the throughput.
const WINDOW: u32 = 8 << 20;

/// A dead peer is noticed after four of these without an answer.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVES: usize = 4;

/// By time alone no session of ours needs new keys; idle ones have died of it. The limit by volume stays.
const REKEY: Duration = Duration::from_secs(24 * 3600);

/// How long a living server may take to open a channel.
const OPEN: Duration = Duration::from_secs(60);

/// sshd counts a program for a moment longer than it runs; one that has just ended looks like one too many.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
];

/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// The user's surroundings, as far as they say how to connect.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub home: PathBuf,
    /// The name of the user who runs us.
    pub user: String,
    /// `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    pub config: PathBuf,
    pub system_config: PathBuf,
    /// For configurations that only `ssh` itself can read to the letter.
    pub ssh: Option<PathBuf>,
}

impl Surroundings {
    pub fn of_this_process() -> Self {
        plan::surroundings()
    }
}

/// Connects, and keeps what connections have in common: keys that were read, machines that are jumped over.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    surroundings: Surroundings,
    key_files: KeyFiles,
    notices: Notices,
    /// What `ssh -G` said, by its arguments.
    asked: std::sync::Mutex<HashMap<Vec<String>, Arc<Vec<Setting>>>>,
    /// The connections to jump over, by the way to them.
    jumps: std::sync::Mutex<HashMap<String, Arc<Jump>>>,
}

/// Empty while the first who needs it connects; the others wait.
type Jump = tokio::sync::Mutex<Option<Arc<Ssh>>>;

impl Client {
    pub fn new(surroundings: Surroundings) -> Self {
        Self {
            shared: Arc::new(Shared {
                surroundings,
                key_files: KeyFiles::default(),
                notices: Notices::default(),
                asked: std::sync::Mutex::default(),
                jumps: std::sync::Mutex::default(),
            }),
        }
    }

    pub async fn connect(&self, destination: &Destination) -> Result<Arc<dyn Transport>, TransportError> {
        let ssh: Arc<Ssh> = self
            .shared
            .reach(destination, Leg::default(), Deadline::new(destination.timeout))
            .await?;
        Ok(ssh)
    }

    /// What the user should know although it stopped nothing: lines of the configuration that have no effect, host
    /// keys that were written down. Each is told once.
    pub fn take_notices(&self) -> Vec<String> {
        self.shared.notices.take()
    }
}

/// Connects to one destination; `client` is shared by all connections of a run.
pub async fn connect(
    destination: &Destination,
    client: &Client,
) -> Result<Arc<dyn Transport>, TransportError> {
    client.connect(destination).await
}

/// One connection of the several that a way may consist of.
#[derive(Debug, Default)]
struct Leg {
    /// For a machine that is jumped over: how it is reached, when that is not for its own configuration to say.
    route: Option<Route>,
    /// The jumps that wait for this leg; none of them may be part of it.
    wanted: Vec<String>,
}

/// When the whole way has to be done.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    fn new(timeout: Duration) -> Self {
        Self {
            at: Instant::now() + timeout,
            timeout,
        }
    }

    fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    async fn within<T>(
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

impl Shared {
    fn reach<'a>(
        &'a self,
        destination: &'a Destination,
        leg: Leg,
        deadline: Deadline,
    ) -> Boxed<'a, Result<Arc<Ssh>, TransportError>> {
        Box::pin(async move {
            let plan = Plan::make(self, destination, leg.route).await?;
            match &plan.route {
                Route::Direct => {
                    let stream = wire::connect(&plan.peer, plan.family, deadline).await?;
                    self.session(stream, &plan, None, deadline).await
                }
                Route::Command(command) => {
                    let stream = wire::start_proxy(&plan.peer, command)?;
                    self.session(stream, &plan, None, deadline).await
                }
                Route::Jump(hops) => {
                    let jump = self.jump(&plan, hops, leg.wanted, deadline).await?;
                    let stream = jump.stream_to(&plan.peer, deadline).await?;
                    self.session(stream, &plan, Some(jump), deadline).await
                }
            }
        })
    }

    /// The connection to the last of `hops`, which all destinations behind it share.
    async fn jump(
        &self,
        plan: &Plan,
        hops: &[String],
        mut wanted: Vec<String>,
        deadline: Deadline,
    ) -> Result<Arc<Ssh>, TransportError> {
        let unsupported = |reason: &str| {
            let message = format!("the way to {} {reason}", plan.peer);
            TransportError::new(TransportErrorKind::Unsupported, message)
        };
        let (last, before) = hops
            .split_last()
            .ok_or_else(|| unsupported("leads over no machine"))?;
        let key = format!("{:?} {:?}", hops, plan.config_file);
        if wanted.contains(&key) {
            return Err(unsupported(&format!("leads through {last} to itself")));
        }
        wanted.push(key.clone());
        let jump = {
            let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(jumps.entry(key).or_default())
        };
        let mut jump = deadline.within(&plan.peer, Phase::Connect, jump.lock()).await?;
        if let Some(ssh) = jump.as_ref().filter(|ssh| !ssh.is_closed()) {
            return Ok(Arc::clone(ssh));
        }
        let destination = plan.hop(last, deadline.left())?;
        let leg = Leg {
            route: (!before.is_empty()).then(|| Route::Jump(before.to_vec())),
            wanted,
        };
        let ssh = self.reach(&destination, leg, deadline).await?;
        *jump = Some(Arc::clone(&ssh));
        Ok(ssh)
    }

    async fn session<S>(
        &self,
        stream: S,
        plan: &Plan,
        jump: Option<Arc<Ssh>>,
        deadline: Deadline,
    ) -> Result<Arc<Ssh>, TransportError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = &plan.peer;
        let ending = Ending::default();
        let verifier = Verifier {
            peer: peer.clone(),
            known: plan.known.clone(),
            strictness: plan.strictness,
            record: plan.record.clone(),
            ending: ending.clone(),
            notices: self.notices.clone(),
        };
        let session = client::connect_stream(Arc::new(config(plan)), stream, verifier);
        let mut handle = deadline
            .within(peer, Phase::Handshake, session)
            .await?
            .map_err(|refusal| match refusal {
                Refusal::HostKey(error) => error,
                Refusal::Session(error) => no_handshake(peer, &error),
            })?;
        let authentication =
            authenticate::authenticate(&mut handle, &plan.credentials, &self.key_files, peer, &ending);
        deadline
            .within(peer, Phase::Authenticate, authentication)
            .await??;
        Ok(Arc::new(Ssh {
            handle,
            peer: peer.clone(),
            ending,
            _jump: jump,
        }))
    }
}

fn config(plan: &Plan) -> client::Config {
    let default = Preferred::DEFAULT;
    let mut ciphers = vec![cipher::AES_256_GCM];
    ciphers.extend(default.cipher.iter().filter(|name| **name != cipher::AES_256_GCM));
    // An RSA key may sign by SHA-2 only, as in OpenSSH.
    let host_keys: Vec<_> = default
        .key
        .iter()
        .filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }))
        .cloned()
        .collect();
    let certificates = if plan.known.has_authorities() {
        host_keys.clone()
    } else {
        Vec::new()
    };
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-vmstation_",
            env!("CARGO_PKG_VERSION")
        ))),
        limits: Limits {
            rekey_time_limit: REKEY,
            ..Limits::default()
        },
        window_size: WINDOW,
        preferred: Preferred {
            key: Cow::Owned(plan.known.order(&host_keys)),
            host_key_certificates: Cow::Owned(certificates),
            cipher: Cow::Owned(ciphers),
            ..default
        },
        keepalive_interval: Some(plan.alive_interval.unwrap_or(KEEPALIVE)),
        keepalive_max: plan.alive_count.unwrap_or(KEEPALIVES),
        nodelay: true,
        ..client::Config::default()
    }
}

/// An authenticated session.
struct Ssh {
    handle: Handle<Verifier>,
    peer: Peer,
    ending: Ending,
    /// Kept for as long as the session that runs through it.
    _jump: Option<Arc<Ssh>>,
}

impl Ssh {
    /// A connection that this machine makes to another.
    async fn stream_to(
        &self,
        peer: &Peer,
        deadline: Deadline,
    ) -> Result<russh::ChannelStream<client::Msg>, TransportError> {
        let opening =
            self.handle
                .channel_open_direct_tcpip(peer.host.as_str(), u32::from(peer.port), "127.0.0.1", 0);
        let channel = deadline
            .within(peer, Phase::Connect, opening)
            .await?
            .map_err(|error| self.not_led_on(peer, &error))?;
        Ok(channel.into_stream())
    }

    fn not_led_on(&self, peer: &Peer, error: &russh::Error) -> TransportError {
        let reason = match error {
            russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed) => {
                "it gets no connection to it"
            }
            russh::Error::ChannelOpenFailure(_) => "it forbids that (AllowTcpForwarding)",
            _ => return lost(&self.peer, self.ending.why().as_deref()),
        };
        TransportError::new(
            TransportErrorKind::Unreachable,
            format!("{} does not lead on to {peer}: {reason}", self.peer),
        )
    }

    async fn open(&self, command: &str) -> Result<Channel, TransportError> {
        let channel = self.open_channel().await?;
        channel
            .exec(true, command)
            .await
            .map_err(|_| lost(&self.peer, self.ending.why().as_deref()))?;
        Ok(program::attach(channel))
    }

    async fn open_channel(&self) -> Result<russh::Channel<client::Msg>, TransportError> {
        let mut pauses = AGAIN.iter();
        loop {
            let opened = timeout(OPEN, self.handle.channel_open_session()).await;
            let error = match opened {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(error)) => self.not_opened(&error),
                Err(_) => {
                    let seconds = OPEN.as_secs();
                    lost(&self.peer, Some(&format!("no answer within {seconds} s")))
                }
            };
            let (TransportErrorKind::Full, Some(pause)) = (error.kind, pauses.next()) else {
                return Err(error);
            };
            sleep(*pause).await;
        }
    }

    fn not_opened(&self, error: &russh::Error) -> TransportError {
        if !matches!(error, russh::Error::ChannelOpenFailure(_)) {
            return lost(&self.peer, self.ending.why().as_deref());
        }
        TransportError::new(
            TransportErrorKind::Full,
            format!("{} allows no more programs at once on this connection", self.peer),
        )
        .with_help("sshd's MaxSessions is the limit, 10 by default")
    }
}

impl Transport for Ssh {
    fn start<'a>(&'a self, command: &'a str) -> Boxed<'a, Result<Channel, TransportError>> {
        Box::pin(self.open(command))
    }

    fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    fn close(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "");
            // A connection that is gone already needs no goodbye.
            let _ = timeout(GOODBYE, goodbye).await;
        })
    }
}
