//! Many questions as one script, and its output as their answers.
//!
//! Processes started on the host are what a question costs, so those of a kind share one. Each kind has a file:
//! the piece of script that asks, and the reader of what it printed. A random boundary ends each piece's output
//! on both streams; what is behind the last boundary belongs to a piece that was not finished.

mod access;
mod account;
mod attributes;
mod checksum;
mod feed;
mod group;
mod look;
mod mime;
mod package;
mod read;
mod stat;
mod unit;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use indexmap::IndexSet;
use memchr::memmem;

use super::machine::{Output, Unanswered, quote};
use super::question::{Algorithm, Answered, PackageDatabase, Question, UnitScope};
use super::request::token;

/// What is said of a path that the user may not look at, behind its name.
pub(super) const BEHIND_A_DENIAL: &str = "permission denied (`become: true` runs the task as root)";

/// How many bytes of names one process is given at most: they must fit into its arguments.
const TOGETHER: usize = 100_000;

/// Questions of one kind, asked by one piece of script.
trait Batch: Send + Sync {
    /// The piece of script; `mark` is random text of its own to tell records apart by.
    fn script(&self, mark: &str) -> String;

    /// One answer for each question, in order.
    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered>;
}

/// What one piece of script printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Section {
    stdout: Bytes,
    stderr: Bytes,
    status: i32,
}

/// A frame's questions, merged.
pub(super) struct Sheet {
    boundary: String,
    script: String,
    pieces: Vec<Piece>,
    /// For each question asked, its place among the different ones.
    places: Vec<usize>,
    different: usize,
    summary: String,
}

struct Piece {
    batch: Box<dyn Batch>,
    mark: String,
    /// For each question of the batch, its place among the different ones.
    places: Vec<usize>,
}

/// What is asked together. The order is that of asking: what may take long comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Stat {
        follow: bool,
    },
    Read {
        limit: u64,
    },
    Access,
    Account,
    Group,
    Unit(UnitScope),
    Package(PackageDatabase),
    Checksum(Algorithm),
    Attributes,
    Mime,
    /// Those of one script, by the place of the first.
    Feed(usize),
    /// Each is asked alone.
    Look(usize),
}

impl Sheet {
    pub fn of(questions: Vec<Question>) -> Self {
        let summary = summary(&questions);
        let mut different = IndexSet::new();
        let places = questions
            .into_iter()
            .map(|question| different.insert_full(question).0)
            .collect();
        let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (place, question) in different
            .iter()
            .enumerate()
            .filter(|(_, question)| !holds_nul(question))
        {
            let kind = Kind::of(question, first_alike(&different, question, place));
            kinds.entry(kind).or_default().push(place);
        }
        let mut pieces = Vec::new();
        for (kind, all) in kinds {
            for places in all.chunk_by(fitting(&different)) {
                let asked: Vec<&Question> = places
                    .iter()
                    .filter_map(|place| different.get_index(*place))
                    .collect();
                pieces.push(Piece {
                    batch: kind.batch(&asked),
                    mark: format!("@{}", token()),
                    places: places.to_vec(),
                });
            }
        }
        let boundary = format!("@{}", token());
        Self {
            script: script(&pieces, &boundary),
            boundary,
            pieces,
            places,
            different: different.len(),
            summary,
        }
    }

    pub fn script(&self) -> &str {
        &self.script
    }

    /// How many of which kinds: "12 stat, 3 checksum".
    pub fn summary(&self) -> String {
        self.summary.clone()
    }

    /// One for each question, in order.
    pub fn answers(&self, output: &Output) -> Vec<Answered> {
        let sections = sections(output, &self.boundary);
        // What has no section was cut off; what was never asked cannot be.
        let mut answers = vec![Err(Unanswered::TooSlow); self.different];
        let mut asked = vec![false; self.different];
        for (i, piece) in self.pieces.iter().enumerate() {
            let answered = sections
                .get(i)
                .map(|section| piece.batch.answers(section, &piece.mark));
            let mut answered = answered.unwrap_or_default().into_iter();
            for place in &piece.places {
                if let (Some(slot), Some(asked)) = (answers.get_mut(*place), asked.get_mut(*place)) {
                    *asked = true;
                    *slot = answered.next().unwrap_or(Err(Unanswered::TooSlow));
                }
            }
        }
        for (slot, asked) in answers.iter_mut().zip(asked) {
            if !asked {
                *slot = impossible("a name cannot hold a NUL byte");
            }
        }
        let answer = |place: &usize| answers.get(*place).cloned().unwrap_or(Err(Unanswered::TooSlow));
        self.places.iter().map(answer).collect()
    }
}

