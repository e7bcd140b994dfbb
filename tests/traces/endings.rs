//! Runs that end badly: a full disk, a `validate` that is not content, Ctrl-C, a killed program, a lost connection.
//! Whatever was being written is as it was, and nothing of ours stays.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::casebook::shell;
use super::snapshot::{Exception, Snapshot};

/// Where the playbooks write on a host; a small file system is mounted at `full` in it.
const D: &str = "/var/tmp/endings";

const PREPARE: &str = "
umask 022; mkdir -p D/full D/tree; mount -t tmpfs -o size=500k,mode=755 full D/full
printf 'old\\n' >D/file; printf 'old\\n' >D/full/file
dd if=/dev/zero bs=1000 count=300 2>/dev/null | tr '\\0' x >D/full/large; printf '\\nend\\n' >>D/full/large
cp D/full/large D/tree/1; cp D/full/large D/tree/2; cp D/full/large D/tree/3";

const CLEAR: &str = "umount D/full 2>/dev/null; rm -rf D";

/// All that is there, with sums.
const LIST: &str =
    "cd D && find . -printf '%y %m %p\\n' | sort && find . -type f -exec md5sum {} + | sort -k 2";

/// What stays when the system goes on by itself.
const RESTLESS: &[Exception] = &[
    ("/var/log/*", "logs"),
    ("/run/motd.dynamic", "made by sshd's PAM at each login"),
    ("/run/systemd/*", "sessions and units come and go"),
];

