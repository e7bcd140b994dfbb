//! What a run makes of the folder that it runs in, and of its command line: on this machine, without hosts.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with these files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .arg("run")
        .args(words)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("ANSIBLE_CONFIG")
        .env("ANSIBLE_NOCOLOR", "1")
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn events(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

const HOSTS: &str = "[all]\none ansible_connection=local\ntwo ansible_connection=local\n";

const SITE: &str = "
- hosts: all
  tasks:
    - name: Looks
      command: 'true'
      changed_when: false
    - name: Changes
      copy:
        content: \"{{ inventory_hostname }}\"
        dest: \"{{ playbook_dir }}/{{ inventory_hostname }}\"
    - name: Fails
      command: 'false'
      ignore_errors: true
";

#[test]
fn every_run_leaves_the_events_that_json_prints() {
    let folder = project(&[("hosts", HOSTS), ("site.yml", SITE)]);
    for (words, exit) in [
        (&["--json"] as &[&str], 0),
        (&["--json", "--check"], 0),
        (&["--json", "--limit", "one"], 0),
    ] {
        let output = run(folder.path(), &[&["-i", "hosts", "site.yml"], words].concat());
        assert_eq!(output.status.code(), Some(exit), "{}", err(&output));
        let runs = folder.path().join(".vmstation/runs");
        let record = runs.join("latest/events.jsonl");
        let kept = fs::read_to_string(&record).unwrap();
        assert_eq!(events(&kept), events(&out(&output)));
        let first = &events(&kept)[0];
        assert_eq!(
            (&first["event"], &first["version"]),
            (&"run_started".into(), &1.into())
        );
        // The link names the folder, and the folder when it was.
        let id = fs::read_link(runs.join("latest")).unwrap();
        assert_eq!(first["id"], id.to_str().unwrap());
        let began = first["started"].as_str().unwrap().replace(':', "-");
        assert_eq!(id.to_str().unwrap()[..16], began[..16]);
        for (path, mode) in [(runs.join(&id), 0o700), (record, 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
    }
    let ignored = fs::read_to_string(folder.path().join(".vmstation/.gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "*"), "{ignored}");
}

/// A host is told as far as it is, facts included.
#[test]
fn a_play_says_how_many_tasks_it_has() {
    let folder = project(&[("hosts", HOSTS), ("site.yml", SITE)]);
    for (gathering, tasks) in [("implicit", 4), ("explicit", 3)] {
        let config = format!("[defaults]\ninventory = hosts\ngathering = {gathering}\n");
        fs::write(folder.path().join("ansible.cfg"), config).unwrap();
        let all = events(&out(&run(folder.path(), &["--json", "site.yml"])));
        let play = all.iter().find(|e| e["event"] == "play_started").unwrap();
        let ended = all.iter().filter(|e| e["event"] == "task_finished");
        assert_eq!((&play["tasks"], ended.count()), (&tasks.into(), tasks * 2));
    }
}

#[test]
fn loudness_is_as_it_is_asked_for() {
    let folder = project(&[
        ("ansible.cfg", "[defaults]\ninventory = hosts\nnocows = 1\n"),
        ("hosts", HOSTS),
        ("site.yml", SITE),
    ]);
    let said = |words: &[&str]| run(folder.path(), &[words, &["site.yml"]].concat());
    let first = out(&said(&[]));
    assert!(
        first.contains("changed     one  Changes") && first.contains("ignored     two  Fails"),
        "{first}"
    );
    assert!(!first.contains("Looks"), "{first}");

    let quiet = out(&said(&["-q"]));
    assert!(quiet.starts_with("summary\n"), "{quiet}");

    let loud = said(&["-v"]);
    assert!(out(&loud).contains("ok          one  Looks"), "{}", out(&loud));
    assert!(!out(&loud).contains("\"rc\":0"), "{}", out(&loud));
    // What has no effect is named to those who want to know.
    let note = "note: `[defaults] nocows` has no effect here (ansible.cfg:3:1)";
    assert_eq!(err(&loud).trim_end(), note);
    assert_eq!(err(&said(&[])), "");

    let louder = out(&said(&["-vv"]));
    assert!(louder.contains("\"rc\":0"), "{louder}");
}

#[test]
fn forks_is_how_many_hosts_are_changed_at_once() {
    let task =
        |script: &str| format!("- hosts: all\n  gather_facts: false\n  tasks:\n    - shell: {script}\n");
    let alone = task("mkdir alone && sleep 0.4 && rmdir alone");
    let together = task(
        "touch {{ inventory_hostname }}; timeout 30 sh -c 'until test -e one -a -e two; do sleep 0.1; done'",
    );
    let folder = project(&[
        ("hosts", HOSTS),
        ("alone.yml", &alone),
        ("together.yml", &together),
    ]);
    let one = run(folder.path(), &["-i", "hosts", "--forks", "1", "alone.yml"]);
    assert_eq!(one.status.code(), Some(0), "{}", out(&one));
    let many = run(folder.path(), &["-i", "hosts", "together.yml"]);
    assert_eq!(many.status.code(), Some(0), "{}", out(&many));
}

/// Besides Ansible's own places.
#[test]
fn what_a_project_has_at_its_top_is_found_from_its_playbooks() {
    let site = "
- hosts: localhost
  gather_facts: false
  roles: [greeter]
  tasks:
    - template:
        src: whom.j2
        dest: '{{ playbook_dir }}/whom'
    - copy:
        src: what
        dest: '{{ playbook_dir }}/what'
    - debug:
        msg: lookups find {{ lookup('file', 'what') }} and {{ lookup('template', 'whom.j2') }}
";
    let folder = project(&[
        ("playbooks/site.yml", site),
        (
            "roles/greeter/tasks/main.yml",
            "- debug:\n    msg: the role is here\n",
        ),
        ("templates/whom.j2", "you of {{ inventory_hostname }}\n"),
        ("files/what", "a file\n"),
    ]);
    let output = run(folder.path(), &["playbooks/site.yml"]);
    let said = out(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{}", err(&output));
    assert!(said.contains("the role is here"), "{said}");
    assert!(
        said.contains("lookups find a file and you of localhost"),
        "{said}"
    );
    let read = |name: &str| fs::read_to_string(folder.path().join("playbooks").join(name)).unwrap();
    assert_eq!(
        (read("whom"), read("what")),
        ("you of localhost\n".into(), "a file\n".into())
    );
}

/// `vmstation run … | head`: nobody reads the rest, and the run goes on to its end.
#[test]
fn a_reader_that_goes_away_stops_no_run() {
    let folder = project(&[("hosts", HOSTS), ("site.yml", SITE)]);
    let line = format!(
        "{} run -i hosts -vv site.yml | head -n 1; cat one",
        env!("CARGO_BIN_EXE_vmstation")
    );
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(out(&output), "play all (one, two)\none");
}
