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
    expect(
        &refused,
        4,
        &[
            "refused the connection",
            "does sshd listen there?",
            "could not reach x",
        ],
    );
    let silent = reach(&lab, WHO, "ansible_host=192.0.2.77", &["-T", "2"]);
    expect(
        &silent,
        4,
        &[
            "unreachable x",
            "192.0.2.77",
            "is the machine on",
            "could not reach x",
        ],
    );
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
        &[
            "did not let user root in",
            "other",
            "authorized_keys of that user",
        ],
    );

    write(&lab, "empty", "");
    let nobody = format!("ansible_ssh_common_args={}", known("empty"));
    expect(&reach(&lab, WHO, &nobody, &[]), 4, &["unreachable x", "SHA256:"]);

    let public = fs::read_to_string(lab.folder.path().join("other.pub")).unwrap();
    let mut fields = public.split_whitespace();
    let key = format!("{} {}", fields.next().unwrap(), fields.next().unwrap());
    write(&lab, "changed", &format!("192.0.2.11 {key}\n"));
    let changed = format!("ansible_ssh_common_args={}", known("changed"));
    let told = reach(&lab, WHO, &changed, &[]);
    expect(&told, 4, &["unreachable x", "changed"]);
    // The way out leads out: then it is a host like any that was never seen.
    let way_out = told
        .text
        .lines()
        .find_map(|line| line.split_once("set up anew: ssh-keygen"));
    let forgotten = Command::new("sh")
        .args(["-c", &format!("ssh-keygen{}", way_out.unwrap().1)])
        .current_dir(lab.folder.path())
        .output()
        .unwrap();
    assert!(forgotten.status.success(), "{forgotten:?}");
    expect(&reach(&lab, WHO, &changed, &[]), 4, &["is not known", "SHA256:"]);
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
    expect(&told, 3, &["refused the password", "type it again with -K"]);
    // sudo says more behind the reason.
    let stranger = reach(&lab, AS_ROOT, "ansible_become_user=nosuchuser", &[]);
    expect(
        &stranger,
        3,
        &["cannot become nosuchuser: sudo: unknown user nosuchuser"],
    );
    let right = format!("{operator} ansible_become_password=operator");
    expect(&reach(&lab, AS_ROOT, &right, &[]), 0, &["ok 1"]);
}

#[test]
fn sudo_with_the_password_typed() {
    let Some(lab) = Lab::enter() else { return };
    write(&lab, "hosts", &inventory(&lab, "ansible_user=operator"));
    write(&lab, "site.yml", AS_ROOT);
    // The password is read from the terminal itself: `script` makes one.
    let told = typed(&lab, &["operator"], "-K");
    expect(&told, 0, &["BECOME password", "ok 1"]);
}

/// A copy of the lab's key with the passphrase `secret`.
fn locked_key(lab: &Lab) -> String {
    let copy = lab.folder.path().join("locked");
    fs::copy(format!("/run/vmstation/{}/key", lab.name), &copy).unwrap();
    let locked = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "secret", "-f"])
        .arg(&copy)
        .output()
        .unwrap();
    assert!(locked.status.success());
    format!("ansible_ssh_private_key_file={}", copy.display())
}

#[test]
fn a_key_with_a_passphrase() {
    let Some(lab) = Lab::enter() else { return };
    let key = locked_key(&lab);
    let nobody = reach(&lab, WHO, &key, &[]);
    expect(&nobody, 4, &["unreachable x", "it is encrypted", "ssh-add"]);

    let wrong = reach(
        &lab,
        WHO,
        &format!("{key} ansible_ssh_private_key_passphrase=no-such-word"),
        &[],
    );
    expect(
        &wrong,
        4,
        &["ansible_ssh_private_key_passphrase does not open it"],
    );
    assert!(!wrong.text.contains("no-such-word"), "{}", wrong.text);
    for name in [
        "ansible_ssh_private_key_passphrase",
        "ansible_private_key_passphrase",
    ] {
        expect(
            &reach(&lab, WHO, &format!("{key} {name}=secret"), &[]),
            0,
            &["ok 1"],
        );
    }
}

/// What is said on a terminal where somebody types `lines`, one after a while.
fn typed(lab: &Lab, lines: &[&str], words: &str) -> Said {
    let program = env!("CARGO_BIN_EXE_vmstation");
    let run = format!("{program} run --lab={} {words} -i hosts site.yml", lab.name);
    let typed = format!(
        "(for l in {}; do sleep 2; echo $l; done; sleep 3) | script -qec '{run}' /dev/null",
        lines.join(" ")
    );
    said(
        Command::new("sh")
            .args(["-c", &typed])
            .current_dir(lab.folder.path()),
    )
}

#[test]
fn a_passphrase_typed_once_for_all_hosts() {
    let Some(lab) = Lab::enter() else { return };
    let key = locked_key(&lab);
    let hosts = inventory(&lab, &key);
    let other = hosts.replacen('x', "y", 1).replace("192.0.2.11", "192.0.2.12");
    write(&lab, "hosts", &format!("{hosts}{other}"));
    write(&lab, "site.yml", &WHO.replace("hosts: x", "hosts: x:y"));
    let told = typed(&lab, &["no-such-word", "secret"], "");
    expect(
        &told,
        0,
        &["Passphrase of", "does not open it", "nothing changed"],
    );
    assert_eq!(told.text.matches("Passphrase of").count(), 2, "{}", told.text);
    assert!(!told.text.contains("no-such-word"), "{}", told.text);

    // Whoever wants events is a program.
    let told = typed(&lab, &["secret"], "--json");
    expect(&told, 4, &["it is encrypted"]);
    assert!(!told.text.contains("Passphrase of"), "{}", told.text);
}

/// Paths that the user may not look at: named with a way out; where Ansible goes on, so do we.
#[test]
fn what_may_not_be_looked_at() {
    let Some(lab) = Lab::enter() else { return };
    let playbook = "
- hosts: x
  gather_facts: false
  tasks:
    - stat:
        path: /root/closed
      ignore_errors: true
    - slurp:
        src: /etc/shadow
      ignore_errors: true
    - stat:
        path: /etc/shadow
      register: shadow
    - assert:
        that:
          - not shadow.stat.readable
          - shadow.stat.checksum is not defined
    - command: echo goes on
      args:
        creates: /root/closed
";
    let told = reach(&lab, playbook, "ansible_user=admin", &[]);
    let way_out = "permission denied (`become: true` runs the task as root)";
    expect(
        &told,
        0,
        &[
            &format!("/root/closed cannot be looked at: {way_out}"),
            &format!("/etc/shadow cannot be read: {way_out}"),
            "changed 1",
        ],
    );
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
