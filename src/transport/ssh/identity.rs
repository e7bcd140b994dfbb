//! The keys that we may show: files, certificates beside them, the agent.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

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
    /// Only its public half can be read: the agent may hold the other.
    Locked {
        public: PublicKey,
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
    Encrypted,
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
            Self::Public => "it is a public key whose private one is not in the agent".to_owned(),
            Self::NoKey => "it is no private key".to_owned(),
        }
    }

    pub(super) fn help(self, path: &Path) -> Option<String> {
        let path = path.display();
        match self {
            Self::Missing | Self::Unreadable | Self::NoKey => None,
            Self::TooOpen(_) => Some(format!("chmod 600 {path}")),
            Self::Encrypted => Some(format!("put the key into the agent: ssh-add {path}")),
            Self::Public => Some("name the private key, or put it into the agent".to_owned()),
        }
    }
}

/// Key files that were read, so that a hundred hosts do not read one a hundred times.
#[derive(Debug, Default)]
pub(super) struct KeyFiles {
    read: Mutex<HashMap<PathBuf, (Option<SystemTime>, KeyFile)>>,
}

impl KeyFiles {
    pub(super) fn load(&self, path: &Path) -> KeyFile {
        let modified = fs::metadata(path).and_then(|found| found.modified()).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, key)) = read.get(path)
            && *then == modified
        {
            return key.clone();
        }
        let key = load(path);
        read.insert(path.to_path_buf(), (modified, key.clone()));
        key
    }
}

fn load(path: &Path) -> KeyFile {
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
            public,
            problem: Problem::Public,
        };
    }
    if let Some(mode) = too_open(path) {
        return KeyFile::Unusable(Problem::TooOpen(mode));
    }
    match keys::decode_secret_key(&text, None) {
        Ok(key) if !key.is_encrypted() => KeyFile::Key(Arc::new(key)),
        Ok(key) => KeyFile::Locked {
            public: key.public_key().clone(),
            problem: Problem::Encrypted,
        },
        Err(keys::Error::KeyIsEncrypted) => locked(path, &text),
        Err(_) => KeyFile::Unusable(Problem::NoKey),
    }
}

/// The public half stands unencrypted in the file, or in the `.pub` beside it.
fn locked(path: &Path, text: &str) -> KeyFile {
    let public = PrivateKey::from_openssh(text)
        .map(|key| key.public_key().clone())
        .or_else(|_| keys::load_public_key(beside(path, ".pub")));
    match public {
        Ok(public) => KeyFile::Locked {
            public,
            problem: Problem::Encrypted,
        },
        Err(_) => KeyFile::Unusable(Problem::Encrypted),
    }
}

/// As ssh has it: a key of ours that others may read is refused, a key of somebody else is their business.
fn too_open(path: &Path) -> Option<u32> {
    let found = fs::metadata(path).ok()?;
    let me = fs::metadata("/proc/self").ok()?.uid();
    let mode = found.mode() & 0o7777;
    (found.uid() == me && mode & 0o077 != 0).then_some(mode)
}

/// The certificate beside a key, if there is one.
pub(super) fn certificate_beside(path: &Path) -> Option<(PathBuf, Certificate)> {
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
