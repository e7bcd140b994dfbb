//! The end of a run: a line for each host, the slowest steps, and one sentence.

use super::palette::{Meaning, Palette};
use crate::run::Summary;

/// How many of the slowest steps are named.
const NAMED: usize = 5;

/// Steps faster than this are never called slow.
const SLOW: u64 = 500;

/// The slowest steps so far, the slowest first.
#[derive(Debug, Default)]
pub struct Slowest(Vec<(u64, String)>);

impl Slowest {
    pub fn add(&mut self, milliseconds: u64, host: &str, title: &str) {
        if milliseconds < SLOW || self.0.len() == NAMED && self.0.last().is_some_and(|l| l.0 >= milliseconds)
        {
            return;
        }
        let at = self.0.partition_point(|(other, _)| *other >= milliseconds);
        self.0.insert(at, (milliseconds, format!("{host}  {title}")));
        self.0.truncate(NAMED);
    }
}

/// How the run ended.
pub struct End<'a> {
    pub hosts: &'a [Summary],
    pub milliseconds: u64,
    /// What ended it before its time: `interrupted` by the person, `stopped` by an error that no task can be
    /// blamed for and that is said behind.
    pub cut_off: Option<&'static str>,
    pub check: bool,
    pub quiet: bool,
}

/// A count's name, what it is, and where it stands in a summary.
type Column = (&'static str, Meaning, fn(&Summary) -> u32);

const COLUMNS: &[Column] = &[
    ("ok", Meaning::Ok, |h| h.ok),
    ("changed", Meaning::Changed, |h| h.changed),
    ("unknown", Meaning::Unknown, |h| h.unknown),
    ("skipped", Meaning::Skipped, |h| h.skipped),
    ("failed", Meaning::Failed, |h| h.failed),
    ("unreachable", Meaning::Failed, |h| h.unreachable),
    ("rescued", Meaning::Ignored, |h| h.rescued),
    ("ignored", Meaning::Ignored, |h| h.ignored),
];

/// The last lines of a run.
pub fn lines(end: &End<'_>, slowest: &Slowest, palette: Palette) -> Vec<String> {
    let mut lines = Vec::new();
    if !end.hosts.is_empty() {
        lines.push(palette.paint(Meaning::Heading, "summary"));
        lines.extend(hosts(end.hosts, palette));
    }
    if !slowest.0.is_empty() && !end.quiet {
        lines.push(palette.paint(Meaning::Heading, "slowest"));
        lines.extend(
            slowest
                .0
                .iter()
                .map(|(ms, what)| format!("  {:>8}  {what}", seconds(*ms))),
        );
    }
    lines.push(sentence(end, palette));
    lines
}

fn hosts(hosts: &[Summary], palette: Palette) -> Vec<String> {
    let width = hosts
        .iter()
        .map(|h| h.host.chars().count())
        .max()
        .unwrap_or_default();
    let shown: Vec<(&Column, usize)> = COLUMNS
        .iter()
        .filter(|(name, _, count)| matches!(*name, "ok" | "changed") || hosts.iter().any(|h| count(h) > 0))
        .map(|column| {
            (
                column,
                hosts
                    .iter()
                    .map(|h| column.2(h).to_string().len())
                    .max()
                    .unwrap_or_default(),
            )
        })
        .collect();
    let line = |h: &Summary| {
        let mut line = format!("  {}{}", h.host, " ".repeat(width - h.host.chars().count()));
        for ((name, meaning, count), digits) in &shown {
            let cell = format!("{name} {:>digits$}", count(h));
            let meaning = if count(h) > 0 { *meaning } else { Meaning::Aside };
            line.push_str("  ");
            line.push_str(&palette.paint(meaning, &cell));
        }
        let trips = if h.round_trips == 1 {
            "1 round trip".to_string()
        } else {
            format!("{} round trips", h.round_trips)
        };
        format!("{line}  {}", palette.paint(Meaning::Aside, &trips))
    };
    hosts.iter().map(line).collect()
}

/// What became of it all, in one line that says no more than is so.
fn sentence(end: &End<'_>, palette: Palette) -> String {
    let took = seconds(end.milliseconds);
    if let Some(word) = end.cut_off {
        return palette.paint(Meaning::Failed, &format!("{word} after {took}"));
    }
    let named = |count: fn(&Summary) -> u32| -> Vec<&str> {
        end.hosts
            .iter()
            .filter(|h| count(h) > 0)
            .map(|h| h.host.as_str())
            .collect()
    };
    let (failed, unreachable) = (named(|h| h.failed), named(|h| h.unreachable));
    let mut parts = Vec::new();
    for (word, hosts) in [("failed on", failed), ("could not reach", unreachable)] {
        if !hosts.is_empty() {
            parts.push(format!("{word} {}", list(&hosts)));
        }
    }
    if !parts.is_empty() {
        return palette.paint(Meaning::Failed, &format!("{}; {took}", parts.join("; ")));
    }
    let total = |count: fn(&Summary) -> u32| end.hosts.iter().map(count).sum::<u32>();
    let changed = total(|h| h.changed);
    let mut what = match (changed, end.check) {
        (0, false) => "nothing changed".to_string(),
        (0, true) => "nothing would change".to_string(),
        (n, false) => format!("{n} changed"),
        (n, true) => format!("{n} would change"),
    };
    let unknown = total(|h| h.unknown);
    if unknown > 0 {
        what = format!("{what}, {unknown} unknown");
    }
    let meaning = if changed > 0 {
        Meaning::Changed
    } else {
        Meaning::Ok
    };
    palette.paint(meaning, &format!("done in {took}: {what}"))
}

fn list(hosts: &[&str]) -> String {
    match hosts.len() {
        0..=6 => hosts.join(", "),
        n => format!("{n} hosts"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn seconds(milliseconds: u64) -> String {
    if milliseconds >= 60_000 {
        let all = milliseconds / 1000;
        return format!("{} min {:02} s", all / 60, all % 60);
    }
    format!("{:.2} s", milliseconds as f64 / 1000.0)
}
