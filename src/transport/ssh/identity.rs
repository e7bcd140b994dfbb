//! The keys that we may show: what a file holds, certificates beside it, the agent.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{self, Certificate, HashAlg, PrivateKey, PublicKey};
use russh::{AgentAuthError, Signer};
use tokio::net::UnixStream;

use super::failure::plain;

/// What a key file turned out to be.
#[derive(Debug, Clone)]
pub(super) enum KeyFile {
    Key(Arc<PrivateKey>),
    /// Its private half cannot be read: the agent may hold it. `None`: neither can its public half.
    Locked {
        public: Option<PublicKey>,
        problem: Problem,
    },
    Unusable(Problem),
}

/// Why a key file is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Missing,
    Unreadable,
    /// The permission bits.
    TooOpen(u32),
    /// A passphrase would open it, and nobody has said it.
    Encrypted,
    /// The person was asked for the passphrase, and gave none that opens it.
    NotOpened,
    /// The variable's passphrase does not open it.
    WrongPassphrase,
    /// Not even a passphrase would open it here.
    UnknownCipher,
    /// It is a public key.
    Public,
    NoKey,
}

impl Problem {
    pub(super) fn describe(self) -> String {
        match self {
            Self::Missing => "there is no such file".to_owned(),
            Self::Unreadable => "it cannot be read".to_owned(),
            Self::TooOpen(mode) => format!("others may read it, its mode is {mode:04o}"),
            Self::Encrypted => "it is encrypted and not in the agent".to_owned(),
            Self::NotOpened => "it is encrypted, and no passphrase was given that opens it".to_owned(),
            Self::WrongPassphrase => {
                "it is encrypted, and ansible_ssh_private_key_passphrase does not open it".to_owned()
            }
            Self::UnknownCipher => "it is encrypted in a way that is not known here".to_owned(),
            Self::Public => "it is a public key whose private one is not in the agent".to_owned(),
            Self::NoKey => "it is no private key".to_owned(),
        }
    }

    pub(super) fn help(self, path: &Path) -> Option<String> {
        let path = path.display();
        match self {
            Self::Missing | Self::Unreadable | Self::NoKey => None,
            Self::TooOpen(_) => Some(format!("chmod 600 {path}")),
            Self::Encrypted => Some(format!(
                "put the key into the agent: ssh-add {path}; or name its passphrase in ansible_ssh_private_key_passphrase; at a terminal, without --json, it is asked for"
            )),
            Self::NotOpened | Self::WrongPassphrase => {
                Some(format!("put the key into the agent: ssh-add {path}"))
            }
            Self::UnknownCipher => Some(format!(
                "ssh-keygen -p -f {path} writes it anew as OpenSSH does today"
            )),
            Self::Public => Some("name the private key, or put it into the agent".to_owned()),
        }
    }
}

/// Reads a key file; an encrypted one is opened by the passphrase.
pub(super) fn load(path: &Path, passphrase: Option<&str>) -> KeyFile {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return KeyFile::Unusable(match error.kind() {
                std::io::ErrorKind::NotFound => Problem::Missing,
                std::io::ErrorKind::InvalidData => Problem::NoKey,
                _ => Problem::Unreadable,
            });
        }
    };
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        return KeyFile::Locked {
            public: Some(public),
            problem: Problem::Public,
        };
    }
    if let Some(mode) = too_open(path) {
        return KeyFile::Unusable(Problem::TooOpen(mode));
    }
    match keys::decode_secret_key(&text, None) {
        Ok(key) if !key.is_encrypted() => KeyFile::Key(Arc::new(key)),
        Ok(_) | Err(keys::Error::KeyIsEncrypted) => open(path, &text, passphrase),
        // PKCS#8, of which russh says only that it is no key.
        Err(_) if text.contains("BEGIN ENCRYPTED PRIVATE KEY") => open(path, &text, passphrase),
        Err(_) if text.contains("Proc-Type: 4,ENCRYPTED") => locked(path, &text, Problem::UnknownCipher),
        Err(_) => KeyFile::Unusable(Problem::NoKey),
    }
}

fn open(path: &Path, text: &str, passphrase: Option<&str>) -> KeyFile {
    let Some(passphrase) = passphrase else {
        return locked(path, text, Problem::Encrypted);
    };
    match keys::decode_secret_key(text, Some(passphrase)) {
        Ok(key) => KeyFile::Key(Arc::new(key)),
        // A wrong passphrase and a file that is damaged look alike.
        Err(_) => locked(path, text, Problem::WrongPassphrase),
    }
}

