//! The byte streams that a session runs over: a TCP connection, or a `ProxyCommand`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use super::super::{TransportError, TransportErrorKind};
use super::deadline::Deadline;
use super::failure::{Peer, Phase, not_connected, not_resolved, plain, timed_out};
use super::options::Family;

/// Connects to the first of the host's addresses that answers.
pub(super) async fn connect(
    peer: &Peer,
    family: Family,
    deadline: Deadline,
) -> Result<Quick, TransportError> {
    let addresses = deadline
        .within(peer, Phase::Resolve, resolve(peer, family))
        .await??;
    let mut failure = None;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        // An address that does not answer must leave time for the others.
        let share = deadline.left() / left.max(1);
        left = left.saturating_sub(1);
        let failed = match timeout_at(Instant::now() + share, Quick::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => not_connected(peer, &error),
            Err(_) => timed_out(peer, Phase::Connect, deadline.timeout),
        };
        failure.get_or_insert(failed);
    }
    Err(failure.unwrap_or_else(|| {
        TransportError::new(
            TransportErrorKind::Unreachable,
            format!("the name of {peer} has no address of the family asked for"),
        )
    }))
}

async fn resolve(peer: &Peer, family: Family) -> Result<Vec<SocketAddr>, TransportError> {
    // The resolver is a thread and several files; an address needs neither.
    if let Ok(address) = peer.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, peer.port)]);
    }
    let addresses = tokio::net::lookup_host((peer.host.as_str(), peer.port))
        .await
        .map_err(|error| not_resolved(peer, &error))?;
    Ok(addresses
        .filter(|address| match family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        })
        .collect())
}

/// A TCP connection that sends and acknowledges at once.
///
/// sshd collects small packets (Nagle) until the session is interactive, and so waits for our acknowledgement,
/// which the kernel would hold back for 40 ms. The option does not last: it is set anew after each read.
pub(super) struct Quick {
    stream: TcpStream,
}

impl Quick {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let quick = Self { stream };
        quick.acknowledge_at_once();
        Ok(quick)
    }

    fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        {
            // Where it is refused, everything still works, only later.
            let _ = SockRef::from(&self.stream).set_tcp_quickack(true);
        }
    }
}

impl AsyncRead for Quick {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.acknowledge_at_once();
        }
        read
    }
}

impl AsyncWrite for Quick {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A `ProxyCommand`, which ends with the connection.
pub(super) struct Proxy {
    /// Killed when it is dropped.
    _child: Child,
    from: ChildStdout,
    to: ChildStdin,
}

/// Starts `command`, with its tokens replaced. Its complaints go to nowhere: our own error names the command.
pub(super) fn start_proxy(peer: &Peer, command: &str) -> Result<Proxy, TransportError> {
    let failed = |reason: &str| {
        TransportError::new(
            TransportErrorKind::Unreachable,
            format!("the ProxyCommand of {peer} could not be started: {reason}"),
        )
    };
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&plain(&error)))?;
    let (Some(from), Some(to)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(failed("it has no streams"));
    };
    Ok(Proxy {
        _child: child,
        from,
        to,
    })
}

impl AsyncRead for Proxy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.from).poll_read(context, buffer)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.to).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(context)
    }
}
