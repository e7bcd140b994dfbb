//! One program on the other side: a channel of the session, drained without a pause.
//!
//! russh delivers a session's packets to its channels in turn and waits where one is full, so a channel that nobody
//! reads stops all others, keepalives too. Hence the task that moves every piece into an unbounded queue at once.

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

use super::super::{Channel, Exit, LINGER, Piece};

/// The number by which SSH marks a program's standard error.
const STDERR: u32 = 1;

/// Attaches queues to an open channel.
pub(super) fn attach(channel: russh::Channel<Msg>) -> Channel {
    let (input, input_receiver) = mpsc::unbounded_channel();
    let (pieces, output) = mpsc::unbounded_channel();
    let (reading, writing) = channel.split();
    tokio::spawn(async move {
        // The program may end before it has read what was sent; then nothing more is sent.
        tokio::select! {
            () = drain(reading, pieces) => {}
            () = feed(writing, input_receiver) => {}
        }
    });
    Channel { input, output }
}

/// Sends what comes, then the end of the input; never ends by itself.
async fn feed(writing: ChannelWriteHalf<Msg>, mut input: UnboundedReceiver<Bytes>) {
    while let Some(bytes) = input.recv().await {
        if writing.data_bytes(bytes).await.is_err() {
            break;
        }
    }
    let _ = writing.eof().await;
    std::future::pending::<()>().await;
}

/// Reads until the channel is closed, whether or not anybody listens.
async fn drain(mut reading: ChannelReadHalf, pieces: UnboundedSender<Piece>) {
    let Some(exit) = read_until_exit(&mut reading, &pieces).await else {
        return;
    };
    loop {
        match timeout(LINGER, reading.wait()).await {
            Ok(Some(message)) => pass_on(message, &pieces),
            Ok(None) => {
                let _ = pieces.send(Piece::Exit(exit));
                return;
            }
            Err(_) => break,
        }
    }
    let _ = pieces.send(Piece::Exit(exit));
    drop(pieces);
    while reading.wait().await.is_some() {}
}

/// `None`: the channel was closed without a status.
async fn read_until_exit(reading: &mut ChannelReadHalf, pieces: &UnboundedSender<Piece>) -> Option<Exit> {
    loop {
        match reading.wait().await? {
            ChannelMsg::ExitStatus { exit_status } => {
                return Some(Exit::Code(i32::try_from(exit_status).unwrap_or(-1)));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                return Some(Exit::Signal(signal(signal_name)));
            }
            message => pass_on(message, pieces),
        }
    }
}

/// A receiver that is gone makes no difference: what comes is still to be read.
fn pass_on(message: ChannelMsg, pieces: &UnboundedSender<Piece>) {
    let piece = match message {
        ChannelMsg::Data { data } => Piece::Stdout(data),
        ChannelMsg::ExtendedData { data, ext: STDERR } => Piece::Stderr(data),
        // The answer to the request to start the program. Without it the channel is closed without a status.
        ChannelMsg::Failure => {
            Piece::Stderr(Bytes::from_static(b"the server refused to start the program\n"))
        }
        _ => return,
    };
    let _ = pieces.send(piece);
}

fn signal(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}
