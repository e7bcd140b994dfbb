//! An authenticated session: what it is agreed upon with, and the programs that are started in it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::Algorithm;
use russh::{Disconnect, Limits, Preferred, SshId, cipher, kex, mac};
use tokio::time::{sleep, timeout};

use super::super::{Boxed, Channel, Transport, TransportError, TransportErrorKind};
use super::deadline::Deadline;
use super::failure::{Peer, Phase, lost};
use super::plan::Plan;
use super::program;
use super::verify::{Ending, Verifier};

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

/// What the exchange of keys may be, the quick ones first. Servers under FIPS rules have the curves of NIST only.
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
];

/// With the instructions that processors have for it, AES is the quickest.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::AES_128_GCM];

/// As in OpenSSH, for servers that have nothing better.
const LATE_MACS: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// `wanted`, then what else there is.
fn first<T: Copy + PartialEq>(wanted: &[T], all: &[T]) -> Vec<T> {
    let others = all.iter().filter(|name| !wanted.contains(name));
    wanted.iter().chain(others).copied().collect()
}

pub(super) fn config(plan: &Plan) -> client::Config {
    let default = Preferred::DEFAULT;
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
            kex: Cow::Owned(first(EXCHANGES, &default.kex)),
            cipher: Cow::Owned(first(CIPHERS, &default.cipher)),
            mac: Cow::Owned([&default.mac, LATE_MACS].concat()),
            ..default
        },
        keepalive_interval: Some(plan.alive_interval.unwrap_or(KEEPALIVE)),
        keepalive_max: plan.alive_count.unwrap_or(KEEPALIVES),
        nodelay: true,
        ..client::Config::default()
    }
}

/// An authenticated session.
pub(super) struct Ssh {
    pub(super) handle: Handle<Verifier>,
    pub(super) peer: Peer,
    pub(super) ending: Ending,
    /// Kept for as long as the session that runs through it.
    pub(super) _jump: Option<Arc<Ssh>>,
}

impl Ssh {
    /// A connection that this machine makes to another.
    pub(super) async fn stream_to(
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

    /// Waits for no answer, only until the server has been told: it ends what it started.
    fn close(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            let goodbye = async {
                // A connection that is gone already needs no goodbye.
                if self
                    .handle
                    .disconnect(Disconnect::ByApplication, "", "")
                    .await
                    .is_ok()
                {
                    self.ending.over().await;
                }
            };
            let _ = timeout(GOODBYE, goodbye).await;
        })
    }
}
