//! The doors: the only ways in which a module reaches a machine.
//!
//! A module is plain `async` code. Whatever it wants of the world it puts into the door as a [`Request`] and
//! waits; who drives it (the executor, or [`direct`](super::direct) in tests) decides when and how the request
//! is met. So check mode, diff, "changed", running ahead and turns are facts about the doors, not claims of
//! modules.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::machine::{Done, Lost, Output, Script, Unanswered};
use super::question::{Answer, Answered, Ask, Look, Question};
use super::questions::BEHIND_A_DENIAL;
use crate::vars::{Map, Value};

/// A machine, and the task that looks at it, as a module sees them.
#[derive(Clone)]
pub struct Host {
    door: Door,
    task: Arc<Task>,
}

/// What a module may know of the task that it runs for.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub struct Task {
    /// `inventory_hostname`.
    pub host: Arc<str>,
    pub check: bool,
    /// The whole run is a dry run, and an earlier task would change something, or may.
    pub awaits_changes: bool,
    pub diff: bool,
    /// `environment:`, rendered; the executor puts it before every command too.
    pub environment: Vec<(String, String)>,
    /// The file that holds the task, for messages and for finding files.
    pub file: Option<PathBuf>,
    /// `-v` given this often.
    pub verbosity: u8,
    pub no_log: bool,
    /// The machine is the one that runs us.
    pub local: bool,
}

/// What a module puts into the door.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Looks; may run ahead; merged with others. All answers come together.
    Ask(Vec<Question>),
    /// Looks, at its turn: slow, polling, about the time.
    AskNow(Script),
    /// Alters, at its turn, and counts as changed.
    Change(Change, Script),
    /// Alters, at its turn, and does not count: a cache refresh, `daemon-reload`.
    Act(Script),
    /// Something on the controlling machine.
    Local(Local),
}

/// What comes back through the door.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    Answers(Vec<Answered>),
    Done(Done),
    Local(Result<LocalAnswer, String>),
    /// The module goes no further.
    Halt(Halt),
}

/// A request to the controlling machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Local {
    /// Renders a value, or evaluates a bare expression, in the task's scope.
    Render(Value),
    Expression(Value),
    Condition(Value),
    /// Finds and reads a file of the project: `copy: src=`, `script:`.
    File {
        kind: FileSearch,
        name: String,
    },
    /// Everything below a directory of the project, for `copy` of a directory.
    Tree {
        kind: FileSearch,
        name: String,
    },
    /// Finds a template and renders it; the options are those of the `template` module.
    Template {
        name: String,
        options: Map,
    },
    /// The text behind an http or https URL, at the task's turn.
    Fetch(String),
    /// Waits.
    Sleep(Duration),
    /// Asks the person.
    Prompt {
        text: String,
        echo: bool,
    },
    /// A TCP connection from here, as `wait_for` with `connection: local`.
    Facts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSearch {
    /// In `files/`.
    Files,
    /// In `templates/`.
    Templates,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LocalAnswer {
    Value(Value),
    Truth(bool),
    File(LocalFile),
    Tree(Vec<LocalFile>),
    Text(String),
    /// What came of a URL, or why nothing did.
    Fetched(Result<String, String>),
    /// What the person typed; `None`: nobody is there to ask.
    Typed(Option<String>),
    Nothing,
}

/// A file of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalFile {
    /// Relative to the directory asked for, in a tree; else the path found.
    pub path: PathBuf,
    /// `None`: a directory.
    pub bytes: Option<Bytes>,
    /// Permission bits on the controlling machine.
    pub mode: u32,
    /// A symbolic link's target.
    pub link: Option<String>,
}

/// What a change does, for people: the line in the report, and the difference under `--diff`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Imperative, short: "write /etc/hosts", "install curl, jq".
    pub what: String,
    pub differences: Vec<Difference>,
    /// A user's command: what it would change cannot be known without running it.
    pub opaque: bool,
    /// Return values that a dry run knows; all others are unknown to it.
    pub known: Box<Map>,
}

