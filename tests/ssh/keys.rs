//! Who we are: key files, certificates, the agent, passwords.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vmstation::transport::ssh::Client;
use vmstation::transport::{Destination, TransportErrorKind};

use crate::need;
use crate::promised::left_out;
use crate::server::{Home, SSHD, Sshd, args, bare, me, refused, run, say, set_mode};

/// An agent of the test's own.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    fn start(home: &Home) -> Self {
        let socket = home.path("agent.sock");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, socket }
    }

    fn add(&self, key: &Path) {
        run(Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket));
    }

    fn client(&self, home: &Home) -> Client {
        let mut surroundings = home.surroundings();
        surroundings.agent = Some(self.socket.clone());
        Client::new(surroundings)
    }
}

fn with_key(sshd: &Sshd, name: &str) -> Destination {
    Destination {
        private_key_file: Some(format!("~/{name}")),
        ..bare(sshd.port)
    }
}

async fn lets_in(client: &Client, destination: &Destination) {
    let ssh = client.connect(destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), "echo in").await, "in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_key() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let kinds: &[(&str, &[&str])] = &[
        ("ed25519", &["ed25519"]),
        ("ecdsa256", &["ecdsa", "-b", "256"]),
        ("ecdsa384", &["ecdsa", "-b", "384"]),
        ("ecdsa521", &["ecdsa", "-b", "521"]),
        ("rsa", &["rsa", "-b", "2048"]),
        ("rsa_pem", &["rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa_pkcs8", &["rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa_pem", &["ecdsa", "-m", "PEM"]),
    ];
    let client = sshd.home.client();
    for (name, kind) in kinds {
        sshd.home.key(name, kind, "");
        sshd.home.write("authorized", &sshd.home.public(name));
        client
            .connect(&with_key(&sshd, name))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_keys_are_found() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    fs::copy(sshd.home.path("id"), sshd.home.path(".ssh/id_ed25519")).unwrap();
    lets_in(&sshd.home.client(), &bare(sshd.port)).await;
}

/// As in ssh: whoever names a key means that one, and the agent's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_key_stands_in_place_of_the_default_ones() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    fs::copy(sshd.home.path("id"), sshd.home.path(".ssh/id_ed25519")).unwrap();
    sshd.home.key("other", &["ed25519"], "");
    let error = refused(&sshd.home.client(), &with_key(&sshd, "other")).await;
    let tried = format!("tried: key {} (ed25519)", sshd.home.path("other").display());
    assert!(error.message.ends_with(&tried), "{error}");
}