/// Whether a question still fits into the process of those before it.
fn fitting(different: &IndexSet<Question>) -> impl FnMut(&usize, &usize) -> bool {
    let length = |place: &usize| {
        different
            .get_index(*place)
            .map_or(0, |question| name(question).len() + 3)
    };
    let mut together = 0;
    move |before, _next| {
        together += length(before);
        if together > TOGETHER {
            together = 0;
            return false;
        }
        true
    }
}

impl Kind {
    fn of(question: &Question, place: usize) -> Self {
        match question {
            Question::Stat(stat) => Self::Stat { follow: stat.follow },
            Question::Read(read) => Self::Read { limit: read.limit },
            Question::Access(_) => Self::Access,
            Question::Mime(_) => Self::Mime,
            Question::Attributes(_) => Self::Attributes,
            Question::Account(_) => Self::Account,
            Question::Group(_) => Self::Group,
            Question::Unit(unit) => Self::Unit(unit.scope),
            Question::Package(package) => Self::Package(package.database),
            Question::Checksum(checksum) => Self::Checksum(checksum.algorithm),
            Question::Feed(_) => Self::Feed(place),
            Question::Look(_) => Self::Look(place),
        }
    }

    fn batch(self, asked: &[&Question]) -> Box<dyn Batch> {
        let names = asked.iter().map(|question| name(question).to_owned()).collect();
        match self {
            Self::Stat { follow } => Box::new(stat::Stats { paths: names, follow }),
            Self::Read { limit } => Box::new(read::Reads { paths: names, limit }),
            Self::Access => Box::new(access::Accesses { paths: names }),
            Self::Mime => Box::new(mime::Mimes { paths: names }),
            Self::Attributes => Box::new(attributes::AllAttributes { paths: names }),
            Self::Account => Box::new(account::Accounts { names }),
            Self::Group => Box::new(group::Groups { names }),
            Self::Unit(scope) => Box::new(unit::Units { names, scope }),
            Self::Package(PackageDatabase::Dpkg) => Box::new(package::DpkgPackages { names }),
            Self::Package(PackageDatabase::Rpm) => Box::new(package::RpmPackages { names }),
            Self::Checksum(algorithm) => Box::new(checksum::Checksums {
                paths: names,
                algorithm,
            }),
            Self::Feed(_) => {
                let script = asked.iter().find_map(|question| match question {
                    Question::Feed(feed) => Some(feed.script.to_string()),
                    _ => None,
                });
                Box::new(feed::Feeds {
                    script: script.unwrap_or_default(),
                    inputs: names,
                })
            }
            Self::Look(_) => Box::new(look::Looks { scripts: names }),
        }
    }
}

/// The path, the name or the script: what a question asks about.
fn name(question: &Question) -> &str {
    match question {
        Question::Stat(stat) => &stat.path,
        Question::Read(read) => &read.path,
        Question::Access(access) => &access.path,
        Question::Mime(mime) => &mime.path,
        Question::Attributes(attributes) => &attributes.path,
        Question::Account(account) => &account.name,
        Question::Group(group) => &group.name,
        Question::Unit(unit) => &unit.name,
        Question::Package(package) => &package.name,
        Question::Checksum(checksum) => &checksum.path,
        Question::Feed(feed) => &feed.input,
        Question::Look(look) => &look.script,
    }
}

/// The place of the first question that can be asked by the same call, for those that say what the call is.
fn first_alike(different: &IndexSet<Question>, question: &Question, place: usize) -> usize {
    let Question::Feed(feed) = question else {
        return place;
    };
    let alike = |other: &Question| matches!(other, Question::Feed(other) if other.script == feed.script);
    different.iter().position(alike).unwrap_or(place)
}

fn holds_nul(question: &Question) -> bool {
    name(question).contains('\0')
}

fn script(pieces: &[Piece], boundary: &str) -> String {
    // Programs of administrators are not on every user's PATH, and looking needs no rights.
    let mut script =
        String::from("LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH\n");
    for piece in pieces {
        script.push_str(&piece.batch.script(&piece.mark));
        let _ = write!(script, "\necho \"{boundary} $?\"; echo {boundary} >&2\n");
    }
    script
}