/// How a run is brought to its end.
enum End {
    /// By itself.
    Itself,
    /// Ctrl-C, once this is true on the host.
    Interrupted(&'static str),
    /// The program is killed at once.
    Killed(&'static str),
    /// The connection is cut on the host.
    Cut(&'static str),
}

struct Ending {
    name: &'static str,
    tasks: &'static str,
    end: End,
    /// The exit code, if there is one.
    exit: Option<i32>,
}

/// A file of which a part has been written beside its place.
const UPLOADING: &str = "[ \"$(cat D/.vmstation.* 2>/dev/null | head -c 200000 | wc -c)\" = 200000 ]";
const SLEEPING: &str = "pgrep -f 'slee[p] 98765' >/dev/null";

const FULL_DISK: &str = r"
- block:
    - {copy: {dest: '{{ d }}/full/file', src: large}, register: r1}
    - {copy: {dest: '{{ d }}/full/file', content: '{{ `y` * 900000 }}'}, register: r2}
    - {copy: {dest: '{{ d }}/full/large', content: new, backup: true}, register: r3}
    - {copy: {dest: '{{ d }}/full/', src: tree/}, register: r4}
    - {copy: {dest: '{{ d }}/full/', src: '{{ d }}/tree/', remote_src: true}, register: r5}
    - {copy: {dest: '{{ d }}/full/file', src: '{{ d }}/enormous', remote_src: true}, register: r6}
    - {template: {dest: '{{ d }}/full/file', src: large.j2}, register: r7}
    - {lineinfile: {path: '{{ d }}/full/large', line: more}, register: r8}
    - {blockinfile: {path: '{{ d }}/full/large', block: more}, register: r9}
    - {replace: {path: '{{ d }}/full/large', regexp: end, replace: more, backup: true}, register: r10}
    - {sysctl: {name: vm.x, value: '{{ `1` * 100000 }}', sysctl_file: '{{ d }}/full/large', reload: false}, register: r11}
  ignore_errors: true
- assert:
    that: item is failed
  loop: '{{ [r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11] }}'
- assert:
    that: ('No space left' in item.msg)
  loop: '{{ [r1, r2, r3, r4, r7, r8] }}'
";

const ENDINGS: &[Ending] = &[
    Ending {
        name: "a full disk",
        tasks: FULL_DISK,
        end: End::Itself,
        exit: Some(0),
    },
    Ending {
        name: "nothing that is valid",
        tasks: r"
- block:
    - {copy: {dest: '{{ d }}/file', content: new, validate: 'grep old %s', backup: true}}
    - {template: {dest: '{{ d }}/file', src: small.j2, validate: 'grep old %s'}}
    - {lineinfile: {path: '{{ d }}/file', line: more, validate: 'grep never %s'}}
    - {copy: {dest: '{{ d }}/none/file', content: new}}
    - {script: fails.sh}
    - {script: fails.sh, args: {chdir: /no/such}}
  ignore_errors: true
- fail:
",
        end: End::Itself,
        exit: Some(3),
    },
    Ending {
        name: "Ctrl-C while `validate` sleeps, deaf",
        tasks: "- {copy: {dest: '{{ d }}/file', content: new, validate: '{{ d }}/deaf %s'}}",
        end: End::Interrupted(SLEEPING),
        exit: Some(130),
    },
    Ending {
        name: "Ctrl-C while a script sleeps, deaf",
        tasks: "- script: deaf.sh",
        end: End::Interrupted(SLEEPING),
        exit: Some(130),
    },
    Ending {
        name: "Ctrl-C while another user's command sleeps",
        tasks: "- {shell: 'sleep 98765', become: true, become_user: daemon}",
        end: End::Interrupted(SLEEPING),
        exit: Some(130),
    },
    Ending {
        name: "Ctrl-C while something is waited for",
        tasks: "- {wait_for: {path: '{{ d }}/never'}}",
        end: End::Interrupted("pgrep -f 'endings/neve[r]' >/dev/null"),
        exit: Some(130),
    },
    Ending {
        name: "Ctrl-C in the middle of a file",
        tasks: "- {copy: {dest: '{{ d }}/file', src: enormous}}",
        end: End::Interrupted(UPLOADING),
        exit: Some(130),
    },
    Ending {
        name: "killed in the middle of a file",
        tasks: "- {copy: {dest: '{{ d }}/file', src: enormous}}",
        end: End::Killed(UPLOADING),
        exit: None,
    },
    Ending {
        name: "killed in the middle of a tree",
        tasks: "- {copy: {dest: '{{ d }}/', src: enormous.d/}}",
        end: End::Killed(UPLOADING),
        exit: None,
    },
    Ending {
        name: "cut off in the middle of a file",
        tasks: "- {copy: {dest: '{{ d }}/file', src: enormous}}",
        end: End::Cut(UPLOADING),
        exit: Some(4),
    },
    Ending {
        name: "killed in the middle of a script",
        tasks: "- script: enormous.sh",
        end: End::Killed("[ \"$(cat /tmp/.vmstation-*/* 2>/dev/null | head -c 200000 | wc -c)\" = 200000 ]"),
        exit: None,
    },
    Ending {
        name: "killed in the middle of a standard input",
        tasks: "- {shell: 'cat >{{ d }}/file', args: {stdin: '{{ lookup(`file`, `enormous`) }}'}}",
        end: End::Killed("[ \"$(cat /tmp/tmp.* 2>/dev/null | head -c 200000 | wc -c)\" = 200000 ]"),
        exit: None,
    },
];

/// The project: what is to be copied takes longer than it takes to notice that it has begun.
fn project() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let enormous = vec![b'z'; 24_000_000];
    write("files/large", &enormous[..900_000]);
    write("files/tree/large", &enormous[..900_000]);
    write("files/enormous", &enormous);
    write("files/enormous.d/file", &enormous);
    write("templates/large.j2", &enormous[..900_000]);
    write("templates/small.j2", b"new\n");
    write("files/fails.sh", b"#!/bin/sh\nexit 3\n");
    write("files/deaf.sh", DEAF.as_bytes());
    let script = [format!("#!/bin/sh\necho new >{D}/file\n: ").as_bytes(), &enormous].concat();
    write("files/enormous.sh", &script);
    for (n, ending) in ENDINGS.iter().enumerate() {
        let tasks = ending.tasks.trim().replace('`', "\"").replace('\n', "\n    ");
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n    {tasks}\n");
        write(&format!("{n}.yml"), play.as_bytes());
    }
    directory
}

const DEAF: &str = "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 98765\nsleep 98765\n";

/// What writes stops in the middle of what is large, so that it is not over before anybody can do anything.
const HALFWAY: &str = r#"cat >/usr/bin/dd.half <<'END'
#!/bin/sh
case $1 in bs=65536)
    /usr/bin/dd.kept bs=65536 count=4 iflag=fullblock status=none
    kill -STOP $$
esac
exec /usr/bin/dd.kept "$@"
END
chmod 755 /usr/bin/dd.half; mv /usr/bin/dd /usr/bin/dd.kept && mv /usr/bin/dd.half /usr/bin/dd"#;

/// Whether what is expected comes about on the host within a while; what is done there at once.
fn happens(lab: &str, host: &str, what: &str, then: &str) -> bool {
    let script = format!(
        "for _ in $(seq 1500); do if {{ {}; }}; then {then} echo yes; exit; fi; sleep 0.02; done",
        what.replace("D/", &format!("{D}/"))
    );
    shell(lab, host, &script).trim() == "yes"
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([name, &pid])
            .status()
            .unwrap()
            .success()
    );
}