/// One thing before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The thing: a path, nearly always.
    pub subject: String,
    pub before: String,
    pub after: String,
}

impl Change {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// A command of the user's.
    pub fn command(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            opaque: true,
            ..Self::default()
        }
    }

    /// Adds a return value that is known before.
    #[must_use]
    pub fn knowing(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.known.insert(name.into(), value.into());
        self
    }

    #[must_use]
    pub fn difference(
        mut self,
        subject: impl Into<String>,
        before: impl Into<String>,
        after: impl Into<String>,
    ) -> Self {
        self.differences.push(Difference {
            subject: subject.into(),
            before: before.into(),
            after: after.into(),
        });
        self
    }
}

/// What a module has to say when it is through; `changed` is the door's to know.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The return values under Ansible's names: `stdout`, `rc`, `stat`, `dest` …
    pub values: Map,
    /// `ansible_facts`.
    pub facts: Option<Map>,
    /// `skipped: true` by the module itself (`creates` exists).
    pub skipped: bool,
    /// The module ran to its end, and the result is a failure all the same (a command's `rc`).
    pub failed: bool,
    /// Says that nothing changed although a change was made (`command` with `creates`); never the other way.
    pub unchanged: bool,
    pub warnings: Vec<String>,
}

impl Outcome {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a return value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    #[must_use]
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }
}

/// Why a module stopped before its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Halt {
    Failed(Failure),
    /// The machine is gone, or sudo is not to be had.
    Lost(Lost),
    /// A dry run has come to the first change.
    WouldChange(Change),
    /// A dry run has come to a command.
    NotRun(Arc<str>),
    /// A dry run depends on what is not known.
    Unknown(Arc<str>),
    Interrupted,
}

/// A module's failure: `msg`, and further return values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Failure {
    pub msg: String,
    pub values: Map,
}

