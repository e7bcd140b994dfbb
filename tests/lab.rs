//! The lab on a real machine: hosts that answer, fresh ones, and nothing left.
//!
//! Needs root and the lab's tools, so it runs when `VMSTATION_LAB=1` is set. A lab of
//! its own name: one that is up for other purposes is not touched.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, Output};

const HOSTS: [&str; 4] = ["masternode", "storagenodet3500", "homelab", "nopython"];
const NAME: &str = "selftest";

fn lab(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["lab", "--name", NAME])
        .args(words)
        .output()
        .unwrap()
}

fn ok(words: &[&str]) -> String {
    let output = lab(words);
    assert!(
        output.status.success(),
        "lab {words:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn on(host: &str, command: &str) -> String {
    ok(&["ssh", host, command])
}

fn left() -> Vec<String> {
    let mut found = Vec::new();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let state = format!("/run/vmstation/{NAME}");
    let namespace = format!("vmstation-{NAME}");
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&state) || line.contains(&namespace))
            .map(str::to_owned),
    );
    for path in [
        &state,
        &format!("{state}.lock"),
        &format!("/run/netns/{namespace}"),
    ] {
        if fs::exists(path).unwrap() {
            found.push(path.clone());
        }
    }
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if words.contains(&format!("{state}/")) || words.contains(&format!("{NAME}\0serve")) {
            found.push(words.replace('\0', " "));
        }
    }
    for hierarchy in ["", "systemd", "unified"] {
        let group = format!("/sys/fs/cgroup/{hierarchy}/{namespace}");
        if fs::exists(&group).unwrap() {
            found.push(group);
        }
    }
    found
}

/// Ends the lab also when the test fails.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        lab(&["down"]);
    }
}

#[test]
fn hosts_come_up_are_fresh_again_and_leave_nothing() {
    if std::env::var_os("VMSTATION_LAB").is_none_or(|value| value != "1") {
        // Past the capture of the test harness: a skipped test must not look like a run one.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: set VMSTATION_LAB=1 to run the lab's own test (needs root)"
        );
        return;
    }
    let _down = Down;
    ok(&["down"]);
    let refused = lab(&["ssh", "homelab", "true"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("help: vmstation lab --name selftest up"), "{said}");

    let inventory = ok(&["up"]);
    assert_eq!(
        fs::read_to_string(inventory).unwrap().trim_end(),
        ok(&["inventory"])
    );
    assert_eq!(ok(&["status"]).matches(" up").count(), HOSTS.len());
    hosts_are_what_they_seem();
    nothing_happens_by_the_clock();
    packages_come_from_the_host_itself();
    nobody_gets_out();
    a_slow_line_is_slow();

    for host in HOSTS {
        on(host, "touch /tmp/here /var/tmp/here");
    }
    ok(&["reset"]);
    for host in HOSTS {
        assert_eq!(on(host, "ls /var/tmp/here 2>/dev/null || echo fresh"), "fresh");
    }
    half_a_lab_is_noticed();
    containers_do_not_pass_for_machines();
    ok(&["down"]);
    assert_eq!(left(), Vec::<String>::new());
}

fn hosts_are_what_they_seem() {
    for host in HOSTS {
        assert_eq!(
            on(host, "hostname; systemctl is-system-running"),
            format!("{host}\nrunning")
        );
    }
    assert_eq!(
        on("homelab", ". /etc/os-release; id -un; echo $ID $VERSION_ID"),
        "admin\nrhel 10.0"
    );
    assert_eq!(
        on(
            "homelab",
            "sudo -n id -un; ls -A /usr/bin/apt* /usr/bin/dpkg* 2>&1 | grep -vc 'No such'; true"
        ),
        "root\n0"
    );
    assert_eq!(
        on(
            "operator@homelab",
            "sudo -n true 2>&1; echo operator | sudo -S -p '' id -un"
        ),
        "sudo: a password is required\nroot"
    );
    assert_eq!(on("nopython", "command -v python3 python || echo none"), "none");
    assert_eq!(
        on(
            "masternode",
            "python3 -c 'print(1)'; iptables -V; iptables-legacy -V"
        ),
        "1\niptables v1.8.9 (nf_tables)\niptables v1.8.9 (legacy)"
    );
    for host in HOSTS {
        assert_eq!(
            on(
                host,
                "ls /srv 2>/dev/null | grep -c pool; getent hosts homelab | wc -l; grep -c swap /etc/fstab >/dev/null && echo swap"
            ),
            "0\n1\nswap"
        );
    }
}

