//! A frame on its way: what is still to be done of it, and what came of the rest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::sleep;

use super::machine::{Done, Form, Frame, Identity, Lost, Output, Reply, Script, Stdin, Unanswered};
use super::pool::Connection;
use super::questions::Sheet;
use super::shell::End;
use crate::transport::{TransportError, TransportErrorKind};

/// What is still to be done of a frame.
pub(super) struct Errand {
    pub identity: Identity,
    pub work: Option<Script>,
    pub sheet: Option<Sheet>,
    pub questions: usize,
    pub patience: Option<Duration>,
    pub done: Option<Done>,
    pub output: Option<Output>,
    /// The connection went away behind the work, and could not be opened again.
    pub is_lost: bool,
    pub interrupts: watch::Receiver<u64>,
}

/// How a script may be ended, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub form: Form,
    pub time: Option<Duration>,
}

/// Why a script was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    TooLong(Duration),
    Interrupted,
}

/// Why a frame has to be sent again.
pub(super) enum Again {
    /// Its shell was gone, and it was not read.
    ShellGone,
    /// The user is in other groups by now than the connection knows.
    Stale(Arc<Connection>),
}

impl Errand {
    pub fn new(identity: Identity, frame: Frame, interrupts: watch::Receiver<u64>) -> Self {
        let questions = frame.questions.len();
        let sheet = (!frame.questions.is_empty()).then(|| Sheet::of(frame.questions));
        Self {
            identity,
            work: frame.work,
            sheet,
            questions,
            patience: frame.patience,
            done: None,
            output: None,
            is_lost: false,
            interrupts,
        }
    }

    /// No shell can read a program with a NUL byte in it.
    pub fn refuse_nul(&mut self) {
        if self
            .work
            .as_ref()
            .is_some_and(|script| script.text.contains('\0'))
        {
            self.work = None;
            self.done = Some(Done::Finished(Output {
                stderr: Bytes::from_static(b"a script cannot hold a NUL byte\n"),
                status: 126,
                ..Output::default()
            }));
        }
    }

    pub fn is_over(&self) -> bool {
        self.work.is_none() && (self.sheet.is_none() || self.output.is_some())
    }

    pub fn is_interrupted(&self) -> bool {
        self.interrupts.has_changed().unwrap_or(false)
    }

    /// What was sent behind an opening that never answered may have been read, or may be yet.
    pub fn doubted(&self, lost: Lost) -> Lost {
        match lost {
            Lost::Transport(error) if self.work.is_some() && error.kind != TransportErrorKind::Denied => {
                Lost::During(error)
            }
            other => other,
        }
    }

    pub fn payload(&self) -> Option<(Script, Bytes)> {
        let script = self.work.as_ref()?;
        match &script.stdin {
            Stdin::Null => None,
            Stdin::Bytes(bytes) => Some((script.clone(), bytes.clone())),
        }
    }

    /// What there is to send, if all of it may go with the command that opens a shell: it can be sent again, and
    /// the host's users see it in the list of processes.
    pub fn public_looks(&self) -> Vec<&str> {
        let may_go = |script: &Script| {
            script.is_public_look && script.form == Form::Internal && script.stdin == Stdin::Null
        };
        if self.work.as_ref().is_some_and(|script| !may_go(script)) {
            return Vec::new();
        }
        let work = self.work.as_ref().map(|script| &*script.text);
        let questions = self.sheet.as_ref().map(Sheet::script);
        work.into_iter().chain(questions).collect()
    }

    /// For the list of round trips.
    pub fn what(&self) -> String {
        let work = self.work.as_ref().map(|script| script.label.to_string());
        let questions = self.sheet.as_ref().map(Sheet::summary);
        work.into_iter().chain(questions).collect::<Vec<_>>().join(", ")
    }

    pub fn interrupted(self) -> Reply {
        let work = self.done.or(self.work.map(|_| Done::Interrupted));
        Reply {
            work,
            answers: vec![Err(Unanswered::TooSlow); self.questions],
        }
    }

    pub fn reply(self) -> Reply {
        let work = self.done.or_else(|| {
            self.work.map(|_| Done::ShellKilled {
                so_far: Output::default(),
            })
        });
        let answers = match (self.sheet, self.output) {
            (None, _) => Vec::new(),
            (Some(sheet), Some(output)) => sheet.answers(&output),
            (Some(_), None) if self.is_lost => vec![Err(Unanswered::TooSlow); self.questions],
            (Some(_), None) => {
                let why = "the shell ended each time it was asked";
                vec![Err(Unanswered::Impossible(why.to_owned())); self.questions]
            }
        };
        Reply { work, answers }
    }

    /// Takes note of how the work ended.
    pub fn settle_work(
        &mut self,
        end: End,
        stopped: Option<Stopped>,
        host: &str,
    ) -> Result<Option<Again>, Lost> {
        let gone = matches!(end, End::ShellEnded { .. });
        let done = match (end, stopped) {
            (End::Finished(output), None) => Done::Finished(output),
            (_, Some(Stopped::Interrupted)) => Done::Interrupted,
            (End::Finished(so_far) | End::ShellEnded { so_far, .. }, Some(Stopped::TooLong(after))) => {
                Done::TimedOut { after, so_far }
            }
            // Whether a lost connection carried it there cannot be known.
            (End::ShellEnded { exit: None, .. }, None) => return Err(Lost::During(lost(host))),
            (End::ShellEnded { started: false, .. }, None) => return Ok(Some(Again::ShellGone)),
            (End::ShellEnded { so_far, .. }, None) => Done::ShellKilled { so_far },
        };
        self.work = None;
        self.done = Some(done);
        Ok(gone.then_some(Again::ShellGone))
    }

    /// Questions only look: where their shell or the connection is gone, they are asked again.
    pub fn settle_questions(&mut self, end: End, stopped: Option<Stopped>) -> Option<Again> {
        match (end, stopped) {
            (End::Finished(output), _) => {
                self.output = Some(output);
                None
            }
            (End::ShellEnded { so_far, .. }, Some(_)) => {
                self.output = Some(so_far);
                Some(Again::ShellGone)
            }
            (End::ShellEnded { .. }, None) => Some(Again::ShellGone),
        }
    }
}

impl Limits {
    pub fn of(script: &Script) -> Self {
        Self {
            form: script.form,
            time: script.timeout,
        }
    }

    pub async fn time_is_over(self) -> Stopped {
        let Some(time) = self.time else {
            return std::future::pending().await;
        };
        sleep(time).await;
        Stopped::TooLong(time)
    }
}

pub(super) fn lost(host: &str) -> TransportError {
    TransportError {
        kind: TransportErrorKind::Lost,
        message: format!("{host}: the connection was lost"),
        help: None,
    }
}
