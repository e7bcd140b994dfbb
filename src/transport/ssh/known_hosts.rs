//! `known_hosts`: which keys a host is known by.
//!
//! Read line by line, so that a line nobody understands spoils no other.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::HostPatterns;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::glob;

/// The name under which a host's keys are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownAs {
    /// `host`, or `[host]:port` where the port is not 22.
    name: String,
    /// For a port that is not 22: a key known for the host itself is as good.
    bare: Option<String>,
    /// What a certificate has to be made out to.
    principal: String,
}

impl KnownAs {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let host = host.to_lowercase();
        if port == 22 {
            return Self {
                name: host.clone(),
                bare: None,
                principal: host,
            };
        }
        Self {
            name: format!("[{host}]:{port}"),
            bare: Some(host.clone()),
            principal: host,
        }
    }

    /// `HostKeyAlias` is taken as it is.
    pub(super) fn alias(name: &str) -> Self {
        Self {
            name: name.to_lowercase(),
            bare: None,
            principal: name.to_lowercase(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    file: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    key: PublicKey,
}

/// What the files know about one host.
#[derive(Debug, Clone)]
pub(super) struct KnownKeys {
    known_as: KnownAs,
    keys: Vec<Entry>,
    bare_keys: Vec<Entry>,
    authorities: Vec<Entry>,
    revoked: Vec<Entry>,
}

/// What to think of a key that a host shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Trusted,
    /// The note says why a certificate did not help.
    Unknown {
        note: Option<String>,
    },
    Changed {
        place: Place,
        known: String,
    },
    Revoked {
        place: Place,
    },
}

impl KnownKeys {
    /// Files that do not exist know nothing.
    pub(super) fn read(files: &[PathBuf], known_as: KnownAs) -> Self {
        let mut known = Self {
            known_as,
            keys: Vec::new(),
            bare_keys: Vec::new(),
            authorities: Vec::new(),
            revoked: Vec::new(),
        };
        for file in files {
            if let Ok(bytes) = fs::read(file) {
                known.read_lines(file, &String::from_utf8_lossy(&bytes));
            }
        }
        known
    }

    fn read_lines(&mut self, file: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let place = || Place {
                file: file.to_path_buf(),
                line: index + 1,
            };
            self.read_line(line, place);
        }
    }

    fn read_line(&mut self, line: &str, place: impl Fn() -> Place) {
        let mut fields = line.split_whitespace();
        let Some(first) = fields.next().filter(|field| !field.starts_with('#')) else {
            return;
        };
        let marker = first.strip_prefix('@');
        let Some(patterns) = (if marker.is_some() {
            fields.next()
        } else {
            Some(first)
        }) else {
            return;
        };
        let exact = is_meant(patterns, &self.known_as.name);
        let bare = !exact
            && self
                .known_as
                .bare
                .as_deref()
                .is_some_and(|bare| is_meant(patterns, bare));
        if !exact && !bare {
            return;
        }
        let (Some(kind), Some(data)) = (fields.next(), fields.next()) else {
            return;
        };
        let Ok(key) = PublicKey::from_openssh(&format!("{kind} {data}")) else {
            return;
        };
        let entry = Entry { place: place(), key };
        match marker {
            Some("revoked") => self.revoked.push(entry),
            Some("cert-authority") => self.authorities.push(entry),
            Some(_) => {}
            None if exact => self.keys.push(entry),
            None => self.bare_keys.push(entry),
        }
    }

    pub(super) fn judge(&self, shown: &PublicKeyOrCertificate) -> Verdict {
        let key = shown.public_key();
        let certificate = shown.certificate();
        if let Some(entry) = self.revoked.iter().find(|entry| {
            entry.key.key_data() == key.key_data()
                || certificate.is_some_and(|c| c.signature_key() == entry.key.key_data())
        }) {
            return Verdict::Revoked {
                place: entry.place.clone(),
            };
        }
        let note = match certificate.map(|certificate| self.check(certificate)) {
            Some(Ok(())) => return Verdict::Trusted,
            Some(Err(note)) => Some(note),
            None => None,
        };
        self.judge_key(key.key_data(), note)
    }

    fn judge_key(&self, key: &KeyData, note: Option<String>) -> Verdict {
        if self.keys.iter().any(|entry| entry.key.key_data() == key) {
            return Verdict::Trusted;
        }
        // A host that is known, but by keys of other kinds only: it was asked for those first, so it has them no more.
        let other = self
            .keys
            .iter()
            .find(|entry| entry.key.algorithm() == key.algorithm())
            .or_else(|| {
                self.keys
                    .iter()
                    .find(|entry| is_asked_for(&entry.key.algorithm()))
            });
        if let Some(entry) = other {
            return Verdict::Changed {
                place: entry.place.clone(),
                known: describe(&entry.key),
            };
        }
        if self.bare_keys.iter().any(|entry| entry.key.key_data() == key) {
            return Verdict::Trusted;
        }
        Verdict::Unknown { note }
    }

    /// The error says what is wrong with the certificate.
    fn check(&self, certificate: &Certificate) -> Result<(), String> {
        if certificate.cert_type() != CertType::Host {
            return Err("its certificate is one for users".to_owned());
        }
        let principals = certificate.valid_principals();
        let principal = &self.known_as.principal;
        if !principals.is_empty()
            && !principals
                .iter()
                .any(|p| glob::matches(&p.to_lowercase(), principal))
        {
            return Err(format!(
                "its certificate is made out to {}",
                principals.join(", ")
            ));
        }
        let authorities: Vec<_> = self
            .authorities
            .iter()
            .map(|entry| entry.key.fingerprint(HashAlg::Sha256))
            .collect();
        if !authorities.contains(&certificate.signature_key().fingerprint(HashAlg::Sha256)) {
            return Err("its certificate was signed by an unknown authority".to_owned());
        }
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if now >= certificate.valid_before() || now < certificate.valid_after() {
            return Err("its certificate is not valid at this time".to_owned());
        }
        certificate
            .validate_at(now, &authorities)
            .map_err(|_| "the signature of its certificate is wrong".to_owned())
    }

    /// Whether the host may show a certificate.
    pub(super) fn has_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// `all`, those first by which the host is known: a host has several keys, and shows the one asked for first. A
    /// key known without the port counts only where none is known with it.
    pub(super) fn order(&self, all: &[Algorithm]) -> Vec<Algorithm> {
        let known_by = if self.keys.is_empty() {
            &self.bare_keys
        } else {
            &self.keys
        };
        let is_known = |algorithm: &&Algorithm| {
            known_by
                .iter()
                .any(|entry| is_same_kind(&entry.key.algorithm(), algorithm))
        };
        let (mut known, others): (Vec<_>, Vec<_>) = all.iter().partition(is_known);
        known.extend(others);
        known.into_iter().cloned().collect()
    }

    pub(super) fn name(&self) -> &str {
        self.known_as.name()
    }
}

