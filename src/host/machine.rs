//! What one machine can be asked to do in one round trip, whoever it is: a host over SSH, this machine, or one
//! that lives in memory in a test.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::question::{Answer, Question};
use crate::transport::{Boxed, TransportError};

/// A machine that runs scripts and answers questions.
pub trait Machine: Send + Sync {
    /// One round trip: first the work, if any, then the questions, in the same frame behind it.
    fn frame(&self, identity: Identity, frame: Frame) -> Boxed<'static, Result<Reply, Lost>>;

    /// Ends what runs there now, the whole process group; the frames under way come back with their end.
    fn interrupt(&self) -> Boxed<'static, ()>;

    /// Opens the shells of these identities anew before their next use: who a user is may have changed.
    fn forget_identities(&self);

    /// Logs in anew before the next frame. What runs goes on where it is.
    fn reconnect(&self) {
        self.forget_identities();
    }

    fn close(&self) -> Boxed<'static, ()>;

    /// The round trips so far, oldest first.
    fn trips(&self) -> Vec<Trip>;
}

/// As whom a script runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Identity {
    /// The user who is connected.
    #[default]
    Login,
    Become(Become),
}

/// `become`: which user, by which program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Become {
    pub user: Arc<str>,
    pub method: BecomeMethod,
    /// `become_exe`, split into words; `None`: the method's own program.
    pub exe: Option<Vec<String>>,
    /// `become_flags`, split into words; `None`: Ansible's `-H -S` as far as it applies.
    pub flags: Option<Vec<String>>,
    pub password: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BecomeMethod {
    Sudo,
    Su,
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// What alters the machine, or must run at its turn.
    pub work: Option<Script>,
    /// What only looks; merged by kind.
    pub questions: Vec<Question>,
    /// The longest that the questions may take together before they are given up.
    pub patience: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub work: Option<Done>,
    /// One for each question, in order.
    pub answers: Vec<Result<Answer, Unanswered>>,
}

/// How a piece of work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    Finished(Output),
    /// It ran longer than its limit and was killed with its process group.
    TimedOut {
        after: Duration,
        so_far: Output,
    },
    /// It killed the shell that ran it; the shell has been replaced.
    ShellKilled {
        so_far: Output,
    },
    Interrupted,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Unanswered {
    /// It took too long for something that only looks; to be asked again at its turn.
    TooSlow,
    /// The host cannot answer it (a program is missing), in a sentence.
    Impossible(String),
    /// The user may not look at this path.
    Denied(String),
}

/// A POSIX `sh` script.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// What it is for, in two or three words, for the list of round trips ("write /etc/hosts").
    pub label: Arc<str>,
    /// UTF-8 program text; may hold any byte but NUL.
    pub text: Arc<str>,
    pub stdin: Stdin,
    pub form: Form,
    pub timeout: Option<Duration>,
    /// It alters nothing: the door of [`ask_now`](super::Host::ask_now) says so.
    pub only_looks: bool,
    /// It alters nothing, and everybody may see its text: it may go with the command that opens a shell.
    pub is_public_look: bool,
    /// It goes over a connection that is opened for it, and all of that may take this long: for a machine that has
    /// gone away, or may have. What was under way there is ended.
    pub new_connection: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub enum Stdin {
    #[default]
    Null,
    Bytes(Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A script of ours: a subshell of the long-lived shell.
    Internal,
    /// A user's command: a session and process group of its own, so that it can be killed whole.
    Command,
}

impl Script {
    pub fn new(label: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self {
            label: label.into(),
            text: text.into(),
            stdin: Stdin::Null,
            form: Form::Internal,
            timeout: None,
            only_looks: false,
            is_public_look: false,
            new_connection: None,
        }
    }

    #[must_use]
    pub fn public_look(mut self) -> Self {
        self.is_public_look = true;
        self
    }

    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Bytes>) -> Self {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    #[must_use]
    pub fn command(mut self) -> Self {
        self.form = Form::Command;
        self
    }

    #[must_use]
    pub fn over_new_connection(mut self, limit: Duration) -> Self {
        self.new_connection = Some(limit);
        self
    }

    #[must_use]
    pub fn timeout(mut self, limit: Option<Duration>) -> Self {
        self.timeout = limit;
        self
    }
}

/// What a script said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    pub stdout: Bytes,
    pub stderr: Bytes,
    /// The shell's `$?`: above 128 for a signal.
    pub status: i32,
    /// A child that went on holding our pipe after the end, in words; not killed.
    pub left_behind: bool,
}

impl Output {
    pub fn ok(&self) -> bool {
        self.status == 0
    }

    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// The machine could not be reached as this identity, or went away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("{0}")]
    Transport(TransportError),
    /// sudo wants a password and got none, got a wrong one, or refuses.
    #[error("{message}")]
    Become { message: String, help: Option<String> },
    /// The connection went away while the work ran: whether it was done is not known.
    #[error("{0}")]
    During(TransportError),
}

/// One round trip, for `--trips` and the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// What it was for: the label of the work, or how many questions of which kinds.
    pub what: String,
    pub took: Duration,
}

/// A word for `sh`, quoted if it needs to be.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_the_shell_would_touch() {
        assert_eq!(quote("/etc/hosts"), "/etc/hosts");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("$x"), "'$x'");
    }
}
