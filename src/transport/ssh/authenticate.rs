//! Proving who we are: the keys that are named, the agent's, the default ones, then the password.
//!
//! Each key that is refused costs a round trip and the 5–9 ms for which sshd delays every refusal, and counts
//! towards its `MaxAuthTries`; so those that somebody has named come first, and none is offered twice.

use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind, MethodSet};

use super::Setback;
use super::failure::{Peer, lost};
use super::identity::{Agent, KeyFile, KeySigner, Probe, Problem, certificates_for};
use super::options::Methods;
use super::passphrase::KeyFiles;
use super::tried::Tried;
use super::verify::{Ending, Verifier};

/// What may be offered.
pub(super) struct Credentials {
    pub(super) user: String,
    /// By `ansible_ssh_private_key_file`, `-i` or `IdentityFile`.
    pub(super) named: Vec<PathBuf>,
    /// Where keys are looked for unasked.
    pub(super) default: Vec<PathBuf>,
    /// `ansible_ssh_private_key_passphrase`, for every key that is locked.
    pub(super) passphrase: Option<String>,
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
) -> Result<(), Setback> {
    let mut attempt = Attempt {
        handle,
        credentials,
        files,
        agent: Agent::new(credentials.agent.clone()),
        offered: Vec::new(),
        locked: Vec::new(),
        tried: Tried::default(),
        server_allows: None,
        rsa_hash: None,
    };
    match attempt.run().await {
        Break(End::In) => Ok(()),
        Break(End::Locked(path)) => Err(Setback::Locked(path)),
        Continue(()) => Err(attempt.denied(peer, ending)),
    }
}

/// After a `Break` nothing further is tried.
type Flow = std::ops::ControlFlow<End>;

enum End {
    In,
    /// The server would take the key of this file, whose passphrase the person has to be asked for.
    Locked(PathBuf),
}

