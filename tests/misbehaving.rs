//! What a command does to the shell that runs it is named for what it is, and the tasks behind it go on: on the lab.
#![expect(clippy::unwrap_used, reason = "a test")]

mod hosts;

use hosts::Lab;

const PLAY: &str = "
- hosts: masternode
  gather_facts: false
  tasks:
    - name: reads
      shell: cat; read word || echo nothing came
      register: reads
    - name: kills
      shell: kill -9 -1
      become: true
      become_user: guest
      ignore_errors: true
    - name: dies
      shell: kill -SEGV $$
      ignore_errors: true
    - name: hangs
      command: sleep 61728
      timeout: 1
      ignore_errors: true
    - name: leaves
      shell: sleep 3 & echo started
    - name: looks
      shell: pgrep -f 'sleep 6172[8]' || echo none
      register: left
    - name: judges
      assert:
        that:
          - reads.stdout == 'nothing came'
          - left.stdout == 'none'
";

#[test]
fn what_a_command_does_to_its_shell_is_named() {
    let Some(lab) = Lab::enter() else { return };
    std::fs::write(lab.folder.path().join("site.yml"), PLAY).unwrap();
    let said = lab.run(&["site.yml"]);
    assert_eq!(said.exit, 0, "{}", said.text);
    for words in [
        "the command killed the shell that ran it, so how it ended is not known",
        "(exit status 139)",
        "`command` took longer than its `timeout` of 1 s and was ended",
        "the command left a process behind that still writes to its output",
    ] {
        assert!(said.text.contains(words), "no `{words}` in\n{}", said.text);
    }
}
