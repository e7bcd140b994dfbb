//! Facts: recorded answers of hosts, and the script itself in the shells of this machine.
//!
//! A case is a directory in tests/facts: `output.txt` is what the script printed on a machine, `expected.json`
//! what is to be made of it. `VMSTATION_RECORD=1 cargo test --test facts` writes the second from the first.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use vmstation::facts::{Subset, parse, script, script_under};

fn json(output: &[u8], subset: &Subset) -> Json {
    let facts = parse(output, subset);
    let mut json = serde_json::to_value(vmstation::vars::Value::from(facts.facts)).unwrap();
    if !facts.notes.is_empty() {
        json["(notes)"] = facts.notes.into();
    }
    json
}

/// Runs the script as a host's shell would: program text on stdin, nothing else of ours.
fn run(shell: &[&str], script: &str) -> Vec<u8> {
    let (program, arguments) = shell.split_first().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .args(["-c", script])
        .stdin(Stdio::null())
        .env("VMSTATION_QUOTED", "it's \"$x\"\n=files\nü")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?} complains");
    output.stdout
}

fn shells() -> Vec<Vec<&'static str>> {
    let there = |program: &&str| {
        Path::new("/bin").join(program).exists() || Path::new("/usr/bin").join(program).exists()
    };
    [vec!["dash"], vec!["bash"], vec!["busybox", "sh"]]
        .into_iter()
        .filter(|shell| there(&shell[0]))
        .collect()
}

