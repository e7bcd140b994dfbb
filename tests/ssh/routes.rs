//! Ways that are not straight: jumps, proxy commands, configuration files.

use std::fs;
use std::sync::Arc;

use vmstation::transport::ssh::Client;
use vmstation::transport::{Destination, TransportErrorKind};

use crate::need;
use crate::server::{SSHD, Sshd, args, bare, free_port, me, refused, say};

/// Two servers, known to the home of the first, which one key opens.
fn two() -> (Sshd, Sshd) {
    let (one, other) = (Sshd::start(""), Sshd::start(""));
    other.home.write("authorized", &one.home.public("id"));
    let known = format!(
        "{}{}",
        one.home.read(".ssh/known_hosts"),
        other.home.read(".ssh/known_hosts")
    );
    one.home.write(".ssh/known_hosts", &known);
    fs::copy(one.home.path("id"), one.home.path(".ssh/id_ed25519")).unwrap();
    (one, other)
}

/// The port of the server at the other end, as it sees itself.
const PORT: &str = "set -- $SSH_CONNECTION; echo $4";

fn connections(sshd: &Sshd) -> usize {
    sshd.home.read("sshd.log").matches("Accepted publickey").count()
}

fn jumping(target: &Sshd, way: &str) -> Destination {
    Destination {
        ssh_args: args(&format!("-J {way}")),
        ..bare(target.port)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_is_shared() {
    need!(SSHD, "ssh-keygen");
    let (jump, target) = two();
    let way = format!("{}@127.0.0.1:{}", me(), jump.port);
    let client = jump.home.client();
    let destination = jumping(&target, &way);
    let (one, two, three) = tokio::join!(
        client.connect(&destination),
        client.connect(&destination),
        client.connect(&destination)
    );
    for ssh in [one, two, three] {
        let ssh = ssh.unwrap();
        assert_eq!(say(ssh.as_ref(), PORT).await, target.port.to_string());
    }
    assert_eq!((connections(&jump), connections(&target)), (1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jumps_follow_one_another() {
    need!(SSHD, "ssh-keygen");
    let (jump, target) = two();
    let way = format!("127.0.0.1:{},127.0.0.1:{}", jump.port, target.port);
    let mut destination = jumping(&target, &way);
    destination.ssh_args = args(&format!("-o ProxyJump={way}"));
    let client = jump.home.client();
    let ssh = client.connect(&destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), PORT).await, target.port.to_string());
    assert_eq!((connections(&jump), connections(&target)), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jumps_that_lead_nowhere() {
    need!(SSHD, "ssh-keygen");
    let (jump, target) = two();
    let client = jump.home.client();
    let way = format!("127.0.0.1:{}", jump.port);
    // The target is not there.
    let mut gone = jumping(&target, &way);
    gone.port = Some(free_port());
    let error = refused(&client, &gone).await;
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Unreachable);
    assert!(error.message.contains("does not lead on to web1"), "{error}");
    // The jump is not there.
    let closed = free_port();
    let error = refused(&client, &jumping(&target, &format!("127.0.0.1:{closed}"))).await;
    assert_eq!(
        error.message,
        format!("127.0.0.1 (port {closed}) refused the connection")
    );
    // The jump is a stranger.
    jump.home.write(".ssh/known_hosts", "");
    let error = refused(&jump.home.client(), &jumping(&target, &way)).await;
    assert_eq!(error.kind, TransportErrorKind::UnknownHostKey);
    // The way leads through itself.
    jump.home.write(".ssh/config", "Host *\n ProxyJump loop\n");
    let mut destination = bare(target.port);
    destination.timeout = std::time::Duration::from_secs(2);
    let error = refused(&jump.home.client(), &destination).await;
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_that_went_away_is_made_anew() {
    need!(SSHD, "ssh-keygen");
    let (jump, target) = two();
    let client = jump.home.client();
    let destination = jumping(&target, &format!("127.0.0.1:{}", jump.port));
    let ssh = client.connect(&destination).await.unwrap();
    // The first connection of the jump's sshd: our own process, killed by its id.
    let log = jump.home.read("sshd.log");
    assert!(log.contains("Accepted publickey"), "{log}");
    let direct = jump.home.client();
    let direct = direct.connect(&jump.destination()).await.unwrap();
    let pids = say(direct.as_ref(), "ps -o pid= --ppid $(ps -o ppid= -p $PPID)").await;
    for pid in pids.split_whitespace() {
        std::process::Command::new("kill").arg(pid).status().unwrap();
    }
    drop(ssh);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let ssh = client.connect(&destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), PORT).await, target.port.to_string());
}

/// Each machine with its own block: user, key, port; the way's name made of the destination's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_by_tokens() {
    need!(SSHD, "ssh-keygen");
    let (jump, target) = two();
    let home = &jump.home;
    fs::rename(home.path(".ssh/id_ed25519"), home.path("jump-key")).unwrap();
    home.key("target-key", &["ed25519"], "");
    target.home.write("authorized", &home.public("target-key"));
    let user = me();
    home.write(
        ".ssh/config",
        &format!(
            "Host web1\n HostName 127.0.0.1 # the last\n Port {}\n IdentityFile '~/target-key'\n ProxyJump via-%n\n\
             Host via-*\n HostName 127.0.0.1\n Port {} # the first\n User {user}\n IdentityFile ~/jump-key\n",
            target.port, jump.port
        ),
    );
    let mut destination = bare(target.port);
    destination.host = "web1".to_owned();
    destination.port = None;
    let ssh = home.client().connect(&destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), PORT).await, target.port.to_string());
    assert_eq!((connections(&jump), connections(&target)), (1, 1));
}

