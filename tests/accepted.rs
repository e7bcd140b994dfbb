//! Every playbook in `tests/accepted` is one that `ansible-playbook` runs to a good end (2.18 did), though something
//! in it looks wrong. None may be refused: a false alarm is worse than a miss.
//!
//! `# warns: 3` in a file's first lines: so many warnings are given, each with its place. Without it, none is.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn playbooks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accepted");
    let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<_> = files
        .filter(|p| p.extension().is_some_and(|e| e == "yml"))
        .collect();
    all.sort();
    all
}

fn expected_warnings(text: &str) -> usize {
    let first = text.lines().take_while(|l| l.starts_with('#'));
    let mut counts = first.filter_map(|l| l.strip_prefix("# warns: "));
    counts.next().map_or(0, |n| n.parse().unwrap())
}

fn run(path: &Path, words: &[&str]) -> (bool, String) {
    // A run leaves its record where it is called.
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .arg("run")
        .args(words)
        .arg(path)
        .current_dir(folder.path())
        .env("ANSIBLE_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn what_ansible_runs_is_not_refused() {
    for path in playbooks() {
        let (well, said) = run(&path, &["--syntax-check", "-i", "localhost,"]);
        assert!(well, "{}: {said}", path.display());
        let warnings = said.lines().filter(|l| l.starts_with("warning: ")).count();
        let places = said
            .lines()
            .filter(|l| l.trim_start().starts_with("--> "))
            .count();
        let text = fs::read_to_string(&path).unwrap();
        let expected = expected_warnings(&text);
        assert_eq!(
            (warnings, places),
            (expected, expected),
            "{}: {said}",
            path.display()
        );
    }
}

#[test]
fn what_ansible_runs_is_run() {
    for path in playbooks() {
        let (well, said) = run(&path, &[]);
        assert!(well, "{}: {said}", path.display());
    }
}
