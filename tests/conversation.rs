//! What a person is asked on a terminal, and what comes of their answers and of Ctrl-C: on this machine alone.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use indicatif::{InMemoryTerm, TermLike as _};
use tempfile::TempDir;

const CTRL_C: &str = "\u{3}";

fn project(name: &str, playbook: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("playbooks")).unwrap();
    fs::write(folder.path().join(name), playbook).unwrap();
    folder
}

/// What the screen shows where somebody runs this, and types each of these texts when they read what stands before
/// it. Last, the exit code, and whether what is typed is shown.
fn screen(folder: &Path, words: &str, typed: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_vmstation");
    // The trap: not every shell outlives what it runs when Ctrl-C reaches both.
    let run = format!(
        "trap : INT; stty cols 100 rows 30; {program} {words}; echo exit $?; stty -a | grep -Eo \"[- ]echo \""
    );
    // What was started in the background ignores Ctrl-C, and all that it starts.
    let mut child = Command::new("env")
        .args(["--default-signal", "script", "-qec", &run, "/dev/null"])
        .current_dir(folder)
        .env("HOME", folder)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keyboard, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    for (question, keys) in typed {
        while !String::from_utf8_lossy(&shown).contains(question) {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).unwrap(), 1, "{question} was never asked");
            shown.push(byte[0]);
        }
        // Who asks listens a moment later, hidden or not.
        std::thread::sleep(Duration::from_millis(300));
        keyboard.write_all(keys.as_bytes()).unwrap();
    }
    out.read_to_end(&mut shown).unwrap();
    child.wait().unwrap();
    let screen = InMemoryTerm::new(30, 100);
    screen.write_str(&String::from_utf8_lossy(&shown)).unwrap();
    screen.contents()
}

fn without_terminal(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(words)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

const RESET: &str = "
- hosts: localhost
  gather_facts: false
  tasks:
    - file:
        path: '{{ playbook_dir }}/deployed'
        state: absent
";

#[test]
fn reset_asks_first() {
    let folder = project("playbooks/reset.yml", RESET);
    let deployed = folder.path().join("playbooks/deployed");
    fs::write(&deployed, "").unwrap();
    let question = "This undoes the deployment on localhost. Type `reset` to go on: ";

    let no = screen(folder.path(), "reset", &[("go on:", "yes\n")]);
    assert!(
        no.contains(&format!("{question}yes\nnothing was done\nexit 5")),
        "{no}"
    );
    let stopped = screen(folder.path(), "reset", &[("go on:", CTRL_C)]);
    assert!(stopped.contains(&format!("{question}^Cexit 130")), "{stopped}");
    let nobody = without_terminal(folder.path(), &["reset"]);
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(5), "{said}");
    assert!(
        said.contains("nobody to confirm it\nhelp: `vmstation reset --yes`"),
        "{said}"
    );
    let dry = without_terminal(folder.path(), &["reset", "--check"]);
    assert_eq!(dry.status.code(), Some(0));
    assert!(deployed.exists());

    let yes = screen(folder.path(), "reset", &[("go on:", "reset\n")]);
    assert!(
        yes.contains(&format!("{question}reset\n")) && yes.contains("exit 0"),
        "{yes}"
    );
    assert!(!deployed.exists());
    fs::write(&deployed, "").unwrap();
    assert_eq!(
        without_terminal(folder.path(), &["reset", "--yes"]).status.code(),
        Some(0)
    );
    assert!(!deployed.exists());
}

const QUESTIONS: &str = "
- hosts: localhost
  gather_facts: false
  tasks:
    - pause:
        prompt: Whom
      register: whom
    - pause:
        prompt: The word
        echo: false
      register: word
    - debug:
        msg: '{{ whom.user_input }} has a word of {{ word.user_input | length }} letters'
";

#[test]
fn answers_go_where_they_are_asked_for() {
    let folder = project("site.yml", QUESTIONS);
    let seen = screen(
        folder.path(),
        "run site.yml",
        &[("Whom", "Ann\n"), ("The word", "sesame\n")],
    );
    assert!(seen.contains("Ann has a word of 6 letters"), "{seen}");
    assert!(!seen.contains("sesame"), "{seen}");
}

/// What stands on the screen stays, what comes is below it, and the terminal is as it was.
#[test]
fn a_question_can_be_interrupted() {
    let folder = project("site.yml", QUESTIONS);
    let first = screen(folder.path(), "run site.yml", &[("Whom", "An"), ("An", CTRL_C)]);
    assert!(first.contains("\nWhom: An^C\nsummary\n"), "{first}");
    let second = screen(
        folder.path(),
        "run site.yml",
        &[("Whom", "Ann\n"), ("The word", CTRL_C)],
    );
    assert!(
        second.contains("\nWhom: Ann\nThe word (output is hidden):"),
        "{second}"
    );
    let password = screen(folder.path(), "run -K site.yml", &[("BECOME", CTRL_C)]);
    assert!(password.contains("\nBECOME password:"), "{password}");
    for seen in [first, second, password] {
        assert!(seen.ends_with("exit 130\n echo"), "{seen}");
    }
}
