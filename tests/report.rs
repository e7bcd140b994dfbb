//! What people see of recorded runs: every `tests/report/*.jsonl` as plain lines, compared with the `.txt`
//! beside it, and on a terminal in memory. `VMSTATION_RECORD=1` writes the texts anew.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use indicatif::{InMemoryTerm, TermLike as _};
use vmstation::report::{Junit, Loudness, Outlook, Palette, Plain, Terminal};
use vmstation::run::{Event, Finished, Sink, Status};

const DIFF: Loudness = Loudness {
    quiet: false,
    verbosity: 0,
    diff: true,
};

/// Standard output and standard error in the order in which they are written.
#[derive(Clone, Default)]
struct Both(Arc<Mutex<Vec<u8>>>);

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A reader that has gone away.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn events(path: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn plain(events: &[Event], loudness: Loudness) -> String {
    let both = Both::default();
    let mut plain = Plain::new(both.clone(), both.clone(), loudness, Palette::default());
    for event in events {
        plain.take(event);
    }
    let bytes = both.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn plain_lines_are_as_recorded() {
    for recording in recordings() {
        let said = plain(&events(&recording), DIFF);
        let expected = recording.with_extension("txt");
        if std::env::var_os("VMSTATION_RECORD").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        assert_eq!(
            said,
            std::fs::read_to_string(&expected).unwrap(),
            "{}",
            expected.display()
        );
    }
}

/// `--junit`: each host a suite, each task a case.
#[test]
fn a_run_is_told_to_servers_that_build() {
    for recording in recordings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("junit.xml");
        let mut junit = Junit::new(&file, Box::new(|error| panic!("{error}")));
        for event in events(&recording) {
            junit.take(&event);
        }
        let said = std::fs::read_to_string(&file).unwrap();
        let expected = recording.with_extension("xml");
        if std::env::var_os("VMSTATION_RECORD").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        assert_eq!(
            said,
            std::fs::read_to_string(&expected).unwrap(),
            "{}",
            expected.display()
        );
        // Nothing else is left beside it.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

/// What servers that build count is what the run counts.
#[test]
fn failures_are_those_of_the_summary() {
    for recording in recordings() {
        let all = events(&recording);
        let Some(Event::RunFinished { hosts, .. }) = all.last() else {
            panic!("{}", recording.display());
        };
        let text = std::fs::read_to_string(recording.with_extension("xml")).unwrap();
        let read = roxmltree::Document::parse(&text).unwrap();
        for suite in read.descendants().filter(|node| node.has_tag_name("testsuite")) {
            let host = hosts
                .iter()
                .find(|host| Some(&*host.host) == suite.attribute("name"))
                .unwrap();
            let count = |name: &str| suite.attribute(name).unwrap().parse::<u32>().unwrap();
            assert_eq!(
                (count("failures"), count("errors")),
                (host.failed, host.unreachable),
                "{}: {}",
                recording.display(),
                host.host
            );
        }
    }
}

fn to_junit(folder: &Path, playbook: &str, words: &[&str]) -> (Option<i32>, String) {
    let file = folder.join("junit.xml");
    std::fs::write(folder.join("site.yml"), playbook).unwrap();
    std::fs::write(&file, "of yesterday").unwrap();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .current_dir(folder)
        .env("ANSIBLE_CONFIG", "/dev/null")
        .args(["run", "site.yml", "--junit"])
        .arg(&file)
        .args(words)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    (ended.status.code(), text)
}

/// A rescue takes a failure also from those who count.
#[test]
fn what_was_rescued_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let playbook = "
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - block:
        - name: Breaks
          fail: {msg: too bad}
      rescue:
        - name: Helps
          debug: {msg: all is well}
";
    let (exit, text) = to_junit(folder.path(), playbook, &[]);
    assert_eq!(exit, Some(0));
    let read = roxmltree::Document::parse(&text).unwrap();
    let all = read.root_element();
    assert_eq!(
        (all.attribute("tests"), all.attribute("failures")),
        (Some("2"), Some("0"))
    );
    assert!(text.contains("<system-out>rescued: too bad"), "{text}");
    // Where nothing takes it, it is one.
    let playbook = playbook.replace("debug: {msg: all is well}", "fail: {msg: worse}");
    let (exit, text) = to_junit(folder.path(), &playbook, &[]);
    assert_eq!(exit, Some(3));
    assert!(text.contains("failures=\"1\""), "{text}");
}

/// Nobody is told of the run before.
#[test]
fn an_error_before_the_first_task_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let playbook = "- hosts: localhost\n  tasks:\n    - no_such_module:\n";
    for words in [&[][..], &["--check"], &["-i", "nowhere.yml"]] {
        let (exit, text) = to_junit(folder.path(), playbook, words);
        assert_eq!(exit, Some(1), "{words:?}");
        let read =
            roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"));
        let all = read.root_element();
        assert_eq!(
            (all.attribute("tests"), all.attribute("errors")),
            (Some("1"), Some("1"))
        );
    }
}

/// `vmstation plan`: host by host, hosts to which the same would happen together.
#[test]
fn a_plan_is_told_host_by_host() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report");
    let both = Both::default();
    let mut outlook = Outlook::new(both.clone(), both.clone(), true, Palette::default());
    for event in events(&folder.join("dry-run.jsonl")) {
        outlook.take(&event);
    }
    let shown = String::from_utf8(both.0.lock().unwrap().clone()).unwrap();
    let expected = folder.join("dry-run.plan");
    if std::env::var_os("VMSTATION_RECORD").is_some() {
        std::fs::write(&expected, &shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(expected).unwrap());
}

#[test]
fn events_survive_being_written_and_read() {
    for recording in recordings() {
        for event in events(&recording) {
            let line = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }
}

#[test]
fn quiet_leaves_failures_and_the_end() {
    let recording = recordings()
        .into_iter()
        .find(|p| p.ends_with("three-hosts.jsonl"))
        .unwrap();
    let quiet = Loudness { quiet: true, ..DIFF };
    let said = plain(&events(&recording), quiet);
    assert!(said.starts_with("failed"), "{said}");
    assert!(!said.contains("changed  "), "{said}");
    assert!(said.contains("summary\n"), "{said}");
}

#[test]
fn a_reader_that_has_gone_away_stops_nothing() {
    for recording in recordings() {
        let mut plain = Plain::new(Gone, Gone, DIFF, Palette::default());
        for event in &events(&recording) {
            plain.take(event);
        }
    }
}

fn terminal(rows: u16, columns: u16) -> (InMemoryTerm, Terminal) {
    let memory = InMemoryTerm::new(rows, columns);
    let term = Box::new(memory.clone());
    let size = Box::new(move || (rows, columns));
    (
        memory,
        Terminal::on(term, size, Loudness::default(), Palette::default()),
    )
}

#[test]
fn a_terminal_ends_with_what_plain_lines_say() {
    for recording in recordings() {
        let events = events(&recording);
        let (memory, mut terminal) = terminal(200, 200);
        for event in &events {
            terminal.take(event);
        }
        drop(terminal);
        let said = plain(&events, Loudness::default());
        let seen: Vec<String> = memory
            .contents()
            .lines()
            .map(|l| l.trim_end().to_string())
            .collect();
        let said: Vec<String> = said.lines().map(|l| l.trim_end().to_string()).collect();
        assert_eq!(seen, said, "{}", recording.display());
    }
}

fn play(hosts: &[String]) -> Event {
    Event::PlayStarted {
        play: 0,
        name: "all of it".to_string(),
        hosts: hosts.to_vec(),
        tasks: 12,
    }
}

fn started(host: &str, task: &str) -> Event {
    Event::TaskStarted {
        host: host.to_string(),
        task: task.to_string(),
        role: Some("base".to_string()),
        position: vec![0],
    }
}

fn finished(host: &str, task: &str, status: Status) -> Event {
    Event::TaskFinished {
        host: host.to_string(),
        task: task.to_string(),
        role: Some("base".to_string()),
        action: "command".to_string(),
        position: vec![0],
        place: "site.yml:3:5".to_string(),
        delegated_to: None,
        shared: false,
        what: Box::new(Finished {
            status,
            ..Finished::default()
        }),
    }
}

#[test]
fn a_line_for_each_host_stands_below_what_happened() {
    let (memory, mut terminal) = terminal(24, 80);
    terminal.take(&play(&["one".to_string(), "three".to_string()]));
    terminal.take(&started("one", "Swap is off"));
    terminal.take(&started("three", "Swap is off"));
    terminal.take(&finished("one", "Swap is off", Status::Changed));
    let expected = "\
play all of it (one, three)
changed     one    base : Swap is off
  one     1/12  waits
  three   0/12  base : Swap is off";
    assert_eq!(memory.contents(), expected);
}

#[test]
fn many_hosts_are_the_busy_ones_and_a_count() {
    let hosts: Vec<String> = (0..100).map(|n| format!("node{n:02}")).collect();
    let (memory, mut terminal) = terminal(10, 60);
    terminal.take(&play(&hosts));
    for host in &hosts[..40] {
        terminal.take(&started(
            host,
            "A task with a name that is longer than the terminal is wide",
        ));
    }
    terminal.take(&finished(&hosts[0], "A task", Status::Failed));
    let seen = memory.contents();
    assert!(seen.lines().count() <= 10, "{seen}");
    assert!(seen.lines().all(|l| l.chars().count() <= 60), "{seen}");
    assert!(
        seen.contains("  100 hosts: 39 busy, 60 beginning, 1 failed"),
        "{seen}"
    );
    assert!(seen.contains("  node01"), "{seen}");
    assert!(!seen.contains("  node30"), "{seen}");
}

/// Lines that fill a row are replaced like others, and nothing is filled up with blanks.
#[test]
fn lines_as_wide_as_the_terminal_leave_nothing_behind() {
    let (memory, mut terminal) = terminal(24, 40);
    terminal.take(&play(&["one".to_string(), "three".to_string()]));
    for word in ["first", "second", "third"] {
        let name = format!("{word}, with a name of which\nsome lines are longer than any terminal");
        terminal.take(&started("one", &name));
        terminal.take(&started("three", &name));
    }
    let expected = "\
play all of it (one, three)
  one     0/12  base : third, with a na…
  three   0/12  base : third, with a na…";
    assert_eq!(memory.contents(), expected);
    terminal.take(&finished(
        "one",
        "日本語のタスク名はとても長い\n",
        Status::Changed,
    ));
    let expected = "\
play all of it (one, three)
changed     one    base : 日本語のタスク
名はとても長い
  one     1/12  waits
  three   0/12  base : third, with a na…";
    assert_eq!(memory.contents(), expected);
    let blanks = memory
        .moves_since_last_check()
        .lines()
        .filter(|moved| moved.contains("   \")"))
        .count();
    assert_eq!(blanks, 0);
}

/// Runs a playbook on two hosts and a terminal, where somebody presses Ctrl-C after two seconds; what the screen
/// shows at the end.
fn screen_after_interrupt(playbook: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.yml"), playbook).unwrap();
    let program = env!("CARGO_BIN_EXE_vmstation");
    // The trap: not every shell outlives what it runs when Ctrl-C reaches both.
    let run = format!("trap : INT; stty cols 60 rows 24; {program} run -i one,two, site.yml; echo exit $?");
    let typed = format!("(sleep 2; printf '\\003'; sleep 4) | TERM=xterm script -qec '{run}' /dev/null");
    let output = std::process::Command::new("sh")
        .args(["-c", &typed])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let screen = InMemoryTerm::new(24, 60);
    screen
        .write_str(&String::from_utf8_lossy(&output.stdout))
        .unwrap();
    screen.contents()
}

/// The terminal shows `^C` where the cursor is.
#[test]
fn an_interrupt_leaves_no_line_of_what_ran() {
    let seen = screen_after_interrupt(
        "- hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n    - name: Waits\n      command: sleep 30\n",
    );
    assert!(
        seen.contains("interrupted after") && seen.contains("exit 130"),
        "{seen}"
    );
    let lines: Vec<&str> = seen.lines().collect();
    let summary = lines.iter().position(|line| *line == "summary").unwrap();
    assert!(lines[0].starts_with("play "), "{seen}");
    let stale = |line: &&&str| line.contains("0/1") || line.contains("^C");
    assert_eq!(lines[..summary].iter().find(stale), None, "{seen}");
}
