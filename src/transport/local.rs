//! This machine: a program is `/bin/sh -c COMMAND`, run as the user who runs us.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{Boxed, Channel, Exit, LINGER, Piece, Transport, TransportError, TransportErrorKind};

/// How much is read from a pipe at once: the size of a pipe on Linux.
const READ: usize = 64 * 1024;

/// How long programs may take to end once their input is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// `ansible_connection: local`.
#[derive(Debug)]
pub struct Local {
    closed: watch::Sender<bool>,
    /// How many programs there are.
    running: watch::Sender<usize>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            closed: watch::Sender::new(false),
            running: watch::Sender::new(0),
        }
    }
}

impl Local {
    pub fn new() -> Self {
        Self::default()
    }

    fn spawn(&self, command: &str) -> Result<Channel, TransportError> {
        if self.is_closed() {
            return Err(TransportError {
                kind: TransportErrorKind::Lost,
                message: "the connection to this machine was closed".to_owned(),
                help: None,
            });
        }
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| TransportError {
                kind: TransportErrorKind::Unreachable,
                message: format!("could not start /bin/sh on this machine: {error}"),
                help: None,
            })?;
        Ok(self.attach(child))
    }

    /// Gives each of the child's streams a task of its own.
    fn attach(&self, mut child: Child) -> Channel {
        let (input, input_receiver) = mpsc::unbounded_channel();
        let (pieces, output) = mpsc::unbounded_channel();
        if let Some(stdin) = child.stdin.take() {
            tokio::spawn(feed(stdin, input_receiver, self.closed.subscribe()));
        }
        // Each stream has a task of its own, which reads to the end even when the program's end has been told.
        let (read, arrived) = mpsc::unbounded_channel();
        tokio::spawn(drain(child.stdout.take(), read.clone(), Piece::Stdout));
        tokio::spawn(drain(child.stderr.take(), read, Piece::Stderr));
        tokio::spawn(deliver(child, Running::of(&self.running), arrived, pieces));
        Channel { input, output }
    }
}

/// One program more, for as long as it is there.
struct Running(watch::Sender<usize>);

impl Running {
    fn of(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Transport for Local {
    fn start<'a>(&'a self, command: &'a str) -> Boxed<'a, Result<Channel, TransportError>> {
        Box::pin(async move { self.spawn(command) })
    }

    fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Closes the input of every program, as the end of a connection does, and waits a little for their ends.
    fn close(&self) -> Boxed<'_, ()> {
        self.closed.send_replace(true);
        let mut running = self.running.subscribe();
        Box::pin(async move {
            let _ = timeout(FAREWELL, running.wait_for(|running| *running == 0)).await;
        })
    }
}

/// Passes on what arrives, and at last how the program ended. Nobody may be listening any more; what happens then is
/// nobody's business.
async fn deliver(
    mut child: Child,
    running: Running,
    mut arrived: mpsc::UnboundedReceiver<Piece>,
    pieces: mpsc::UnboundedSender<Piece>,
) {
    let status = loop {
        tokio::select! {
            Some(piece) = arrived.recv() => {
                let _ = pieces.send(piece);
            }
            status = child.wait() => break status,
        }
    };
    drop(running);
    // The program's own last words; a silence means that another process holds its streams.
    while let Ok(Some(piece)) = timeout(LINGER, arrived.recv()).await {
        let _ = pieces.send(piece);
    }
    if let Ok(status) = status {
        let _ = pieces.send(Piece::Exit(exit(status)));
    }
}

/// Writes until the sender is dropped, the program no longer reads, or everything is closed; dropping `stdin`
/// closes it.
async fn feed(
    mut stdin: ChildStdin,
    mut input: mpsc::UnboundedReceiver<Bytes>,
    mut closed: watch::Receiver<bool>,
) {
    let write = async {
        while let Some(bytes) = input.recv().await {
            if stdin.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = write => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
}

/// Reads to the end whether or not anybody listens: a full pipe would hold the program up.
async fn drain(
    stream: Option<impl AsyncRead + Unpin>,
    pieces: mpsc::UnboundedSender<Piece>,
    piece: fn(Bytes) -> Piece,
) {
    let Some(mut stream) = stream else { return };
    let mut buffer = BytesMut::with_capacity(READ);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let _ = pieces.send(piece(buffer.split().freeze()));
                buffer.reserve(READ);
            }
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    if let Some(code) = status.code() {
        return Exit::Code(code);
    }
    Exit::Signal(signal_name(status.signal().unwrap_or_default()))
}

/// The names that SSH knows (RFC 4254, section 6.10), and the number for any other.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        8 => "FPE",
        9 => "KILL",
        10 => "USR1",
        11 => "SEGV",
        12 => "USR2",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(command: &str, input: &[u8]) -> (Vec<u8>, Vec<u8>, Option<Exit>) {
        let local = Local::new();
        let Channel {
            input: sender,
            mut output,
        } = local.start(command).await.unwrap();
        sender.send(Bytes::copy_from_slice(input)).unwrap();
        drop(sender);
        let (mut stdout, mut stderr, mut exit) = (Vec::new(), Vec::new(), None);
        while let Some(piece) = output.recv().await {
            match piece {
                Piece::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                Piece::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                Piece::Exit(status) => exit = Some(status),
            }
        }
        (stdout, stderr, exit)
    }

    #[tokio::test]
    async fn streams_and_status_are_apart() {
        let (stdout, stderr, exit) = run("cat; echo err >&2; exit 3", b"in\0\xff").await;
        assert_eq!(stdout, b"in\0\xff");
        assert_eq!(stderr, b"err\n");
        assert_eq!(exit, Some(Exit::Code(3)));
    }

    #[tokio::test]
    async fn a_signal_has_a_name() {
        let (_, _, exit) = run("kill -KILL $$", b"").await;
        assert_eq!(exit, Some(Exit::Signal("KILL".to_owned())));
    }

    #[tokio::test]
    async fn large_streams_both_ways_do_not_block() {
        let input = vec![b'x'; 3 << 20];
        let (stdout, _, exit) = run("cat", &input).await;
        assert_eq!(stdout.len(), input.len());
        assert_eq!(exit, Some(Exit::Code(0)));
    }

    #[tokio::test]
    async fn a_child_that_holds_the_streams_does_not_hold_the_status() {
        let (stdout, _, exit) = run("sleep 20 & echo done; exit 4", b"").await;
        assert_eq!(stdout, b"done\n");
        assert_eq!(exit, Some(Exit::Code(4)));
    }

    #[tokio::test]
    async fn closing_ends_what_waits_for_input() {
        let local = Local::new();
        let mut idle = local.start("cat; echo over").await.unwrap();
        local.close().await;
        assert_eq!(*local.running.borrow(), 0);
        assert_eq!(
            idle.output.recv().await,
            Some(Piece::Stdout(Bytes::from_static(b"over\n")))
        );
    }

    #[tokio::test]
    async fn a_closed_machine_starts_nothing() {
        let local = Local::new();
        local.close().await;
        let error = local.start("true").await.err().unwrap();
        assert_eq!(error.kind, TransportErrorKind::Lost);
    }
}
