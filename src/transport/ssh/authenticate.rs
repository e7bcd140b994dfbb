//! Proving who we are: the keys that are named, the agent's, the default ones, then the password.
//!
//! Each key that is refused costs a round trip and the 5–9 ms for which sshd delays every refusal, and counts
//! towards its `MaxAuthTries`; so those that somebody has named come first, and none is offered twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind, MethodSet};

use super::super::{TransportError, TransportErrorKind};
use super::failure::{Peer, lost};
use super::identity::{Agent, KeyFile, KeyFiles, KeySigner, Problem, certificate_beside};
use super::options::Methods;
use super::verify::{Ending, Verifier};

/// What may be offered.
pub(super) struct Credentials {
    pub(super) user: String,
    /// By `ansible_ssh_private_key_file`, `-i` or `IdentityFile`.
    pub(super) named: Vec<PathBuf>,
    /// Where keys are looked for unasked.
    pub(super) default: Vec<PathBuf>,
    /// `CertificateFile`.
    pub(super) certificates: Vec<PathBuf>,
    pub(super) agent: Option<PathBuf>,
    /// `IdentitiesOnly`: of the agent's keys only those named.
    pub(super) named_only: bool,
    pub(super) password: Option<String>,
    pub(super) methods: Methods,
}

/// Leads `handle` to an authenticated session.
pub(super) async fn authenticate(
    handle: &mut Handle<Verifier>,
    credentials: &Credentials,
    files: &KeyFiles,
    peer: &Peer,
    ending: &Ending,
) -> Result<(), TransportError> {
    let mut attempt = Attempt {
        handle,
        user: &credentials.user,
        agent: Agent::new(credentials.agent.clone()),
        offered: Vec::new(),
        tried: Vec::new(),
        help: None,
        server_allows: None,
        rsa_hash: None,
    };
    if attempt.run(credentials, files).await.is_break() {
        return Ok(());
    }
    Err(attempt.denied(peer, credentials, ending))
}

/// `Break` is success: nothing further is tried.
type Flow = std::ops::ControlFlow<()>;

struct Attempt<'a> {
    handle: &'a mut Handle<Verifier>,
    user: &'a str,
    agent: Agent,
    /// Certificates aside, a key is offered once.
    offered: Vec<KeyData>,
    /// For the message.
    tried: Vec<String>,
    help: Option<String>,
    server_allows: Option<MethodSet>,
    /// Asked of the server when the first RSA key comes up.
    rsa_hash: Option<HashAlg>,
}

