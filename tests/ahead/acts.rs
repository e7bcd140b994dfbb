//! Modules for the hosts in memory: each goes through the doors in a way of its own.

use std::cell::Cell;
use std::time::Duration;

use serde::Deserialize;
use vmstation::host::question::{Algorithm, Checksum, Contents, Look, Read};
use vmstation::host::{Change, Done, FileSearch, Halt, Host, Outcome, Script, fail};
use vmstation::modules::{self, Entry, Module};
use vmstation::playbook::{Catalogue, Signature, WrittenArgument};
use vmstation::source::{Diagnostic, Span};
use vmstation::vars::{Map, Value};

thread_local! {
    static ENDED: Cell<usize> = const { Cell::new(0) };
}

/// How many scripts that alter something have ended in the eyes of the modules, in this thread.
pub fn ended() -> usize {
    ENDED.get()
}

/// Waits for the end of a change.
async fn to_the_end<T>(host: &Host, change: impl Future<Output = T>) -> T {
    let done = change.await;
    if !host.check() {
        ENDED.set(ENDED.get() + 1);
    }
    done
}

/// Asks for a file; with `then`, for the file that is named in it too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct See {
    path: String,
    #[serde(default)]
    then: bool,
    /// Looks at its turn.
    #[serde(default)]
    now: bool,
}

fn text(contents: Contents) -> Option<String> {
    match contents {
        Contents::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    }
}

impl Module for See {
    const NAME: &'static str = "see";

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if self.now {
            let output = host
                .ask_now(Script::new("now", format!("look {}", self.path)))
                .await?;
            return Ok(Outcome::new()
                .with("content", output.stdout_text().trim_end())
                .with("there", output.ok()));
        }
        let first = text(host.ask(Read::of(&self.path)).await?);
        let mut outcome = Outcome::new().with("there", first.is_some());
        if self.then {
            let path = format!("/{}", first.as_deref().unwrap_or("a"));
            let second = host.ask(Look::new("show", format!("show {path}"))).await?;
            outcome = outcome.with("second", second.stdout_text().trim_end());
        }
        Ok(outcome.with("content", first.unwrap_or_default()))
    }
}

/// Makes a file have this content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    path: String,
    content: String,
    /// The change does not count.
    #[serde(default)]
    quietly: bool,
    /// Looks at the file again behind the change.
    #[serde(default)]
    again: bool,
    /// A second file that gets the same, with a change of its own.
    and: Option<String>,
}

impl Module for Put {
    const NAME: &'static str = "put";

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let mut outcome = Outcome::new();
        for path in std::iter::once(&self.path).chain(&self.and) {
            let before = text(host.ask(Read::of(path)).await?);
            if before.as_deref() == Some(&*self.content) {
                continue;
            }
            let label = format!("put {path}");
            let script = Script::new(&*label, format!("write {path} {}", self.content));
            if self.quietly {
                to_the_end(host, host.act(script)).await?;
            } else {
                let change =
                    Change::new(label).difference(path, before.unwrap_or_default(), self.content.clone());
                to_the_end(host, host.change_ok(change, script)).await?;
            }
        }
        if self.again {
            let after = host
                .ask(Checksum {
                    path: self.path,
                    algorithm: Algorithm::Md5,
                })
                .await?;
            outcome = outcome.with("after", after.unwrap_or_default());
        }
        Ok(outcome)
    }
}

/// Runs a script of the hosts' language, whatever it does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Do {
    script: String,
    /// Not if this file is there.
    creates: Option<String>,
}

impl Module for Do {
    const NAME: &'static str = "do";
    const FREE_FORM: Option<&'static str> = Some("script");

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        if let Some(path) = &self.creates
            && text(host.ask(Read::of(path)).await?).is_some()
        {
            return Ok(Outcome::new().with("stdout", "skipped").with("rc", 0));
        }
        let command = host.command(Change::command("do"), Script::new("do", self.script));
        let Done::Finished(output) = to_the_end(host, command).await? else {
            return Err(fail("cut short"));
        };
        let mut outcome = Outcome::new()
            .with("stdout", output.stdout_text().trim_end())
            .with("rc", i64::from(output.status));
        outcome.failed = !output.ok();
        Ok(outcome)
    }
}

/// Facts from a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gather {
    path: String,
    name: String,
}

impl Module for Gather {
    const NAME: &'static str = "gather";
    const FACTS: bool = true;

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let content = text(host.ask(Read::of(&self.path)).await?);
        let mut facts = Map::new();
        facts.insert(self.name.as_str().into(), content.unwrap_or_default().into());
        Ok(Outcome {
            facts: Some(facts),
            ..Outcome::new()
        })
    }
}

/// Waits, while the world goes on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nap {
    seconds: u64,
}

impl Module for Nap {
    const NAME: &'static str = "nap";
    const FENCE: bool = true;

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        host.sleep(Duration::from_secs(self.seconds)).await?;
        Ok(Outcome::new())
    }
}

/// Puts a file of the project, or a template, onto the host.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bring {
    src: String,
    dest: String,
    #[serde(default)]
    plain: bool,
}

impl Module for Bring {
    const NAME: &'static str = "bring";

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let content = if self.plain {
            let file = host.file(FileSearch::Files, &self.src).await?;
            String::from_utf8_lossy(file.bytes.as_deref().unwrap_or_default()).into_owned()
        } else {
            host.template(&self.src, Map::new()).await?
        };
        let content = content.replace('\n', " ");
        if text(host.ask(Read::of(&self.dest)).await?).as_deref() != Some(&content) {
            let script = Script::new("bring", format!("write {} {content}", self.dest));
            to_the_end(host, host.change_ok(Change::new("bring"), script)).await?;
        }
        Ok(Outcome::new().with("content", content))
    }
}

/// Renders in the middle of its work, as `template` and `assert` do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Render {
    path: String,
    value: Value,
}

impl Module for Render {
    const NAME: &'static str = "render";
    const UNRENDERED: &'static [&'static str] = &["value"];

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let content = text(host.ask(Read::of(&self.path)).await?);
        let value = host.render(self.value).await?;
        Ok(Outcome::new()
            .with("content", content.unwrap_or_default())
            .with("value", value))
    }
}

static OWN: &[Entry] = &[
    Entry::of::<See>(),
    Entry::of::<Put>(),
    Entry::of::<Do>(),
    Entry::of::<Gather>(),
    Entry::of::<Nap>(),
    Entry::of::<Bring>(),
    Entry::of::<Render>(),
];

/// These modules, and those of the program that touch no machine.
pub fn find(name: &str) -> Option<&'static Entry> {
    OWN.iter()
        .find(|e| e.name == name)
        .or_else(|| modules::find(name))
}

pub struct Known;

impl Catalogue for Known {
    fn find(&self, name: &str) -> Option<Signature> {
        find(name).map(|e| Signature {
            name: e.name,
            free_form: e.free_form,
            options: (e.options)(),
            unrendered: e.unrendered,
            fence: e.fence,
            once: e.once,
            facts: e.facts,
            ignores: e.ignores,
        })
    }

    fn names(&self) -> Vec<&'static str> {
        OWN.iter().map(|e| e.name).collect()
    }

    /// The programs are right.
    fn check(&self, _: &str, _: &[WrittenArgument], _: bool, _: &Span) -> Vec<Diagnostic> {
        Vec::new()
    }
}
