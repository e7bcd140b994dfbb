//! One long-lived `sh` on a channel: requests go in, one behind the other, and come back apart.
//!
//! Writing never waits for reading, so any amount in both directions cannot lock up. Requests may be written
//! before the shell has even started: they wait in its standard input.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::machine::{Form, Output};
use super::request::{self, Input, SETTING_UP};
use super::scanner::{Cut, Marks, Scanner};
use crate::transport::{Channel, Exit, Piece};

/// Dropping it closes the shell's input, which ends it.
#[derive(Debug)]
pub(super) struct Shell {
    /// `None` once it has been closed behind a payload.
    input: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    traffic: Arc<Mutex<Traffic>>,
    greeting: Mutex<Option<Ticket>>,
    character: OnceLock<Character>,
    /// The program that runs the commands of users.
    executable: Arc<str>,
}

/// What a shell says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Character {
    /// bash reads its program byte by byte: 0.26 ms per kilobyte.
    pub is_bash: bool,
    pub is_root: bool,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Ticket {
    /// The process id of the command, or of the shell for a script of ours; dropped if it never started.
    pub started: oneshot::Receiver<u32>,
    pub ended: oneshot::Receiver<End>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Finished(Output),
    /// The shell ended first. Without an exit the connection was lost.
    ShellEnded {
        started: bool,
        so_far: Output,
        exit: Option<Exit>,
    },
}

/// Requests whose text goes with the command that starts a shell, so that the answers cost no round trip of their
/// own: the shell's input is only open once it has started.
#[derive(Debug)]
pub(super) struct Prelude {
    pub text: String,
    /// Of the greeting, then of each request.
    marks: Vec<Marks>,
}

impl Prelude {
    pub fn asking(scripts: &[&str]) -> Self {
        let greeting = request::marks();
        let marks: Vec<Marks> = scripts.iter().map(|_| request::marks()).collect();
        let pairs: Vec<(&str, &Marks)> = scripts.iter().copied().zip(&marks).collect();
        let text = request::prelude(&greeting, &pairs);
        Self {
            text,
            marks: std::iter::once(greeting).chain(marks).collect(),
        }
    }
}

impl Shell {
    /// Takes over a channel on which a shell starts or has started.
    pub fn over(channel: Channel, executable: Arc<str>) -> Self {
        let greeting = request::marks();
        let text = format!("{SETTING_UP}{}", request::greeting(&greeting));
        let (shell, _) = Self::expecting(channel, executable, &[greeting], text);
        shell
    }

    /// The same of one that was started with a prelude; a ticket for each of its requests.
    pub fn after(channel: Channel, executable: Arc<str>, prelude: &Prelude) -> (Self, Vec<Ticket>) {
        Self::expecting(channel, executable, &prelude.marks, SETTING_UP.to_owned())
    }

    /// The first of `marks` are those of the greeting.
    fn expecting(
        channel: Channel,
        executable: Arc<str>,
        marks: &[Marks],
        text: String,
    ) -> (Self, Vec<Ticket>) {
        let Channel { input, output } = channel;
        let mut traffic = Traffic::default();
        let mut tickets = marks.iter().map(|marks| traffic.expect(marks));
        let greeting = tickets.next();
        let tickets = tickets.collect();
        let traffic = Arc::new(Mutex::new(traffic));
        // Where the shell is gone already, the listener finds out.
        let _ = input.send(Bytes::from(text));
        tokio::spawn(listen(output, Arc::clone(&traffic)));
        let shell = Self {
            input: Mutex::new(Some(input)),
            traffic,
            greeting: Mutex::new(greeting),
            character: OnceLock::new(),
            executable,
        };
        (shell, tickets)
    }

    /// Waits for the shell's greeting, once; an `End` says why there is none.
    pub async fn character(&self) -> Result<Character, End> {
        if let Some(known) = self.character.get() {
            return Ok(*known);
        }
        let ticket = lock(&self.greeting).take();
        let end = match ticket {
            Some(ticket) => ticket.end().await,
            None => End::gone(None),
        };
        let End::Finished(output) = end else {
            return Err(end);
        };
        let words = output.stdout_text();
        Ok(*self.character.get_or_init(|| Character {
            is_bash: words.contains("bash"),
            is_root: words.contains("root"),
        }))
    }

    /// Puts a script behind those that are under way.
    pub fn submit(&self, script: &str, input: Input<'_>, form: Form) -> Ticket {
        self.tell(|marks| request::program(&self.executable, script, input, form, marks))
    }

    /// Ends this shell, before what is sent behind it runs, if its user has other groups by now.
    pub fn check_membership(&self) -> Ticket {
        self.tell(|marks| request::membership(marks).into_bytes())
    }

    /// The rest of the channel, for a request with [`Input::Channel`] that has started.
    pub fn pour(&self, payload: Bytes) {
        if let Some(input) = lock(&self.input).take() {
            let _ = input.send(payload);
        }
    }

    /// What has come of the request at the head; the shell is of no use afterwards.
    pub fn abandon(&self) -> Output {
        lock(&self.traffic).give_up()
    }

    pub fn is_dead(&self) -> bool {
        lock(&self.traffic).has_ended
            || lock(&self.input)
                .as_ref()
                .is_none_or(mpsc::UnboundedSender::is_closed)
    }

    fn tell(&self, text: impl FnOnce(&Marks) -> Vec<u8>) -> Ticket {
        let marks = request::marks();
        let text = text(&marks);
        let ticket = lock(&self.traffic).expect(&marks);
        // A shell that is gone is noticed by the listener, which then ends this ticket too.
        if let Some(input) = &*lock(&self.input) {
            let _ = input.send(Bytes::from(text));
        }
        ticket
    }
}

