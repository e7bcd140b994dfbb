//! Keys that are encrypted: who gives the passphrase, how often anybody is asked, and what is said without one.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use vmstation::transport::ssh::{Client, Passphrase};
use vmstation::transport::{Destination, TransportErrorKind};

use crate::need;
use crate::server::{Home, SSHD, Sshd, args, bare, refused, run, say};

/// Answers each question with the next of its answers, and keeps the questions.
#[derive(Clone, Default)]
struct Person {
    answers: Arc<Mutex<Vec<Option<String>>>>,
    questions: Arc<Mutex<Vec<Passphrase>>>,
}

impl Person {
    fn saying(answers: &[Option<&str>]) -> Self {
        let answers = answers.iter().rev().map(|a| a.map(str::to_owned)).collect();
        Self {
            answers: Arc::new(Mutex::new(answers)),
            ..Self::default()
        }
    }

    fn client(&self, home: &Home) -> Client {
        let person = self.clone();
        let ask = move |asked: &Passphrase| {
            person.questions.lock().unwrap().push(asked.clone());
            person.answers.lock().unwrap().pop().flatten()
        };
        Client::asking(home.surroundings(), Arc::new(ask))
    }

    fn asked(&self) -> Vec<(PathBuf, bool)> {
        let questions = self.questions.lock().unwrap();
        questions.iter().map(|q| (q.file.clone(), q.again)).collect()
    }
}

/// A server that takes the key `locked`, whose passphrase is `secret`.
fn locked(kind: &[&str]) -> Sshd {
    let sshd = Sshd::start("");
    sshd.home.key("locked", kind, "secret");
    sshd.home.write("authorized", &sshd.home.public("locked"));
    sshd
}

fn with_key(sshd: &Sshd, name: &str) -> Destination {
    Destination {
        private_key_file: Some(format!("~/{name}")),
        ..bare(sshd.port)
    }
}

