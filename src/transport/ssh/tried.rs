//! What was tried to be let in, for the sentence that says that it was all in vain.

use std::path::Path;

use russh::keys::{Algorithm, PublicKey};
use russh::{MethodKind, MethodSet};

use super::super::{TransportError, TransportErrorKind};
use super::authenticate::Credentials;
use super::failure::Peer;
use super::identity::Problem;

#[derive(Default)]
pub(super) struct Tried {
    steps: Vec<String>,
    /// A way out of the first problem that has one.
    help: Option<String>,
}

impl Tried {
    pub(super) fn key(&mut self, path: &Path, key: &PublicKey) {
        self.steps.push(format!("key {} ({})", path.display(), kind(key)));
    }

    pub(super) fn key_of_agent(&mut self, path: &Path, key: &PublicKey) {
        self.steps
            .push(format!("key {} ({}, from the agent)", path.display(), kind(key)));
    }

    pub(super) fn agent(&mut self, keys: usize, problem: Option<&str>) {
        match (keys, problem) {
            (0, Some(problem)) => self.steps.push(format!("agent ({problem})")),
            (0, None) => {}
            (1, _) => self.steps.push("agent: 1 key".to_owned()),
            (count, _) => self.steps.push(format!("agent: {count} keys")),
        }
    }

    pub(super) fn certificate(&mut self, path: &Path) {
        self.steps.push(format!("certificate {}", path.display()));
    }

    pub(super) fn method(&mut self, name: &str) {
        self.steps.push(name.to_owned());
    }

    pub(super) fn pass_over(&mut self, path: &Path, problem: Problem) {
        self.steps.push(format!(
            "key {} (not offered: {})",
            path.display(),
            problem.describe()
        ));
        if self.help.is_none() {
            self.help = problem.help(path);
        }
    }

    /// `why`: what the server said when it ended the session.
    pub(super) fn denied(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        allowed: Option<&MethodSet>,
        why: Option<&str>,
    ) -> TransportError {
        let user = &credentials.user;
        let mut message = if self.steps.is_empty() {
            format!("there is no key and no password for user {user} of {peer}")
        } else {
            let tried = self.steps.join(", ");
            format!("{peer} did not let user {user} in; tried: {tried}")
        };
        if let Some(why) = why {
            message = format!("{message}; {why}");
        }
        let help = self.help.clone().or_else(|| self.advice(credentials, allowed));
        let error = TransportError::new(TransportErrorKind::Denied, message);
        match help {
            Some(help) => error.with_help(help),
            None => error,
        }
    }

    fn advice(&self, credentials: &Credentials, allowed: Option<&MethodSet>) -> Option<String> {
        if self.steps.is_empty() {
            return Some(
                "name a key with ansible_ssh_private_key_file, or put one into the agent".to_owned(),
            );
        }
        let allowed = allowed?;
        let wants_password = credentials.password.is_none()
            && !allowed.contains(&MethodKind::PublicKey)
            && (allowed.contains(&MethodKind::Password)
                || allowed.contains(&MethodKind::KeyboardInteractive));
        if wants_password {
            return Some("the server takes passwords only: ansible_password, or --ask-pass".to_owned());
        }
        credentials.password.is_none().then(|| {
            "is one of these keys in ~/.ssh/authorized_keys of that user there? ansible_user names another user, \
             ansible_ssh_private_key_file another key"
                .to_owned()
        })
    }
}

/// `ed25519`, `ecdsa`, `rsa`: as the files are called.
fn kind(key: &PublicKey) -> &'static str {
    match key.algorithm() {
        Algorithm::Ed25519 => "ed25519",
        Algorithm::Ecdsa { .. } => "ecdsa",
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => "security key",
        _ => "another kind",
    }
}
