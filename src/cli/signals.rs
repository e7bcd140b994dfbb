//! Ctrl-C and its kin: the first stops the run in good order, the second at once.

use std::io::IsTerminal as _;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{person, print};
use crate::source::{Diagnostic, reason};

/// The exit code of a run that somebody stopped.
pub const INTERRUPTED: u8 = 130;

/// Puts what follows into the place of the lines that told what runs.
const BELOW: &str = "\r\u{1b}[J";

/// Turns true at the first SIGINT, SIGTERM or SIGHUP.
pub fn watch() -> Result<watch::Receiver<bool>, Diagnostic> {
    let listen = |kind| {
        signal(kind).map_err(|e| Diagnostic::error(format!("cannot listen to signals: {}", reason(&e))))
    };
    let mut signals = [
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
        listen(SignalKind::hangup())?,
    ];
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        any(&mut signals).await;
        let _ = stop.send(true);
        any(&mut signals).await;
        person::show_typing();
        let over = if std::io::stderr().is_terminal() {
            BELOW
        } else {
            ""
        };
        print::note(&format!(
            "{over}interrupted again: what runs on the hosts may go on running there"
        ));
        std::process::exit(INTERRUPTED.into());
    });
    Ok(stopped)
}

async fn any(signals: &mut [Signal; 3]) {
    let [interrupt, terminate, hangup] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