fn summary(questions: &[Question]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for question in questions {
        match kinds.iter_mut().find(|(kind, _)| *kind == question.kind()) {
            Some((_, count)) => *count += 1,
            None => kinds.push((question.kind(), 1)),
        }
    }
    kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The finished sections: those whose boundary was printed on both streams.
fn sections(output: &Output, boundary: &str) -> Vec<Section> {
    let stdout = split_at_lines(&output.stdout, boundary);
    let stderr = split_at_lines(&output.stderr, boundary);
    let together = stdout.into_iter().zip(stderr);
    together
        .map(|((stdout, line), (stderr, _))| Section {
            stdout,
            stderr,
            status: String::from_utf8_lossy(&line).trim().parse().unwrap_or(-1),
        })
        .collect()
}

/// What is before each `mark`, and the rest of the mark's line.
fn split_at_lines(bytes: &Bytes, mark: &str) -> Vec<(Bytes, Bytes)> {
    let mut rest = bytes.clone();
    let mut parts = Vec::new();
    while let Some(at) = memmem::find(&rest, mark.as_bytes()) {
        let before = rest.split_to(at);
        let mut behind = rest.split_off(mark.len());
        let Some(end) = memchr::memchr(b'\n', &behind) else {
            break;
        };
        let line = behind.split_to(end);
        rest = behind.split_off(1);
        parts.push((before, line));
    }
    parts
}

fn impossible(why: impl Into<String>) -> Answered {
    Err(Unanswered::Impossible(why.into()))
}

/// No answer about a path, by what a program said of it.
fn refused(path: &str, why: &str) -> Answered {
    match why {
        "Permission denied" => Err(Unanswered::Denied(path.to_owned())),
        _ => impossible(format!("{path}: {why}")),
    }
}

/// The answer to all questions when the program that answers is not there, or ended with more than `fine`:
/// what it did not print must not be taken for absent.
fn failure(section: &Section, program: &str, fine: i32, questions: usize) -> Option<Vec<Answered>> {
    let answer = match section.status {
        127 => impossible(format!("there is no {program} on this host")),
        status if status > fine || status < 0 => {
            let said = String::from_utf8_lossy(&section.stderr);
            let reason = said.lines().next().unwrap_or("it says nothing").to_owned();
            impossible(format!("{program} failed with status {status}: {reason}"))
        }
        _ => return None,
    };
    Some(vec![answer; questions])
}

/// A path as an operand: `-` alone would be standard input.
fn operand(path: &str) -> Cow<'_, str> {
    if path.starts_with('-') {
        return Cow::Owned(format!("./{path}"));
    }
    Cow::Borrowed(path)
}

/// Paths as the operands of a program, or as the words of a loop.
fn operands(paths: &[String]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| quote(&operand(path))).collect();
    quoted.join(" ")
}

/// What a program said on its standard error about a path: `stat: cannot statx '/x': Permission denied`.
fn complaint(stderr: &[u8], path: &str) -> Option<String> {
    let path = operand(path);
    let about = |line: &&str| {
        line.match_indices(&*path).any(|(at, _)| {
            let behind = line.get(at + path.len()..).unwrap_or_default();
            behind.starts_with(':') || behind.starts_with('\'')
        })
    };
    let said = String::from_utf8_lossy(stderr);
    let line = said.lines().find(about)?;
    Some(line.rsplit(": ").next().unwrap_or(line).to_owned())
}

/// Whether a complaint says that there is no such path.
fn means_absent(complaint: &str) -> bool {
    matches!(complaint, "No such file or directory" | "Not a directory")
}

fn lines(section: &Section) -> Vec<String> {
    String::from_utf8_lossy(&section.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::question::{Look, Stat};

    #[test]
    fn a_process_is_given_no_more_than_fits_into_its_arguments() {
        let long = |i: usize| Question::from(Stat::of(format!("/{i}{}", "x".repeat(4000))));
        let sheet = Sheet::of((0..100).map(long).collect());
        assert_eq!(sheet.pieces.len(), 4);
        let together: usize = sheet.pieces.iter().map(|piece| piece.places.len()).sum();
        assert_eq!(together, 100);
    }

    #[test]
    fn a_section_that_was_cut_off_has_no_answer() {
        let look = |script: &str| Question::from(Look::new("look", script));
        let sheet = Sheet::of(vec![look("a"), look("b"), look("a"), look("nul \0")]);
        let boundary = &sheet.boundary;
        let output = Output {
            stdout: format!("one{boundary} 3\ntwo").into(),
            stderr: format!("err\n{boundary}\n").into(),
            status: 143,
            left_behind: false,
        };
        let answers = sheet.answers(&output);
        let first = Output {
            stdout: "one".into(),
            stderr: "err\n".into(),
            status: 3,
            left_behind: false,
        };
        assert_eq!(answers[0], Ok(crate::host::question::Answer::Look(first)));
        assert_eq!(answers[1], Err(Unanswered::TooSlow));
        assert_eq!(answers[2], answers[0]);
        assert!(matches!(answers[3], Err(Unanswered::Impossible(_))));
        assert_eq!(sheet.summary(), "4 look");
    }

    #[test]
    fn a_program_that_failed_says_nothing_of_what_is_there() {
        let section = |status| Section {
            status,
            stderr: "stat: oh\n".into(),
            ..Section::default()
        };
        assert!(failure(&section(1), "stat", 1, 2).is_none());
        for status in [2, 126, 127, 139, -1] {
            assert_eq!(failure(&section(status), "stat", 1, 2).unwrap().len(), 2);
        }
    }
}