impl Failure {
    pub fn new(msg: impl Into<String>) -> Self {
        Self {
            msg: msg.into(),
            values: Map::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unanswered> for Halt {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Impossible(why) => fail(why),
            Unanswered::TooSlow => fail("the host took too long to answer"),
            Unanswered::Denied(path) => fail(format!("{path} cannot be looked at: {BEHIND_A_DENIAL}")),
        }
    }
}

impl From<Lost> for Halt {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// A failure in one sentence: `return Err(fail("…"))`.
pub fn fail(msg: impl Into<String>) -> Halt {
    Failure::new(msg).into()
}

/// Where a request and its response lie between a module and its driver.
#[derive(Debug, Clone, Default)]
pub struct Door(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Asked(Request),
    /// The driver has taken the request and will answer.
    Taken,
    Answered(Response),
}

impl Door {
    /// The driver's side: the request that lies there, if any; to be answered with [`respond`](Self::respond).
    pub fn take(&self) -> Option<Request> {
        let mut slot = self.lock();
        match std::mem::take(&mut *slot) {
            Slot::Asked(request) => {
                *slot = Slot::Taken;
                Some(request)
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Lays the response there; the module finds it when it is polled next.
    pub fn respond(&self, response: Response) {
        *self.lock() = Slot::Answered(response);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slot> {
        // A module that panicked left nothing half-written here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self, request: Request) -> Result<Response, Halt> {
        *self.lock() = Slot::Asked(request);
        let response = poll_fn(|_| {
            let mut slot = self.lock();
            match std::mem::take(&mut *slot) {
                Slot::Answered(response) => Poll::Ready(response),
                other => {
                    *slot = other;
                    Poll::Pending
                }
            }
        })
        .await;
        match response {
            Response::Halt(halt) => Err(halt),
            response => Ok(response),
        }
    }
}

impl Host {
    pub fn new(door: Door, task: Arc<Task>) -> Self {
        Self { door, task }
    }

    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Whether this is a dry run. For words only: the doors are shut without a module's help.
    pub fn check(&self) -> bool {
        self.task.check
    }

    /// Whether what is missing now may be brought by an earlier task, of which this is a dry run.
    pub fn awaits_changes(&self) -> bool {
        self.task.awaits_changes
    }

    /// The failure of a task that lacks something, or that this is not known: an earlier task may bring it.
    pub fn lacks(&self, what: impl Into<Arc<str>>, failure: Halt) -> Halt {
        if self.awaits_changes() {
            Halt::Unknown(what.into())
        } else {
            failure
        }
    }

    /// The same, of a path.
    pub fn lacks_file(&self, path: &str, failure: Halt) -> Halt {
        self.lacks(format!("{path}, which is not there"), failure)
    }

    /// Asks one question.
    pub async fn ask<Q: Ask>(&self, question: Q) -> Result<Q::Answer, Halt> {
        let mut answers = self.ask_each(vec![question.into()]).await?;
        typed::<Q>(answers.pop())
    }

    /// Asks many questions of a kind at once.
    pub async fn ask_all<Q: Ask>(&self, questions: Vec<Q>) -> Result<Vec<Q::Answer>, Halt> {
        let answers = self
            .ask_each(questions.into_iter().map(Into::into).collect())
            .await?;
        answers.into_iter().map(|a| typed::<Q>(Some(a))).collect()
    }

    /// Asks two questions at once.
    pub async fn ask_both<A: Ask, B: Ask>(&self, a: A, b: B) -> Result<(A::Answer, B::Answer), Halt> {
        let mut answers = self.ask_each(vec![a.into(), b.into()]).await?;
        let second = answers.pop();
        Ok((typed::<A>(answers.pop())?, typed::<B>(second)?))
    }

    /// Asks questions of any kinds at once.
    pub async fn ask_each(&self, questions: Vec<Question>) -> Result<Vec<Answer>, Halt> {
        let answers = self.ask_if_possible(questions).await?;
        answers
            .into_iter()
            .map(|answer| answer.map_err(Halt::from))
            .collect()
    }

    /// The same, where a question that the host cannot answer is an answer too.
    pub async fn ask_if_possible(&self, questions: Vec<Question>) -> Result<Vec<Answered>, Halt> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        match self.door.pass(Request::Ask(questions)).await? {
            Response::Answers(answers) => Ok(answers),
            other => Err(stray(&other)),
        }
    }

    /// A read-only script whose status matters: fails with its stderr unless it ends with 0.
    pub async fn look(&self, label: &str, script: &str) -> Result<String, Halt> {
        let output = self.ask(Look::new(label, script)).await?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        Err(failed_script(label, &output))
    }

    /// Looks at its turn.
    pub async fn ask_now(&self, mut script: Script) -> Result<Output, Halt> {
        script.only_looks = true;
        let label = script.label.clone();
        let response = self.door.pass(Request::AskNow(script)).await?;
        finished(response, &label)
    }

    /// Makes a change; the output is the module's to judge.
    pub async fn change(&self, what: Change, script: Script) -> Result<Output, Halt> {
        let label = script.label.clone();
        let response = self.door.pass(Request::Change(what, script)).await?;
        finished(response, &label)
    }

    /// Makes a change that must succeed: its stderr is the failure otherwise.
    pub async fn change_ok(&self, what: Change, script: Script) -> Result<Output, Halt> {
        let label = script.label.clone();
        let output = self.change(what, script).await?;
        if output.ok() {
            return Ok(output);
        }
        Err(failed_script(&label, &output))
    }

    /// Runs a user's command: time-outs and killed shells are the caller's to describe.
    pub async fn command(&self, what: Change, script: Script) -> Result<Done, Halt> {
        match self.door.pass(Request::Change(what, script)).await? {
            Response::Done(done) => Ok(done),
            other => Err(stray(&other)),
        }
    }

    /// Alters something that does not count as a change.
    pub async fn act(&self, script: Script) -> Result<Output, Halt> {
        let label = script.label.clone();
        let response = self.door.pass(Request::Act(script)).await?;
        finished(response, &label)
    }

    /// Renders a value in the task's scope.
    pub async fn render(&self, value: Value) -> Result<Value, Halt> {
        match self.local(Local::Render(value)).await? {
            LocalAnswer::Value(value) => Ok(value),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// Evaluates a bare expression in the task's scope.
    pub async fn expression(&self, value: Value) -> Result<Value, Halt> {
        match self.local(Local::Expression(value)).await? {
            LocalAnswer::Value(value) => Ok(value),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// The truth of a condition in the task's scope.
    pub async fn condition(&self, value: Value) -> Result<bool, Halt> {
        match self.local(Local::Condition(value)).await? {
            LocalAnswer::Truth(truth) => Ok(truth),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// A file of the project.
    pub async fn file(&self, kind: FileSearch, name: &str) -> Result<LocalFile, Halt> {
        let name = name.to_string();
        match self.local(Local::File { kind, name }).await? {
            LocalAnswer::File(file) => Ok(file),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// A template of the project, rendered.
    pub async fn template(&self, name: &str, options: Map) -> Result<String, Halt> {
        let name = name.to_string();
        match self.local(Local::Template { name, options }).await? {
            LocalAnswer::Text(text) => Ok(text),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// The text behind a URL, fetched by the controlling machine at the task's turn.
    pub async fn fetch(&self, url: &str) -> Result<String, Halt> {
        match self.local(Local::Fetch(url.to_string())).await? {
            LocalAnswer::Fetched(text) => text.map_err(fail),
            _ => Err(fail("the program answered another request: a bug of vmstation")),
        }
    }

    /// Waits, at its turn.
    pub async fn sleep(&self, time: Duration) -> Result<(), Halt> {
        self.local(Local::Sleep(time)).await.map(|_| ())
    }

    /// Something on the controlling machine.
    pub async fn local(&self, request: Local) -> Result<LocalAnswer, Halt> {
        match self.door.pass(Request::Local(request)).await? {
            Response::Local(Ok(answer)) => Ok(answer),
            Response::Local(Err(why)) => Err(fail(why)),
            other => Err(stray(&other)),
        }
    }

    /// A path as the host's user would mean it: `~` and `~name` expanded there.
    pub async fn path(&self, path: &str) -> Result<String, Halt> {
        let Some(rest) = path.strip_prefix('~') else {
            return Ok(path.to_string());
        };
        let (user, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if user.is_empty() {
            let home = self.look("home", "printf %s \"$HOME\"").await?;
            return Ok(format!("{home}{tail}"));
        }
        let account = super::question::Account {
            name: user.to_string(),
        };
        match self.ask(account).await? {
            Some(entry) => Ok(format!("{}{tail}", entry.home)),
            None => Err(fail(format!("there is no user `{user}` for the path `{path}`"))),
        }
    }
}

fn typed<Q: Ask>(answer: Option<Answer>) -> Result<Q::Answer, Halt> {
    answer
        .and_then(Q::answer)
        .ok_or_else(|| fail("the machine answered another question: a bug of vmstation"))
}

fn finished(response: Response, label: &str) -> Result<Output, Halt> {
    match response {
        Response::Done(Done::Finished(output)) => Ok(output),
        Response::Done(Done::TimedOut { after, .. }) => Err(fail(format!(
            "`{label}` did not end within {} s and was stopped",
            after.as_secs()
        ))),
        Response::Done(Done::ShellKilled { .. }) => {
            Err(fail(format!("`{label}` ended the shell that ran it")))
        }
        Response::Done(Done::Interrupted) => Err(Halt::Interrupted),
        other => Err(stray(&other)),
    }
}

fn stray(response: &Response) -> Halt {
    fail(format!(
        "the driver gave an answer of another kind, a bug of vmstation: {response:?}"
    ))
}

/// The failure of a script of ours: what it was for and what it said.
fn failed_script(label: &str, output: &Output) -> Halt {
    let said = output.stderr_text();
    let said = if said.trim().is_empty() {
        output.stdout_text()
    } else {
        said
    };
    Failure::new(format!("cannot {label}: {}", said.trim()))
        .with("rc", i64::from(output.status))
        .with("stdout", output.stdout_text())
        .with("stderr", output.stderr_text())
        .into()
}
