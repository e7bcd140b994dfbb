//! `vmstation deploy` and `reset` in somebody's own project, on this machine: what they run, and when they refuse.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

struct Project(tempfile::TempDir);

struct Said {
    exit: i32,
    text: String,
}

const DEPLOY: &str = "
- hosts: nodes
  gather_facts: false
  tasks:
    - copy: {content: '{{ version }}', dest: '{{ playbook_dir }}/{{ inventory_hostname }}'}
      tags: files
    - copy: {content: x, dest: '{{ playbook_dir }}/more'}
";
const RESET: &str = "
- hosts: nodes
  gather_facts: false
  tasks:
    - file: {path: '{{ playbook_dir }}/{{ inventory_hostname }}', state: absent}
";
const INVENTORY: &str = "[nodes]\none\ntwo\n[nodes:vars]\nansible_connection=local\nversion=1\n";

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("playbooks")).unwrap();
        for (name, text) in [
            ("playbooks/deploy.yml", DEPLOY),
            ("playbooks/reset.yml", RESET),
            ("hosts", INVENTORY),
            ("ansible.cfg", "[defaults]\ninventory = hosts\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join("playbooks").join(name).exists()
    }

    fn run(&self, words: &[&str]) -> Said {
        in_folder(self.0.path(), words)
    }

    /// At a terminal, where somebody types.
    fn typing(&self, words: &str, typed: &str) -> Said {
        let program = env!("CARGO_BIN_EXE_vmstation");
        let mut script = Command::new("script")
            .args(["-qec", &format!("{program} {words}"), "/dev/null"])
            .current_dir(self.0.path())
            .env_remove("ANSIBLE_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        said(&script.wait_with_output().unwrap())
    }
}

fn in_folder(folder: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
    command
        .args(words)
        .current_dir(folder)
        .env_remove("ANSIBLE_CONFIG");
    said(&command.stdin(Stdio::null()).output().unwrap())
}

fn said(output: &std::process::Output) -> Said {
    let text = [&output.stderr[..], &output.stdout[..]].concat();
    Said {
        exit: output.status.code().unwrap(),
        text: String::from_utf8(text).unwrap(),
    }
}

#[test]
fn deploy_and_reset_run_the_projects_playbooks() {
    let project = Project::new();
    let first = project.run(&["deploy"]);
    assert_eq!(first.exit, 0, "{}", first.text);
    assert!(project.has("one") && project.has("two") && project.has("more"));
    let again = project.run(&["deploy"]);
    assert!(again.text.contains("nothing changed"), "{}", again.text);
    let reset = project.run(&["reset", "--yes"]);
    assert_eq!(reset.exit, 0, "{}", reset.text);
    assert!(!project.has("one") && !project.has("two") && project.has("more"));
}

#[test]
fn limit_tags_and_variables_are_heeded() {
    let project = Project::new();
    let some = project.run(&["deploy", "--limit", "two", "-t", "files", "-e", "version=seven"]);
    assert_eq!(some.exit, 0, "{}", some.text);
    assert!(!project.has("one") && project.has("two") && !project.has("more"));
    let text = std::fs::read_to_string(project.0.path().join("playbooks/two")).unwrap();
    assert_eq!(text, "seven");
}

#[test]
fn what_is_for_no_host_is_an_error() {
    let project = Project::new();
    for words in [
        &["deploy", "-i", "nowhere"][..],
        &["deploy", "-i", "other,"],
        &["reset", "--yes", "-i", "other,"],
        &["plan", "-i", "other,"],
    ] {
        let refused = project.run(words);
        assert_eq!(refused.exit, 1, "{words:?}: {}", refused.text);
        assert!(
            refused.text.contains("error: there is no host for `playbooks/"),
            "{}",
            refused.text
        );
    }
    let refused = project.run(&["deploy", "--limit", "nobody"]);
    assert_eq!(refused.exit, 1, "{}", refused.text);
    assert!(!project.has("one") && !project.has("more"));
}

#[test]
fn without_its_playbook_a_directory_is_no_project() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["deploy", "reset"] {
        let refused = in_folder(folder.path(), &[name]);
        assert_eq!(refused.exit, 1, "{}", refused.text);
        let error = format!("error: there is no `playbooks/{name}.yml` in this directory");
        assert!(refused.text.contains(&error), "{}", refused.text);
    }
}

/// Each after a deployment that must still be there.
#[test]
fn reset_does_nothing_unless_it_is_confirmed() {
    let project = Project::new();
    project.run(&["deploy"]);
    let nobody = project.run(&["reset"]);
    assert_eq!(nobody.exit, 5, "{}", nobody.text);
    assert!(
        nobody
            .text
            .contains("reset undoes the deployment on one, two, and there is nobody to confirm it"),
        "{}",
        nobody.text
    );
    for typed in ["no\n", "yes\n", "\n", "", "reset it\n"] {
        let refused = project.typing("reset", typed);
        assert_eq!(refused.exit, 5, "{typed:?}: {}", refused.text);
        assert!(
            refused.text.contains("nothing was done"),
            "{typed:?}: {}",
            refused.text
        );
        assert!(project.has("one") && project.has("two"), "{typed:?}");
    }
    // To look is no harm.
    let dry = project.run(&["reset", "--check"]);
    assert_eq!(dry.exit, 0, "{}", dry.text);
    assert!(project.has("one"));
    let sure = project.typing("reset --limit one", "reset\n");
    assert_eq!(sure.exit, 0, "{}", sure.text);
    assert!(
        sure.text.contains("undoes the deployment on one. "),
        "{}",
        sure.text
    );
    assert!(!project.has("one") && project.has("two"));
}
