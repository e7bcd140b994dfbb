//! Programs on an open connection.

use std::time::{Duration, Instant};

use vmstation::transport::{Exit, Piece, TransportErrorKind};

use crate::need;
use crate::server::{Output, SSHD, Sshd, args, collect, say};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_status() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let ssh = sshd.connect().await;
    let channel = ssh.start("cat; echo err >&2; exit 7").await.unwrap();
    assert_eq!(
        collect(channel, b"in\0\xff\n").await,
        Output {
            stdout: b"in\0\xff\n".to_vec(),
            stderr: b"err\n".to_vec(),
            exit: Some(Exit::Code(7)),
        }
    );
    let channel = ssh.start("kill -TERM $$").await.unwrap();
    assert_eq!(
        collect(channel, b"").await.exit,
        Some(Exit::Signal("TERM".to_owned()))
    );
    assert!(!ssh.is_closed());
    ssh.close().await;
    let error = ssh.start("true").await.err().unwrap();
    assert_eq!(error.kind, TransportErrorKind::Lost);
    assert!(error.message.contains("web1 (127.0.0.1, port"), "{error}");
}

/// Servers that allow little: those under FIPS rules, old ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_speak() {
    need!(SSHD, "ssh-keygen");
    for only in [
        "KexAlgorithms curve25519-sha256",
        "KexAlgorithms ecdh-sha2-nistp256",
        "KexAlgorithms ecdh-sha2-nistp384",
        "KexAlgorithms ecdh-sha2-nistp521",
        "KexAlgorithms diffie-hellman-group14-sha256",
        "Ciphers aes256-gcm@openssh.com",
        "Ciphers aes128-gcm@openssh.com",
        "Ciphers aes128-ctr",
        "Ciphers chacha20-poly1305@openssh.com",
        "Ciphers aes256-ctr\nMACs hmac-sha2-256",
        "Ciphers aes256-ctr\nMACs hmac-sha1-etm@openssh.com",
        "Ciphers aes256-ctr\nMACs hmac-sha1",
    ] {
        let sshd = Sshd::start(only);
        let ssh = sshd.home.client().connect(&sshd.destination()).await;
        let ssh = ssh.unwrap_or_else(|error| panic!("{only}: {error}"));
        assert_eq!(say(ssh.as_ref(), "echo spoken").await, "spoken", "{only}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_reads_holds_no_other_up() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let ssh = sshd.connect().await;
    let unread = ssh.start("head -c 30000000 /dev/zero; sleep 60").await.unwrap();
    let start = Instant::now();
    let down = ssh.start("head -c 100000000 /dev/zero").await.unwrap();
    let output = collect(down, b"").await;
    assert_eq!(output.stdout.len(), 100_000_000);
    let down = start.elapsed();
    let start = Instant::now();
    let up = ssh.start("wc -c").await.unwrap();
    let output = collect(up, &vec![b'x'; 100_000_000]).await;
    assert_eq!(output.stdout.trim_ascii(), b"100000000");
    println!("100 MB: down {down:?}, up {:?}", start.elapsed());
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("MaxSessions 60");
    let ssh = sshd.connect().await;
    let mut channels = Vec::new();
    for number in 0..50 {
        let command = format!("read line; echo $line {number}; exit {number}");
        channels.push(ssh.start(&command).await.unwrap());
    }
    for (number, channel) in channels.into_iter().enumerate() {
        let output = collect(channel, b"hello\n").await;
        assert_eq!(output.stdout, format!("hello {number}\n").into_bytes());
        assert_eq!(output.exit, Some(Exit::Code(i32::try_from(number).unwrap())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_server_allows() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("MaxSessions 2");
    let ssh = sshd.connect().await;
    let one = ssh.start("cat").await.unwrap();
    let two = ssh.start("cat").await.unwrap();
    let error = ssh.start("cat").await.err().unwrap();
    assert_eq!(error.kind, TransportErrorKind::Full, "{error}");
    assert!(!ssh.is_closed());
    assert_eq!(collect(one, b"1").await.stdout, b"1");
    assert_eq!(say(ssh.as_ref(), "echo again").await, "again");
    assert_eq!(collect(two, b"2").await.stdout, b"2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_goes_away() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let ssh = sshd.connect().await;
    let parent = say(ssh.as_ref(), "echo $PPID").await;
    let channel = ssh.start("echo begun; sleep 60").await.unwrap();
    let mut output = channel.output;
    assert_eq!(
        output.recv().await,
        Some(Piece::Stdout(b"begun\n".as_slice().into()))
    );
    // Our own sshd's process for this connection, by the id that it told us.
    let kill = std::process::Command::new("kill").arg(&parent).status().unwrap();
    assert!(kill.success());
    // The stream ends, and there is no status.
    assert_eq!(output.recv().await, None);
    let start = Instant::now();
    while !ssh.is_closed() && start.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = ssh.start("true").await.err().unwrap();
    assert_eq!(error.kind, TransportErrorKind::Lost, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_no_longer_answers() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let mut destination = sshd.destination();
    destination.ssh_args = args("-o ServerAliveInterval=1 -o ServerAliveCountMax=1");
    let ssh = sshd.home.client().connect(&destination).await.unwrap();
    let parent = say(ssh.as_ref(), "echo $PPID").await;
    let mut output = ssh.start("exec sleep 60").await.unwrap().output;
    let signal = |name: &str| {
        let kill = std::process::Command::new("kill").args([name, &parent]).status();
        assert!(kill.unwrap().success());
    };
    signal("-STOP");
    let start = Instant::now();
    assert_eq!(output.recv().await, None);
    assert!(start.elapsed() < Duration::from_secs(8));
    let error = ssh.start("true").await.err().unwrap();
    signal("-KILL");
    println!("{error}");
    assert_eq!(error.kind, TransportErrorKind::Lost, "{error}");
    assert!(error.message.ends_with("it no longer answers"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_holds_the_streams_does_not_hold_the_status() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let ssh = sshd.connect().await;
    let start = Instant::now();
    let channel = ssh.start("sleep 30 & echo done; exit 5").await.unwrap();
    let output = collect(channel, b"").await;
    assert_eq!(output.stdout, b"done\n");
    assert_eq!(output.exit, Some(Exit::Code(5)));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_to_a_program_that_has_ended_is_dropped() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let ssh = sshd.connect().await;
    let channel = ssh.start("exit 3").await.unwrap();
    let output = collect(channel, &vec![b'x'; 20_000_000]).await;
    assert_eq!(output.exit, Some(Exit::Code(3)));
    assert_eq!(say(ssh.as_ref(), "echo alive").await, "alive");
}
