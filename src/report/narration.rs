//! What there is to say about each event, in lines: the same for every reporter that people read.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::failure;
use super::palette::{Meaning, Palette};
use super::summary::{self, Slowest};
use crate::run::{Event, Finished, Status};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loudness {
    /// Only failures and the end.
    pub quiet: bool,
    /// `-v`: also what is in order; `-vv`: results too.
    pub verbosity: u8,
    pub diff: bool,
}

/// Lines, apart by where they belong.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub out: Vec<String>,
    /// Warnings.
    pub err: Vec<String>,
}

/// A task on a host, as its lines call it.
struct Subject<'a> {
    host: &'a str,
    title: String,
    action: &'a str,
    place: &'a str,
}

/// Turns events into lines.
#[derive(Debug, Default)]
pub struct Narration {
    loudness: Loudness,
    palette: Palette,
    check: bool,
    /// How wide the column of hosts is.
    width: usize,
    /// The items of loops that are not told yet, by host: with the task they are known for what they are.
    items: HashMap<String, Vec<(String, Finished)>>,
    slowest: Slowest,
}

impl Narration {
    pub fn new(loudness: Loudness, palette: Palette) -> Self {
        Self {
            loudness,
            palette,
            ..Self::default()
        }
    }

    pub fn palette(&self) -> Palette {
        self.palette
    }

    /// What is said when this happens; often nothing.
    pub fn tell(&mut self, event: &Event) -> Said {
        let mut said = Said::default();
        let loud = !self.loudness.quiet;
        let verbose = self.loudness.verbosity > 0;
        match event {
            Event::RunStarted { check, .. } => self.check = *check,
            Event::PlayStarted { name, hosts, .. } => {
                self.width = hosts.iter().map(|h| h.chars().count()).max().unwrap_or_default();
                if loud {
                    said.out.push(self.play(name, hosts));
                }
            }
            Event::PlaySkipped { name, reason } => {
                said.out.push(format!(
                    "{}: passed over, {reason}",
                    self.palette.paint(Meaning::Heading, &format!("play {name}"))
                ));
            }
            Event::Connected { host, milliseconds } if verbose => {
                said.out.push(self.line(
                    Meaning::Aside,
                    "connected",
                    host,
                    &format!("in {milliseconds} ms"),
                ));
            }
            Event::ItemFinished { host, item, what, .. } => {
                let item = (item.clone(), (**what).clone());
                self.items.entry(host.clone()).or_default().push(item);
            }
            Event::TaskFinished { .. } => said.out = self.task(event),
            Event::Retrying { host, task, left } if loud => {
                let tries = if *left == 1 {
                    "1 try is left".to_string()
                } else {
                    format!("{left} tries are left")
                };
                said.out.push(self.line(
                    Meaning::Aside,
                    "again",
                    host,
                    &format!("{}: {tries}", title(None, task)),
                ));
            }
            Event::Notified { host, handler } if verbose => {
                said.out
                    .push(self.line(Meaning::Aside, "notified", host, handler));
            }
            Event::Warning { host, text } => said.err = self.warning(host.as_deref(), text),
            Event::HostLost {
                host,
                unreachable,
                reason,
            } if verbose || !unreachable => {
                let mut lines = reason.lines();
                let first = lines.next().unwrap_or_default();
                said.out.push(self.line(Meaning::Failed, "out", host, first));
                said.out.extend(lines.map(|line| format!("    {line}")));
            }
            Event::RunFinished {
                hosts,
                milliseconds,
                interrupted,
                exit,
            } => {
                let end = summary::End {
                    hosts,
                    milliseconds: *milliseconds,
                    cut_off: match exit {
                        _ if *interrupted => Some("interrupted"),
                        1 => Some("stopped"),
                        _ => None,
                    },
                    check: self.check,
                    quiet: self.loudness.quiet,
                };
                said.out = summary::lines(&end, &self.slowest, self.palette);
            }
            _ => {}
        }
        said
    }