const KINDS: &[&[&str]] = &[
    &["ed25519"],
    &["ecdsa"],
    &["rsa", "-b", "2048"],
    &["rsa", "-b", "2048", "-m", "PEM"],
    &["rsa", "-b", "2048", "-m", "PKCS8"],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_for_once_however_many_hosts_need_it() {
    need!(SSHD, "ssh-keygen");
    for kind in KINDS {
        let sshd = locked(kind);
        let person = Person::saying(&[Some("secret")]);
        let client = person.client(&sshd.home);
        let destination = with_key(&sshd, "locked");
        let (one, two, three) = tokio::join!(
            client.connect(&destination),
            client.connect(&destination),
            client.connect(&destination)
        );
        for ssh in [one, two, three, client.connect(&destination).await] {
            let ssh = ssh.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            assert_eq!(say(ssh.as_ref(), "echo in").await, "in");
        }
        let asked = person.asked();
        assert_eq!(asked, [(sshd.home.path("locked"), false)], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_for_though_only_the_key_file_is_there() {
    need!(SSHD, "ssh-keygen");
    for kind in KINDS {
        let sshd = locked(kind);
        std::fs::remove_file(sshd.home.path("locked.pub")).unwrap();
        let person = Person::saying(&[Some("secret")]);
        let client = person.client(&sshd.home);
        client
            .connect(&with_key(&sshd, "locked"))
            .await
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert_eq!(person.asked().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slip_is_forgiven_and_three_are_an_end() {
    need!(SSHD, "ssh-keygen");
    let sshd = locked(&["ed25519"]);
    let file = sshd.home.path("locked");
    let destination = with_key(&sshd, "locked");

    let person = Person::saying(&[Some("secert"), Some("secret")]);
    person.client(&sshd.home).connect(&destination).await.unwrap();
    assert_eq!(person.asked(), [(file.clone(), false), (file.clone(), true)]);

    for (answers, times) in [
        (&[Some("a"), Some("b"), Some("c"), Some("secret")][..], 3),
        (&[Some("")], 1),
        (&[None], 1),
    ] {
        let person = Person::saying(answers);
        let client = person.client(&sshd.home);
        // Another host with the same key asks no more.
        for _ in 0..2 {
            let error = refused(&client, &destination).await;
            assert_eq!(error.kind, TransportErrorKind::Denied);
            assert!(
                error.message.contains("no passphrase was given that opens it"),
                "{error}"
            );
            assert!(error.help.unwrap().contains("ssh-add"));
        }
        assert_eq!(person.asked().len(), times, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_for_only_if_the_server_takes_the_key_and_no_other() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let home = &sshd.home;
    home.key(".ssh/id_ecdsa", &["ecdsa"], "secret");
    std::fs::copy(home.path("id"), home.path(".ssh/id_ed25519")).unwrap();

    // Another key opens.
    let person = Person::saying(&[Some("secret")]);
    person.client(home).connect(&bare(sshd.port)).await.unwrap();
    assert_eq!(person.asked(), []);

    // None opens.
    home.write("authorized", "");
    let error = refused(&person.client(home), &bare(sshd.port)).await;
    assert!(error.message.contains("id_ecdsa (ecdsa)"), "{error}");
    assert_eq!(person.asked(), []);

    // Only that one does.
    home.write("authorized", &home.public(".ssh/id_ecdsa"));
    person.client(home).connect(&bare(sshd.port)).await.unwrap();
    assert_eq!(person.asked(), [(home.path(".ssh/id_ecdsa"), false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_a_locked_key() {
    need!(SSHD, "ssh-keygen");
    let home = Home::new();
    home.key("host", &["ed25519"], "");
    home.key("ca", &["ed25519"], "");
    home.write("authorized", "");
    let trust = format!("TrustedUserCAKeys {}", home.path("ca.pub").display());
    let sshd = Sshd::start_in(home, &trust);
    let home = &sshd.home;
    home.key("locked", &["ed25519"], "secret");
    run(Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(home.path("ca"))
        .args(["-I", "test", "-n", &crate::server::me()])
        .arg(home.path("locked.pub")));
    let person = Person::saying(&[Some("secret")]);
    let client = person.client(home);
    client.connect(&with_key(&sshd, "locked")).await.unwrap();
    assert_eq!(person.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_the_machine_on_the_way() {
    need!(SSHD, "ssh-keygen");
    let (jump, target) = (locked(&["ed25519"]), Sshd::start(""));
    let home = &jump.home;
    target.home.write("authorized", &home.public("locked"));
    let known = format!(
        "{}{}",
        home.read(".ssh/known_hosts"),
        target.home.read(".ssh/known_hosts")
    );
    home.write(".ssh/known_hosts", &known);
    home.write(".ssh/config", "Host *\n IdentityFile ~/locked\n");
    let mut destination = bare(target.port);
    destination.ssh_args = args(&format!("-J 127.0.0.1:{}", jump.port));
    let person = Person::saying(&[Some("secret")]);
    let client = person.client(home);
    client.connect(&destination).await.unwrap();
    assert_eq!(person.asked(), [(home.path("locked"), false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_gives_it() {
    need!(SSHD, "ssh-keygen");
    let sshd = locked(&["ed25519"]);
    let person = Person::saying(&[Some("secret")]);
    for client in [sshd.home.client(), person.client(&sshd.home)] {
        let mut destination = with_key(&sshd, "locked");
        destination.private_key_passphrase = Some("secret".to_owned());
        client.connect(&destination).await.unwrap();
        // Whoever is there to be asked: what the variable says is meant.
        destination.private_key_passphrase = Some("wr0ng-one".to_owned());
        let error = refused(&client, &destination).await;
        println!("{error}\n  {:?}", error.help);
        assert_eq!(error.kind, TransportErrorKind::Denied);
        assert!(
            error
                .message
                .contains("ansible_ssh_private_key_passphrase does not open it"),
            "{error}"
        );
        assert!(!format!("{error:?} {destination:?}").contains("wr0ng-one"));
    }
    assert_eq!(person.asked(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_there_to_ask() {
    need!(SSHD, "ssh-keygen");
    let sshd = locked(&["ed25519"]);
    let error = refused(&sshd.home.client(), &with_key(&sshd, "locked")).await;
    println!("{error}\n  {:?}", error.help);
    assert!(
        error.message.contains("it is encrypted and not in the agent"),
        "{error}"
    );
    let help = error.help.unwrap();
    for way in ["ssh-add", "ansible_ssh_private_key_passphrase", "at a terminal"] {
        assert!(help.contains(way), "{help}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_cipher_is_named() {
    need!(SSHD, "openssl");
    let sshd = Sshd::start("");
    run(Command::new("openssl")
        .args([
            "genrsa",
            "-aes256",
            "-traditional",
            "-passout",
            "pass:secret",
            "-out",
        ])
        .arg(sshd.home.path("old"))
        .arg("2048"));
    let person = Person::saying(&[Some("secret")]);
    let error = refused(&person.client(&sshd.home), &with_key(&sshd, "old")).await;
    println!("{error}\n  {:?}", error.help);
    assert!(
        error.message.contains("in a way that is not known here"),
        "{error}"
    );
    assert!(error.help.unwrap().contains("ssh-keygen -p -f"));
    assert_eq!(person.asked(), []);
}
