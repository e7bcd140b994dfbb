//! Running ahead and one by one agree: in results, in the state of the machines, in the order of changes.
//!
//! `VMSTATION_FUZZ=100000 cargo test --release --test ahead` runs more programs; `VMSTATION_SEED=…` one alone.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod acts;
mod chance;
mod drive;
mod known;
mod order;
mod pace;
mod program;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use chance::Chance;
use drive::{How, Seen};
use program::Program;
use world::{Changed, Temper};

/// One by one, then ahead with other delays each time; the first disagreement.
fn disagreement(program: &Program, folder: &Path, seed: u64) -> Option<String> {
    let _watch = Watch::new(seed);
    program.write(folder);
    let playbook = match drive::load(folder) {
        Ok(playbook) => playbook,
        Err(error) => return Some(format!("the program cannot be read: {error}")),
    };
    let how = |ahead: bool, seed: u64, temper: Temper| How {
        ahead,
        seed,
        temper,
        hosts: program.hosts,
        check: program.check,
        forks: program.forks,
        tags: program.tags.clone(),
        force_handlers: program.force_handlers,
        furnished: seed.is_multiple_of(2),
    };
    let calm = Temper { slowest: 0, whims: 0 };
    let uneven = Temper {
        slowest: 8000,
        whims: 0,
    };
    let whimsical = Temper {
        slowest: 8000,
        whims: 6,
    };
    let reference = drive::run(folder, &playbook, &how(false, seed, calm));
    if let Some(line) = reference
        .told
        .values()
        .flatten()
        .find(|l| l.contains("a bug of vmstation"))
    {
        return Some(format!("one by one: {line}"));
    }
    // One way more for each program; over many programs that finds more than many ways for each.
    let mut chance = Chance::new(seed);
    let (name, how) = match chance.below(8) {
        // A program that is at odds with itself says nothing.
        0 => ("one by one again", how(false, seed, uneven)),
        1 => ("ahead, calm", how(true, seed, calm)),
        2..=4 => ("ahead, uneven", how(true, seed, uneven)),
        _ => ("ahead, whimsical", how(true, seed, whimsical)),
    };
    // Its tasks may have written there.
    program.write(folder);
    let seen = drive::run(folder, &playbook, &how);
    difference(&reference, &seen, program).map(|difference| format!("{name}: {difference}"))
}

fn difference(expected: &Seen, seen: &Seen, program: &Program) -> Option<String> {
    if let Some(broken) = expected.broken.iter().chain(&seen.broken).next() {
        return Some(broken.clone());
    }
    for (host, lines) in &expected.told {
        let other = seen.told.get(host).cloned().unwrap_or_default();
        for n in 0..lines.len().max(other.len()) {
            let (a, b) = (lines.get(n), other.get(n));
            if !a.zip(b).is_some_and(|(a, b)| is_masked_as(a, b)) {
                return Some(format!("{host}, event {n}:\n  expected {a:?}\n  seen     {b:?}"));
            }
        }
    }
    if expected.files != seen.files {
        return Some(format!(
            "files:\n  expected {:?}\n  seen     {:?}",
            expected.files, seen.files
        ));
    }
    let (a, b) = (
        in_turns(&expected.changes, program),
        in_turns(&seen.changes, program),
    );
    if a != b {
        return Some(format!("changes:\n  expected {a:?}\n  seen     {b:?}"));
    }
    if (&expected.summaries, expected.exit, &expected.error) != (&seen.summaries, seen.exit, &seen.error) {
        return Some(format!(
            "the end:\n  expected {:?} {} {:?}\n  seen     {:?} {} {:?}",
            expected.summaries, expected.exit, expected.error, seen.summaries, seen.exit, seen.error
        ));
    }
    None
}

/// Whether a line is the other, but for more that is masked: what `no_log` hides is known earlier to who looks ahead.
fn is_masked_as(expected: &str, seen: &str) -> bool {
    let Some((first, others)) = seen.split_once("********") else {
        return expected == seen;
    };
    let Some(mut rest) = expected.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = others.split("********").collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn more_may_be_masked_but_not_less() {
    assert!(is_masked_as("a secret b", "a secret b"));
    assert!(is_masked_as("a secret b", "a ******** b"));
    assert!(!is_masked_as("a ******** b", "a secret b"));
    assert!(!is_masked_as("a secret b", "a ******** c"));
    assert!(!is_masked_as("a secret b", "a secret"));
}

/// Changes of one turn on different hosts may come in any order, as in Ansible; under `free`, any on different
/// hosts.
fn in_turns(changes: &[Changed], program: &Program) -> Vec<Changed> {
    let mut all = changes.to_vec();
    if program.free {
        for change in &mut all {
            change.turn.clear();
        }
    }
    for turn in all.chunk_by_mut(|a, b| a.turn == b.turn) {
        turn.sort_by(|a, b| a.host.cmp(&b.host));
    }
    all
}

fn shrink(program: Program, folder: &Path, seed: u64) -> (Program, String) {
    let mut found = disagreement(&program, folder, seed).unwrap_or_default();
    let mut program = program;
    let begun = std::time::Instant::now();
    'again: loop {
        for smaller in program.smaller() {
            if begun.elapsed().as_secs() > 40 {
                return (program, found);
            }
            match disagreement(&smaller, folder, seed) {
                Some(other) if !other.contains("cannot be read") => {
                    program = smaller;
                    found = other;
                    continue 'again;
                }
                _ => {}
            }
        }
        return (program, found);
    }
}

/// Says which program has been running for far too long: one that hangs says nothing itself.
struct Watch(#[expect(dead_code, reason = "dropping it ends the watch")] std::sync::mpsc::Sender<()>);

impl Watch {
    fn new(seed: u64) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let wait = receiver.recv_timeout(std::time::Duration::from_secs(60));
            if wait == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                println!("==== seed {seed} has been running for a minute");
                std::process::exit(1);
            }
        });
        Self(sender)
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_programs() {
    let only = number("VMSTATION_SEED");
    let count = number("VMSTATION_FUZZ").unwrap_or(1000);
    let first = only.unwrap_or(number("VMSTATION_FROM").unwrap_or(0));
    let last = if only.is_some() { first + 1 } else { first + count };
    let next = AtomicU64::new(first);
    let failures = std::sync::Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || failures.lock().unwrap().len() >= 4 {
                        return;
                    }
                    if seed > first && (seed - first).is_multiple_of(1000) {
                        println!("{} programs have begun", seed - first);
                    }
                    let program = program::generate(seed);
                    if disagreement(&program, folder.path(), seed).is_some() {
                        let (program, found) = shrink(program, folder.path(), seed);
                        failures
                            .lock()
                            .unwrap()
                            .insert(seed, format!("{found}\n{}", program.shown(folder.path())));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    for (seed, text) in &failures {
        println!("==== seed {seed}: {text}");
    }
    assert!(failures.is_empty(), "{} of the programs disagree", failures.len());
}