    fn play(&self, name: &str, hosts: &[String]) -> String {
        let heading = self.palette.paint(Meaning::Heading, &format!("play {name}"));
        let hosts = if hosts.len() > 6 {
            format!("{} hosts", hosts.len())
        } else {
            hosts.join(", ")
        };
        let dry = if self.check { ", dry run" } else { "" };
        format!("{heading} ({hosts}{dry})")
    }

    fn line(&self, meaning: Meaning, word: &str, host: &str, text: &str) -> String {
        // Padding goes around the colours, which have a length but no width.
        let word_width = if self.check { 12 } else { 11 };
        let word_pad = " ".repeat(word_width - word.len().min(word_width));
        let host_pad = " ".repeat(self.width.saturating_sub(host.chars().count()));
        format!(
            "{}{word_pad} {host}{host_pad}  {text}",
            self.palette.paint(meaning, word)
        )
    }

    fn warning(&self, host: Option<&str>, text: &str) -> Vec<String> {
        let word = self.palette.paint(Meaning::Warning, "warning");
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        // A diagnostic says itself what it is.
        let first = first.strip_prefix("warning: ").unwrap_or(first);
        let first = match host {
            Some(host) => format!("{word}: {host}: {first}"),
            None => format!("{word}: {first}"),
        };
        std::iter::once(first)
            .chain(lines.map(ToString::to_string))
            .collect()
    }

    fn task(&mut self, event: &Event) -> Vec<String> {
        let Event::TaskFinished {
            host,
            task,
            role,
            action,
            place,
            delegated_to,
            shared,
            what,
            ..
        } = event
        else {
            return Vec::new();
        };
        let items = self.items.remove(host).unwrap_or_default();
        if *shared {
            return Vec::new();
        }
        let mut subject = Subject {
            host,
            title: title(role.as_deref(), task),
            action,
            place,
        };
        if let Some(there) = delegated_to {
            subject.title = format!("{} -> {there}", subject.title);
        }
        self.slowest.add(what.milliseconds, host, &subject.title);
        if items.is_empty() {
            return self.finished(&subject, what);
        }
        // The items have said it all; the task itself only says "one or more items failed".
        let whole = subject.title.clone();
        let mut lines = Vec::new();
        for (item, mut each) in items {
            each.ignored |= what.ignored && each.status == Status::Failed;
            subject.title = format!("{whole} ({})", short(&item));
            lines.extend(self.finished(&subject, &each));
        }
        lines
    }

    fn finished(&self, subject: &Subject<'_>, what: &Finished) -> Vec<String> {
        let verbose = self.loudness.verbosity > 0;
        let loud = !self.loudness.quiet;
        let shown = match what.status {
            Status::Ok => verbose || subject.action == "debug" && loud,
            Status::Skipped => verbose,
            Status::Changed | Status::Unknown => loud,
            Status::Failed => loud || !what.ignored,
            Status::Unreachable => true,
        };
        if !shown {
            return Vec::new();
        }
        let mut text = subject.title.clone();
        // A task without a name is called by what it does.
        let news: Vec<String> = what
            .changes
            .iter()
            // Where nobody was reached, nothing was done.
            .filter(|c| !text.ends_with(*c) && what.status != Status::Unreachable)
            .map(|c| in_one_line(c))
            .collect();
        if !news.is_empty() {
            text = format!("{text}: {}", news.join("; "));
        }
        let meaning = Meaning::of(what);
        let mut lines = vec![self.line(meaning, self.word(what), subject.host, &text)];
        self.details(subject, what, &mut lines);
        lines
    }

