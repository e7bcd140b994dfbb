//! How a shell is opened as somebody: the login user, or another by sudo or su.
//!
//! Without a password nothing is waited for: `sudo -n` cannot read what is meant for the shell behind it, so
//! the first request goes out with the opening. With one, nothing but the password is written before the shell
//! has said that it is there; else it would be read as a password, or the password as a command.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;

use super::machine::{Become, BecomeMethod, Identity, Lost, Secret, quote};
use super::request::{bootstrap, for_any_login_shell, token};
use super::shell::{End, Prelude, Shell, Ticket};
use crate::transport::{Channel, Exit, Piece, Transport, TransportError, TransportErrorKind};

/// How long sudo, PAM and what they ask may take.
pub(super) const OPENING: Duration = Duration::from_secs(30);

/// Where and with what shells are opened.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The host's name, for messages.
    pub host: Arc<str>,
    /// `ansible_shell_executable`.
    pub shell: Arc<str>,
}

/// How long there is nothing more where somebody is asked for a password.
const SILENCE: Duration = Duration::from_millis(700);

/// What is waited for between the start of a program and the shell behind it.
struct Handshake {
    success: String,
    prompt: Prompt,
    password: Option<Secret>,
}

enum Prompt {
    /// sudo prints what it was told to, perhaps with words around it. Where PAM asks in the host's language, that is
    /// printed instead, and known by the silence that follows.
    Holding(String),
    /// su's is in the host's language: whatever it says.
    Any,
}

/// Why a handshake came to nothing.
enum Refusal {
    PasswordWanted,
    WrongPassword,
    Ended { said: String, exit: Option<Exit> },
    NoAnswer,
}

pub(super) async fn open(transport: &dyn Transport, identity: &Identity, site: &Site) -> Result<Shell, Lost> {
    let (command, handshake) = opening(identity, site);
    let mut channel = transport.start(&command).await.map_err(Lost::Transport)?;
    if let Some(handshake) = handshake {
        let refusal = match tokio::time::timeout(OPENING, handshake.pass(&mut channel)).await {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(refusal),
            Err(_) => Some(Refusal::NoAnswer),
        };
        if let Some(refusal) = refusal {
            return Err(explain(identity, site, refusal));
        }
    }
    Ok(Shell::over(channel, Arc::clone(&site.shell)))
}

/// The longest command that is given to a login shell: one argument may have 128 KiB on Linux.
const LONGEST: usize = 100_000;

/// Opens a shell as the login user with requests that are answered on the way; a ticket for each. `None`: they are
/// too long for that.
///
/// Whoever becomes another user gets no such shell: sudo writes every word of its command line into the log.
pub(super) async fn open_asking(
    transport: &dyn Transport,
    site: &Site,
    scripts: &[&str],
) -> Result<Option<(Shell, Vec<Ticket>)>, Lost> {
    let prelude = Prelude::asking(scripts);
    let command = for_any_login_shell(&bootstrap(&site.shell, &prelude.text));
    if command.len() > LONGEST {
        return Ok(None);
    }
    let channel = transport.start(&command).await.map_err(Lost::Transport)?;
    Ok(Some(Shell::after(channel, Arc::clone(&site.shell), &prelude)))
}

/// Why a shell ended before it greeted.
pub(super) fn not_greeted(identity: &Identity, site: &Site, end: Option<End>) -> Lost {
    let refusal = match end {
        Some(End::ShellEnded { so_far, exit, .. }) => Refusal::Ended {
            said: said(&so_far.stdout, &so_far.stderr),
            exit,
        },
        Some(End::Finished(_)) | None => Refusal::NoAnswer,
    };
    explain(identity, site, refusal)
}

fn opening(identity: &Identity, site: &Site) -> (String, Option<Handshake>) {
    let start = bootstrap(&site.shell, "");
    let Identity::Become(to) = identity else {
        return (for_any_login_shell(&start), None);
    };
    let success = format!("@{}", token());
    let announced = format!("echo {success}; {start}");
    match to.method {
        BecomeMethod::Sudo => match &to.password {
            None => (for_any_login_shell(&sudo(to, None, &start)), None),
            Some(password) => {
                let prompt = format!("@{}", token());
                let command = for_any_login_shell(&sudo(to, Some(&prompt), &announced));
                let handshake = Handshake {
                    success,
                    prompt: Prompt::Holding(prompt),
                    password: Some(password.clone()),
                };
                (command, Some(handshake))
            }
        },
        BecomeMethod::Su => {
            let handshake = Handshake {
                success,
                prompt: Prompt::Any,
                password: to.password.clone(),
            };
            (for_any_login_shell(&su(to, &announced)), Some(handshake))
        }
    }
}