/// sshd's `MaxStartups` closes some of the connections that come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_closed_too_early_is_tried_again() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let tries = sshd.home.path("tries");
    let command = format!(
        "sh -c 'echo >>{0}; [ $(wc -l <{0}) -gt 2 ] && exec /usr/sbin/sshd -i -f {1}'",
        tries.display(),
        sshd.home.path("sshd_config").display()
    );
    let mut destination = sshd.destination();
    destination.ssh_args = vec!["-o".to_owned(), format!("ProxyCommand={command}")];
    let ssh = sshd.home.client().connect(&destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), "echo through").await, "through");
    assert_eq!(sshd.home.read("tries").lines().count(), 3);
}

/// As `ssh` reads an address; `ansible_user` wins over it, and it over the configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_in_the_address() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    sshd.home.write(
        ".ssh/config",
        "Host 127.*\n User somebody-else\nHost *@*\n Port 1\n",
    );
    let mut destination = sshd.destination();
    destination.user = None;
    destination.host = format!("{}@127.0.0.1", me());
    let ssh = sshd.home.client().connect(&destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), "id -un").await, me());
    destination.user = Some("nobody-at-all".to_owned());
    let error = refused(&sshd.home.client(), &destination).await;
    assert!(error.message.contains("nobody-at-all"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_command() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let mut destination = sshd.destination();
    let command = format!(
        "/usr/sbin/sshd -i -f {} # %h %p %r 100%%",
        sshd.home.path("sshd_config").display()
    );
    destination.ssh_args = vec!["-o".to_owned(), format!("ProxyCommand={command}")];
    let ssh = sshd.home.client().connect(&destination).await.unwrap();
    assert_eq!(say(ssh.as_ref(), "echo through").await, "through");
    assert_eq!(connections(&sshd), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_files() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let (port, user) = (sshd.port, me());
    let text = format!(
        "Host shortname\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile ~/%n-key\n  ForwardAgent yes\n"
    );
    fs::copy(sshd.home.path("id"), sshd.home.path("shortname-key")).unwrap();
    let file = sshd.home.write("other_config", &text);
    let mut destination = bare(port);
    destination.host = "shortname".to_owned();
    destination.port = None;
    destination.user = None;
    destination.ssh_args = args(&format!("-F {}", file.display()));
    let client = sshd.home.client();
    client.connect(&destination).await.unwrap();
    let notices = client.take_notices();
    assert!(
        notices
            .iter()
            .any(|n| n.contains("other_config:6: forwardagent yes")),
        "{notices:?}"
    );
    assert_eq!(client.take_notices(), Vec::<String>::new());

    // The same as the user's own file, by `ssh -G` because of the Match.
    destination.ssh_args = Vec::new();
    sshd.home.write(
        ".ssh/config",
        &format!("Match host shortname\n  Compression no\n{text}"),
    );
    sshd.home
        .client()
        .connect(&destination)
        .await
        .map(|_| ())
        .unwrap();

    // Without an `ssh`, the line that is not understood is named.
    let mut surroundings = sshd.home.surroundings();
    surroundings.ssh = None;
    let client = Client::new(surroundings);
    let ssh: Arc<_> = client.connect(&destination).await.unwrap();
    assert!(!ssh.is_closed());
    let notices = client.take_notices();
    assert!(
        notices
            .iter()
            .any(|n| n.contains("config:1: Match host shortname")),
        "{notices:?}"
    );
}