#[test]
fn recorded_hosts() {
    let mut cases: Vec<PathBuf> = fs::read_dir("tests/facts")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    for case in cases {
        let output = fs::read(case.join("output.txt")).unwrap();
        let found = json(&output, &Subset::default());
        let path = case.join("expected.json");
        if std::env::var_os("VMSTATION_RECORD").is_some() {
            fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let wanted: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(found, wanted, "{}", case.display());
    }
}

/// Facts that differ from one moment, or one shell, to the next.
const PASSING: &[&str] = &[
    "date_time",
    "loadavg",
    "uptime_seconds",
    "memfree_mb",
    "memory_mb",
    "mounts",
    "env",
    "swapfree_mb",
];

#[test]
fn every_shell_says_the_same() {
    let subset = Subset::default();
    let script = script(&subset);
    let mut answers: Vec<(Vec<&str>, Json)> = Vec::new();
    for shell in shells() {
        let mut facts = json(&run(&shell, &script), &subset);
        assert_eq!(
            facts["env"]["VMSTATION_QUOTED"], "it's \"$x\"\n=files\nü",
            "{shell:?}"
        );
        assert!(facts["date_time"]["epoch"].as_str().unwrap().len() >= 10);
        for name in PASSING {
            facts[*name] = Json::Null;
        }
        answers.push((shell, facts));
    }
    for pair in answers.windows(2) {
        let [(one, a), (other, b)] = pair else {
            unreachable!()
        };
        for (name, value) in a.as_object().unwrap() {
            assert_eq!(value, &b[name], "{name} in {one:?} and {other:?}");
        }
    }
}

#[test]
#[ignore = "prints the facts of this machine, or of the answer in the file $VMSTATION_ANSWER, to compare them"]
fn print() {
    let subset = Subset::default();
    let output = match std::env::var_os("VMSTATION_ANSWER") {
        Some(path) => fs::read(path).unwrap(),
        None => run(&["sh"], &script(&subset)),
    };
    println!(
        "{}",
        serde_json::to_string_pretty(&json(&output, &subset)).unwrap()
    );
}

#[test]
fn what_is_not_wanted_is_not_read() {
    let subset = Subset::new(&["!all".into(), "!min".into(), "pkg_mgr".into()], &[]).unwrap();
    let script = script_under("/", &subset);
    assert!(!script.contains("meminfo") && !script.contains("date") && !script.contains("export -p"));
    let facts = json(&run(&["sh"], &script), &subset);
    assert!(facts["pkg_mgr"].is_string() && facts["kernel"].is_null());
}

#[test]
#[ignore = "prints the script"]
fn print_script() {
    print!("{}", script(&Subset::default()));
}

/// A made-up machine: files below a directory, and programs that come before the real ones.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        machine.file("root/proc/sys/kernel/hostname", "made-up\n");
        machine.file("root/proc/self/status", "Uid:\t0\t0\t0\t0\n");
        machine.file("root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        machine.file("root/etc/hosts", "192.0.2.7 made-up.example.org made-up\n");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Whoever opens it for reading waits for ever.
    fn fifo(&self, path: &str) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        self
    }

    fn program(&self, name: &str, text: &str) -> &Self {
        let path = format!("bin/{name}");
        self.file(&path, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The facts of the machine, in each shell; fails if they take longer than any limit allows.
    fn facts(&self, subset: &Subset) -> Vec<Json> {
        fs::create_dir_all(self.path("bin")).unwrap();
        let script = script_under(self.path("root").to_str().unwrap(), subset);
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let facts = |shell: &Vec<&str>| {
            let output = Command::new("timeout")
                .arg("20")
                .args(shell)
                .args(["-c", &script])
                .env("PATH", &path)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success(), "{shell:?}: {:?}", output.status);
            json(&output.stdout, subset)
        };
        shells().iter().map(facts).collect()
    }
}

#[test]
fn interfaces_of_containers_are_not_touched() {
    let machine = Machine::new();
    machine.file("root/sys/class/net/eth0/mtu", "1500\n").file(
        "root/proc/net/if_inet6",
        "fe800000000000000000000000000001 02 40 20 80 eth0\n",
    );
    for i in 0..470 {
        fs::create_dir_all(machine.path(&format!("root/sys/class/net/cali{i:011x}"))).unwrap();
    }
    machine
        .fifo("root/sys/class/net/veth1/mtu")
        .fifo("root/sys/class/net/cni0/address");
    for facts in machine.facts(&Subset::new(&["network".into()], &[]).unwrap()) {
        assert_eq!(facts["interfaces"], serde_json::json!(["eth0"]));
        assert_eq!(facts["eth0"]["mtu"], 1500);
        assert_eq!(facts["all_ipv6_addresses"], serde_json::json!(["fe80::1"]));
    }
}

#[test]
fn a_file_that_would_hang_is_passed_over() {
    let machine = Machine::new();
    machine
        .fifo("root/etc/os-release")
        .fifo("root/etc/resolv.conf")
        .fifo("root/etc/localtime")
        .fifo("root/etc/ansible/facts.d/slow.fact")
        .file("root/etc/ansible/facts.d/good.fact", "[a]\nb = c\n");
    for facts in machine.facts(&Subset::default()) {
        assert_eq!(facts["fqdn"], "made-up.example.org");
        assert_eq!(facts["distribution"], "OtherLinux");
        assert_eq!(
            facts["ansible_local"],
            serde_json::json!({"good": {"a": {"b": "c"}}})
        );
    }
}

/// What Ansible makes of the same files (`tests/distributions/record.py`).
#[test]
fn every_distribution() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/distributions");
    let mut wrong = Vec::new();
    for case in fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()) {
        if case.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let recorded: Json = serde_json::from_str(&fs::read_to_string(&case).unwrap()).unwrap();
        let machine = Machine::new();
        for (path, text) in recorded["files"].as_object().unwrap() {
            machine.file(&format!("root/{path}"), text.as_str().unwrap());
        }
        let subset = Subset::new(&["!all".into(), "!min".into(), "distribution".into()], &[]).unwrap();
        let found = &machine.facts(&subset)[0];
        let ours: serde_json::Map<String, Json> = found
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.starts_with("distribution") || *name == "os_family")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if Json::from(ours.clone()) != recorded["facts"] {
            wrong.push(format!(
                "{}:\n  Ansible {}\n  we      {}",
                case.display(),
                recorded["facts"],
                Json::from(ours)
            ));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn programs_among_the_hosts_own_facts_are_run() {
    let machine = Machine::new();
    let program = |name: &str, text: &str| {
        let path = format!("root/etc/ansible/facts.d/{name}.fact");
        machine.file(&path, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(machine.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("json", "echo lost >&2; printf '{\"a\":\\n[1,\\n\\n2]}'");
    program("ini", "printf '[s]\\n\\nb = =files\\nc=two'");
    program("said", "echo '=end'");
    program("seven", "echo '{}'; exit 7");
    program("slow", "exec sleep 30");
    for facts in machine.facts(&Subset::new(&["local".into()], &[]).unwrap().gather_timeout(1)) {
        let directory = "etc/ansible/facts.d";
        assert_eq!(
            facts["ansible_local"],
            serde_json::json!({
                "json": {"a": [1, 2]},
                "ini": {"s": {"b": "=files", "c": "two"}},
                "said": format!("error loading facts as JSON or ini - please check content: /{directory}/said.fact"),
                "seven": format!("Failure executing fact script (/{directory}/seven.fact), rc: 7, err: "),
                "slow": format!("Failure executing fact script (/{directory}/slow.fact), rc: 124, err: "),
            })
        );
        let notes = facts["(notes)"].to_string();
        assert!(
            notes.contains("slow.fact did not end in time")
                && notes.contains("seven.fact failed with status 7"),
            "{notes}"
        );
    }
}

#[test]
fn a_name_service_that_hangs_is_cut_off() {
    let machine = Machine::new();
    machine
        .file("root/etc/hosts", "127.0.0.1 localhost\n")
        .file("root/etc/passwd", "nobody:x:65534:65534::/:/bin/false\n")
        .program("getent", "exec sleep 30");
    for facts in machine.facts(&Subset::default().gather_timeout(1)) {
        assert_eq!(facts["fqdn"], "made-up");
        let notes = facts["(notes)"].to_string();
        assert!(
            notes.contains("fqdn: looking up made-up took longer than 1 s"),
            "{notes}"
        );
        assert!(notes.contains("the account"), "{notes}");
    }
}

#[test]
fn only_mounts_that_answer_are_measured() {
    let machine = Machine::new();
    let asked = machine.path("asked");
    let mounts = [
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        "2 1 0:40 / /nfs rw - nfs4 nas.example.org:/x rw,hard",
        "3 1 0:41 / /soft rw - nfs4 nas.example.org:/y rw,soft,timeo=5",
        "4 1 8:1 /var/lib/kubelet/a /var/lib/kubelet/a rw - ext4 /dev/sda1 rw",
        "5 1 0:42 / /run/containerd/x rw - overlay overlay rw",
        "6 1 8:2 / /mnt/a\\040b rw - ext4 /dev/sda2 rw",
    ];
    machine.file("root/proc/self/mountinfo", &(mounts.join("\n") + "\n"));
    let stat = [
        &format!("echo \"$@\" >>{}", asked.display()),
        "case \"$*\" in */soft*) exec sleep 30 ;; esac",
        "echo '4096 4096 100 40 10 5 /'",
    ];
    machine.program("stat", &stat.join("\n"));
    for facts in machine.facts(&Subset::default().gather_timeout(1)) {
        let mounts = facts["mounts"].as_array().unwrap();
        let points: Vec<_> = mounts
            .iter()
            .map(|mount| mount["mount"].as_str().unwrap())
            .collect();
        assert_eq!(points, ["/", "/nfs", "/soft", "/var/lib/kubelet/a", "/mnt/a b"]);
        // The same file system twice, measured once.
        assert_eq!(mounts[0]["size_total"], 409_600);
        assert_eq!(mounts[3]["size_total"], 409_600);
        assert_eq!(mounts[3]["options"], "rw,bind");
        assert!(mounts[1]["note"].is_string() && mounts[2]["note"].is_string());
        assert!(facts["(notes)"].to_string().contains("network mount"));
    }
    let calls = fs::read_to_string(&asked).unwrap();
    for never in ["nfs", "kubelet", "containerd"] {
        assert!(!calls.contains(never), "{calls}");
    }
    assert!(calls.contains("/ /mnt/a b\n"), "{calls}");
}
