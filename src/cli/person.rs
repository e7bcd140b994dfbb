//! The person at the terminal: passwords, prompts, a word that confirms.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::source::{Diagnostic, reason};
use crate::transport::ssh::Passphrase;

/// A person is asked one thing at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Whether somebody is there to answer.
pub fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a password, without showing what is typed; without a terminal, takes the next line of input.
pub fn password(prompt: &str) -> Result<String, Diagnostic> {
    let typed = if is_there() {
        rpassword::prompt_password(prompt)
    } else {
        line()
    };
    typed.map_err(|e| Diagnostic::error(format!("no password could be read: {}", reason(&e))))
}

/// Asks for what opens a key file; `None`: there was no answer.
pub fn passphrase(wanted: &Passphrase) -> Option<String> {
    let file = wanted.file.display();
    let prompt = if wanted.again {
        format!("That does not open it. Passphrase of {file}:")
    } else {
        format!("Passphrase of {file}:")
    };
    ask(&prompt, false)
}

/// Shows a text and takes a line; `None`: there was none.
pub fn ask(text: &str, echo: bool) -> Option<String> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let prompt = format!("{} ", text.trim_end());
    if !echo {
        return rpassword::prompt_password(prompt).ok();
    }
    let mut err = io::stderr().lock();
    let _ = err.write_all(prompt.as_bytes()).and_then(|()| err.flush());
    drop(err);
    line().ok()
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_string())
}

/// What a password prompt that was broken off leaves hidden is shown again.
pub fn show_typing() {
    if is_there() {
        let _ = Command::new("stty").arg("echo").stderr(Stdio::null()).status();
    }
}