impl Ticket {
    pub async fn end(self) -> End {
        self.ended.await.unwrap_or_else(|_| End::gone(None))
    }
}

impl End {
    /// The shell ended before it came to the request.
    pub fn gone(exit: Option<Exit>) -> Self {
        Self::ShellEnded {
            started: false,
            so_far: Output::default(),
            exit,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(mut output: mpsc::UnboundedReceiver<Piece>, traffic: Arc<Mutex<Traffic>>) {
    let mut exit = None;
    while let Some(piece) = output.recv().await {
        match piece {
            Piece::Stdout(bytes) => lock(&traffic).hear_stdout(&bytes),
            Piece::Stderr(bytes) => lock(&traffic).hear_stderr(&bytes),
            Piece::Exit(how) => exit = Some(how),
        }
    }
    lock(&traffic).end(exit);
}

/// The requests under way, and the two streams that their answers come in.
#[derive(Debug, Default)]
struct Traffic {
    stdout: Scanner,
    stderr: Scanner,
    pending: VecDeque<Pending>,
    requests: u64,
    has_ended: bool,
    /// How it ended; `None`: not known, or not yet.
    exit: Option<Exit>,
}

#[derive(Debug)]
struct Pending {
    request: u64,
    has_started: bool,
    started: Option<oneshot::Sender<u32>>,
    ended: oneshot::Sender<End>,
    stdout: Option<Bytes>,
    stderr: Option<Bytes>,
    status: i32,
    left_behind: bool,
}

impl Traffic {
    fn expect(&mut self, marks: &Marks) -> Ticket {
        self.requests += 1;
        let request = self.requests;
        let (started_sender, started) = oneshot::channel();
        let (ended_sender, ended) = oneshot::channel();
        let ticket = Ticket { started, ended };
        if self.has_ended {
            let _ = ended_sender.send(End::gone(self.exit.clone()));
            return ticket;
        }
        self.stdout.expect(request, marks);
        self.stderr.expect(request, marks);
        self.pending.push_back(Pending {
            request,
            has_started: false,
            started: Some(started_sender),
            ended: ended_sender,
            stdout: None,
            stderr: None,
            status: 0,
            left_behind: false,
        });
        ticket
    }

    fn hear_stdout(&mut self, bytes: &[u8]) {
        for cut in self.stdout.feed(bytes) {
            match cut {
                Cut::Started { request, line } => self.start(request, &line),
                Cut::Ended {
                    request,
                    between,
                    line,
                } => self.finish(request, between, &line),
            }
        }
        self.hand_out();
    }

    fn hear_stderr(&mut self, bytes: &[u8]) {
        for cut in self.stderr.feed(bytes) {
            if let Cut::Ended { request, between, .. } = cut
                && let Some(pending) = self.find(request)
            {
                pending.stderr = Some(between);
            }
        }
        self.hand_out();
    }

    fn start(&mut self, request: u64, line: &[u8]) {
        let Some(pending) = self.find(request) else { return };
        pending.has_started = true;
        if let Some(sender) = pending.started.take()
            && let Some(pid) = words(line).first().and_then(|word| word.parse().ok())
        {
            let _ = sender.send(pid);
        }
    }

    fn finish(&mut self, request: u64, between: Bytes, line: &[u8]) {
        let Some(pending) = self.find(request) else { return };
        let words = words(line);
        pending.stdout = Some(between);
        // The line is the shell's own `$?`: anything else would be a shell that cannot count.
        pending.status = words.first().and_then(|word| word.parse().ok()).unwrap_or(-1);
        pending.left_behind = words.get(1).is_some_and(|word| word == "left");
    }

    fn find(&mut self, request: u64) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.request == request)
    }

    /// Ends the requests at the head whose marks have been seen on both streams.
    fn hand_out(&mut self) {
        while self.pending.front().is_some_and(Pending::is_complete) {
            let Some(mut done) = self.pending.pop_front() else {
                return;
            };
            let output = Output {
                stdout: done.stdout.take().unwrap_or_default(),
                stderr: done.stderr.take().unwrap_or_default(),
                status: done.status,
                left_behind: done.left_behind,
            };
            // Whoever asked may have gone: the bytes are read all the same.
            let _ = done.ended.send(End::Finished(output));
        }
    }

    fn end(&mut self, exit: Option<Exit>) {
        self.has_ended = true;
        let mut so_far = Some(self.give_up_streams());
        for pending in self.pending.drain(..) {
            let _ = pending.ended.send(End::ShellEnded {
                started: pending.has_started,
                so_far: so_far.take().unwrap_or_default(),
                exit: exit.clone(),
            });
        }
        self.exit = exit;
    }

    fn give_up(&mut self) -> Output {
        let so_far = self.give_up_streams();
        self.end(None);
        so_far
    }

    /// What the request at the head has said: on a stream whose end mark was seen, all of it.
    fn give_up_streams(&mut self) -> Output {
        let (stdout, stderr) = (self.stdout.give_up(), self.stderr.give_up());
        let head = self.pending.front_mut();
        let (known_stdout, known_stderr) =
            head.map_or((None, None), |head| (head.stdout.take(), head.stderr.take()));
        Output {
            stdout: known_stdout.unwrap_or(stdout),
            stderr: known_stderr.unwrap_or(stderr),
            status: -1,
            left_behind: false,
        }
    }
}

impl Pending {
    fn is_complete(&self) -> bool {
        self.stdout.is_some() && self.stderr.is_some()
    }
}

fn words(line: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(line)
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}
