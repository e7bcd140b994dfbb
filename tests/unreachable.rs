//! Hosts that cannot be reached, keys that are wrong, sudo that is refused: what is said, and the exit code.
#![expect(clippy::unwrap_used, reason = "a test")]

mod hosts;

use std::fs;
use std::process::Command;

use hosts::{Lab, Said, said};

const WHO: &str =
    "- hosts: x\n  gather_facts: false\n  tasks:\n    - command: id -un\n      changed_when: false\n";

const AS_ROOT: &str = "- hosts: x\n  gather_facts: false\n  become: true\n  tasks:\n    - command: id -un\n      changed_when: false\n";

/// A host `x` of the lab with these variables, and the lab's key and known hosts where they name no others.
fn reach(lab: &Lab, playbook: &str, variables: &str, words: &[&str]) -> Said {
    write(lab, "hosts", &inventory(lab, variables));
    write(lab, "site.yml", playbook);
    lab.run(&[&["-i", "hosts", "site.yml"], words].concat())
}

fn write(lab: &Lab, name: &str, text: &str) {
    fs::write(lab.folder.path().join(name), text).unwrap();
}

fn inventory(lab: &Lab, variables: &str) -> String {
    let state = format!("/run/vmstation/{}", lab.name);
    let mut line = format!("x {variables}");
    for (name, value) in [
        ("ansible_host", "192.0.2.11".to_string()),
        ("ansible_user", "root".to_string()),
        ("ansible_ssh_private_key_file", format!("{state}/key")),
        ("ansible_ssh_common_args", known(&format!("{state}/known_hosts"))),
    ] {
        if !variables.contains(name) {
            line = format!("{line} {name}={value}");
        }
    }
    format!("{line}\n")
}

fn known(file: &str) -> String {
    format!("'-o UserKnownHostsFile={file} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes'")
}

fn expect(said: &Said, exit: i32, words: &[&str]) {
    assert_eq!(said.exit, exit, "{}", said.text);
    for word in words {
        assert!(said.text.contains(word), "`{word}` is not in\n{}", said.text);
    }
}

#[test]
fn a_host_that_is_down() {
    let Some(lab) = Lab::enter() else { return };
    let refused = reach(&lab, WHO, "ansible_port=1", &[]);
    expect(&refused, 4, &["refused the connection", "could not reach x"]);
    let silent = reach(&lab, WHO, "ansible_host=192.0.2.77", &["-T", "2"]);
    expect(&silent, 4, &["unreachable x", "192.0.2.77", "could not reach x"]);
}

#[test]
fn keys_that_are_wrong() {
    let Some(lab) = Lab::enter() else { return };
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(lab.folder.path().join("other"))
        .output()
        .unwrap();
    assert!(made.status.success());
    let stranger = format!(
        "ansible_ssh_private_key_file={}/other",
        lab.folder.path().display()
    );
    expect(
        &reach(&lab, WHO, &stranger, &[]),
        4,
        &["unreachable x", "root", "other"],
    );

    write(&lab, "empty", "");
    let nobody = format!("ansible_ssh_common_args={}", known("empty"));
    expect(&reach(&lab, WHO, &nobody, &[]), 4, &["unreachable x", "SHA256:"]);

    let public = fs::read_to_string(lab.folder.path().join("other.pub")).unwrap();
    let mut fields = public.split_whitespace();
    let key = format!("{} {}", fields.next().unwrap(), fields.next().unwrap());
    write(&lab, "changed", &format!("192.0.2.11 {key}\n"));
    let changed = format!("ansible_ssh_common_args={}", known("changed"));
    expect(&reach(&lab, WHO, &changed, &[]), 4, &["unreachable x", "changed"]);
}

#[test]
fn sudo_that_wants_a_password() {
    let Some(lab) = Lab::enter() else { return };
    let operator = "ansible_user=operator";
    expect(
        &reach(&lab, AS_ROOT, operator, &[]),
        3,
        &["sudo wants a password", "none was given", "-K"],
    );
    let wrong = format!("{operator} ansible_become_password=no-such-word");
    let told = reach(&lab, AS_ROOT, &wrong, &[]);
    expect(&told, 3, &["sudo", "password"]);
    assert!(!told.text.contains("no-such-word"), "{}", told.text);
    let right = format!("{operator} ansible_become_password=operator");
    expect(&reach(&lab, AS_ROOT, &right, &[]), 0, &["ok 1"]);
}

#[test]
fn sudo_with_the_password_typed() {
    let Some(lab) = Lab::enter() else { return };
    write(&lab, "hosts", &inventory(&lab, "ansible_user=operator"));
    write(&lab, "site.yml", AS_ROOT);
    // The password is read from the terminal itself: `script` makes one.
    let program = env!("CARGO_BIN_EXE_vmstation");
    let run = format!("{program} run --lab={} -K -i hosts site.yml", lab.name);
    let typed = format!("(sleep 1; echo operator; sleep 3) | script -qec '{run}' /dev/null");
    let told = said(
        Command::new("sh")
            .args(["-c", &typed])
            .current_dir(lab.folder.path()),
    );
    expect(&told, 0, &["BECOME password", "ok 1"]);
}

#[test]
fn a_failure_and_a_lost_host_leave_the_others_alone() {
    let Some(lab) = Lab::enter() else { return };
    let playbook = "- hosts: all:!nopython_nodes\n  gather_facts: false\n  tasks:\n    - command: test {{ inventory_hostname }} != masternode\n      changed_when: false\n    - command: \"true\"\n      changed_when: false\n";
    write(&lab, "site.yml", playbook);
    write(&lab, "hosts", "");
    expect(
        &lab.run(&["site.yml"]),
        3,
        &[
            "failed on masternode",
            "storagenodet3500  ok 2",
            "homelab           ok 2",
        ],
    );
    let both = reach(&lab, playbook, "ansible_port=1", &[]);
    expect(
        &both,
        4,
        &[
            "failed on masternode; could not reach x",
            "homelab           ok 2",
        ],
    );
}

#[test]
fn a_connection_lost_in_the_middle_of_a_command() {
    let Some(lab) = Lab::enter() else { return };
    // The command notes that it began, then ends the connection that it came by.
    let playbook = r"- hosts: x
  gather_facts: false
  tasks:
    - shell: |
        echo begun >>/tmp/lost-test
        p=$$
        while [ $p -gt 1 ]; do
          case $(cat /proc/$p/comm) in sshd*) kill -9 $p; break;; esac
          p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status)
        done
        sleep 5
    - command: date
";
    let lost = reach(&lab, playbook, "", &[]);
    let look = "- hosts: x\n  gather_facts: false\n  tasks:\n    - command: grep -c begun /tmp/lost-test\n      register: n\n    - debug:\n        msg: began {{ n.stdout }} times\n    - file:\n        path: /tmp/lost-test\n        state: absent\n";
    let seen = reach(&lab, look, "", &[]);
    expect(&lost, 4, &["unreachable x", "connection"]);
    expect(&seen, 0, &["began 1 times"]);
}