fn nothing_happens_by_the_clock() {
    for host in HOSTS {
        assert_eq!(
            on(host, "systemctl list-timers --no-legend --no-pager"),
            "",
            "{host}"
        );
    }
}

fn packages_come_from_the_host_itself() {
    on(
        "masternode",
        "apt-get -qq install -y conntrack sample >/dev/null 2>&1",
    );
    assert_eq!(
        on("masternode", "sample; conntrack -V | cut -d' ' -f1"),
        "sample 1.1-1\nconntrack"
    );
    on("nopython", "apt-get -qq install -y socat >/dev/null 2>&1");
    on(
        "homelab",
        "sudo dnf -q -y install iptables-nft >/dev/null 2>&1; sudo dnf -q -y upgrade >/dev/null 2>&1",
    );
    assert_eq!(
        on(
            "homelab",
            "sample; iptables -V; alternatives --display iptables | head -n 1"
        ),
        "sample 1.1\niptables v1.8.9 (nf_tables)\niptables - status is auto."
    );
}

fn nobody_gets_out() {
    let sources = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/* 2>/dev/null | grep -c '://[^/]'; true";
    for host in HOSTS {
        assert_eq!(on(host, sources), "0", "{host}");
        let reach = "timeout 5 bash -c 'exec 3<>/dev/tcp/198.51.100.1/80' 2>/dev/null; echo $?";
        assert_eq!(on(host, reach), "1", "{host}");
    }
}

fn a_slow_line_is_slow() {
    let inventory = ok(&["delay", "40"]);
    assert_eq!(ok(&["delay", "40"]), inventory);
    let text = fs::read_to_string(&inventory).unwrap();
    let ports: Vec<&str> = text
        .lines()
        .filter_map(|l| l.trim().strip_prefix("ansible_port: "))
        .collect();
    assert_eq!(ports.len(), HOSTS.len());
    let known = inventory.replace("inventory.yml", "known_hosts");
    let began = std::time::Instant::now();
    let ran = Command::new("nsenter")
        .arg(format!("--net=/run/netns/vmstation-{NAME}"))
        .args(["ssh", "-F", "none", "-o", &format!("UserKnownHostsFile={known}")])
        .args([
            "-i",
            &format!("/run/vmstation/{NAME}/key"),
            "-p",
            ports[0],
            "root@127.0.0.1",
            "hostname",
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "masternode\n", "{ran:?}");
    // A login is at least five round trips.
    assert!(began.elapsed().as_millis() > 200, "{:?}", began.elapsed());
}

/// A container that was killed: `status` tells, `up` mends.
fn half_a_lab_is_noticed() {
    let record = fs::read_to_string(format!("/run/vmstation/{NAME}/processes/host-homelab")).unwrap();
    let pid = record.split(' ').next().unwrap();
    let group = format!("vmstation-{NAME}/homelab");
    let joined = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(joined.contains(&group), "{joined}");
    assert!(
        Command::new("sh")
            .args(["-c", &format!("kill -9 {pid}")])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(lab(&["status"]).status.code(), Some(3));
    let refused = lab(&["ssh", "masternode", "true"]);
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr),
        "error: homelab of the lab `selftest` does not run\nhelp: vmstation lab --name selftest reset\n"
    );
    ok(&["up"]);
    assert_eq!(lab(&["status"]).status.code(), Some(0));
}

fn containers_do_not_pass_for_machines() {
    let refused = lab(&["up", "--vms"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: the lab `selftest` is there, and its hosts are containers\n"),
        "{said}"
    );
}

/// What `lab up` says of a machine that cannot run it; it stops before anything was made.
#[test]
fn a_machine_that_cannot_run_it_is_told_why() {
    if std::env::var_os("VMSTATION_LAB").is_none() {
        return;
    }
    let program = env!("CARGO_BIN_EXE_vmstation");
    let down = Command::new(program)
        .args(["lab", "--name", "cannot", "down"])
        .status()
        .unwrap();
    assert!(down.success());
    let said = |command: &mut Command| {
        let output = command.args(["lab", "--name", "cannot", "up"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let lacking = |capability: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--bounding-set=-{capability}"), "--", program]);
        said(&mut command)
    };
    for (name, upper) in [("sys_admin", "CAP_SYS_ADMIN"), ("net_admin", "CAP_NET_ADMIN")] {
        let told = lacking(name);
        assert!(told.contains(upper) && told.contains("--privileged"), "{told}");
    }

    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("vmstation");
    fs::copy(program, &copy).unwrap();
    fs::set_permissions(
        directory.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--clear-groups", "--"]).arg(&copy);
    let told = said(&mut nobody);
    assert!(told.contains("needs root") && told.contains("sudo"), "{told}");

    let told = said(Command::new(program).env("PATH", directory.path()));
    assert!(
        told.contains("mmdebstrap") && told.contains("apt-get install"),
        "{told}"
    );
    assert!(!fs::exists("/run/vmstation/cannot").unwrap());
    assert!(!fs::exists("/run/vmstation/cannot.lock").unwrap());
}

/// A lab of virtual machines with a stand-in for QEMU, so that it takes no time.
struct Pretended {
    name: &'static str,
    directory: tempfile::TempDir,
}

impl Pretended {
    fn new(name: &'static str, script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let qemu = directory.path().join("qemu-system-x86_64");
        fs::write(&qemu, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { name, directory }
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = format!(
            "{}:{}",
            self.directory.path().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        command
            .args(["lab", "--name", self.name])
            .args(words)
            .env("PATH", path);
        command
    }

    /// How it ended, and what it said.
    fn lab(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.command(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    fn machines(&self) -> Vec<String> {
        let processes = format!("/run/vmstation/{}/processes", self.name);
        let record = |host: &&str| fs::read_to_string(format!("{processes}/host-{host}")).ok();
        let pid = |line: String| line.split(' ').next().unwrap().to_owned();
        HOSTS.iter().filter_map(record).map(pid).collect()
    }

    fn ends(&self) {
        assert_eq!(self.lab(&["down"]).0, Some(0));
        for left in [
            "/run/vmstation/",
            "/run/netns/vmstation-",
            "/var/lib/vmstation/disks/",
        ] {
            let left = format!("{left}{}", self.name);
            assert!(!fs::exists(&left).unwrap(), "{left}");
        }
    }
}

impl Drop for Pretended {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}

/// A virtual machine that ends before it is up: its last words are the error, and nothing is left.
#[test]
fn a_machine_that_dies_says_why() {
    if std::env::var_os("VMSTATION_LAB").is_none() {
        return;
    }
    let lab = Pretended::new(
        "dies",
        "for word; do case $word in *id=console,*) printf '\\033[1mKernel panic\\033[0m\\r\\n' >>\"${word##*path=}\" ;; esac; done\n\
         echo 'no such processor' >&2\nexit 1",
    );
    let (code, said) = lab.lab(&["up", "--vms"]);
    lab.ends();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(
            "error: the lab's machine masternode ended before it was up\n\
             note: Kernel panic\nQEMU: no such processor\n\
             help: the whole of its console is in /run/vmstation/dies/hosts/masternode/console.log"
        ),
        "{said}"
    );
    assert!(said.contains("lab: KVM is not used: "), "{said}");
}

/// Machines that run are not up until they answer, whoever has started them.
#[test]
fn machines_that_do_not_answer_are_not_up() {
    if std::env::var_os("VMSTATION_LAB").is_none() {
        return;
    }
    let lab = Pretended::new("slow", "exec sleep 600");
    let quiet = std::process::Stdio::null;
    let mut first = lab.command(&["up", "--vms"]).stderr(quiet()).spawn().unwrap();
    let inventory = "/run/vmstation/slow/inventory.yml";
    let began = std::time::Instant::now();
    while !fs::exists(inventory).unwrap() {
        assert!(began.elapsed().as_secs() < 300, "it does not come to wait");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // Somebody loses patience: the machines boot on.
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(lab.machines().len(), 3);
    let mut second = lab.command(&["up", "--vms"]).stderr(quiet()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(4));
    let ended = second.try_wait().unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(
        ended, None,
        "`lab up` says that machines are up which do not answer"
    );

    // Asked for without saying what: what they are is said. They end meanwhile, and that is an error.
    let third = lab
        .command(&["up"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let killed = Command::new("kill").args(lab.machines()).status().unwrap();
    assert!(killed.success());
    let third = third.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&third.stderr).into_owned();
    assert_eq!(third.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("lab: the hosts of the lab `slow` are virtual machines, and stay so\n"),
        "{said}"
    );
    assert!(
        said.contains("error: the lab's machine masternode ended before it was up"),
        "{said}"
    );
    lab.ends();
}
