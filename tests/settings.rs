//! What stands in `ansible.cfg`, in the environment or on the command line has its effect on a run.
#![expect(clippy::unwrap_used, reason = "a test")]

#[expect(dead_code, reason = "only where the lab is")]
mod hosts;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use hosts::{Said, said};

/// A project with one host and these settings.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(settings: &str, tasks: &str) -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        project.write("ansible.cfg", settings);
        project.write("hosts", "here\n");
        project.write(
            "site.yml",
            &format!("- hosts: here\n  gather_facts: false\n  tasks:\n{tasks}"),
        );
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        command
            .current_dir(self.folder.path())
            .args(["run", "-i", "hosts", "site.yml"])
            .args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        said(&mut self.command(words))
    }
}

const TRUE: &str = "    - command: 'true'\n";

#[test]
fn the_connection_of_hosts_that_name_none() {
    let project = Project::new("[defaults]\ntransport = local\n", TRUE);
    assert_eq!(project.run(&[]).exit, 0);
    let project = Project::new("", TRUE);
    assert_eq!(project.run(&["-c", "local"]).exit, 0);
    let told = project.run(&["-c", "docker"]);
    assert_eq!(told.exit, 3, "{}", told.text);
    assert!(
        told.text.contains("the connection `docker` is not supported"),
        "{}",
        told.text
    );
}

#[test]
fn arguments_of_ssh_wherever_they_stand() {
    let refused = |told: &Said| {
        let named = told
            .text
            .contains("the ssh argument `-o Nonsense=1` is not supported");
        assert!(told.exit == 4 && named, "{}", told.text);
    };
    for name in ["ssh_args", "ssh_common_args", "ssh_extra_args"] {
        let settings = format!("[ssh_connection]\n{name} = -C -o Nonsense=1\n");
        refused(&Project::new(&settings, TRUE).run(&[]));
        let project = Project::new("", TRUE);
        let variable = format!("ANSIBLE_{}", name.to_uppercase());
        refused(&said(project.command(&[]).env(variable, "-o Nonsense=1")));
        let extra = format!("ansible_{name}='-o Nonsense=1'");
        refused(&project.run(&["-e", &extra]));
    }
    let project = Project::new("", TRUE);
    for option in ["--ssh-common-args", "--ssh-extra-args"] {
        refused(&project.run(&[option, "-o Nonsense=1"]));
        refused(&project.run(&[&format!("{option}=-o Nonsense=1")]));
    }
}

/// Each of the two tries is four, as what is closed at once is tried again by itself.
#[test]
fn a_connection_that_does_not_come_about_is_tried_again() {
    let project = Project::new("[ssh_connection]\nretries = 1\n", TRUE);
    let tries = project.path("tries");
    project.write("way", &format!("#!/bin/sh\necho >>{}\n", tries.display()));
    let way = format!(
        "ansible_ssh_common_args='-o ProxyCommand=\"sh {}\"'",
        project.path("way").display()
    );
    let told = project.run(&["-e", &way]);
    assert_eq!(told.exit, 4, "{}", told.text);
    assert_eq!(fs::read_to_string(tries).unwrap().lines().count(), 8);
}

#[test]
fn how_another_user_is_become() {
    let become_nobody = "    - command: 'true'\n      become: true\n      become_user: nobody\n";
    let settings = "[defaults]\ntransport = local\n[privilege_escalation]\nbecome_exe = /does/not/exist\n";
    let told = Project::new(settings, become_nobody).run(&[]);
    assert_eq!(told.exit, 3, "{}", told.text);
    assert!(
        told.text.contains("there is no /does/not/exist on this host"),
        "{}",
        told.text
    );
    // A program that says how it was called.
    let settings = "[defaults]\ntransport = local\n[privilege_escalation]\nbecome_exe = /bin/echo as\nbecome_flags = --like this\n";
    let told = Project::new(settings, become_nobody).run(&[]);
    assert!(told.text.contains("as --like this -n -u nobody"), "{}", told.text);
}

#[test]
fn the_shell_of_a_host() {
    let settings = "[defaults]\ntransport = local\nexecutable = /does/not/exist\n";
    let told = Project::new(settings, TRUE).run(&[]);
    assert_eq!(told.exit, 4, "{}", told.text);
    assert!(told.text.contains("/does/not/exist"), "{}", told.text);
}

#[test]
fn what_templates_say_of_themselves() {
    let project = Project::new(
        "[defaults]\ntransport = local\nansible_managed = \"{file}\" of {uid}, %Y-%m-%d 100%%\n",
        "    - template:\n        src: t.j2\n        dest: '{{ playbook_dir }}/out'\n",
    );
    fs::create_dir(project.path("templates")).unwrap();
    project.write("templates/t.j2", "# {{ ansible_managed }} {{ template_path }}\n");
    let uid = fs::metadata(project.path("templates/t.j2")).unwrap().uid();
    let of = |command: &mut Command| said(command).text.trim().to_string();
    let owner = of(Command::new("id").args(["-un", &uid.to_string()]));
    let day = of(Command::new("date").arg("+%Y-%m-%d"));
    let told = project.run(&[]);
    assert_eq!(told.exit, 0, "{}", told.text);
    assert_eq!(
        fs::read_to_string(project.path("out")).unwrap(),
        format!("# \"t.j2\" of {owner}, {day} 100% t.j2\n")
    );
}

/// Each setting is acted on, or named with `-v`.
#[test]
fn what_has_no_effect_is_named() {
    let settings = "[defaults]\ntransport = local\nforks = 3\ntask_timeout = 5\nvault_password_file = x\n\
                    nocows = 1\n[ssh_connection]\nretries = 1\n[else]\nforks = 1\n";
    let project = Project::new(settings, TRUE);
    let told = project.run(&["-v"]);
    let named: Vec<&str> = told
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("note: `")?.split('`').next())
        .collect();
    assert_eq!(
        named,
        [
            "[defaults] task_timeout",
            "[defaults] vault_password_file",
            "[defaults] nocows",
            "[else] forks"
        ]
    );
    let quiet = project.run(&[]);
    assert!(!quiet.text.contains("no effect"), "{}", quiet.text);
}

/// As `ansible-inventory` does.
#[test]
fn the_inventory_as_the_command_line_leaves_it() {
    let project = Project::new("", TRUE);
    project.write("hosts", "[web]\nw1 a=1\nw2\n[db]\nd1\n");
    let shown = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        let told = said(
            command
                .current_dir(project.folder.path())
                .args(["inventory", "-i", "hosts"])
                .args(words),
        );
        assert_eq!(told.exit, 0, "{}", told.text);
        told.text
    };
    let list: serde_json::Value =
        serde_json::from_str(&shown(&["--list", "-l", "web:!w2", "-e", "a=2 b=x"])).unwrap();
    assert_eq!(
        list,
        serde_json::json!({
            "_meta": {"hostvars": {"w1": {"a": "2", "b": "x"}}},
            "all": {"children": ["ungrouped", "web", "db"]},
            "web": {"hosts": ["w1"]},
        })
    );
    assert!(shown(&["--host", "w2", "-e", "b=x"]).contains("\"b\": \"x\""));
    assert_eq!(
        shown(&["-l", "w2"]),
        "@all:\n  |--@ungrouped:\n  |--@web:\n  |  |--w2\n  |--@db:\n"
    );
}