fn start(lab: &str, host: &str, project: &Path, number: usize) -> (Child, PathBuf) {
    let log = project.join(format!("{host}-{number}.log"));
    let child = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args([
            "run",
            &format!("--lab={lab}"),
            "--limit",
            host,
            "-e",
            &format!("d={D}"),
        ])
        .arg(format!("{number}.yml"))
        .current_dir(project)
        .env("ANSIBLE_CONFIG", "/dev/null")
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(std::fs::File::options().append(true).open(&log).unwrap())
        .spawn()
        .unwrap();
    (child, log)
}

/// What is wrong after all of them, one by one, in words.
pub fn on(lab: &str, host: &str) -> Vec<String> {
    let script = |text: &str| {
        shell(
            lab,
            host,
            &text
                .replace("D/", &format!("{D}/"))
                .replace(" D", &format!(" {D}")),
        )
    };
    script(CLEAR);
    script(PREPARE);
    script(&format!(
        "cat >D/deaf <<'END'\n{DEAF}END\nchmod 755 D/deaf; head -c 900000 /dev/zero >D/enormous"
    ));
    let project = project();
    let mut wrong = Vec::new();
    for (number, ending) in ENDINGS.iter().enumerate() {
        let before = Snapshot::of(lab, host);
        let listed = script(LIST);
        if !matches!(ending.end, End::Itself) {
            shell(lab, host, HALFWAY);
        }
        let (mut child, log) = start(lab, host, project.path(), number);
        let mut said = |what: String| wrong.push(format!("{}: {what}", ending.name));
        let has_come = match ending.end {
            End::Itself => true,
            End::Interrupted(moment) | End::Killed(moment) => happens(lab, host, moment, ""),
            End::Cut(moment) => happens(lab, host, moment, CUT),
        };
        match ending.end {
            End::Interrupted(_) => signal(&child, "-INT"),
            End::Killed(_) => signal(&child, "-KILL"),
            End::Cut(_) | End::Itself => {}
        }
        shell(
            lab,
            host,
            "pkill -CONT -x dd && sleep 0.5; [ ! -e /usr/bin/dd.kept ] || mv -f /usr/bin/dd.kept /usr/bin/dd",
        );
        let exit = child.wait().unwrap().code();
        let log = std::fs::read_to_string(log).unwrap();
        if !has_come {
            said(format!("it never came to this\n{log}"));
        }
        if exit != ending.exit {
            said(format!("exit {exit:?}\n{log}"));
        }
        // Before anything is compared, what is ending has ended.
        for what in before.processes_left(lab, host, RESTLESS) {
            said(format!("{what}\n{log}"));
        }
        let now = script(LIST);
        if now != listed {
            said(format!("was\n{listed}\nis\n{now}\n{log}"));
        }
        for what in before.left(lab, host, RESTLESS) {
            said(format!("{what}\n{log}"));
        }
    }
    script(CLEAR);
    wrong
}

/// Ends all sessions of sshd but the one that this runs in.
const CUT: &str = "mine=' '; p=$$; while [ \"$p\" -gt 1 ]; do mine=\"$mine$p \"; p=$(ps -o ppid= -p \"$p\" | tr -d ' '); done; \
                   for p in $(pgrep -f 'sshd: .*@notty'); do case $mine in *\" $p \"*) ;; *) kill -KILL \"$p\";; esac; done;";
