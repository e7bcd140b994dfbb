//! The sentences that say why a machine was not reached, each with its name, address and port.

use std::fmt;
use std::io;
use std::time::Duration;

use super::super::{TransportError, TransportErrorKind};

/// The machine that a message is about.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// As the inventory calls it.
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == self.host {
            return write!(formatter, "{} (port {})", self.name, self.port);
        }
        write!(formatter, "{} ({}, port {})", self.name, self.host, self.port)
    }
}

/// How far the way to a machine had been gone when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Resolve,
    Connect,
    Handshake,
    Authenticate,
}

pub(super) fn timed_out(peer: &Peer, phase: Phase, timeout: Duration) -> TransportError {
    let seconds = timeout.as_secs_f64();
    let message = match phase {
        Phase::Resolve => format!("the address of {peer} was not found within {seconds} s"),
        Phase::Connect => format!("no answer from {peer} within {seconds} s"),
        Phase::Handshake => {
            format!("{peer} took the connection but did not answer as an SSH server within {seconds} s")
        }
        Phase::Authenticate => {
            format!("{peer} did not come to an end of the authentication within {seconds} s")
        }
    };
    let error = TransportError::new(TransportErrorKind::Unreachable, message);
    match phase {
        Phase::Connect => error.with_help(IS_IT_ON),
        _ => error,
    }
}

/// The way out where nobody answers.
const IS_IT_ON: &str = "is the machine on, and is this its address? ansible_host names another";

pub(super) fn not_resolved(peer: &Peer, error: &io::Error) -> TransportError {
    // The resolver's own prefix says nothing that the sentence does not.
    let reason = error.to_string();
    let reason = reason
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&reason);
    TransportError::new(
        TransportErrorKind::Unreachable,
        format!("the name of {peer} has no address: {reason}"),
    )
}

pub(super) fn not_connected(peer: &Peer, error: &io::Error) -> TransportError {
    let (message, help) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            format!("{peer} refused the connection"),
            "does sshd listen there? ansible_port names another port",
        ),
        _ => (format!("could not connect to {peer}: {}", plain(error)), IS_IT_ON),
    };
    TransportError::new(TransportErrorKind::Unreachable, message).with_help(help)
}

/// The handshake failed for another reason than the host key.
pub(super) fn no_handshake(peer: &Peer, error: &russh::Error) -> TransportError {
    use russh::Error;
    match error {
        _ if is_closed(error) => closed_early(peer),
        Error::NoCommonAlgo { kind, theirs, .. } => TransportError::new(
            TransportErrorKind::Unreachable,
            format!(
                "{peer} speaks no {} that is known here, only {}",
                format!("{kind:?}").to_lowercase(),
                theirs.join(", ")
            ),
        ),
        Error::WrongServerSig => TransportError::new(
            TransportErrorKind::Unreachable,
            format!("{peer} did not prove that it holds its host key"),
        ),
        other => TransportError::new(
            TransportErrorKind::Unreachable,
            format!("the SSH handshake with {peer} failed: {other}"),
        ),
    }
}

/// Whether the other side closed the connection without a word.
pub(super) fn is_closed(error: &russh::Error) -> bool {
    match error {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => is_end(error),
        _ => false,
    }
}

pub(super) fn lost(peer: &Peer, why: Option<&str>) -> TransportError {
    let message = match why {
        Some(why) => format!("the connection to {peer} was lost: {why}"),
        None => format!("the connection to {peer} was lost"),
    };
    TransportError::new(TransportErrorKind::Lost, message)
}

/// `error` without the "(os error 13)" that means nothing to most.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text.chars().take(end).collect::<String>().to_lowercase(),
        None => text,
    }
}

fn closed_early(peer: &Peer) -> TransportError {
    TransportError::new(
        TransportErrorKind::Unreachable,
        format!("{peer} closed the connection before the SSH handshake was done"),
    )
    .with_help("sshd does so when too many connections are being opened at once (MaxStartups), after failed logins (PerSourcePenalties), and when it cannot start")
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
