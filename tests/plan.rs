//! `vmstation plan` on the lab: what would change, what is unknown and because of what, and what scripts read off
//! its exit code. Nothing is changed by it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod hosts;

use std::path::Path;
use std::process::Command;

use hosts::{Lab, Said, said};

const PLAY: &str = "
- hosts: masternode:homelab
  gather_facts: false
  become: true
  tasks:
    - name: Write it
      copy: {dest: /etc/planned, content: \"one\\n\", mode: '0644'}
    - name: Write it there only
      copy: {dest: /etc/planned-there, content: \"two\\n\", mode: '0644'}
      when: inventory_hostname == 'homelab'
    - name: Ask a command
      command: cat /etc/planned
      register: asked
      changed_when: false
      when: with_command | default(false)
    - name: Use its answer
      copy: {dest: /etc/planned-from, content: \"{{ asked.stdout }}\\n\", mode: '0644'}
      when: with_command | default(false)
";

fn plan(lab: &Lab, playbook: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
    said(
        command
            .current_dir(lab.folder.path())
            .env("ANSIBLE_CONFIG", "/dev/null")
            .args(["plan", &format!("--lab={}", lab.name)])
            .arg(playbook)
            .args(words),
    )
}

#[test]
fn a_plan_says_what_a_run_does() {
    let Some(lab) = Lab::enter() else { return };
    let playbook = lab.folder.path().join("site.yml");
    std::fs::write(&playbook, PLAY).unwrap();
    let undo = lab.folder.path().join("undo.yml");
    let files = "[/etc/planned, /etc/planned-there, /etc/planned-from]";
    std::fs::write(
        &undo,
        format!("- hosts: masternode:homelab\n  become: true\n  gather_facts: false\n  tasks:\n    - file: {{path: \"{{{{ item }}}}\", state: absent}}\n      loop: {files}\n"),
    )
    .unwrap();
    let run = |playbook: &Path| assert_eq!(lab.run(&[playbook.to_str().unwrap()]).exit, 0);
    run(&undo);

    let told = plan(&lab, &playbook, &[]);
    assert_eq!(told.exit, 0, "{}", told.text);
    let here = "masternode: 1 would change\n  Write it\n      write /etc/planned\n";
    assert!(told.text.contains(here), "{}", told.text);
    assert!(told.text.contains("homelab: 2 would change\n"), "{}", told.text);
    // It has changed nothing: it says the same again.
    for _ in 0..2 {
        let again = plan(&lab, &playbook, &["--detailed-exitcode"]);
        assert_eq!(again.exit, 2, "{}", again.text);
        assert!(again.text.contains(here), "{}", again.text);
    }

    run(&playbook);
    let done = plan(&lab, &playbook, &["--detailed-exitcode"]);
    assert_eq!(done.exit, 0, "{}", done.text);
    assert!(
        done.text.contains("masternode, homelab: nothing would change"),
        "{}",
        done.text
    );

    // What hangs on a command is not guessed, and may be a change.
    let unknown = plan(
        &lab,
        &playbook,
        &["--detailed-exitcode", "-e", "with_command=true"],
    );
    assert_eq!(unknown.exit, 2, "{}", unknown.text);
    assert!(
        unknown
            .text
            .contains("unknown: Use its answer\n      because of `"),
        "{}",
        unknown.text
    );
    run(&undo);
}

#[test]
fn what_fails_is_said_and_beats_what_would_change() {
    let Some(lab) = Lab::enter() else { return };
    let playbook = lab.folder.path().join("site.yml");
    let text = "- hosts: masternode\n  gather_facts: false\n  tasks:\n    \
        - name: Write\n      copy: {content: x, dest: /run/plan-test}\n      when: first is defined\n    \
        - name: Stop\n      fail: {msg: enough}\n";
    std::fs::write(&playbook, text).unwrap();
    let told = plan(&lab, &playbook, &["--detailed-exitcode"]);
    assert_eq!(told.exit, 3, "{}", told.text);
    assert!(
        told.text
            .contains("masternode: 1 failed\n  would fail: Stop\n      enough\n"),
        "{}",
        told.text
    );
    let doubt = "      or not: nothing that would change has been done\n";
    assert!(!told.text.contains(doubt), "{}", told.text);
    // It may be that write which it lacks.
    let told = plan(&lab, &playbook, &["-e", "first=true"]);
    assert!(told.text.contains(doubt), "{}", told.text);
}