impl Attempt<'_> {
    async fn run(&mut self, credentials: &Credentials, files: &KeyFiles) -> Flow {
        if credentials.methods.public_key {
            self.offer_keys(credentials, files).await?;
        }
        let Some(password) = &credentials.password else {
            return Flow::Continue(());
        };
        if credentials.methods.password && self.may(MethodKind::Password) {
            self.offer_password(password).await?;
        }
        if credentials.methods.keyboard_interactive && self.may(MethodKind::KeyboardInteractive) {
            self.answer_questions(password).await?;
        }
        Flow::Continue(())
    }

    async fn offer_keys(&mut self, credentials: &Credentials, files: &KeyFiles) -> Flow {
        for path in &credentials.named {
            self.offer_file(path, files, &credentials.certificates, true)
                .await?;
        }
        if !credentials.named_only {
            self.offer_agent().await?;
            for path in &credentials.default {
                self.offer_file(path, files, &credentials.certificates, false)
                    .await?;
            }
        }
        Flow::Continue(())
    }

    async fn offer_file(
        &mut self,
        path: &Path,
        files: &KeyFiles,
        certificates: &[PathBuf],
        named: bool,
    ) -> Flow {
        if !self.may(MethodKind::PublicKey) {
            return Flow::Continue(());
        }
        match files.load(path) {
            KeyFile::Key(key) => self.offer_key(path, &key, certificates).await,
            KeyFile::Locked { public, problem } => self.offer_locked(path, &public, problem, named).await,
            KeyFile::Unusable(Problem::Missing) if !named => Flow::Continue(()),
            KeyFile::Unusable(problem) => {
                self.pass_over(path, problem);
                Flow::Continue(())
            }
        }
    }

    /// The certificates for the key, then the key.
    async fn offer_key(&mut self, path: &Path, key: &Arc<PrivateKey>, certificates: &[PathBuf]) -> Flow {
        if self.was_offered(key.public_key()) {
            return Flow::Continue(());
        }
        for (path, certificate) in certificates_for(path, key.public_key(), certificates) {
            self.offer_certificate(&path, certificate, Arc::clone(key))
                .await?;
        }
        if !self.may(MethodKind::PublicKey) {
            return Flow::Continue(());
        }
        self.tried
            .push(format!("key {} ({})", path.display(), kind(key.public_key())));
        let hash = self.hash_for(key.public_key()).await;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        let result = self.handle.authenticate_publickey(self.user, key).await;
        self.judge(result.ok())
    }

    async fn offer_certificate(
        &mut self,
        path: &Path,
        certificate: Certificate,
        key: Arc<PrivateKey>,
    ) -> Flow {
        if !self.may(MethodKind::PublicKey) {
            return Flow::Continue(());
        }
        self.tried.push(format!("certificate {}", path.display()));
        let hash = self.hash_for(key.public_key()).await;
        let result = self
            .handle
            .authenticate_certificate_with(self.user, certificate, hash, &mut KeySigner(key))
            .await;
        self.judge(result.ok())
    }

    /// A key whose private half we cannot read, by means of the agent.
    async fn offer_locked(&mut self, path: &Path, public: &PublicKey, problem: Problem, named: bool) -> Flow {
        let identities = self.identities().await;
        let held = identities.into_iter().find(|identity| {
            matches!(identity, AgentIdentity::PublicKey { .. })
                && identity.public_key().key_data() == public.key_data()
        });
        let Some(identity) = held else {
            if named || problem == Problem::Encrypted {
                self.pass_over(path, problem);
            }
            return Flow::Continue(());
        };
        if self.was_offered(public) {
            return Flow::Continue(());
        }
        self.tried.push(format!(
            "key {} ({}, from the agent)",
            path.display(),
            kind(public)
        ));
        self.offer_identity(identity).await
    }

    async fn offer_agent(&mut self) -> Flow {
        let mut offered = 0;
        let mut flow = Flow::Continue(());
        for identity in self.identities().await {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            let plain = matches!(identity, AgentIdentity::PublicKey { .. });
            if plain && self.was_offered(&identity.public_key()) {
                continue;
            }
            offered += 1;
            flow = self.offer_identity(identity).await;
            if flow.is_break() {
                break;
            }
        }
        match (offered, self.agent.problem()) {
            (0, Some(problem)) => self.tried.push(format!("agent ({problem})")),
            (0, None) => {}
            (1, _) => self.tried.push("agent: 1 key".to_owned()),
            (count, _) => self.tried.push(format!("agent: {count} keys")),
        }
        flow
    }

    async fn offer_identity(&mut self, identity: AgentIdentity) -> Flow {
        let hash = self.hash_for(&identity.public_key()).await;
        let Some(agent) = self.agent.client() else {
            return Flow::Continue(());
        };
        let result: Result<AuthResult, AgentAuthError> = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle
                    .authenticate_publickey_with(self.user, key, hash, agent)
                    .await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle
                    .authenticate_certificate_with(self.user, certificate, hash, agent)
                    .await
            }
        };
        self.judge(result.ok())
    }

    async fn identities(&mut self) -> Vec<AgentIdentity> {
        let binding = self.handle.agent_session_binding();
        self.agent.identities(binding).await
    }

    async fn offer_password(&mut self, password: &str) -> Flow {
        self.tried.push("password".to_owned());
        let result = self.handle.authenticate_password(self.user, password).await;
        self.judge(result.ok())
    }

    /// Answers every hidden question with the password; a second round of them means that it was wrong.
    async fn answer_questions(&mut self, password: &str) -> Flow {
        self.tried.push("keyboard-interactive".to_owned());
        let mut reply = self
            .handle
            .authenticate_keyboard_interactive_start(self.user, None)
            .await;
        let mut answered = false;
        loop {
            match reply {
                Ok(KeyboardInteractiveAuthResponse::Success) => return Flow::Break(()),
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => {
                    if answered && !prompts.is_empty() {
                        return Flow::Continue(());
                    }
                    answered = answered || !prompts.is_empty();
                    let answers = answers(&prompts, password);
                    reply = self
                        .handle
                        .authenticate_keyboard_interactive_respond(answers)
                        .await;
                }
                Ok(KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods, ..
                }) => {
                    self.server_allows = Some(remaining_methods);
                    return Flow::Continue(());
                }
                Err(_) => return Flow::Continue(()),
            }
        }
    }

    /// What the server's answer means for what comes next. No answer: the session has ended, or the agent would
    /// not sign.
    fn judge(&mut self, result: Option<AuthResult>) -> Flow {
        match result {
            Some(AuthResult::Success) => Flow::Break(()),
            Some(AuthResult::Failure {
                remaining_methods, ..
            }) => {
                self.server_allows = Some(remaining_methods);
                Flow::Continue(())
            }
            None => Flow::Continue(()),
        }
    }

    /// Before the first answer it is not known what the server allows: asking would cost a round trip.
    fn may(&self, method: MethodKind) -> bool {
        !self.handle.is_closed()
            && self
                .server_allows
                .as_ref()
                .is_none_or(|allowed| allowed.contains(&method))
    }

    fn was_offered(&mut self, key: &PublicKey) -> bool {
        let data = key.key_data();
        if self.offered.contains(data) {
            return true;
        }
        self.offered.push(data.clone());
        false
    }

    fn pass_over(&mut self, path: &Path, problem: Problem) {
        self.tried.push(format!(
            "key {} (not offered: {})",
            path.display(),
            problem.describe()
        ));
        if self.help.is_none() {
            self.help = problem.help(path);
        }
    }

    /// SHA-1 signatures are refused everywhere by now; which of the others the server takes, it says by itself.
    async fn hash_for(&mut self, key: &PublicKey) -> Option<HashAlg> {
        if !key.algorithm().is_rsa() {
            return None;
        }
        if self.rsa_hash.is_none() {
            let best = self.handle.best_supported_rsa_hash().await;
            // A server that says nothing is an old one: SHA-512 is as likely as any.
            self.rsa_hash = best.ok().flatten().flatten().or(Some(HashAlg::Sha512));
        }
        self.rsa_hash
    }

    fn denied(&self, peer: &Peer, credentials: &Credentials, ending: &Ending) -> TransportError {
        let user = self.user;
        if self.handle.is_closed() && self.server_allows.is_none() {
            return lost(peer, ending.why().as_deref());
        }
        let mut message = if self.tried.is_empty() {
            format!("there is no key and no password for user {user} of {peer}")
        } else {
            let tried = self.tried.join(", ");
            format!("{peer} let user {user} not in; tried: {tried}")
        };
        if let Some(why) = ending.why() {
            message = format!("{message}; {why}");
        }
        let help = self.help.clone().or_else(|| self.advice(credentials));
        let error = TransportError::new(TransportErrorKind::Denied, message);
        match help {
            Some(help) => error.with_help(help),
            None => error,
        }
    }

    fn advice(&self, credentials: &Credentials) -> Option<String> {
        if self.tried.is_empty() {
            return Some(
                "name a key with ansible_ssh_private_key_file, or put one into the agent".to_owned(),
            );
        }
        let allowed = self.server_allows.as_ref()?;
        let wants_password = credentials.password.is_none()
            && !allowed.contains(&MethodKind::PublicKey)
            && (allowed.contains(&MethodKind::Password)
                || allowed.contains(&MethodKind::KeyboardInteractive));
        wants_password.then(|| "the server takes passwords only: ansible_password, or --ask-pass".to_owned())
    }
}

/// The file beside the key, and those of `CertificateFile` that are made out for it.
fn certificates_for(path: &Path, key: &PublicKey, named: &[PathBuf]) -> Vec<(PathBuf, Certificate)> {
    let mut found: Vec<_> = named
        .iter()
        .filter_map(|path| {
            let certificate = russh::keys::load_openssh_certificate(path).ok()?;
            Some((path.clone(), certificate))
        })
        .collect();
    found.extend(certificate_beside(path));
    found.retain(|(_, certificate)| certificate.public_key() == key.key_data());
    found.dedup_by(|one, other| one.1 == other.1);
    found
}

fn answers(prompts: &[Prompt], password: &str) -> Vec<String> {
    prompts
        .iter()
        .map(|prompt| {
            if prompt.echo {
                String::new()
            } else {
                password.to_owned()
            }
        })
        .collect()
}

/// `ed25519`, `ecdsa`, `rsa`: as the files are called.
fn kind(key: &PublicKey) -> &'static str {
    use russh::keys::Algorithm;
    match key.algorithm() {
        Algorithm::Ed25519 => "ed25519",
        Algorithm::Ecdsa { .. } => "ecdsa",
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => "security key",
        _ => "another kind",
    }
}
