//! How the stages went, for people and for CI; written down after each, so that nothing is lost when the next is the
//! last.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use vmstation::report::suites::{self, Case, Suite, Verdict};

use super::Stage;

pub enum Ended {
    Ok,
    /// What was said of it.
    Failed(String),
    /// Why it was not played.
    Skipped(String),
}

struct Played {
    name: &'static str,
    simulated: &'static str,
    took: Duration,
    ended: Ended,
}

/// How the stages went.
pub struct Record {
    played: Vec<Played>,
    /// Where it is written down: `smoke.xml` and `stages.md`.
    directory: PathBuf,
}

impl Record {
    pub fn new(directory: PathBuf) -> Self {
        Self {
            played: Vec::new(),
            directory,
        }
    }

    /// Plays a stage; whether it went well. The next is played all the same: it may show something of its own.
    pub fn play(&mut self, stage: &Stage, play: impl FnOnce()) -> bool {
        let began = Instant::now();
        let ended = match catch_unwind(AssertUnwindSafe(play)) {
            Ok(()) => Ended::Ok,
            Err(why) => {
                let text = why.downcast_ref::<String>().cloned();
                let text = text.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string));
                Ended::Failed(text.unwrap_or_else(|| "failed".to_owned()))
            }
        };
        let went_well = matches!(ended, Ended::Ok);
        self.add(stage, began.elapsed(), ended);
        went_well
    }

    pub fn skip(&mut self, stage: &Stage, why: &str) {
        self.add(stage, Duration::ZERO, Ended::Skipped(why.to_owned()));
    }

    fn add(&mut self, stage: &Stage, took: Duration, ended: Ended) {
        let word = match &ended {
            Ended::Ok => "ok     ",
            Ended::Failed(_) => "FAILED ",
            Ended::Skipped(_) => "skipped",
        };
        let seconds = took.as_secs_f64();
        let _ = writeln!(std::io::stderr(), "{word} {seconds:>7.1} s  {}", stage.name);
        if let Ended::Failed(why) = &ended
            && std::env::var_os("GITHUB_ACTIONS").is_some()
        {
            let _ = writeln!(std::io::stdout(), "{}", annotation(stage.name, why));
        }
        self.played.push(Played {
            name: stage.name,
            simulated: stage.simulated,
            took,
            ended,
        });
        std::fs::write(self.directory.join("smoke.xml"), self.junit()).unwrap();
        std::fs::write(self.directory.join("stages.md"), self.table()).unwrap();
    }

    pub fn failed(&self) -> Vec<&str> {
        let failed = |played: &&Played| matches!(played.ended, Ended::Failed(_));
        self.played
            .iter()
            .filter(failed)
            .map(|played| played.name)
            .collect()
    }

    /// Whether any stage was more than named.
    pub fn is_empty(&self) -> bool {
        let skipped = |played: &Played| matches!(played.ended, Ended::Skipped(_));
        self.played.iter().all(skipped)
    }

    /// For people, in Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from("| stage | | seconds | simulated |\n|---|---|---|---|\n");
        for played in &self.played {
            let word = match &played.ended {
                Ended::Ok => "ok".to_owned(),
                Ended::Failed(why) => format!("**failed**: {}", cell(first_line(why))),
                Ended::Skipped(why) => format!("skipped: {}", cell(why)),
            };
            let seconds = played.took.as_secs_f64();
            let _ = writeln!(
                text,
                "| {} | {word} | {seconds:.1} | {} |",
                played.name, played.simulated
            );
        }
        text
    }

    pub fn junit(&self) -> String {
        let milliseconds = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let case = |played: &Played| Case {
            name: played.name.to_owned(),
            class: "smoke".to_owned(),
            milliseconds: milliseconds(played.took),
            verdict: match &played.ended {
                Ended::Ok => Verdict::Passed,
                Ended::Failed(why) => Verdict::Failed(why.clone()),
                Ended::Skipped(why) => Verdict::Skipped(why.clone()),
            },
            said: match played.simulated {
                "" => String::new(),
                simulated => format!("simulated: {simulated}"),
            },
            ..Case::default()
        };
        let suite = Suite {
            name: "smoke".to_owned(),
            cases: self.played.iter().map(case).collect(),
            ..Suite::default()
        };
        let total = self.played.iter().map(|played| played.took).sum();
        suites::text("smoke", milliseconds(total), &[suite])
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// As GitHub takes it from what a step prints.
fn annotation(name: &str, why: &str) -> String {
    let plain = |text: &str| text.replace('%', "%25").replace('\r', "%0D");
    format!("::error title=smoke::{}: {}", plain(name), plain(first_line(why)))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn a_record_tells_what_failed_and_what_was_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let stage = |name, simulated| Stage {
        name,
        simulated,
        ..super::STAGES[0]
    };
    let mut record = Record::new(directory.path().to_owned());
    assert!(record.play(&stage("good", ""), || {}));
    assert!(!record.play(&stage("bad", ""), || panic!("no")));

    let mut record = Record::new(directory.path().to_owned());
    record.skip(&stage("first", ""), "nobody asked");
    assert!(record.is_empty());
    record.add(&stage("second", "all of it"), Duration::ZERO, Ended::Ok);
    let why = "100 % | wrong\n<more> of it".to_owned();
    record.add(&stage("third", ""), Duration::ZERO, Ended::Failed(why));
    assert!(!record.is_empty());
    assert_eq!(record.failed(), ["third"]);
    // It is written down by now.
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(
        read("stages.md"),
        "| stage | | seconds | simulated |\n|---|---|---|---|\n\
         | first | skipped: nobody asked | 0.0 |  |\n\
         | second | ok | 0.0 | all of it |\n\
         | third | **failed**: 100 % \\| wrong | 0.0 |  |\n"
    );
    let text = read("smoke.xml");
    let xml = roxmltree::Document::parse(&text).unwrap();
    let counts =
        ["tests", "failures", "errors", "skipped"].map(|name| xml.root_element().attribute(name).unwrap());
    assert_eq!(counts, ["3", "1", "0", "1"]);
    assert!(
        text.contains("<system-out>simulated: all of it</system-out>"),
        "{text}"
    );
    assert_eq!(
        annotation("third", "100 % | wrong\nmore"),
        "::error title=smoke::third: 100 %25 | wrong"
    );
}
