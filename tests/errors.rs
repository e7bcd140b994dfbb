//! Every folder under `tests/errors`: bad input, and the whole of what a person reads about it.
//!
//! A case holds a playbook with what belongs to it, `command` (the arguments, one line; `run site.yml` if there is
//! none), `expected.txt` (what is said, errors first) and `exit`. `BLESS=1` writes the latter two anew: read them
//! before you commit them. `VMSTATION_CASE=yaml` runs those whose name holds that text.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run leaves to the case: the words that are not input.
const OURS: &[&str] = &["command", "expected.txt", "exit"];

fn cases() -> Vec<PathBuf> {
    let wanted = std::env::var("VMSTATION_CASE").unwrap_or_default();
    let mut all: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir() && name(p).contains(&wanted))
        .collect();
    all.sort();
    all
}

fn name(case: &Path) -> String {
    case.file_name().unwrap().to_string_lossy().into_owned()
}

/// A copy, since a run leaves its record beside the playbook.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if !OURS.contains(&&*name.to_string_lossy()) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn run(case: &Path) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    copy(case, &home);
    let command = fs::read_to_string(case.join("command")).unwrap_or_else(|_| "run site.yml".to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(shlex(&command))
        .current_dir(&home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .env("ANSIBLE_CONFIG", config(&home))
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    (
        normal(&text, &home),
        format!("{}\n", output.status.code().unwrap_or(-1)),
    )
}

fn config(home: &Path) -> PathBuf {
    let own = home.join("ansible.cfg");
    if own.exists() {
        own
    } else {
        PathBuf::from("/dev/null")
    }
}

/// Words at blanks; quotes keep a word together.
fn shlex(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.trim_end().chars() {
        match (quote, c) {
            (None, ' ') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(q), c) if q == c => quote = None,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Without what differs from run to run: folders, times, which steps took long, numbers of round trips.
fn normal(text: &str, home: &Path) -> String {
    let text = text.replace(&home.display().to_string(), "HOME");
    let time = fancy_regex::Regex::new(r"\d+\.\d\d s\b").unwrap();
    let trips = fancy_regex::Regex::new(r"\d+ round trips?").unwrap();
    let text = time.replace_all(&text, "TIME");
    let text = trips.replace_all(&text, "N round trips");
    let slow = fancy_regex::Regex::new(r"(?m)^slowest\n(?: +TIME .*\n)+").unwrap();
    let text = slow.replace_all(&text, "");
    // A resolver says it in words of its own.
    let unknown = fancy_regex::Regex::new("has no address: .*").unwrap();
    unknown.replace_all(&text, "has no address: WHY").into_owned()
}

#[test]
fn every_sentence_is_as_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = 0;
    for case in cases() {
        let (text, exit) = run(&case);
        if bless {
            fs::write(case.join("expected.txt"), &text).unwrap();
            fs::write(case.join("exit"), &exit).unwrap();
            continue;
        }
        let wanted = |file: &str| fs::read_to_string(case.join(file)).unwrap_or_default();
        if (&text, &exit) != (&wanted("expected.txt"), &wanted("exit")) {
            wrong += 1;
            eprintln!(
                "--- {}: expected (exit {})\n{}--- but got (exit {})\n{text}",
                name(&case),
                wanted("exit").trim(),
                wanted("expected.txt"),
                exit.trim()
            );
        }
    }
    assert_eq!(wrong, 0, "sentences that changed (BLESS=1 writes them anew)");
}

#[test]
fn a_busy_machine_makes_no_other_sentence() {
    let busy =
        "summary\n  localhost  ok 1\nslowest\n    1.20 s  localhost  Gathering Facts\nfailed; 1.31 s\n";
    assert_eq!(
        normal(busy, Path::new("/home")),
        "summary\n  localhost  ok 1\nfailed; TIME\n"
    );
}