struct Attempt<'a> {
    handle: &'a mut Handle<Verifier>,
    credentials: &'a Credentials,
    files: &'a KeyFiles,
    agent: Agent,
    /// Certificates aside, a key is offered once.
    offered: Vec<KeyData>,
    /// Keys that a passphrase would open: for when nothing else helps.
    locked: Vec<(PathBuf, Option<PublicKey>)>,
    tried: Tried,
    server_allows: Option<MethodSet>,
    /// Asked of the server when the first RSA key comes up.
    rsa_hash: Option<HashAlg>,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Flow {
        let methods = self.credentials.methods;
        if methods.public_key {
            self.offer_keys().await?;
            self.offer_locked().await?;
        }
        let Some(password) = &self.credentials.password else {
            return Continue(());
        };
        if methods.password && self.may(MethodKind::Password) {
            self.offer_password(password).await?;
        }
        // A server that goes on taking passwords has judged this one; a second time would only count against us.
        let judged = methods.password && self.lists(MethodKind::Password);
        if methods.keyboard_interactive && !judged && self.may(MethodKind::KeyboardInteractive) {
            self.answer_questions(password).await?;
        }
        Continue(())
    }

    async fn offer_keys(&mut self) -> Flow {
        let credentials = self.credentials;
        for path in &credentials.named {
            self.offer_file(path, true).await?;
        }
        if !credentials.named_only {
            self.offer_agent().await?;
            for path in &credentials.default {
                self.offer_file(path, false).await?;
            }
        }
        Continue(())
    }

    async fn offer_file(&mut self, path: &Path, named: bool) -> Flow {
        if !self.may(MethodKind::PublicKey) {
            return Continue(());
        }
        match self.files.load(path, self.credentials.passphrase.as_deref()) {
            KeyFile::Key(key) => self.offer_key(path, &key).await,
            KeyFile::Locked { public, problem } => self.offer_by_agent(path, public, problem, named).await,
            KeyFile::Unusable(Problem::Missing) if !named => Continue(()),
            KeyFile::Unusable(problem) => {
                self.tried.pass_over(path, problem);
                Continue(())
            }
        }
    }

    /// The certificates for the key, then the key.
    async fn offer_key(&mut self, path: &Path, key: &Arc<PrivateKey>) -> Flow {
        if self.was_offered(key.public_key()) {
            return Continue(());
        }
        for (path, certificate) in certificates_for(path, key.public_key(), &self.credentials.certificates) {
            self.offer_certificate(&path, certificate, Arc::clone(key))
                .await?;
        }
        if !self.may(MethodKind::PublicKey) {
            return Continue(());
        }
        self.tried.key(path, key.public_key());
        let hash = self.hash_for(key.public_key()).await;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        let result = self
            .handle
            .authenticate_publickey(&self.credentials.user, key)
            .await;
        self.judge(result.ok())
    }

    async fn offer_certificate(
        &mut self,
        path: &Path,
        certificate: Certificate,
        key: Arc<PrivateKey>,
    ) -> Flow {
        if !self.may(MethodKind::PublicKey) {
            return Continue(());
        }
        self.tried.certificate(path);
        let hash = self.hash_for(key.public_key()).await;
        let result = self
            .handle
            .authenticate_certificate_with(&self.credentials.user, certificate, hash, &mut KeySigner(key))
            .await;
        self.judge(result.ok())
    }

    /// A key whose private half we cannot read, by means of the agent.
    async fn offer_by_agent(
        &mut self,
        path: &Path,
        public: Option<PublicKey>,
        problem: Problem,
        named: bool,
    ) -> Flow {
        if let Some(public) = &public
            && let Some(identity) = self.held_by_agent(public).await
        {
            if self.was_offered(public) {
                return Continue(());
            }
            self.tried.key_of_agent(path, public);
            return self.offer_identity(identity).await;
        }
        if self.files.may_open(problem) {
            self.locked.push((path.to_path_buf(), public));
        } else if named || problem != Problem::Public {
            self.tried.pass_over(path, problem);
        }
        Continue(())
    }

    async fn held_by_agent(&mut self, public: &PublicKey) -> Option<AgentIdentity> {
        self.identities().await.into_iter().find(|identity| {
            matches!(identity, AgentIdentity::PublicKey { .. })
                && identity.public_key().key_data() == public.key_data()
        })
    }

    /// A passphrase is asked for only if the server would take the key, as in ssh.
    async fn offer_locked(&mut self) -> Flow {
        for (path, public) in std::mem::take(&mut self.locked) {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            // What key it is shows only when it is open.
            let Some(public) = public else {
                return Break(End::Locked(path));
            };
            if self.was_offered(&public) {
                continue;
            }
            if self.would_take(&path, &public).await {
                return Break(End::Locked(path));
            }
            self.tried.key(&path, &public);
        }
        Continue(())
    }

    async fn would_take(&mut self, path: &Path, public: &PublicKey) -> bool {
        let hash = self.hash_for(public).await;
        let mut probe = Probe::default();
        let user = &self.credentials.user;
        for (_, certificate) in certificates_for(path, public, &self.credentials.certificates) {
            let result = self
                .handle
                .authenticate_certificate_with(user, certificate, hash, &mut probe)
                .await;
            if probe.accepted {
                return true;
            }
            let _ = self.judge(result.ok());
        }
        if !self.may(MethodKind::PublicKey) {
            return false;
        }
        let result = self
            .handle
            .authenticate_publickey_with(user, public.clone(), hash, &mut probe)
            .await;
        if !probe.accepted {
            let _ = self.judge(result.ok());
        }
        probe.accepted
    }

    async fn offer_agent(&mut self) -> Flow {
        let mut offered = 0;
        let mut flow = Continue(());
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
        self.tried.agent(offered, self.agent.problem());
        flow
    }

    async fn offer_identity(&mut self, identity: AgentIdentity) -> Flow {
        let hash = self.hash_for(&identity.public_key()).await;
        let Some(agent) = self.agent.client() else {
            return Continue(());
        };
        let result: Result<AuthResult, AgentAuthError> = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle
                    .authenticate_publickey_with(&self.credentials.user, key, hash, agent)
                    .await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle
                    .authenticate_certificate_with(&self.credentials.user, certificate, hash, agent)
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
        self.tried.method("password");
        let result = self
            .handle
            .authenticate_password(&self.credentials.user, password)
            .await;
        self.judge(result.ok())
    }

    /// Answers every hidden question with the password; a second round of them means that it was wrong.
    async fn answer_questions(&mut self, password: &str) -> Flow {
        self.tried.method("keyboard-interactive");
        let mut reply = self
            .handle
            .authenticate_keyboard_interactive_start(&self.credentials.user, None)
            .await;
        let mut answered = false;
        loop {
            match reply {
                Ok(KeyboardInteractiveAuthResponse::Success) => return Break(End::In),
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => {
                    if answered && !prompts.is_empty() {
                        return Continue(());
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
                    return Continue(());
                }
                Err(_) => return Continue(()),
            }
        }
    }

    /// What the server's answer means for what comes next. No answer: the session has ended, or the agent would
    /// not sign.
    fn judge(&mut self, result: Option<AuthResult>) -> Flow {
        match result {
            Some(AuthResult::Success) => Break(End::In),
            Some(AuthResult::Failure {
                remaining_methods, ..
            }) => {
                self.server_allows = Some(remaining_methods);
                Continue(())
            }
            None => Continue(()),
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

    /// Whether the server has said that it allows this.
    fn lists(&self, method: MethodKind) -> bool {
        self.server_allows
            .as_ref()
            .is_some_and(|allowed| allowed.contains(&method))
    }

    fn was_offered(&mut self, key: &PublicKey) -> bool {
        let data = key.key_data();
        if self.offered.contains(data) {
            return true;
        }
        self.offered.push(data.clone());
        false
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

    fn denied(&self, peer: &Peer, ending: &Ending) -> Setback {
        let why = ending.why();
        if self.handle.is_closed() && self.server_allows.is_none() {
            return lost(peer, why.as_deref()).into();
        }
        self.tried
            .denied(
                peer,
                self.credentials,
                self.server_allows.as_ref(),
                why.as_deref(),
            )
            .into()
    }
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
