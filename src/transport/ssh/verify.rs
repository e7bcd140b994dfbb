//! Whether the machine that answers is the one that is meant.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{DisconnectReason, Handler};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use tokio::sync::Notify;

use super::super::{TransportError, TransportErrorKind};
use super::failure::{Peer, plain};
use super::known_hosts::{self, KnownKeys, Verdict};
use super::options::Strictness;

/// Hears what the session has to say, above all the host's key.
pub(super) struct Verifier {
    pub(super) peer: Peer,
    pub(super) known: KnownKeys,
    pub(super) strictness: Strictness,
    /// Where a new key is written down, if anywhere.
    pub(super) record: Option<Record>,
    pub(super) ending: Ending,
    pub(super) notices: Notices,
}

#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) file: PathBuf,
    pub(super) hashed: bool,
}

/// That the session has ended, and what it said then.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    why: Arc<Mutex<Option<String>>>,
    over: Arc<Notify>,
}

impl Ending {
    pub(super) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the last byte has been sent.
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }

    fn set(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// What the user should be told, once each.
#[derive(Debug, Clone, Default)]
pub(super) struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    pub(super) fn add(&self, notice: String) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    HostKey(TransportError),
    Session(russh::Error),
}

impl From<russh::Error> for Refusal {
    fn from(error: russh::Error) -> Self {
        Self::Session(error)
    }
}

impl Handler for Verifier {
    type Error = Refusal;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Refusal> {
        self.decide(shown).map_err(Refusal::HostKey)?;
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Refusal>) -> Result<(), Refusal> {
        // Kept for who begins to wait later.
        self.ending.over.notify_one();
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.ending.set(format!("the server said: {}", info.message));
                Ok(())
            }
            DisconnectReason::Error(Refusal::Session(russh::Error::KeepaliveTimeout)) => {
                self.ending.set("it no longer answers".to_owned());
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

impl Verifier {
    fn decide(&self, shown: &PublicKeyOrCertificate) -> Result<(), TransportError> {
        let key = shown.public_key();
        match (self.known.judge(shown), self.strictness) {
            (Verdict::Trusted, _) | (Verdict::Unknown { .. }, Strictness::Accept) => Ok(()),
            (Verdict::Revoked { place }, _) => Err(self.revoked(&key, &place.to_string())),
            (Verdict::Changed { place, known }, _) => Err(self.changed(&key, &place.to_string(), &known)),
            (Verdict::Unknown { note }, Strictness::Refuse) => Err(self.unknown(&key, note.as_deref())),
            (Verdict::Unknown { .. }, Strictness::AcceptNew) => {
                self.write_down(&key);
                Ok(())
            }
        }
    }

    /// A key that cannot be written down is unknown again next time; that is no reason to stop now.
    fn write_down(&self, key: &PublicKey) {
        let Some(record) = &self.record else { return };
        let name = self.known.name();
        let written = known_hosts::append(&record.file, name, key, record.hashed);
        let file = record.file.display();
        self.notices.add(match written {
            Ok(()) => format!(
                "the host key of {} was added to {file}: {}",
                self.peer,
                known_hosts::describe(key)
            ),
            Err(error) => format!(
                "the host key of {} could not be added to {file}: {}",
                self.peer,
                plain(&error)
            ),
        });
    }

    fn unknown(&self, key: &PublicKey, note: Option<&str>) -> TransportError {
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        TransportError::new(
            TransportErrorKind::UnknownHostKey,
            format!(
                "the host key of {} is not known: {}{note}",
                self.peer,
                known_hosts::describe(key)
            ),
        )
        .with_help(format!(
            "if that is its fingerprint: ssh-keyscan -p {} {} >> ~/.ssh/known_hosts; or do without the check: host_key_checking = False in ansible.cfg",
            self.peer.port, self.peer.host
        ))
    }

    fn changed(&self, key: &PublicKey, place: &str, known: &str) -> TransportError {
        TransportError::new(
            TransportErrorKind::ChangedHostKey,
            format!(
                "the host key of {} has changed: it shows {}, {place} has {known}",
                self.peer,
                known_hosts::describe(key)
            ),
        )
        .with_help(format!(
            "either the machine was set up anew, or somebody stands between; if you know that it was set up anew: ssh-keygen -R '{}' -f {}",
            self.known.name(),
            place.rsplit_once(':').map_or(place, |(file, _)| file)
        ))
    }

    fn revoked(&self, key: &PublicKey, place: &str) -> TransportError {
        TransportError::new(
            TransportErrorKind::RevokedHostKey,
            format!(
                "the host key of {} is revoked at {place}: {}",
                self.peer,
                known_hosts::describe(key)
            ),
        )
    }
}
