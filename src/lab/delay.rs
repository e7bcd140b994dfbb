//! A slow line to the hosts: a TCP proxy inside the lab that passes everything on
//! after half a round trip, for measuring what latency costs.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::hosts;
use super::inventory::{Route, text_through};
use super::place::{Place, directory, failed, write};
use super::{kubernetes, network, process};
use crate::source::Diagnostic;

/// The subcommand that serves; `start` runs this program with it.
pub const SERVE: &str = "serve-delay";

fn dir(place: &Place, milliseconds: u32) -> PathBuf {
    place.state().join(format!("delay-{milliseconds}ms"))
}

fn record(milliseconds: u32) -> String {
    format!("delay-{milliseconds}")
}

/// Starts the proxy in the background unless it runs; the inventory through it.
pub fn start(place: &Place, milliseconds: u32) -> Result<PathBuf, Diagnostic> {
    let dir = dir(place, milliseconds);
    let inventory = dir.join("inventory.yml");
    if process::running(place, &record(milliseconds)).is_some() && inventory.exists() {
        return Ok(inventory);
    }
    process::stop(place, &record(milliseconds))?;
    let _ = fs::remove_dir_all(&dir);
    directory(&dir)?;
    let program = std::env::current_exe().map_err(|error| {
        Diagnostic::error(format!("this program cannot find its own file: {error}"))
            .help("start it by its full path")
    })?;
    let mut words = network::inside(place);
    words.push(program.display().to_string());
    words.extend(["lab", "--name", place.name(), SERVE].map(str::to_owned));
    words.push(milliseconds.to_string());
    let log = dir.join("log");
    process::start(place, &record(milliseconds), &[], &log, &words)?;
    if process::wait_until(Duration::from_secs(5), || inventory.exists()) {
        return Ok(inventory);
    }
    let _ = process::stop(place, &record(milliseconds));
    Err(Diagnostic::error("the delaying proxy did not start")
        .note(fs::read_to_string(&log).unwrap_or_default())
        .help("`vmstation lab reset`, then try again"))
}

/// Ends every proxy of the lab.
pub fn stop(place: &Place) -> Result<(), Diagnostic> {
    for name in process::names(place) {
        if name.starts_with("delay-") {
            process::stop(place, &name)?;
        }
    }
    Ok(())
}

/// Serves, inside the namespace, until it is killed: one port per host. Writes the
/// inventory when the ports are open.
pub fn serve(place: &Place, milliseconds: u32) -> Result<(), Diagnostic> {
    let one_way = Duration::from_micros(u64::from(milliseconds) * 500);
    let dir = dir(place, milliseconds);
    let mut ports = Vec::new();
    let mut threads = Vec::new();
    for host in hosts::of(place) {
        let (listener, port) = listen()?;
        let target = format!("{}:22", host.address);
        ports.push((host.name, host.address, port));
        threads.push(thread::spawn(move || accept(&listener, &target, one_way)));
    }
    let known = place.known_hosts();
    let known = fs::read_to_string(&known).map_err(|error| failed("read", &known, &error))?;
    write(&dir.join("known_hosts"), &known_hosts(&known, &ports), 0o644)?;
    let file = dir.join("known_hosts").display().to_string();
    let mut text = text_through(place, &file, |host| {
        let (_, _, port) = ports.iter().find(|(name, _, _)| *name == host.name)?;
        Some(Route {
            address: Ipv4Addr::LOCALHOST.to_string(),
            port: *port,
        })
    });
    if kubernetes::is_wanted(place) {
        text.push_str(&kubernetes::inventory(place));
    }
    place.write(&dir.join("inventory.yml"), &text)?;
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn listen() -> Result<(TcpListener, u16), Diagnostic> {
    let opened = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr().map(|address| (listener, address.port())));
    opened.map_err(|error| {
        Diagnostic::error(format!("the proxy cannot open a port: {error}"))
            .help("`vmstation lab reset`, then try again")
    })
}

/// The hosts' keys under the proxy's addresses.
fn known_hosts(known: &str, ports: &[(&str, &str, u16)]) -> String {
    let mut text = String::new();
    for (_, address, port) in ports {
        let keys = known.lines().filter_map(|line| line.split_once(' '));
        for (names, key) in keys {
            if names.split(',').any(|name| name == *address) {
                let _ = writeln!(text, "[{}]:{port} {key}", Ipv4Addr::LOCALHOST);
            }
        }
    }
    text
}

fn accept(listener: &TcpListener, target: &str, one_way: Duration) {
    for client in listener.incoming().flatten() {
        let target = target.to_owned();
        // A host that does not answer ends the client's connection: what it sees
        // is a connection closed, as behind any forwarding.
        thread::spawn(move || join(&client, &target, one_way));
    }
}

fn join(client: &TcpStream, target: &str, one_way: Duration) -> std::io::Result<()> {
    // The handshake of TCP itself: there and back.
    sleep(one_way * 2);
    let server = TcpStream::connect(target)?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
    }
    pump(client.try_clone()?, server.try_clone()?, one_way);
    pump(server, client.try_clone()?, one_way);
    Ok(())
}

/// Passes on what comes from one side to the other, each piece `delay` after it
/// came; the end, too.
fn pump(from: TcpStream, to: TcpStream, delay: Duration) {
    let (sender, receiver) = channel();
    thread::spawn(move || take(from, &sender, delay));
    thread::spawn(move || give(to, &receiver));
}

fn take(mut from: TcpStream, sender: &Sender<(Instant, Vec<u8>)>, delay: Duration) {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        // Acknowledged at once, or the kernel adds a delay of its own; it forgets
        // the wish after each read.
        let _ = SockRef::from(&from).set_tcp_quickack(true);
        match from.read(&mut buffer) {
            Ok(count) if count > 0 => {
                let piece = (Instant::now() + delay, buffer[..count].to_vec());
                if sender.send(piece).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    for (at, piece) in receiver {
        sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_under_the_ports() {
        let known = "192.0.2.11,masternode ssh-ed25519 AAA\n192.0.2.12,other ssh-ed25519 BBB\n";
        assert_eq!(
            known_hosts(known, &[("masternode", "192.0.2.11", 7000)]),
            "[127.0.0.1]:7000 ssh-ed25519 AAA\n"
        );
    }

    #[test]
    fn an_echo_comes_back_after_a_round_trip() {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = echo.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = echo.accept().unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(&byte).unwrap();
        });
        let (listener, port) = listen().unwrap();
        thread::spawn(move || accept(&listener, &target, Duration::from_millis(20)));
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let began = Instant::now();
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        // The handshake's round trip and the echo's own, at least; 60 because the
        // first half of the echo passes while the proxy still connects.
        assert!(began.elapsed() >= Duration::from_millis(60));
    }
}