    fn word(&self, what: &Finished) -> &'static str {
        match what.status {
            Status::Ok => "ok",
            Status::Changed if self.check => "would change",
            Status::Changed => "changed",
            Status::Skipped => "skipped",
            Status::Unknown => "unknown",
            Status::Failed if what.ignored => "ignored",
            Status::Failed => "failed",
            Status::Unreachable => "unreachable",
        }
    }

    fn details(&self, subject: &Subject<'_>, what: &Finished, lines: &mut Vec<String>) {
        match what.status {
            Status::Failed | Status::Unreachable => {
                let all = self.loudness.verbosity > 0;
                lines.extend(indented(&clean(&failure::text(what, subject.place, all))));
            }
            Status::Unknown => lines.extend(
                what.error
                    .iter()
                    .flat_map(|e| indented(e.strip_prefix("unknown: ").unwrap_or(e))),
            ),
            Status::Skipped => lines.extend(why_skipped(what).iter().flat_map(|w| indented(w))),
            Status::Ok | Status::Changed if subject.action == "debug" => lines.extend(debug(what)),
            Status::Ok | Status::Changed => {}
        }
        if self.loudness.diff {
            for difference in &what.differences {
                lines.extend(indented(&super::diff::unified(difference, self.palette)));
            }
        }
        if self.loudness.verbosity > 1
            && let Ok(json) = serde_json::to_string(&what.result)
        {
            lines.extend(indented(&json));
        }
    }
}

/// As Ansible writes a task of a role; in one line, however the name was written.
pub(super) fn title(role: Option<&str>, task: &str) -> String {
    let task = clean(task).split_whitespace().collect::<Vec<_>>().join(" ");
    match role {
        Some(role) => format!("{role} : {task}"),
        None => task,
    }
}

/// A script of many lines says with its first what it is about.
pub(super) fn in_one_line(text: &str) -> String {
    const LONGEST: usize = 160;
    let text = clean(text.trim());
    let first = text.lines().next().unwrap_or_default();
    let cut: String = first.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        return format!("{cut} …");
    }
    cut
}

/// What programs say, without what would colour or move our own lines.
pub(super) fn clean(text: &str) -> String {
    let plain = console::strip_ansi_codes(text);
    plain
        .chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => '�',
            c => c,
        })
        .collect()
}

/// An item that is a whole mapping would fill the screen; its beginning says which one it is.
pub(super) fn short(item: &str) -> String {
    const LONGEST: usize = 100;
    let item = match serde_json::from_str(item) {
        Ok(Json::Object(fields)) => mapping(&fields),
        _ => item.to_string(),
    };
    let line = clean(&item).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut cut: String = line.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}

/// `name: value, …`; what `dict2items` makes of an entry, as the entry that it was.
fn mapping(fields: &serde_json::Map<String, Json>) -> String {
    let word = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let (2, Some(key), Some(value)) = (fields.len(), fields.get("key"), fields.get("value")) {
        return format!("{}: {}", word(key), word(value));
    }
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}", word(value)))
        .collect();
    fields.join(", ")
}

fn why_skipped(what: &Finished) -> Option<String> {
    let text = |name: &str| {
        what.result
            .get(name)
            .and_then(|v| v.as_str())
            .map(ToString::to_string)
    };
    text("false_condition")
        .map(|c| format!("`{c}` does not hold"))
        .or_else(|| text("skipped_reason"))
        .or_else(|| text("skip_reason"))
}

fn debug(what: &Finished) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in &what.result {
        let name = name.to_string();
        if matches!(
            name.as_str(),
            "changed" | "failed" | "skipped" | "item" | "ansible_loop_var"
        ) {
            continue;
        }
        let text = match value.as_str() {
            Some(text) => text.to_string(),
            None => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
        lines.extend(indented(&clean(&if name == "msg" {
            text
        } else {
            format!("{name}: {text}")
        })));
    }
    lines
}

pub(super) fn indented(text: &str) -> Vec<String> {
    text.trim_end()
        .lines()
        .map(|line| format!("    {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_reads_like_what_was_written() {
        for (item, shown) in [
            ("jq", "jq"),
            ("two\n words", "two words"),
            (
                r#"{"key":"net.ipv4.ip_forward","value":1}"#,
                "net.ipv4.ip_forward: 1",
            ),
            (
                r#"{"path":"/srv","mode":"0755","tags":["a"]}"#,
                r#"path: /srv, mode: 0755, tags: ["a"]"#,
            ),
            (r#"["a",1]"#, r#"["a",1]"#),
            ("{not json}", "{not json}"),
        ] {
            assert_eq!(short(item), shown);
        }
        assert_eq!(short(&"x".repeat(200)).chars().count(), 101);
    }
}