/// sudo is told never to ask where there is no password: it would take the shell's input for one, three times,
/// and lock the user out.
fn sudo(to: &Become, prompt: Option<&str>, script: &str) -> String {
    let default = || ["-H", "-S"].map(str::to_owned).to_vec();
    let mut flags = to.flags.clone().unwrap_or_else(default);
    flags.retain(|flag| flag != "-n" && flag != "--non-interactive");
    match prompt {
        None => flags.push("-n".to_owned()),
        Some(prompt) => {
            flags.retain(|flag| flag != "-S");
            flags.extend(["-S", "-p", prompt].map(str::to_owned));
        }
    }
    let flags: Vec<String> = flags.iter().map(|flag| quote(flag)).collect();
    format!(
        "{}exec {} {} -u {} -- /bin/sh -c {}",
        lend_pipes(&to.user),
        exe(to),
        flags.join(" "),
        quote(&to.user),
        quote(script)
    )
}

fn su(to: &Become, script: &str) -> String {
    let flags: Vec<String> = to.flags.iter().flatten().map(|flag| quote(flag)).collect();
    format!(
        "{}exec {} {} {} -c {}",
        lend_pipes(&to.user),
        exe(to),
        flags.join(" "),
        quote(&to.user),
        quote(&for_any_login_shell(script))
    )
}

/// The program, perhaps with words of its own (`sudo su -`).
fn exe(to: &Become) -> String {
    let Some(exe) = to.exe.as_ref().filter(|exe| !exe.is_empty()) else {
        return program(to.method).to_owned();
    };
    let words: Vec<String> = exe.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// Lets another user open the login user's pipes anew; root can anyway.
fn lend_pipes(user: &str) -> &'static str {
    if user == "root" {
        return "";
    }
    "chmod 666 /proc/self/fd/1 /proc/self/fd/2; "
}

impl Handshake {
    async fn pass(&self, channel: &mut Channel) -> Result<(), Refusal> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut answered = false;
        let mut exit = None;
        loop {
            let silent = match tokio::time::timeout(SILENCE, channel.output.recv()).await {
                Ok(None) => break,
                Ok(Some(Piece::Stdout(bytes))) => {
                    stdout.extend_from_slice(&bytes);
                    false
                }
                Ok(Some(Piece::Stderr(bytes))) => {
                    stderr.extend_from_slice(&bytes);
                    false
                }
                Ok(Some(Piece::Exit(how))) => {
                    exit = Some(how);
                    false
                }
                Err(_) => true,
            };
            if exit.is_some() {
                continue;
            }
            if memmem::find(&stdout, self.success.as_bytes()).is_some() {
                return Ok(());
            }
            if !self.prompted(&mut stdout, &mut stderr, silent) {
                continue;
            }
            if answered {
                return Err(Refusal::WrongPassword);
            }
            let password = self.password.as_ref().ok_or(Refusal::PasswordWanted)?;
            let _ = channel
                .input
                .send(Bytes::from(format!("{}\n", password.reveal())));
            answered = true;
        }
        if answered && says_wrong(&stderr) {
            return Err(Refusal::WrongPassword);
        }
        Err(Refusal::Ended {
            said: self.without_prompt(&said(&stdout, &stderr)),
            exit,
        })
    }

    /// Whether it asks now; the prompt is taken out of what was said.
    fn prompted(&self, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>, silent: bool) -> bool {
        if let Prompt::Holding(prompt) = &self.prompt {
            for stream in [&mut *stderr, &mut *stdout] {
                if let Some(at) = memmem::find(stream, prompt.as_bytes()) {
                    stream.drain(at..at + prompt.len());
                    return true;
                }
            }
            if !silent {
                return false;
            }
        }
        // An error is a line; a prompt is not.
        let asks = |said: &[u8]| !said.is_empty() && !said.ends_with(b"\n");
        let asked = asks(stderr) || asks(stdout);
        if asked {
            stderr.clear();
            stdout.clear();
        }
        asked
    }

    fn without_prompt(&self, said: &str) -> String {
        match &self.prompt {
            Prompt::Holding(prompt) => said.replace(prompt.as_str(), "").trim().to_owned(),
            Prompt::Any => said.to_owned(),
        }
    }
}

