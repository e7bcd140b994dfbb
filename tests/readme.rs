//! The README is true: every path in it is there, every command in it is one, every example is shown as it is, and
//! whoever follows "From an empty folder" sees what it shows. The last needs a lab of its own: `VMSTATION_LAB=1`.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output};

const PAGE: &str = "From an empty folder";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// A fenced block: its language and its lines.
struct Block {
    language: String,
    text: String,
}

/// The text with its blocks apart.
fn parts(text: &str) -> (String, Vec<Block>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    let mut inside: Option<Block> = None;
    for line in text.lines() {
        match (&mut inside, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(inside.take()),
            (Some(block), None) => block.text += &[line, "\n"].concat(),
            (None, Some(language)) => {
                inside = Some(Block {
                    language: language.to_string(),
                    text: String::new(),
                });
            }
            (None, None) => prose += &[line, "\n"].concat(),
        }
    }
    assert!(inside.is_none(), "a block without an end");
    (prose, blocks)
}

fn section(text: &str, title: &str) -> String {
    let from = text.split_once(&format!("\n## {title}\n")).unwrap().1;
    from.split("\n## ").next().unwrap().to_string()
}

/// What stands in backticks.
fn codes(prose: &str) -> Vec<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    prose.split('`').skip(1).step_by(2).map(words).collect()
}

/// The commands of blocks, and of the text.
fn commands(text: &str) -> Vec<String> {
    let (prose, blocks) = parts(text);
    let mut all: Vec<String> = blocks
        .iter()
        .filter(|b| b.language == "sh")
        .flat_map(|b| b.text.lines())
        .map(|line| line.split(" #").next().unwrap().trim().to_string())
        .collect();
    let consoles = blocks.iter().filter(|b| b.language == "console");
    all.extend(
        consoles
            .flat_map(|b| b.text.lines())
            .filter_map(|l| l.strip_prefix("$ "))
            .map(ToString::to_string),
    );
    all.extend(
        codes(&prose)
            .into_iter()
            .filter(|c| c.starts_with("vmstation ") || c.starts_with("make ")),
    );
    all.retain(|line| !line.is_empty());
    all
}

fn program(words: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(words)
        .current_dir(folder)
        .env("ANSIBLE_CONFIG", "")
        .output()
        .unwrap()
}

/// Whether these words are understood, up to the help that they end with.
fn is_understood(words: &[&str]) -> bool {
    program(&[words, &["--help"]].concat(), root()).status.success()
}

#[test]
fn every_command_is_one() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let all = commands(&readme());
    assert!(all.len() > 20, "{all:?}");
    for line in all {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_one = match words[0] {
            "vmstation" => is_understood(&words[1..]),
            "make" => makefile.lines().any(|l| l.starts_with(&format!("{}:", words[1]))),
            "cargo" => true,
            _ => false,
        };
        assert!(is_one, "`{line}` is no command");
    }
}

#[test]
fn every_option_is_one() {
    let (prose, _) = parts(&readme());
    let options: Vec<String> = codes(&prose).into_iter().filter(|c| c.starts_with('-')).collect();
    assert!(options.len() > 8, "{options:?}");
    let places: [&[&str]; 4] = [&["run"], &["plan"], &["reset"], &["lab", "up"]];
    for option in options {
        let words: Vec<&str> = option.split_whitespace().collect();
        let is_one = places.iter().any(|place| {
            is_understood(&[*place, &words].concat()) || is_understood(&[*place, &words, &["1"]].concat())
        });
        assert!(is_one, "`{option}` is no option");
    }
}

#[test]
fn every_path_is_there() {
    let text = readme().replace(&section(&readme(), PAGE), "");
    let (prose, _) = parts(&text);
    let mut words: Vec<String> = codes(&prose);
    words.extend(
        prose
            .split("](")
            .skip(1)
            .map(|l| l.split(')').next().unwrap().to_string()),
    );
    words.extend(commands(&text));
    let mut seen = 0;
    for word in words.iter().flat_map(|w| w.split_whitespace()) {
        let top = word.split('/').next().unwrap();
        // Ours begin with a folder of ours; those of whoever reads this do not.
        if !word.contains('/') || !root().join(top).is_dir() || top == "target" || top.starts_with('.') {
            continue;
        }
        seen += 1;
        assert!(root().join(word).exists(), "there is no {word}");
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn every_example_is_shown_as_it_is() {
    let examples = section(&readme(), "Examples");
    let names: Vec<String> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "yml"))
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let path = format!("examples/{name}");
        let shown = examples.split_once(&format!("[{path}]({path})"));
        let (_, rest) = shown.unwrap_or_else(|| panic!("{path} is not shown"));
        let block = &parts(rest.split("](examples/").next().unwrap()).1[0];
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let bare = |text: &str| text.lines().map(|l| l.trim().to_string()).collect::<Vec<_>>();
        let (whole, part) = (bare(&text), bare(&block.text));
        assert!(
            part.len() > 2 && whole.windows(part.len()).any(|w| w == part),
            "{path}:\n{}",
            block.text
        );
    }
}

/// A lab of its own, ended also when the test fails.
struct Lab(&'static str);

impl Lab {
    fn run(&self, words: &[&str]) -> Output {
        program(&[&["lab", "--name", self.0], words].concat(), root())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

/// Without what differs from run to run: times, round trips, which host was first, what was slow.
fn normal(text: &str) -> Vec<String> {
    let time = fancy_regex::Regex::new(r"\d+\.\d\d s\b").unwrap();
    let trips = fancy_regex::Regex::new(r"\d+ round trips?").unwrap();
    let text = time.replace_all(text, "TIME");
    let text = trips.replace_all(&text, "TRIPS");
    let slow = |line: &&str| *line != "slowest" && !line.trim_start().starts_with("TIME ");
    let mut lines: Vec<String> = text.lines().filter(slow).map(ToString::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn whoever_follows_the_page_sees_what_it_shows() {
    if std::env::var_os("VMSTATION_LAB").is_none() {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: set VMSTATION_LAB=1 to follow the README (needs root)"
        );
        return;
    }
    let lab = Lab("readmetest");
    lab.run(&["down"]);
    assert!(lab.run(&["up"]).status.success());
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut runs) = (0, 0);
    for block in parts(&section(&readme(), PAGE)).1 {
        match block.language.as_str() {
            "sh" => {}
            "console" => {
                for run in block.text.split("$ ").skip(1) {
                    let (line, shown) = run.split_once('\n').unwrap();
                    let line = line.replace("--lab", &format!("--lab={}", lab.0));
                    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
                    let output = program(&words, folder.path());
                    let both = [output.stderr, output.stdout].concat();
                    let seen = String::from_utf8(both).unwrap();
                    assert_eq!(normal(&seen), normal(shown), "{line}\n{seen}");
                    runs += 1;
                }
            }
            _ => {
                let name = block.text.lines().next().unwrap().strip_prefix("# ").unwrap();
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &block.text).unwrap();
                files += 1;
            }
        }
    }
    assert!(files >= 8 && runs >= 6, "{files} files, {runs} runs");
}
