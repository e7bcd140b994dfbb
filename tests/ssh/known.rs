//! Who the machine is: every way in which a host key can be known, unknown, changed, revoked, vouched for.

use std::fs;
use std::process::Command;

use vmstation::transport::{Destination, TransportErrorKind};

use crate::need;
use crate::server::{Home, SSHD, Sshd, args, refused, run};

const KNOWN: &str = ".ssh/known_hosts";

impl Sshd {
    fn known(&self, text: &str) {
        self.home.write(KNOWN, text);
    }

    /// `[127.0.0.1]:PORT KEY`
    fn line(&self, key: &str) -> String {
        format!("[127.0.0.1]:{} {}\n", self.port, self.home.public(key))
    }

    fn with_args(&self, text: &str) -> Destination {
        Destination {
            ssh_args: args(text),
            ..self.destination()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_in_every_way() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let (port, key) = (sshd.port, sshd.home.public("host"));
    sshd.home.key("other", &["ed25519"], "");
    for text in [
        format!("[127.0.0.1]:{port} {key}"),
        format!("# comment\n\n[127.0.0.1]:{port}\t{key} and a comment"),
        format!("[127.0.0.*]:{port},!else {key}"),
        format!("[127.0.0.1]:{port} ssh-foo AAAA\nnonsense\n[127.0.0.1]:{port} {key}"),
        format!("127.0.0.1 {key}"),
        format!("{}[127.0.0.1]:{port} {key}", sshd.line("other")),
    ] {
        sshd.known(&text);
        sshd.connect().await;
    }
    sshd.known(&format!("[127.0.0.1]:{port} {key}\n"));
    run(Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(sshd.home.path(KNOWN)));
    assert!(sshd.home.read(KNOWN).starts_with("|1|"));
    sshd.connect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_is_refused_with_its_fingerprint() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let listed = run(Command::new("ssh-keygen")
        .args(["-l", "-f"])
        .arg(sshd.home.path("host.pub")));
    let fingerprint = listed.split(' ').nth(1).unwrap();
    for text in [
        String::new(),
        format!("[127.0.0.*]:*,!*:{} {}", sshd.port, sshd.home.public("host")),
        format!("127.0.0.2 {}", sshd.home.public("host")),
    ] {
        sshd.known(&text);
        let error = refused(&sshd.home.client(), &sshd.destination()).await;
        assert_eq!(error.kind, TransportErrorKind::UnknownHostKey, "{error}");
        assert!(error.message.contains(fingerprint), "{error}");
        assert!(error.message.contains("web1 (127.0.0.1, port "), "{error}");
        let help = error.help.unwrap();
        println!("{}\n  {help}", error.message);
        assert!(help.contains(&format!("ssh-keyscan -p {} 127.0.0.1", sshd.port)));
        assert!(help.contains("host_key_checking"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchecked_keys_are_taken_and_not_written_down() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    sshd.known("");
    let client = sshd.home.client();
    let mut destination = sshd.destination();
    destination.host_key_checking = Some(false);
    client.connect(&destination).await.unwrap();
    for text in [
        "-o StrictHostKeyChecking=no",
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
    ] {
        client.connect(&sshd.with_args(text)).await.unwrap();
    }
    assert_eq!(sshd.home.read(KNOWN), "");
    // What the command line says is not overruled by a check that is on by default.
    destination = sshd.with_args("-o StrictHostKeyChecking=no");
    destination.host_key_checking = Some(true);
    client.connect(&destination).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_are_accepted_once() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    for (more, hashed) in [("", false), (" -o HashKnownHosts=yes", true)] {
        fs::remove_file(sshd.home.path(KNOWN)).unwrap();
        let client = sshd.home.client();
        let accepting = sshd.with_args(&format!("-o StrictHostKeyChecking=accept-new{more}"));
        client.connect(&accepting).await.unwrap();
        let text = sshd.home.read(KNOWN);
        assert_eq!(text.starts_with("|1|"), hashed, "{text}");
        assert_eq!(text.lines().count(), 1);
        let notices = client.take_notices();
        assert!(notices.iter().any(|n| n.contains("was added to")), "{notices:?}");
        client.connect(&accepting).await.unwrap();
        client.connect(&sshd.destination()).await.unwrap();
        assert_eq!(sshd.home.read(KNOWN), text);
        // `ssh-keygen -F` finds what we wrote.
        run(Command::new("ssh-keygen")
            .args(["-F", &format!("[127.0.0.1]:{}", sshd.port), "-f"])
            .arg(sshd.home.path(KNOWN)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_key_is_refused_always() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    sshd.home.key("old", &["ed25519"], "");
    sshd.home.key("old_rsa", &["rsa", "-b", "2048"], "");
    for old in ["old", "old_rsa"] {
        sshd.known(&format!("# one\n{}", sshd.line(old)));
        let mut unchecked = sshd.destination();
        unchecked.host_key_checking = Some(false);
        for destination in [
            sshd.destination(),
            unchecked,
            sshd.with_args("-o StrictHostKeyChecking=accept-new"),
        ] {
            let error = refused(&sshd.home.client(), &destination).await;
            println!("{error}\n  {:?}", error.help);
            assert_eq!(error.kind, TransportErrorKind::ChangedHostKey, "{error}");
            assert!(error.message.contains("known_hosts:2 has ssh-"), "{error}");
            assert_eq!(error.message.matches("SHA256:").count(), 2, "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_always() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let key = sshd.home.public("host");
    sshd.known(&format!("{}@revoked * {key}\n", sshd.line("host")));
    let mut unchecked = sshd.destination();
    unchecked.host_key_checking = Some(false);
    for destination in [sshd.destination(), unchecked] {
        let error = refused(&sshd.home.client(), &destination).await;
        println!("{error}");
        assert_eq!(error.kind, TransportErrorKind::RevokedHostKey, "{error}");
        assert!(error.message.contains("known_hosts:2"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_shows_the_key_that_is_known() {
    need!(SSHD, "ssh-keygen");
    let home = Home::new();
    for (name, kind) in [
        ("host", &["ed25519"][..]),
        ("host_ecdsa", &["ecdsa"]),
        ("host_rsa", &["rsa", "-b", "2048"]),
        ("id", &["ed25519"]),
    ] {
        home.key(name, kind, "");
    }
    home.write("authorized", &home.public("id"));
    let sshd = Sshd::start_in(home, "");
    for name in ["host_rsa", "host_ecdsa", "host"] {
        sshd.known(&sshd.line(name));
        sshd.connect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_files_and_names() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    sshd.known("");
    let line = sshd.line("host");
    let one = sshd.home.write("one", "").display().to_string();
    let two = sshd.home.write("two", &line).display().to_string();
    let client = sshd.home.client();
    for text in [
        format!("-o GlobalKnownHostsFile={two}"),
        format!("-o UserKnownHostsFile={two}"),
    ] {
        client.connect(&sshd.with_args(&text)).await.unwrap();
    }
    let mut destination = sshd.destination();
    destination.ssh_args = vec!["-o".to_owned(), format!("UserKnownHostsFile={one} {two}")];
    client.connect(&destination).await.unwrap();
    sshd.known(&format!("the-alias {}", sshd.home.public("host")));
    client
        .connect(&sshd.with_args("-o HostKeyAlias=the-alias"))
        .await
        .unwrap();
}

/// An sshd whose host key has a certificate, which `ssh-keygen` makes with `options`.
fn certified(options: &[&str]) -> Sshd {
    let home = Home::new();
    for name in ["host", "id", "ca"] {
        home.key(name, &["ed25519"], "");
    }
    run(Command::new("ssh-keygen")
        .args(["-q", "-h", "-I", "test", "-s"])
        .arg(home.path("ca"))
        .args(options)
        .arg(home.path("host.pub")));
    home.write("authorized", &home.public("id"));
    let more = format!("HostCertificate {}", home.path("host-cert.pub").display());
    let sshd = Sshd::start_in(home, &more);
    let trust = format!(
        "@cert-authority [127.0.0.1]:{} {}\n",
        sshd.port,
        sshd.home.public("ca")
    );
    sshd.known(&trust);
    sshd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_vouch_for_hosts() {
    need!(SSHD, "ssh-keygen");
    for options in [&["-n", "127.0.0.1"][..], &["-n", "other,127.*"], &[]] {
        certified(options).connect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_do_not_vouch() {
    need!(SSHD, "ssh-keygen");
    for (options, reason) in [
        (&["-n", "elsewhere"][..], "made out to elsewhere"),
        (&["-V", "20200101:20200102"], "not valid at this time"),
    ] {
        let sshd = certified(options);
        let error = refused(&sshd.home.client(), &sshd.destination()).await;
        println!("{error}");
        assert_eq!(error.kind, TransportErrorKind::UnknownHostKey, "{error}");
        assert!(error.message.contains(reason), "{error}");
    }
    // Another authority; the same one, revoked.
    let sshd = certified(&["-n", "127.0.0.1"]);
    let trusted = sshd.home.read(KNOWN);
    let ca = sshd.home.public("ca");
    sshd.known(&format!("{trusted}@revoked * {ca}\n"));
    let error = refused(&sshd.home.client(), &sshd.destination()).await;
    assert_eq!(error.kind, TransportErrorKind::RevokedHostKey, "{error}");
    sshd.known(&format!("@cert-authority * {}", sshd.home.public("id")));
    let error = refused(&sshd.home.client(), &sshd.destination()).await;
    assert!(error.message.contains("unknown authority"), "{error}");
    // A key that is known by itself needs nobody to vouch for it.
    sshd.known(&format!(
        "@cert-authority * {}\n{}",
        sshd.home.public("id"),
        sshd.line("host")
    ));
    sshd.connect().await;
}
