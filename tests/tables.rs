//! What the tables of docs/nodes.md and docs/cluster.md name is there: tests, roles, playbooks, paths.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 2] = ["docs/nodes.md", "docs/cluster.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cells of every line of every table, each with the heading of its column.
fn cells(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut found = Vec::new();
    let mut headings: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|') else {
            headings.clear();
            continue;
        };
        let row: Vec<String> = row
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        if headings.is_empty() {
            headings = row;
        } else if !row[0].starts_with("---") {
            assert_eq!(row.len(), headings.len(), "{page}: {line}");
            found.extend(headings.iter().cloned().zip(row));
        }
    }
    assert!(found.len() > 40, "{page}: {}", found.len());
    found
}

/// What stands between backticks.
fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The text of all tests, and of the modules that have some.
fn sources() -> String {
    let mut paths = Vec::new();
    files(&root().join("tests"), &mut paths);
    files(&root().join("src"), &mut paths);
    let rust = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn is_name(code: &str) -> bool {
    code.contains('_')
        && code
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
}

#[test]
fn every_test_is_one() {
    let sources = sources();
    let mut count = 0;
    for page in PAGES {
        for (heading, cell) in cells(page) {
            if !heading.starts_with("test") {
                continue;
            }
            for code in codes(&cell).filter(|code| is_name(code)) {
                count += 1;
                assert!(
                    sources.contains(&format!("fn {code}(")),
                    "{page}: no test `{code}`"
                );
            }
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn every_role_and_playbook_is_one() {
    let mut count = 0;
    for page in PAGES {
        for (heading, cell) in cells(page) {
            for code in codes(&cell) {
                if heading == "role" {
                    count += 1;
                    assert!(
                        root().join("roles").join(code).is_dir(),
                        "{page}: no role `{code}`"
                    );
                }
                if !code.contains(['/', ' ']) && Path::new(code).extension().is_some_and(|e| e == "yml") {
                    count += 1;
                    let is_there = root().join("playbooks").join(code).is_file();
                    assert!(is_there, "{page}: no playbook `{code}`");
                }
            }
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn every_path_is_there() {
    let mut count = 0;
    for page in PAGES {
        for (_, cell) in cells(page) {
            for code in codes(&cell) {
                if code.starts_with("tests/") || code.starts_with("src/") {
                    count += 1;
                    assert!(root().join(code).exists(), "{page}: no `{code}`");
                }
            }
        }
    }
    assert!(count > 3, "{count}");
}