/// The public half stands unencrypted in the file, or in the `.pub` beside it.
fn locked(path: &Path, text: &str, problem: Problem) -> KeyFile {
    let public = PrivateKey::from_openssh(text)
        .map(|key| key.public_key().clone())
        .or_else(|_| keys::load_public_key(beside(path, ".pub")))
        .ok();
    KeyFile::Locked { public, problem }
}

/// As ssh has it: a key of ours that others may read is refused, a key of somebody else is their business.
fn too_open(path: &Path) -> Option<u32> {
    let found = fs::metadata(path).ok()?;
    let me = fs::metadata("/proc/self").ok()?.uid();
    let mode = found.mode() & 0o7777;
    (found.uid() == me && mode & 0o077 != 0).then_some(mode)
}

/// The file beside the key, and those of `CertificateFile` that are made out for it.
pub(super) fn certificates_for(
    path: &Path,
    key: &PublicKey,
    named: &[PathBuf],
) -> Vec<(PathBuf, Certificate)> {
    let mut found: Vec<_> = named
        .iter()
        .filter_map(|path| {
            let certificate = keys::load_openssh_certificate(path).ok()?;
            Some((path.clone(), certificate))
        })
        .collect();
    found.extend(certificate_beside(path));
    found.retain(|(_, certificate)| certificate.public_key() == key.key_data());
    found.dedup_by(|one, other| one.1 == other.1);
    found
}

fn certificate_beside(path: &Path) -> Option<(PathBuf, Certificate)> {
    let path = beside(path, "-cert.pub");
    let certificate = keys::load_openssh_certificate(&path).ok()?;
    Some((path, certificate))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

/// Signs for a certificate with the key of a file; russh would sign with SHA-1 for RSA.
pub(super) struct KeySigner(pub(super) Arc<PrivateKey>);

impl Signer for KeySigner {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&data),
            pair => pair.try_sign(&data),
        }
        .map_err(|_| keys::Error::InvalidSignature)?;
        signature.encode_prefixed(&mut data).map_err(keys::Error::from)?;
        Ok(data)
    }
}

/// Finds out whether the server would take a key whose private half is locked: it is asked to sign only then.
#[derive(Default)]
pub(super) struct Probe {
    pub(super) accepted: bool,
}

impl Signer for Probe {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        _: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        self.accepted = true;
        Err(keys::Error::KeyIsEncrypted.into())
    }
}

/// The agent, asked when a key of it is needed first.
pub(super) struct Agent {
    socket: Option<PathBuf>,
    state: AgentState,
}

enum AgentState {
    NotAsked,
    Open(AgentClient<UnixStream>, Vec<AgentIdentity>),
    /// Why not; `None` where there is none.
    Closed(Option<String>),
}

impl Agent {
    pub(super) fn new(socket: Option<PathBuf>) -> Self {
        Self {
            socket,
            state: AgentState::NotAsked,
        }
    }

    pub(super) fn problem(&self) -> Option<&str> {
        match &self.state {
            AgentState::Closed(problem) => problem.as_deref(),
            AgentState::NotAsked | AgentState::Open(..) => None,
        }
    }

    /// The keys, certificates too. An agent that does not answer has none.
    pub(super) async fn identities(
        &mut self,
        binding: Option<&keys::agent::AgentSessionBinding>,
    ) -> Vec<AgentIdentity> {
        if matches!(self.state, AgentState::NotAsked) {
            self.state = self.open(binding).await;
        }
        match &self.state {
            AgentState::Open(_, identities) => identities.clone(),
            AgentState::NotAsked | AgentState::Closed(_) => Vec::new(),
        }
    }

    pub(super) fn client(&mut self) -> Option<&mut AgentClient<UnixStream>> {
        match &mut self.state {
            AgentState::Open(client, _) => Some(client),
            AgentState::NotAsked | AgentState::Closed(_) => None,
        }
    }

    async fn open(&self, binding: Option<&keys::agent::AgentSessionBinding>) -> AgentState {
        let Some(socket) = &self.socket else {
            return AgentState::Closed(None);
        };
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) => {
                return AgentState::Closed(Some(format!(
                    "no answer at {}: {}",
                    socket.display(),
                    plain(&error)
                )));
            }
        };
        let mut client = AgentClient::connect(stream);
        if let Some(binding) = binding {
            // Keys that are bound to destinations show only after this; agents that know no such keys refuse it.
            let _ = client.bind_session(binding, false).await;
        }
        match client.request_identities().await {
            Ok(identities) => AgentState::Open(client, identities),
            Err(_) => AgentState::Closed(Some(format!("no agent at {}", socket.display()))),
        }
    }
}
