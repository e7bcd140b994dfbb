//! What a converged frame costs over this machine's own shell: `cargo bench --bench questions`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on stops, and printing is its purpose"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use vmstation::host::question::{
    Algorithm, Checksum, Look, Package, PackageDatabase, Question, Read, Stat, Unit, UnitScope,
};
use vmstation::host::{Connector, Frame, Identity, Machine, Remote, Script};
use vmstation::transport::{Boxed, Local, Transport, TransportError};

const ROUNDS: usize = 51;

fn machine(shell: &str) -> Remote {
    let connect: Connector = Arc::new(|| -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
        Box::pin(async { Ok(Arc::new(Local::new()) as Arc<dyn Transport>) })
    });
    Remote::new("here", connect).shell(shell)
}

/// Files that are there, enough of each kind for `of` questions.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir("/usr/bin").unwrap();
    let mut files: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()))
        .collect();
    files.sort();
    files
}

fn stats() -> Vec<Question> {
    files()
        .into_iter()
        .take(30)
        .map(|path| Stat::of(path).into())
        .collect()
}

fn checksums() -> Vec<Question> {
    let of = |path: &str| Checksum {
        path: path.to_owned(),
        algorithm: Algorithm::Sha1,
    };
    let small = [
        "hosts",
        "passwd",
        "group",
        "fstab",
        "shells",
        "profile",
        "hostname",
        "services",
        "protocols",
        "rpc",
    ];
    small
        .iter()
        .map(|name| of(&format!("/etc/{name}")).into())
        .collect()
}

fn packages() -> Vec<Question> {
    let names = [
        "bash",
        "dash",
        "coreutils",
        "grep",
        "sed",
        "tar",
        "gzip",
        "libc6",
        "util-linux",
        "no-such",
    ];
    let of = |name: &&str| Package {
        database: PackageDatabase::Dpkg,
        name: (*name).to_owned(),
    };
    names.iter().map(|name| of(name).into()).collect()
}

fn units() -> Vec<Question> {
    let of = |name: &&str| Unit {
        name: (*name).to_owned(),
        scope: UnitScope::System,
    };
    ["cron", "ssh", "dbus", "kubelet", "containerd"]
        .iter()
        .map(|name| of(name).into())
        .collect()
}

fn reads() -> Vec<Question> {
    let names = [
        "/etc/hosts",
        "/etc/fstab",
        "/etc/passwd",
        "/proc/swaps",
        "/proc/sys/net/ipv4/ip_forward",
    ];
    names.iter().map(|name| Read::of(*name).into()).collect()
}

/// The median of many frames, and the processes that one of them starts.
async fn measure(machine: &Remote, what: &str, questions: Vec<Question>) {
    let frame = Frame {
        questions,
        ..Frame::default()
    };
    let mut times = Vec::new();
    let before = forks();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        machine.frame(Identity::Login, frame.clone()).await.unwrap();
        times.push(begun.elapsed());
    }
    let processes = (forks() - before) / ROUNDS as u64;
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or(Duration::ZERO);
    println!(
        "  {what:<52} {:>8.2} ms   {processes:>3} forks",
        median.as_secs_f64() * 1e3
    );
}

/// Processes started on this machine since it booted: by everybody.
fn forks() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    stat.lines()
        .find_map(|line| line.strip_prefix("processes ")?.parse().ok())
        .unwrap_or(0)
}

#[tokio::main]
async fn main() {
    for shell in ["/bin/dash", "/bin/bash"] {
        println!("{shell}, medians of {ROUNDS}");
        let machine = machine(shell);
        let begun = Instant::now();
        machine.frame(Identity::Login, Frame::default()).await.unwrap();
        machine
            .frame(
                Identity::Login,
                Frame {
                    work: Some(Script::new("first", ":")),
                    ..Frame::default()
                },
            )
            .await
            .unwrap();
        println!(
            "  open a shell, and run the first script in it {:>15.2} ms",
            begun.elapsed().as_secs_f64() * 1e3
        );
        measure(
            &machine,
            "a look by builtins",
            vec![Look::new("look", ":").into()],
        )
        .await;
        measure(&machine, "30 stats", stats()).await;
        measure(&machine, "10 checksums", checksums()).await;
        measure(&machine, "5 reads", reads()).await;
        measure(&machine, "10 packages", packages()).await;
        measure(&machine, "5 units", units()).await;
        let all = [stats(), checksums(), packages(), units()].concat();
        measure(&machine, "30 stats, 10 checksums, 10 packages, 5 units", all).await;
        machine.close().await;
    }
}
