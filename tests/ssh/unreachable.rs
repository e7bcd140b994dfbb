//! Machines that are not there, or do not behave.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use vmstation::transport::{Destination, TransportErrorKind};

use crate::server::{Home, args, bare, free_port, refused};

async fn fails(destination: &Destination) -> String {
    let error = refused(&Home::new().client(), destination).await;
    println!("{error}\n  {:?}", error.help);
    assert_eq!(error.kind, TransportErrorKind::Unreachable, "{error}");
    error.message
}

#[tokio::test]
async fn refused_by_the_machine() {
    let port = free_port();
    assert_eq!(
        fails(&bare(port)).await,
        format!("web1 (127.0.0.1, port {port}) refused the connection")
    );
}

#[tokio::test]
async fn a_name_without_an_address() {
    let mut destination = bare(22);
    // Too long for a name, so that nobody is asked for it.
    destination.host = "n".repeat(70);
    let message = fails(&destination).await;
    assert!(message.starts_with("the name of web1 (nnn"), "{message}");
}

#[tokio::test]
async fn a_listener_that_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut destination = bare(listener.local_addr().unwrap().port());
    destination.timeout = Duration::from_millis(300);
    let start = Instant::now();
    let message = fails(&destination).await;
    assert!(
        message.ends_with("did not answer as an SSH server within 0.3 s"),
        "{message}"
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// A listener that says `greeting` to whoever comes, and closes.
fn greeter(greeting: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(greeting);
        }
    });
    port
}

#[tokio::test]
async fn listeners_that_are_no_ssh_servers() {
    for greeting in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x14garbage garbage garbage",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let message = fails(&bare(greeter(greeting))).await;
        assert!(message.contains("web1 (127.0.0.1, port "), "{message}");
    }
}

#[tokio::test]
async fn a_proxy_command_that_fails() {
    let mut destination = bare(22);
    destination.ssh_args = vec!["-o".to_owned(), "ProxyCommand=exit 1".to_owned()];
    let message = fails(&destination).await;
    assert!(message.contains("closed the connection before"), "{message}");
}

#[tokio::test]
async fn arguments_that_are_not_supported() {
    for (text, named) in [
        ("-o Nonsense=yes", "-o Nonsense=yes"),
        ("-D 1080", "-D"),
        ("-o ProxyCommand=nc:%Z", "%Z"),
        ("-o Port=x", "port `x`"),
    ] {
        let mut destination = bare(22);
        destination.port = None;
        destination.ssh_args = args(text);
        let error = refused(&Home::new().client(), &destination).await;
        println!("{error}");
        assert_eq!(error.kind, TransportErrorKind::Unsupported);
        assert!(error.message.contains(named), "{error}");
        assert!(error.message.contains("web1"), "{error}");
    }
}
