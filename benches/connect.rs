//! How long it takes to connect and log in, and how many round trips that is.
//!
//! `cargo bench --bench connect`: against an sshd of its own on the loopback address, straight and through a proxy
//! that delays every byte; alone and three at a time, as a run with three hosts does.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops where it cannot go on"
)]

#[path = "../tests/promised/mod.rs"]
mod promised;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/ssh/server.rs"]
mod server;

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use vmstation::transport::Destination;
use vmstation::transport::ssh::Client;

use crate::server::{SSHD, Sshd, collect};

/// There and back.
const DELAY: Duration = Duration::from_millis(40);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    need!(SSHD, "ssh-keygen");
    let sshd = Sshd::start("");
    let client = sshd.home.client();
    let straight = sshd.destination();
    let delayed = Destination {
        port: Some(delay(sshd.port).await),
        host_key_checking: Some(false),
        ..sshd.destination()
    };
    for hosts in [1, 3] {
        let (connect, first) = median(&client, &straight, hosts, 30).await;
        println!("{hosts} at a time: connected and logged in {connect:.1?}, first program {first:.1?}");
    }
    let (direct, first) = median(&client, &straight, 1, 10).await;
    let (far, far_first) = median(&client, &delayed, 1, 10).await;
    println!(
        "at {DELAY:?}: {far:.1?}, {:.1} round trips; first program {far_first:.1?}, {:.1}",
        trips(far, direct),
        trips(far_first, first)
    );
}

fn trips(far: Duration, near: Duration) -> f64 {
    far.saturating_sub(near).as_secs_f64() / DELAY.as_secs_f64()
}

/// The medians of connecting, and of a program after that.
async fn median(
    client: &Client,
    destination: &Destination,
    hosts: usize,
    rounds: usize,
) -> (Duration, Duration) {
    let (mut connects, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let tasks: Vec<_> = (0..hosts)
            .map(|_| {
                let (client, destination) = (client.clone(), destination.clone());
                tokio::spawn(async move { client.connect(&destination).await.unwrap() })
            })
            .collect();
        let mut connections = Vec::new();
        for task in tasks {
            connections.push(task.await.unwrap());
        }
        connects.push(start.elapsed());
        let start = Instant::now();
        for connection in &connections {
            collect(connection.start("echo hello").await.unwrap(), b"").await;
        }
        firsts.push(start.elapsed());
    }
    (middle(connects), middle(firsts))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A port that leads to `port`, half of the delay away in each direction.
async fn delay(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The way there and back that the kernel's own handshake did not take.
                tokio::time::sleep(DELAY).await;
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::join!(pump(near_read, far_write), pump(far_read, near_write));
            });
        }
    });
    own
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer).await {
            if count == 0 {
                return;
            }
            let bytes = buffer.iter().take(count).copied().collect();
            let due = tokio::time::Instant::now() + DELAY / 2;
            if sender.send((due, bytes)).is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
