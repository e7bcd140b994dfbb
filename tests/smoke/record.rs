//! How the stages went, for people and for CI.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How the stages went.
#[derive(Default)]
pub struct Record(Vec<(String, Duration, Option<String>)>);

impl Record {
    /// Plays a stage; whether it went well. The next is played all the same: it may show something of its own.
    pub fn play(&mut self, name: &str, stage: impl FnOnce()) -> bool {
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(stage));
        let failure = ended.err().map(|why| {
            let text = why.downcast_ref::<String>().cloned();
            text.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "failed".to_owned())
        });
        let took = began.elapsed();
        let word = if failure.is_none() { "ok    " } else { "FAILED" };
        let _ = writeln!(std::io::stderr(), "{word} {:>7.1} s  {name}", took.as_secs_f64());
        self.0.push((name.to_owned(), took, failure));
        self.0.last().is_some_and(|(_, _, failure)| failure.is_none())
    }

    pub fn failed(&self) -> Vec<&str> {
        let failed = self.0.iter().filter(|(_, _, failure)| failure.is_some());
        failed.map(|(name, ..)| name.as_str()).collect()
    }

    /// For people, in Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from("| stage | | seconds |\n|---|---|---|\n");
        for (name, took, failure) in &self.0 {
            let word = if failure.is_none() { "ok" } else { "**failed**" };
            let _ = writeln!(text, "| {name} | {word} | {:.1} |", took.as_secs_f64());
        }
        text
    }

    pub fn junit(&self) -> String {
        let total: Duration = self.0.iter().map(|(_, took, _)| *took).sum();
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\" time=\"{:.3}\"",
            self.0.len(),
            self.failed().len(),
            total.as_secs_f64()
        );
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"smoke\" {counts}>\n  <testsuite name=\"smoke\" {counts}>\n"
        );
        for (name, took, failure) in &self.0 {
            let _ = write!(
                text,
                "    <testcase name=\"{}\" classname=\"smoke\" time=\"{:.3}\"",
                escaped(name),
                took.as_secs_f64()
            );
            let _ = match failure {
                None => writeln!(text, "/>"),
                Some(why) => writeln!(
                    text,
                    ">\n      <failure message=\"{}\" type=\"failed\">{}</failure>\n    </testcase>",
                    escaped(why.lines().next().unwrap_or_default()),
                    escaped(why)
                ),
            };
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    plain
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
