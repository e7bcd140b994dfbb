//! Plain lines, one for each thing worth saying: what is shown where there is no terminal.

use std::io::Write;

use crate::run::{Event, Finished, Sink, Status, Summary};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loudness {
    /// Only failures and the end.
    pub quiet: bool,
    /// `-v`: also what is in order; `-vv`: results too.
    pub verbosity: u8,
    pub diff: bool,
}

/// Writes lines as events come.
pub struct Plain<W> {
    out: W,
    loudness: Loudness,
    /// The slowest tasks: milliseconds, host and name.
    slowest: Vec<(u64, String)>,
}

impl<W: Write + Send> Plain<W> {
    pub fn new(out: W, loudness: Loudness) -> Self {
        Self {
            out,
            loudness,
            slowest: Vec::new(),
        }
    }

    fn line(&mut self, text: &str) {
        // A reader that has gone away must not stop the run.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    fn finished(&mut self, host: &str, title: &str, action: &str, what: &Finished) {
        let verbose = self.loudness.verbosity > 0;
        let word = word(what);
        let shown = match what.status {
            Status::Ok => verbose || action == "debug",
            Status::Skipped => verbose,
            Status::Changed | Status::Unknown => !self.loudness.quiet,
            Status::Failed | Status::Unreachable => true,
        };
        if !shown {
            return;
        }
        let detail = if what.changes.is_empty() {
            String::new()
        } else {
            format!(": {}", what.changes.join("; "))
        };
        self.line(&format!("{word:<11} {host}  {title}{detail}"));
        self.details(action, what);
    }

    fn details(&mut self, action: &str, what: &Finished) {
        if matches!(what.status, Status::Failed | Status::Unreachable) {
            let text = what
                .error
                .clone()
                .or_else(|| what.message())
                .unwrap_or_else(|| "failed without a message".to_string());
            self.indented(&text);
            for stream in ["stdout", "stderr"] {
                let said = what
                    .result
                    .get(stream)
                    .and_then(|v| v.as_str())
                    .unwrap_or_default()
                    .to_string();
                if !said.trim().is_empty() {
                    self.indented(&format!("{stream}: {said}"));
                }
            }
        } else if let Some(error) = &what.error {
            self.indented(&error.clone());
        }
        if action == "debug" && what.status != Status::Failed {
            self.debug(what);
        }
        if self.loudness.diff {
            for difference in &what.differences {
                let text = super::diff::unified(difference);
                self.indented(&text);
            }
        }
        if self.loudness.verbosity > 1
            && let Ok(json) = serde_json::to_string(&what.result)
        {
            self.indented(&json);
        }
    }

    fn debug(&mut self, what: &Finished) {
        for (name, value) in &what.result {
            let name = name.to_string();
            if matches!(name.as_str(), "changed" | "failed" | "skipped") {
                continue;
            }
            let text = match value.as_str() {
                Some(text) => text.to_string(),
                None => serde_json::to_string_pretty(value).unwrap_or_default(),
            };
            self.indented(&if name == "msg" {
                text
            } else {
                format!("{name}: {text}")
            });
        }
    }

    fn indented(&mut self, text: &str) {
        for line in text.trim_end().lines() {
            self.line(&format!("    {line}"));
        }
    }

    fn end(&mut self, hosts: &[Summary], milliseconds: u64, interrupted: bool) {
        if interrupted {
            self.line("interrupted");
        }
        let width = hosts.iter().map(|h| h.host.len()).max().unwrap_or_default();
        for h in hosts {
            let mut parts = vec![format!("ok {}", h.ok), format!("changed {}", h.changed)];
            for (count, name) in [
                (h.unknown, "unknown"),
                (h.skipped, "skipped"),
                (h.failed, "failed"),
                (h.unreachable, "unreachable"),
                (h.rescued, "rescued"),
                (h.ignored, "ignored"),
            ] {
                if count > 0 {
                    parts.push(format!("{name} {count}"));
                }
            }
            self.line(&format!(
                "{:width$}  {}  ({} round trips)",
                h.host,
                parts.join(", "),
                h.round_trips
            ));
        }
        self.slowest.sort_by_key(|s| std::cmp::Reverse(s.0));
        let slow: Vec<_> = self
            .slowest
            .iter()
            .filter(|s| s.0 >= 500)
            .take(5)
            .cloned()
            .collect();
        if !slow.is_empty() && !self.loudness.quiet {
            self.line("slowest:");
            for (ms, what) in slow {
                self.line(&format!("  {}  {what}", seconds(ms)));
            }
        }
        self.line(&format!("done in {}", seconds(milliseconds)));
    }
}

fn word(what: &Finished) -> &'static str {
    match what.status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Unknown => "unknown",
        Status::Failed if what.ignored => "ignored",
        Status::Failed => "failed",
        Status::Unreachable => "unreachable",
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(milliseconds: u64) -> String {
    format!("{:.2} s", milliseconds as f64 / 1000.0)
}

impl<W: Write + Send> Sink for Plain<W> {
    fn take(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, hosts, .. } if !self.loudness.quiet => {
                self.line(&format!("play {name} ({})", hosts.join(", ")));
            }
            Event::PlaySkipped { name, reason } => {
                self.line(&format!("play {name} is passed over: {reason}"))
            }
            Event::ItemFinished {
                host,
                task,
                item,
                what,
            } => {
                let title = format!("{task} ({item})");
                self.finished(host, &title, "", what);
            }
            Event::TaskFinished {
                host,
                task,
                role,
                action,
                delegated_to,
                what,
                ..
            } => {
                let mut title = match role {
                    Some(role) => format!("{role} : {task}"),
                    None => task.clone(),
                };
                if let Some(there) = delegated_to {
                    title.push_str(" -> ");
                    title.push_str(there);
                }
                self.slowest.push((what.milliseconds, format!("{host}  {title}")));
                self.finished(host, &title, action, what);
            }
            Event::Retrying { host, task, left } if !self.loudness.quiet => {
                self.line(&format!("{:<11} {host}  {task} ({left} tries left)", "again"));
            }
            Event::Warning { host, text } => match host {
                Some(host) => self.line(&format!("warning: {host}: {text}")),
                None => self.line(text),
            },
            Event::HostLost { host, reason, .. } if self.loudness.verbosity > 0 => {
                self.line(&format!("{:<11} {host}  {reason}", "out"));
            }
            Event::RunFinished {
                hosts,
                milliseconds,
                interrupted,
                ..
            } => self.end(hosts, *milliseconds, *interrupted),
            _ => {}
        }
    }
}