fn says_wrong(stderr: &[u8]) -> bool {
    let said = String::from_utf8_lossy(stderr);
    [
        "incorrect password",
        "Authentication failure",
        "no password was provided",
        "try again",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// What a program that would not let us in has printed.
fn said(stdout: &[u8], stderr: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    let (stderr, stdout) = (text(stderr), text(stdout));
    if stderr.is_empty() { stdout } else { stderr }
}

fn explain(identity: &Identity, site: &Site, refusal: Refusal) -> Lost {
    let host = &site.host;
    match identity {
        Identity::Login => Lost::Transport(no_login_shell(host, refusal)),
        Identity::Become(to) => not_become(host, to, refusal),
    }
}

fn no_login_shell(host: &str, refusal: Refusal) -> TransportError {
    let (kind, message, help) = match refusal {
        Refusal::Ended { exit: None, .. } => (
            TransportErrorKind::Lost,
            format!("{host}: the connection was lost"),
            None,
        ),
        Refusal::Ended { said, .. } => (
            TransportErrorKind::Denied,
            format!("{host}: the login shell ended at once{}", quoted_words(&said)),
            Some(
                "the user who logs in needs a shell that runs commands, with start-up files that do not end it"
                    .to_owned(),
            ),
        ),
        _ => (
            TransportErrorKind::Unreachable,
            format!(
                "{host}: the login shell did not answer within {} s",
                OPENING.as_secs()
            ),
            Some("the login shell's start-up files may wait for something".to_owned()),
        ),
    };
    TransportError { kind, message, help }
}

fn not_become(host: &str, to: &Become, refusal: Refusal) -> Lost {
    let (user, program) = (&to.user, program(to.method));
    let exe = to.exe.as_ref().and_then(|words| words.first());
    let (message, help) = match refusal {
        Refusal::Ended { exit: None, .. } => {
            return Lost::Transport(TransportError {
                kind: TransportErrorKind::Lost,
                message: format!("{host}: the connection was lost"),
                help: None,
            });
        }
        Refusal::Ended { said, .. } if wants_password(&said) => return password_wanted(host, to),
        Refusal::PasswordWanted => return password_wanted(host, to),
        Refusal::WrongPassword => (
            format!("{host}: {program} refused the password for becoming {user}"),
            Some("type it again with -K (--ask-become-pass), or correct ansible_become_password".to_owned()),
        ),
        Refusal::Ended {
            exit: Some(Exit::Code(127)),
            ..
        } => (
            format!(
                "{host}: there is no {} on this host",
                exe.map_or(program, String::as_str)
            ),
            Some(match exe {
                Some(_) => "see become_exe".to_owned(),
                None => "install it, or set become_method to a program that is there".to_owned(),
            }),
        ),
        Refusal::Ended { said, .. } => (
            format!("{host}: {program} cannot become {user}{}", quoted_words(&said)),
            way_out(&said),
        ),
        // Not a refusal: it may let us in yet, with what was sent behind it.
        Refusal::NoAnswer => {
            return Lost::Transport(TransportError {
                kind: TransportErrorKind::Unreachable,
                message: format!(
                    "{host}: {program} did not let us become {user} within {} s",
                    OPENING.as_secs()
                ),
                help: Some(format!(
                    "{program} may ask a directory server that does not answer"
                )),
            });
        }
    };
    Lost::Become { message, help }
}

fn password_wanted(host: &str, to: &Become) -> Lost {
    let program = program(to.method);
    let help = match to.method {
        BecomeMethod::Sudo => {
            "give it with -K (--ask-become-pass) or ansible_become_password, or allow it with NOPASSWD in sudoers"
        }
        BecomeMethod::Su => "give it with -K (--ask-become-pass) or ansible_become_password",
    };
    Lost::Become {
        message: format!(
            "{host}: {program} wants a password for becoming {}, and none was given",
            to.user
        ),
        help: Some(help.to_owned()),
    }
}

/// What to do about the settings of sudo that shut us out.
fn way_out(said: &str) -> Option<String> {
    let help = if said.contains("you must have a tty") {
        "nothing here has a terminal: `Defaults:USER !requiretty` in sudoers, for the user who logs in"
    } else if said.contains("/bin/sh: Permission denied") {
        "a shell has to be started: does `Defaults noexec` in sudoers hold for the user who logs in?"
    } else if said.contains("is not in the sudoers file") || said.contains("is not allowed to execute") {
        "sudoers has to let the user who logs in run any command (sudo -l there shows what it allows)"
    } else {
        return None;
    };
    Some(help.to_owned())
}

fn wants_password(said: &str) -> bool {
    said.contains("a password is required") || said.contains("interactive authentication is required")
}

fn program(method: BecomeMethod) -> &'static str {
    match method {
        BecomeMethod::Sudo => "sudo",
        BecomeMethod::Su => "su",
    }
}

/// The last line of what was said, which is where programs put the reason; but sudo complains of its plugins behind
/// it.
fn quoted_words(said: &str) -> String {
    said.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .rfind(|line| !line.contains("error initializing audit plugin"))
        .map_or_else(String::new, |line| format!(": {line}"))
}
