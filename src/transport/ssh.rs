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
mod deadline;
mod expand;
mod failure;
mod glob;
mod identity;
mod keywords;
mod known_hosts;
mod options;
mod passphrase;
mod plan;
mod program;
mod session;
mod tried;
mod verify;
mod wire;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use russh::client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use self::deadline::Deadline;
use self::failure::{Phase, is_closed, no_handshake};
use self::options::Setting;
use self::passphrase::KeyFiles;
pub use self::passphrase::{AskPassphrase, Passphrase};
use self::plan::{Plan, Route};
use self::session::Ssh;
use self::verify::{Ending, Notices, Refusal, Verifier};
use super::{Boxed, Destination, Transport, TransportError, TransportErrorKind};

/// A server that answers may wait for a directory service, or for the name of our address: in `ssh` the time that
/// is set for connecting does not bound this at all.
const AUTHENTICATION: Duration = Duration::from_secs(60);

/// After what pauses a connection is tried again that was closed before the handshake. sshd closes some of those
/// that come at once (`MaxStartups`), and those that come through one machine all come at once.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1500),
];

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
    /// Keys that need a passphrase are done without, unless a variable gives it.
    pub fn new(surroundings: Surroundings) -> Self {
        Self::with(surroundings, None)
    }

    /// Asks the person for the passphrases of keys.
    pub fn asking(surroundings: Surroundings, ask: AskPassphrase) -> Self {
        Self::with(surroundings, Some(ask))
    }

    fn with(surroundings: Surroundings, ask: Option<AskPassphrase>) -> Self {
        Self {
            shared: Arc::new(Shared {
                surroundings,
                key_files: KeyFiles::asking(ask),
                notices: Notices::default(),
                asked: std::sync::Mutex::default(),
                jumps: std::sync::Mutex::default(),
            }),
        }
    }

    pub async fn connect(&self, destination: &Destination) -> Result<Arc<dyn Transport>, TransportError> {
        let mut pauses = AGAIN.iter();
        loop {
            self.shared.key_files.settled().await;
            let deadline = Deadline::new(destination.timeout);
            match self.shared.reach(destination, Leg::default(), deadline).await {
                Ok(ssh) => return Ok(ssh),
                Err(Setback::Failed(error)) => return Err(error),
                Err(Setback::Closed(error)) => match pauses.next() {
                    Some(pause) => sleep(*pause).await,
                    None => return Err(error),
                },
                // Neither the server nor our own patience has to wait for somebody who types: the way is gone anew.
                Err(Setback::Locked(file)) => self.shared.key_files.open(&file).await,
            }
        }
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

/// Why a way was not gone to its end.
enum Setback {
    Failed(TransportError),
    /// The other side closed the connection before it had said who it is.
    Closed(TransportError),
    /// The person has to be asked for the passphrase of this key file.
    Locked(PathBuf),
}

impl From<TransportError> for Setback {
    fn from(error: TransportError) -> Self {
        Self::Failed(error)
    }
}

/// One connection of the several that a way may consist of.
#[derive(Debug, Default)]
struct Leg {
    /// For a machine that is jumped over: how it is reached, when that is not for its own configuration to say.
    route: Option<Route>,
    /// The jumps that wait for this leg; none of them may be part of it.
    wanted: Vec<String>,
}

impl Shared {
    fn reach<'a>(
        &'a self,
        destination: &'a Destination,
        leg: Leg,
        deadline: Deadline,
    ) -> Boxed<'a, Result<Arc<Ssh>, Setback>> {
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
    ) -> Result<Arc<Ssh>, Setback> {
        let unsupported = |reason: &str| {
            let message = format!("the way to {} {reason}", plan.peer);
            TransportError::new(TransportErrorKind::Unsupported, message)
        };
        let (last, before) = hops
            .split_last()
            .ok_or_else(|| unsupported("leads over no machine"))?;
        let key = format!("{:?} {:?}", hops, plan.config_file);
        if wanted.contains(&key) {
            return Err(unsupported(&format!("leads through {last} to itself")).into());
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
    ) -> Result<Arc<Ssh>, Setback>
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
        let session = client::connect_stream(Arc::new(session::config(plan)), stream, verifier);
        let mut handle = deadline
            .within(peer, Phase::Handshake, session)
            .await?
            .map_err(|refusal| match refusal {
                Refusal::HostKey(error) => Setback::Failed(error),
                Refusal::Session(error) if is_closed(&error) => Setback::Closed(no_handshake(peer, &error)),
                Refusal::Session(error) => Setback::Failed(no_handshake(peer, &error)),
            })?;
        let authentication =
            authenticate::authenticate(&mut handle, &plan.credentials, &self.key_files, peer, &ending);
        deadline
            .at_least(AUTHENTICATION)
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