/// DSA keys and security keys stand in files of old, or of others; no host is asked for one here.
fn is_asked_for(kind: &Algorithm) -> bool {
    matches!(
        kind,
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. }
    )
}

/// An RSA key is one key under several signature algorithms.
fn is_same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// `ssh-ed25519 SHA256:…`
pub(super) fn describe(key: &PublicKey) -> String {
    format!(
        "{} {}",
        key.algorithm().as_str(),
        key.fingerprint(HashAlg::Sha256)
    )
}

fn is_meant(patterns: &str, name: &str) -> bool {
    match patterns.parse() {
        Ok(HostPatterns::HashedName { salt, hash }) => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
            hmac::verify(&key, name.as_bytes(), &hash).is_ok()
        }
        Ok(HostPatterns::Patterns(patterns)) => {
            // The name is in lower case already.
            let patterns: Vec<_> = patterns.iter().map(|pattern| pattern.to_lowercase()).collect();
            glob::matches_list(patterns.iter().map(String::as_str), name)
        }
        Err(_) => false,
    }
}

/// Adds a key to a file, which is made if need be.
pub(super) fn append(file: &Path, name: &str, key: &PublicKey, hashed: bool) -> io::Result<()> {
    if let Some(directory) = file.parent().filter(|directory| !directory.exists()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let name = if hashed { hash_name(name)? } else { name.to_owned() };
    let key = PublicKey::new(key.key_data().clone(), "")
        .to_openssh()
        .map_err(io::Error::other)?;
    // One write, so that lines of several processes do not mix.
    let mut line = format!("{name} {}\n", key.trim_end());
    if lacks_line_end(file) {
        line.insert(0, '\n');
    }
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?
        .write_all(line.as_bytes())
}

fn lacks_line_end(file: &Path) -> bool {
    fs::read(file).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'))
}

fn hash_name(name: &str) -> io::Result<String> {
    let mut salt = vec![0; 20];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| io::Error::other("no random numbers"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    let hash = hmac::sign(&key, name.as_bytes())
        .as_ref()
        .try_into()
        .map_err(io::Error::other)?;
    Ok(HostPatterns::HashedName { salt, hash }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILagOJFgwaMNhBWQINinKOXmqS4Gh5NgxgriXwdOoINJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDSCEA92AFztL836HwyFJwov83iAirR6SwR1OPGAzEbJkjY2Wx6gv4g0bpOTemuki3KGl0qTj0XcePLCz24waMq5bF8mhg6lzVyocllLtDcSG84ZBmtAx/pYeksAzeJBe1x0lJzzIrkU0DbXvml+Vo4mi9AmvSAsTMm0nKH02SPrf0HPI3E4DmpQAdevnvQ4rkwbJTQnkC9PN0oKaNOjXLc0NEukgcxUPlFT6l14AzN65AQRMmzBCPrETS928p/SYyLFR0yAfuGX8L5SXyGLREph9rD7Ks92+8CqVwmgS2E/Ku6SVh6wgPsegZ7gKOUF/OPidyHDqZtH4XBOZjHyKpv";
    const SECURITY_KEY: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo=";

    fn shown(key: &str) -> PublicKeyOrCertificate {
        PublicKeyOrCertificate::from(PublicKey::from_openssh(key).unwrap())
    }

    fn judge(text: &str, host: &str, port: u16) -> Verdict {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        fs::write(&file, text).unwrap();
        KnownKeys::read(&[file], KnownAs::new(host, port)).judge(&shown(ONE))
    }

    #[test]
    fn names_patterns_and_ports() {
        for (line, host, port) in [
            (format!("web {ONE}"), "web", 22),
            (format!("a,Web,b {ONE} comment"), "WEB", 22),
            (format!("*.lan,!bad.lan\t{ONE}"), "a.lan", 22),
            (format!("[web]:2222 {ONE}"), "web", 2222),
            (format!("[10.0.0.*]:2222 {ONE}"), "10.0.0.7", 2222),
            (format!("web {ONE}"), "web", 2222),
            (format!("  web   {ONE}"), "web", 22),
            (format!("web ssh-foo AAAA\n\u{fffd}\nweb {ONE}"), "web", 22),
            (format!("web {OTHER}\nweb {ONE}"), "web", 22),
        ] {
            assert_eq!(judge(&line, host, port), Verdict::Trusted, "{line}");
        }
    }

    #[test]
    fn what_does_not_match_is_unknown() {
        for (line, host, port) in [
            (format!("other {ONE}"), "web", 22),
            (format!("*.lan,!bad.lan {ONE}"), "bad.lan", 22),
            (format!("[web]:2222 {ONE}"), "web", 22),
            (format!("# web {ONE}"), "web", 22),
            (format!("@future web {ONE}"), "web", 22),
            (format!("web {OTHER}"), "web", 2222),
            (format!("web {SECURITY_KEY}"), "web", 22),
            (String::new(), "web", 22),
        ] {
            assert_eq!(
                judge(&line, host, port),
                Verdict::Unknown { note: None },
                "{line}"
            );
        }
    }

    #[test]
    fn a_changed_key_names_the_old_line() {
        let Verdict::Changed { place, known } = judge(&format!("\nweb {OTHER}"), "web", 22) else {
            panic!("not changed");
        };
        assert!(place.to_string().ends_with("known_hosts:2"));
        assert!(known.starts_with("ssh-ed25519 SHA256:"));
    }

    #[test]
    fn a_revoked_key_is_never_good() {
        let text = format!("web {ONE}\n@revoked * {ONE}");
        assert!(matches!(judge(&text, "web", 22), Verdict::Revoked { .. }));
    }

    #[test]
    fn what_is_appended_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/known_hosts");
        let key = PublicKey::from_openssh(ONE).unwrap();
        append(&file, "[web]:2222", &key, true).unwrap();
        fs::write(&file, fs::read_to_string(&file).unwrap().trim_end()).unwrap();
        append(&file, "db", &key, false).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("|1|"), "{text}");
        assert!(text.ends_with(&format!("\ndb {ONE}\n")), "{text}");
        for (host, port) in [("web", 2222), ("db", 22)] {
            let known = KnownKeys::read(std::slice::from_ref(&file), KnownAs::new(host, port));
            assert_eq!(known.judge(&shown(ONE)), Verdict::Trusted);
        }
    }

    #[test]
    fn known_kinds_are_asked_for_first() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        fs::write(&file, format!("web {ONE}\n")).unwrap();
        let known = KnownKeys::read(&[file], KnownAs::new("web", 22));
        let rsa = Algorithm::Rsa { hash: None };
        assert_eq!(
            known.order(&[rsa.clone(), Algorithm::Ed25519]),
            [Algorithm::Ed25519, rsa.clone()]
        );
        // Known by RSA at its port: what is known of the name alone would be taken for a change.
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        let at_port = format!("[web]:2222 {RSA}\nweb {ONE}\n");
        fs::write(&file, at_port).unwrap();
        let known = KnownKeys::read(&[file], KnownAs::new("web", 2222));
        assert_eq!(
            known.order(&[Algorithm::Ed25519, rsa.clone()]),
            [rsa, Algorithm::Ed25519]
        );
    }
}
