//! What a run would change, host by host: said at the end of a dry run, when all of it is known.
//!
//! Hosts to which the same would happen are told together.

use std::collections::HashMap;
use std::io::Write;

use super::failure;
use super::narration::{clean, in_one_line, indented, short, title};
use super::palette::{Meaning, Palette};
use super::summary;
use crate::run::{Event, Finished, Sink, Status};

/// Writes what would be changed, warnings to the second writer.
pub struct Outlook<W, E> {
    out: W,
    err: E,
    diff: bool,
    palette: Palette,
    /// In the order of the inventory.
    hosts: Vec<String>,
    /// What there is to say of a host, one paragraph for each task.
    told: HashMap<String, Vec<Told>>,
    /// The items of loops whose task has not ended.
    items: HashMap<String, Vec<(String, Finished)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    meaning: Meaning,
    lines: Vec<String>,
    /// A task that failed in the dry run.
    failed: bool,
}

impl<W: Write + Send, E: Write + Send> Outlook<W, E> {
    pub fn new(out: W, err: E, diff: bool, palette: Palette) -> Self {
        Self {
            out,
            err,
            diff,
            palette,
            hosts: Vec::new(),
            told: HashMap::new(),
            items: HashMap::new(),
        }
    }

    fn note(&mut self, host: &str, title: &str, place: &str, what: &Finished) {
        let (word, why) = match what.status {
            Status::Changed => ("", Vec::new()),
            Status::Unknown => ("unknown: ", because(what)),
            Status::Failed if what.ignored => return,
            Status::Failed => ("would fail: ", said(what, place)),
            Status::Unreachable => ("cannot be reached: ", said(what, place)),
            Status::Ok | Status::Skipped => return,
        };
        let changes = what.changes.iter().map(|change| in_one_line(change));
        let meaning = Meaning::of(what);
        let mut lines = vec![format!("  {}{title}", self.palette.paint(meaning, word))];
        lines.extend(changes.map(|change| format!("      {change}")));
        lines.extend(why.into_iter().map(|line| format!("      {line}")));
        if self.diff {
            for difference in &what.differences {
                lines.extend(indented(&super::diff::unified(difference, self.palette)));
            }
        }
        let told = self.told.entry(host.to_string()).or_default();
        let failed = what.status == Status::Failed;
        told.push(Told {
            meaning,
            lines,
            failed,
        });
    }

    fn task(&mut self, host: &str, title: &str, place: &str, what: &Finished) {
        let items = self.items.remove(host).unwrap_or_default();
        if items.is_empty() {
            self.note(host, title, place, what);
            return;
        }
        for (item, mut each) in items {
            each.ignored |= what.ignored && each.status == Status::Failed;
            self.note(host, &format!("{title} ({})", short(&item)), place, &each);
        }
    }

    /// Everything, when the run has ended.
    fn whole(&self) -> Vec<String> {
        let nothing = Vec::new();
        let of = |host: &String| self.told.get(host).unwrap_or(&nothing);
        let mut lines = Vec::new();
        let mut done: Vec<&String> = Vec::new();
        for host in &self.hosts {
            if done.contains(&host) {
                continue;
            }
            let alike: Vec<&String> = self.hosts.iter().filter(|other| of(other) == of(host)).collect();
            let names = alike.iter().map(|h| h.as_str()).collect::<Vec<_>>().join(", ");
            done.extend(alike);
            let heading = self.palette.paint(Meaning::Heading, &names);
            lines.push(format!("{heading}: {}", counts(of(host))));
            for told in of(host) {
                lines.extend(told.lines.iter().cloned());
                if told.failed && self.is_pending() {
                    lines.push("      or not: nothing that would change has been done".to_string());
                }
            }
        }
        lines
    }

    /// Whether something is to be done, which what fails in the dry run may lack.
    fn is_pending(&self) -> bool {
        let mut told = self.told.values().flatten();
        told.any(|told| matches!(told.meaning, Meaning::Changed | Meaning::Unknown))
    }
}

/// How much there is of each, on each of the hosts.
fn counts(told: &[Told]) -> String {
    let number = |meaning: Meaning| told.iter().filter(|t| t.meaning == meaning).count();
    let kinds = [
        (Meaning::Changed, "would change"),
        (Meaning::Unknown, "unknown"),
        (Meaning::Failed, "failed"),
    ];
    let parts: Vec<String> = (kinds.iter())
        .map(|(meaning, word)| (number(*meaning), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        return "nothing would change".to_string();
    }
    parts.join(", ")
}

fn because(what: &Finished) -> Vec<String> {
    let reason = what.error.as_deref().unwrap_or("it depends on what did not run");
    let reason = clean(reason.strip_prefix("unknown: ").unwrap_or(reason));
    let lines = reason.lines();
    lines
        .map(|line| format!("because {}", line.strip_prefix("because ").unwrap_or(line)))
        .collect()
}

fn said(what: &Finished, place: &str) -> Vec<String> {
    let text = clean(&failure::text(what, place, false));
    text.trim_end().lines().map(ToString::to_string).collect()
}

impl<W: Write + Send, E: Write + Send> Sink for Outlook<W, E> {
    fn take(&mut self, event: &Event) {
        let mut lines = Vec::new();
        match event {
            Event::PlayStarted { hosts, .. } => {
                for host in hosts {
                    if !self.hosts.contains(host) {
                        self.hosts.push(host.clone());
                    }
                }
            }
            Event::ItemFinished { host, item, what, .. } => {
                let item = (item.clone(), (**what).clone());
                self.items.entry(host.clone()).or_default().push(item);
            }
            Event::TaskFinished {
                host,
                task,
                role,
                place,
                shared: false,
                what,
                ..
            } => self.task(host, &title(role.as_deref(), task), place, what),
            Event::Warning { host, text } => {
                let whose = host.as_ref().map(|h| format!("{h}: ")).unwrap_or_default();
                let text = text.strip_prefix("warning: ").unwrap_or(text);
                let _ = writeln!(self.err, "warning: {whose}{}", clean(text));
            }
            Event::RunFinished {
                milliseconds,
                interrupted,
                exit,
                ..
            } => {
                lines = self.whole();
                let end = match (interrupted, exit) {
                    (true, _) => "interrupted: the rest is not known",
                    (_, 0) => "nothing failed",
                    _ => "behind a failure the rest is not known",
                };
                lines.push(format!("a dry run of {}: {end}", summary::seconds(*milliseconds)));
            }
            _ => {}
        }
        // A reader that has gone away must not stop the run.
        for line in lines {
            let _ = writeln!(self.out, "{line}");
        }
    }
}