/// The time for connecting is not the time for which a server may look up who we are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_its_time_to_decide() {
    need!(SSHD, "ssh-keygen", "/bin/sleep");
    let sshd = Sshd::start("AuthorizedKeysCommand /bin/sleep 2\nAuthorizedKeysCommandUser root");
    sshd.home.key("other", &["ed25519"], "");
    sshd.home.key("another", &["ed25519"], "");
    let mut destination = with_key(&sshd, "other");
    destination.ssh_args = args("-i ~/another -i ~/id");
    destination.timeout = Duration::from_secs(1);
    let start = Instant::now();
    lets_in(&sshd.home.client(), &destination).await;
    assert!(start.elapsed() > destination.timeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_offered_are_named() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let home = &sshd.home;
    home.key("locked", &["ed25519"], "secret");
    home.key("locked_pem", &["rsa", "-b", "2048", "-m", "PEM"], "secret");
    fs::copy(home.path("id"), home.path("open")).unwrap();
    set_mode(&home.path("open"), 0o644);
    home.write("text", "no key");
    set_mode(&home.path("text"), 0o600);
    for (name, reason, help) in [
        ("absent", "there is no such file", None),
        ("locked", "it is encrypted", Some("ssh-add")),
        ("locked_pem", "it is encrypted", Some("ssh-add")),
        ("open", "its mode is 0644", Some("chmod 600")),
        ("text", "it is no private key", None),
        ("id.pub", "it is a public key", Some("private key")),
    ] {
        let error = refused(&home.client(), &with_key(&sshd, name)).await;
        println!("{error}\n  {:?}", error.help);
        assert_eq!(error.kind, TransportErrorKind::Denied);
        assert!(error.message.contains(reason), "{name}: {error}");
        assert!(error.message.contains(&home.path(name).display().to_string()));
        match help {
            Some(help) => assert!(error.help.unwrap().contains(help), "{name}"),
            None => assert_eq!(error.help, None, "{name}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_says_what_was_tried() {
    need!(SSHD, "ssh-keygen", "ssh-agent", "ssh-add");
    let sshd = Sshd::start("");
    let home = &sshd.home;
    home.key("wrong", &["ed25519"], "");
    let agent = Agent::start(home);
    agent.add(&home.key("one", &["ed25519"], ""));
    agent.add(&home.key("two", &["ecdsa"], ""));
    let error = refused(&agent.client(home), &with_key(&sshd, "wrong")).await;
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Denied);
    for part in [
        "web1 (127.0.0.1, port ",
        &format!("user {}", me()),
        "/wrong (ed25519)",
        "agent: 2 keys",
    ] {
        assert!(error.message.contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_to_offer() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let error = refused(&sshd.home.client(), &bare(sshd.port)).await;
    assert_eq!(error.kind, TransportErrorKind::Denied);
    assert!(error.message.contains("no key and no password"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_signs() {
    need!(SSHD, "ssh-keygen", "ssh-agent", "ssh-add");
    let sshd = Sshd::start("");
    let home = &sshd.home;
    let agent = Agent::start(home);
    agent.add(&home.path("id"));
    let client = agent.client(home);
    lets_in(&client, &bare(sshd.port)).await;

    // IdentitiesOnly leaves out the agent's keys that nobody named.
    let mut only = with_key(&sshd, "other");
    home.key("other", &["ed25519"], "");
    only.ssh_args = args("-o IdentitiesOnly=yes");
    let error = refused(&client, &only).await;
    assert!(!error.message.contains("agent"), "{error}");

    // The public half names a key of the agent.
    let mut named = with_key(&sshd, "id.pub");
    named.ssh_args = args("-o IdentitiesOnly=yes");
    lets_in(&client, &named).await;

    // IdentityAgent instead of SSH_AUTH_SOCK, and none at all.
    let mut here = bare(sshd.port);
    here.ssh_args = args(&format!("-o IdentityAgent={}", agent.socket.display()));
    lets_in(&home.client(), &here).await;
    here.ssh_args = args("-o IdentityAgent=none");
    let error = refused(&client, &here).await;
    assert!(error.message.contains("no key"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_signs_with_rsa_and_for_locked_files() {
    need!(SSHD, "ssh-keygen", "ssh-agent", "ssh-add");
    let sshd = Sshd::start("");
    let home = &sshd.home;
    let agent = Agent::start(home);
    let client = agent.client(home);
    agent.add(&home.key("rsa", &["rsa", "-b", "2048"], ""));
    home.write("authorized", &home.public("rsa"));
    lets_in(&client, &bare(sshd.port)).await;

    // The agent holds the key of a file that is encrypted.
    let locked = home.key("locked", &["ed25519"], "");
    agent.add(&locked);
    run(Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "secret", "-f"])
        .arg(&locked));
    home.write("authorized", &home.public("locked"));
    let mut destination = with_key(&sshd, "locked");
    destination.ssh_args = args("-o IdentitiesOnly=yes");
    lets_in(&client, &destination).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_not_there() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let mut surroundings = sshd.home.surroundings();
    surroundings.agent = Some(sshd.home.path("gone.sock"));
    let client = Client::new(surroundings);
    let error = refused(&client, &bare(sshd.port)).await;
    assert!(error.message.contains("gone.sock"), "{error}");
    assert!(error.message.contains("agent"), "{error}");
    // With a key that is accepted, nobody asks for it.
    lets_in(&client, &sshd.destination()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates() {
    need!(SSHD, "ssh-keygen", "ssh-agent", "ssh-add");
    let home = Home::new();
    home.key("host", &["ed25519"], "");
    home.key("ca", &["ed25519"], "");
    home.write("authorized", "");
    let trust = format!("TrustedUserCAKeys {}", home.path("ca.pub").display());
    let sshd = Sshd::start_in(home, &trust);
    let home = &sshd.home;
    for (name, kind) in [
        ("ed", &["ed25519"][..]),
        ("ec", &["ecdsa"]),
        ("rsa", &["rsa", "-b", "2048"]),
    ] {
        let key = home.key(name, kind, "");
        let error = refused(&home.client(), &with_key(&sshd, name)).await;
        assert_eq!(error.kind, TransportErrorKind::Denied);
        run(Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(home.path("ca"))
            .args(["-I", "test", "-n", &me()])
            .arg(home.path(&format!("{name}.pub"))));
        home.client()
            .connect(&with_key(&sshd, name))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // ssh-add takes the certificate beside the key along.
        let agent = Agent::start(home);
        agent.add(&key);
        lets_in(&agent.client(home), &bare(sshd.port)).await;
        drop(agent);
        fs::remove_file(home.path("agent.sock")).ok();
    }
    // CertificateFile elsewhere.
    fs::rename(home.path("ed-cert.pub"), home.path("elsewhere")).unwrap();
    let mut destination = with_key(&sshd, "ed");
    destination.ssh_args = args(&format!(
        "-o CertificateFile={}",
        home.path("elsewhere").display()
    ));
    lets_in(&home.client(), &destination).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_keys() {
    need!(SSHD, "ssh-keygen", "ssh-agent", "ssh-add");
    let sshd = Sshd::start("MaxAuthTries 3");
    let agent = Agent::start(&sshd.home);
    for number in 0..5 {
        agent.add(&sshd.home.key(&format!("k{number}"), &["ed25519"], ""));
    }
    let client = agent.client(&sshd.home);
    let error = refused(&client, &bare(sshd.port)).await;
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Denied);
    assert!(error.message.contains("Too many authentication failures"));
    // The key that is named is offered before the agent's.
    lets_in(&client, &sshd.destination()).await;
}

/// `vmstation-test` with the password `s3cret pass`, in copies of the account files that only sshd sees.
const PASSWORD: &str = "s3cret pass";
const SALTED: &str = "$5$vmstation$";

fn password_sshd(more: &str) -> Option<Sshd> {
    let may_mount = Command::new("unshare")
        .args(["-m", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let hash = Command::new("openssl")
        .args(["passwd", "-5", "-salt", "vmstation", PASSWORD])
        .output()
        .ok()
        .filter(|output| output.status.success());
    let (true, Some(hash)) = (may_mount, hash) else {
        left_out("a user with a password needs root, unshare and openssl");
        return None;
    };
    let hash = String::from_utf8(hash.stdout).unwrap();
    assert!(hash.starts_with(SALTED));
    let home = Home::new();
    home.key("host", &["ed25519"], "");
    home.write("authorized", "");
    set_mode(home.directory.path(), 0o755);
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    home.write(
        "passwd",
        &format!("{passwd}vmstation-test:x:54321:54321::/:/bin/sh\n"),
    );
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    home.write(
        "shadow",
        &format!("{shadow}vmstation-test:{}:19000:0:99999:7:::\n", hash.trim()),
    );
    home.write(
        "pam",
        "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    );
    Some(Sshd::start_with_accounts(home, more))
}

fn with_password(sshd: &Sshd, password: &str) -> Destination {
    Destination {
        user: Some("vmstation-test".to_owned()),
        password: Some(password.to_owned()),
        ..bare(sshd.port)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords() {
    need!(SSHD, "ssh-keygen");
    let Some(sshd) = password_sshd("PasswordAuthentication yes\nKbdInteractiveAuthentication no") else {
        return;
    };
    let client = sshd.home.client();
    lets_in(&client, &with_password(&sshd, PASSWORD)).await;
    let wrong = with_password(&sshd, "wr0ng-one");
    let error = refused(&client, &wrong).await;
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Denied);
    assert!(error.message.ends_with("tried: password"), "{error}");
    assert!(!format!("{error:?} {wrong:?}").contains("wr0ng-one"));
    let mut none = wrong;
    none.password = None;
    none.private_key_file = Some("~/id".to_owned());
    sshd.home.key("id", &["ed25519"], "");
    let error = refused(&client, &none).await;
    println!("{error} {:?}", error.help);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_at_the_keyboard() {
    need!(SSHD, "ssh-keygen");
    let Some(sshd) = password_sshd(
        "UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes\nPubkeyAuthentication no",
    ) else {
        return;
    };
    let client = sshd.home.client();
    lets_in(&client, &with_password(&sshd, PASSWORD)).await;
    let error = refused(&client, &with_password(&sshd, "wr0ng-one")).await;
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Denied);
    assert!(error.message.contains("keyboard-interactive"), "{error}");
    let mut none = with_password(&sshd, "");
    none.password = None;
    none.private_key_file = Some("~/id".to_owned());
    sshd.home.key("id", &["ed25519"], "");
    let error = refused(&client, &none).await;
    assert!(error.help.unwrap().contains("ask-pass"));
}

/// Accounts are locked after a few wrong passwords.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_once() {
    need!(SSHD, "ssh-keygen");
    let Some(sshd) =
        password_sshd("UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication yes")
    else {
        return;
    };
    let client = sshd.home.client();
    lets_in(&client, &with_password(&sshd, PASSWORD)).await;
    let error = refused(&client, &with_password(&sshd, "wr0ng-one")).await;
    assert!(error.message.ends_with("tried: password"), "{error}");
    let log = sshd.home.read("sshd.log");
    assert_eq!(log.matches("Failed password").count(), 1, "{log}");
    assert_eq!(log.matches("Failed keyboard-interactive").count(), 0, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_proofs_are_asked_for() {
    need!(SSHD, "ssh-keygen");
    let Some(sshd) = password_sshd("PasswordAuthentication yes\nAuthenticationMethods publickey,password")
    else {
        return;
    };
    sshd.home.key("id", &["ed25519"], "");
    sshd.home.write("authorized", &sshd.home.public("id"));
    let mut destination = with_password(&sshd, PASSWORD);
    destination.private_key_file = Some("~/id".to_owned());
    lets_in(&sshd.home.client(), &destination).await;
}
