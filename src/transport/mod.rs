//! Ways to reach a machine: a byte stream to a program started there, and nothing above that.
//!
//! A [`Transport`] is one open connection (`ssh`), or this machine itself (`local`). It starts programs and
//! carries their bytes; what the bytes mean (shells, frames, sudo) is the room `host`'s business.

mod local;
pub mod ssh;
pub mod web;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use local::Local;

/// A future behind a pointer, for traits that are used as objects.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long the streams of a program that has ended may be silent before its end is told. Another program that it
/// has left behind may hold them open for good; what the program itself wrote follows its end at once.
const LINGER: Duration = Duration::from_secs(2);

/// An open connection to one machine.
pub trait Transport: Send + Sync {
    /// Starts a program; `command` is read by the login shell of the user who is connected.
    ///
    /// A [`TransportErrorKind::Full`] says that one of the programs that run has to end first.
    fn start<'a>(&'a self, command: &'a str) -> Boxed<'a, Result<Channel, TransportError>>;

    /// Whether the connection has ended; nothing can be started any more.
    fn is_closed(&self) -> bool;

    fn close(&self) -> Boxed<'_, ()>;
}

/// A running program's three streams.
///
/// Both directions are drained by tasks of the transport's own, so that a slow reader here never holds up the
/// other channels of the connection. Dropping `input` closes the program's standard input. Dropping a channel
/// does not end the program.
pub struct Channel {
    pub input: mpsc::UnboundedSender<Bytes>,
    pub output: mpsc::UnboundedReceiver<Piece>,
}

/// What comes back from a program. The receiver ends after `Exit`; an end without `Exit` means that the
/// connection was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Stdout(Bytes),
    Stderr(Bytes),
    Exit(Exit),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// The signal's name without `SIG`, as SSH spells it.
    Signal(String),
}

/// Where and as whom to connect: what inventory, configuration and command line have said, before `ssh_config`.
#[derive(Clone)]
pub struct Destination {
    /// The host's name in the inventory, for messages.
    pub name: String,
    /// `ansible_host`, else the name.
    pub host: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    /// `ansible_ssh_private_key_file`, with `~` still in it; stands in place of the default keys.
    pub private_key_file: Option<String>,
    /// `ansible_ssh_private_key_passphrase`; `None`: whoever runs us may be asked.
    pub private_key_passphrase: Option<String>,
    pub password: Option<String>,
    /// `ansible_ssh_args`, `ansible_ssh_common_args` and `ansible_ssh_extra_args`, split into words.
    pub ssh_args: Vec<String>,
    /// `None`, and `true` too: as `ssh_args` and `ssh_config` say, else a key must be known. `false`: an unknown key
    /// is accepted and not written down. A changed or revoked one is refused in any case.
    pub host_key_checking: Option<bool>,
    /// For the whole way up to an authenticated session.
    pub timeout: Duration,
}

impl fmt::Debug for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Destination")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("private_key_file", &self.private_key_file)
            .field(
                "private_key_passphrase",
                &self.private_key_passphrase.as_ref().map(|_| "***"),
            )
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("ssh_args", &self.ssh_args)
            .field("host_key_checking", &self.host_key_checking)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Why a machine could not be reached, or was lost. These are different things and the user is told which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    pub kind: TransportErrorKind,
    /// A sentence with the host's name, lower case, no full stop.
    pub message: String,
    pub help: Option<String>,
}

impl TransportError {
    pub(crate) fn new(kind: TransportErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
        }
    }

    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// No route, refused, name not found, no answer in time.
    Unreachable,
    UnknownHostKey,
    ChangedHostKey,
    RevokedHostKey,
    /// No key or password was accepted, or the key could not be read.
    Denied,
    /// It was there, and went away.
    Lost,
    /// The server allows no more programs at once on this connection (`MaxSessions`); one of those that run has
    /// to end first. The connection itself is well.
    Full,
    /// An option that cannot be honoured (an unknown `ssh` argument, say).
    Unsupported,
}
