//! The nodes' playbooks on virtual machines, each with a kernel of its own: what a container cannot show.
//!
//! `cargo test --test smoke -- --ignored --nocapture`, as root (`make smoke` does all of it, from the tools on). One run
//! of many stages, because to boot takes its time; docs/smoke.md has the table of what they show. What the runs
//! said is kept in `target/smoke` (`VMSTATION_SMOKE_DIR`): events, logs, `JUnit` files, the machines' consoles.
//! `VMSTATION_SMOKE_LAB` names virtual machines that are up already; they are used as they are, and left up.
//! `VMSTATION_SMOKE_STAGE` plays the stages whose names hold that text.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The playbook that prepares the nodes.
const DEPLOY: &str = "playbooks/deploy.yml";
const REBOOT: &str = "tests/smoke/reboot.yml";
const SETTINGS: &str = "tests/smoke/settings.yml";
const IPVS: &str = "tests/smoke/ipvs.yml";
const SLOW: &str = "tests/smoke/slow.yml";

const NODES: [&str; 3] = ["masternode", "storagenodet3500", "homelab"];
/// A Debian node, for what is shown on one.
const ONE: &str = "storagenodet3500";
const RHEL: &str = "homelab";

/// Modules that the role loads.
const MODULES: [&str; 4] = ["br_netfilter", "overlay", "nf_conntrack", "vxlan"];

struct Lab {
    name: String,
    artefacts: PathBuf,
    is_ours: bool,
}

/// How a run of the program ended.
struct Ran {
    status: ExitStatus,
    events: Vec<Value>,
    said: String,
    took: Duration,
}

impl Lab {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        command.args(["lab", "--name", &self.name]).args(words);
        command
    }

    fn lab(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "lab {words:?}: {}\n{said}",
            output.status
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What a script prints on a host, as root.
    fn on(&self, host: &str, script: &str) -> String {
        let mut shell = self
            .command(&["ssh", host, "sudo sh -eu"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = shell.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{host}: {script}\n{}\n{said}",
            output.status
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Starts the program; what it says goes to the artefacts, under this name.
    fn start(&self, name: &str, words: &[&str]) -> Running {
        let file = |extension: &str| self.artefacts.join(format!("{name}.{extension}"));
        let child = Command::new(env!("CARGO_BIN_EXE_vmstation"))
            .args(words)
            .arg(format!("--lab={}", self.name))
            .arg("--json")
            .arg("--junit")
            .arg(file("xml"))
            .stdout(File::create(file("jsonl")).unwrap())
            .stderr(File::create(file("log")).unwrap())
            .spawn()
            .unwrap();
        Running {
            child,
            began: Instant::now(),
            events: file("jsonl"),
            log: file("log"),
        }
    }

    fn run(&self, name: &str, words: &[&str]) -> Ran {
        self.start(name, words).end()
    }

    fn monitor(&self, host: &str, command: &str) {
        let path = format!("/run/vmstation/{}/hosts/{host}/monitor", self.name);
        let mut monitor = UnixStream::connect(path).unwrap();
        monitor.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        read_to_prompt(&mut monitor);
        writeln!(monitor, "{command}").unwrap();
        read_to_prompt(&mut monitor);
    }

    fn boot_id(&self, host: &str) -> String {
        self.on(host, "cat /proc/sys/kernel/random/boot_id")
    }

    /// Waits until somebody can log in again.
    fn wait_for(&self, host: &str) {
        let end = Instant::now() + Duration::from_secs(300);
        while !self
            .command(&["ssh", host, "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            assert!(Instant::now() < end, "{host} does not answer");
            sleep(Duration::from_secs(2));
        }
    }
}

fn read_to_prompt(monitor: &mut UnixStream) {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while !said.ends_with(b"(qemu) ") {
        match monitor.read(&mut piece) {
            Ok(count) if count > 0 => said.extend_from_slice(&piece[..count]),
            _ => panic!("the monitor says {:?}", String::from_utf8_lossy(&said)),
        }
    }
}

struct Running {
    child: Child,
    began: Instant,
    events: PathBuf,
    log: PathBuf,
}

impl Running {
    /// Waits until the task works on the host.
    fn wait_for(&self, host: &str, task: &str) {
        let started = |event: &Value| {
            event["event"] == "task_started" && event["host"] == host && event["task"] == task
        };
        let end = Instant::now() + Duration::from_secs(120);
        while !events(&self.events).iter().any(started) {
            assert!(Instant::now() < end, "`{task}` does not start on {host}");
            sleep(Duration::from_millis(100));
        }
    }

    fn end(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        Ran {
            status,
            took: self.began.elapsed(),
            events: events(&self.events),
            said: fs::read_to_string(&self.log).unwrap(),
        }
    }
}

/// Those that are there so far.
fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

impl Ran {
    /// Fails unless the run ended well.
    fn ok(self) -> Self {
        assert!(
            self.status.success(),
            "{}\n{}\n{}",
            self.status,
            self.failures().join("\n"),
            self.said
        );
        self
    }

    fn failures(&self) -> Vec<String> {
        let failed = |event: &&Value| event["status"] == "failed" || event["status"] == "unreachable";
        let words =
            |event: &Value| format!("{}: {}: {}", event["host"], event["task"], event["result"]["msg"]);
        self.events.iter().filter(failed).map(words).collect()
    }

    /// Of the summary, by host.
    fn count(&self, what: &str) -> BTreeMap<String, u64> {
        let last = self.events.last().unwrap();
        let hosts = last["hosts"].as_array().unwrap();
        hosts
            .iter()
            .map(|host| {
                (
                    host["host"].as_str().unwrap().to_owned(),
                    host[what].as_u64().unwrap(),
                )
            })
            .collect()
    }

    fn changes(&self) -> u64 {
        self.count("changed").values().sum()
    }

    fn changed_tasks(&self) -> Vec<String> {
        let changed = |event: &&Value| event["event"] == "task_finished" && event["status"] == "changed";
        let words = |event: &Value| format!("{}: {}", event["host"], event["task"]);
        self.events.iter().filter(changed).map(words).collect()
    }

    /// How the tasks of this name ended on a host.
    fn ending(&self, host: &str, task: &str) -> Option<&Value> {
        let its = |event: &&Value| {
            event["event"] == "task_finished" && event["host"] == host && event["task"] == task
        };
        self.events.iter().find(its)
    }
}

/// One thing that is shown.
type Stage = (&'static str, fn(&Lab));

const STAGES: &[Stage] = &[
    ("preflight names what deploy will mend", preflight),
    ("swap is on before", swap_is_on),
    ("deploy prepares the nodes", deploy),
    ("a second deploy changes nothing", deploy_again),
    ("modules are loaded, and listed for the next boot", modules),
    ("swap is off", swap_is_off),
    ("settings of all kinds", settings),
    ("the file that wins is found and mended", the_file_that_wins),
    ("what IPVS holds is taken away", ipvs),
    ("a playbook restarts all nodes", reboot),
    ("after it deploy changes nothing", deploy_after_reboot),
    (
        "modules, settings and swap are so after the boot",
        all_of_it_again,
    ),
    ("a module that the kernel lacks is named", a_module_is_missing),
    ("a node that does not restart is an error in time", no_restart),
    ("a node that does not come back is an error in time", no_return),
    ("sshd killed in the middle of a task", sshd_is_killed),
    (
        "the cable pulled in the middle of a task, and put back",
        cable_is_pulled,
    ),
    ("the cable pulled for good", cable_stays_out),
    ("reset takes it back, once", reset),
    ("a machine that is gone is told", one_is_gone),
    ("reset of the lab makes fresh ones of all", all_are_fresh),
];

/// docs/smoke.md says of each what is real in it.
#[test]
fn every_stage_is_in_the_table() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/smoke.md")).unwrap();
    for (name, _) in STAGES {
        assert!(page.contains(&format!("\n| {name} | ")), "{name}");
    }
}

#[test]
#[ignore = "boots three virtual machines; needs root and QEMU: make smoke"]
fn nodes_with_kernels_of_their_own() {
    let artefacts = std::env::var_os("VMSTATION_SMOKE_DIR").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../smoke"),
        PathBuf::from,
    );
    fs::create_dir_all(&artefacts).unwrap();
    let existing = std::env::var("VMSTATION_SMOKE_LAB").ok();
    let lab = Lab {
        is_ours: existing.is_none(),
        name: existing.unwrap_or_else(|| format!("smoke{}", std::process::id())),
        artefacts: fs::canonicalize(artefacts).unwrap(),
    };
    let wanted = std::env::var("VMSTATION_SMOKE_STAGE").unwrap_or_default();
    let mut record = Record::default();
    let booted = !lab.is_ours || record.play("the machines boot", || boot(&lab));
    for (name, stage) in STAGES.iter().filter(|(name, _)| name.contains(&wanted)) {
        if booted {
            record.play(name, || stage(&lab));
        }
    }
    lab.keep_consoles("");
    fs::write(lab.artefacts.join("smoke.xml"), record.junit()).unwrap();
    fs::write(lab.artefacts.join("stages.md"), record.table()).unwrap();
    let failed = record.failed();
    let (name, is_ours) = (lab.name.clone(), lab.is_ours);
    drop(lab);
    if is_ours {
        assert_eq!(left(&name), Vec::<String>::new());
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

fn boot(lab: &Lab) {
    let log = lab.artefacts.join("boot.log");
    let status = lab
        .command(&["up", "--vms"])
        .stderr(File::create(&log).unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{}", fs::read_to_string(&log).unwrap());
    assert_eq!(lab.lab(&["status"]).matches(" up").count(), NODES.len());
    for host in NODES {
        assert_eq!(lab.on(host, "systemctl is-system-running"), "running");
    }
}

impl Lab {
    fn keep_consoles(&self, when: &str) {
        for host in NODES {
            let console = format!("/run/vmstation/{}/hosts/{host}/console.log", self.name);
            let _ = fs::copy(console, self.artefacts.join(format!("console-{host}{when}.log")));
        }
    }
}

/// What `lab down` should not leave.
fn left(name: &str) -> Vec<String> {
    let state = format!("/run/vmstation/{name}");
    let paths = [
        state.clone(),
        format!("/run/netns/vmstation-{name}"),
        format!("/var/lib/vmstation/disks/{name}"),
    ];
    let mut found: Vec<String> = paths
        .into_iter()
        .filter(|path| fs::exists(path).unwrap())
        .collect();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if words.contains(&format!("{state}/")) {
            found.push(words.replace('\0', " "));
        }
    }
    found
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = self.command(&["down"]).output();
        }
    }
}

fn preflight(lab: &Lab) {
    let ran = lab.run("preflight", &["preflight"]).ok();
    let tasks: Vec<&str> = ran
        .events
        .iter()
        .flat_map(|event| event["result"]["findings"].as_array().into_iter().flatten())
        .filter_map(|finding| finding["task"].as_str())
        .collect();
    for task in [
        "network : Turn swap off",
        "network : Comment swap out in fstab",
        "network : Load kernel modules at boot",
    ] {
        assert!(tasks.contains(&task), "{task} is not among {tasks:#?}");
    }
}

fn swap_is_on(lab: &Lab) {
    for host in NODES {
        assert_eq!(lab.on(host, "tail -n +2 /proc/swaps | wc -l"), "1", "{host}");
    }
}

fn deploy(lab: &Lab) {
    let ran = lab.run("deploy", &["run", DEPLOY]).ok();
    assert!(ran.changes() > 0);
    for host in NODES {
        let swap = ran.ending(host, "Turn swap off").unwrap();
        assert_eq!(swap["status"], "changed", "{host}");
    }
}

fn deploy_again(lab: &Lab) {
    nothing_changes(lab, "again");
}

fn deploy_after_reboot(lab: &Lab) {
    nothing_changes(lab, "after-reboot");
}

fn nothing_changes(lab: &Lab, name: &str) {
    let ran = lab.run(name, &["run", DEPLOY]).ok();
    assert_eq!(ran.changes(), 0, "{:#?}", ran.changed_tasks());
}

fn modules(lab: &Lab) {
    for host in NODES {
        let loaded = lab.on(host, "lsmod");
        let listed = lab.on(host, "cat /etc/modules-load.d/*.conf");
        for module in MODULES {
            let is_loaded = |line: &str| line.split(' ').next() == Some(module);
            assert!(
                loaded.lines().any(is_loaded),
                "{host}: {module} is not loaded:\n{loaded}"
            );
            assert!(
                listed.lines().any(|line| line == module),
                "{host}: {module} is not listed"
            );
        }
    }
}

fn swap_is_off(lab: &Lab) {
    for host in NODES {
        let seen = lab.on(
            host,
            "tail -n +2 /proc/swaps | wc -l; systemctl is-enabled swap.target || true",
        );
        assert_eq!(seen, "0\nmasked", "{host}");
    }
}

/// What tests/smoke/settings.yml sets, as the kernel has it.
const LIVE: &[(&str, &str)] = &[
    ("kernel.panic", "11"),
    ("kernel.threads-max", "7001"),
    ("vm.max_map_count", "262144"),
    ("vm.overcommit_memory", "1"),
    ("fs.inotify.max_user_instances", "1024"),
    ("net.core.somaxconn", "4000"),
    ("net.ipv4.ip_local_port_range", "32768\t60000"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.ip_forward", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
];

/// As kube-proxy leaves it, when its mode is changed from ipvs to iptables.
fn ipvs(lab: &Lab) {
    lab.on(
        ONE,
        "apt-get -qq install -y ipvsadm >/dev/null; modprobe ip_vs; ipvsadm -A -t 10.96.0.10:53 -s rr
         ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.2:53 -m",
    );
    let entries = "tail -n +4 /proc/net/ip_vs | wc -l; ipvsadm -Sn | wc -l";
    assert_eq!(lab.on(ONE, entries), "2\n2");
    assert!(lab.run("ipvs", &["run", IPVS]).ok().changes() > 0);
    assert_eq!(lab.on(ONE, entries), "0\n0");
    assert_eq!(lab.on(ONE, "cat /root/identity-backup/ipvs-*.rules | wc -l"), "2");
    assert_eq!(lab.run("ipvs-again", &["run", IPVS]).ok().changes(), 0);
}

fn settings(lab: &Lab) {
    assert!(lab.run("settings", &["run", SETTINGS]).ok().changes() > 0);
    let again = lab.run("settings-again", &["run", SETTINGS]).ok();
    assert_eq!(again.changes(), 0, "{:#?}", again.changed_tasks());
    settings_are_live(lab);
}

fn settings_are_live(lab: &Lab) {
    let names: Vec<&str> = LIVE.iter().map(|(name, _)| *name).collect();
    let script = format!("sysctl {}; ls -d /sys/block/ram* | wc -l", names.join(" "));
    let settings = LIVE.iter().map(|(name, value)| format!("{name} = {value}"));
    let expected: Vec<String> = settings.chain(["2".to_owned()]).collect();
    for host in NODES {
        let live = lab.on(host, &script);
        assert_eq!(live.lines().collect::<Vec<_>>(), expected, "{host}");
    }
}

/// A file that is read after ours would undo it at the next boot; one that is read before does not matter.
fn the_file_that_wins(lab: &Lab) {
    let harmless = "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/10-before.conf";
    let harmful = "echo 'net.ipv4.ip_forward = 0' >/etc/sysctl.d/zz-after.conf";
    lab.on(ONE, &format!("{harmless}; {harmful}"));
    let ran = lab.run("file-that-wins", &["run", DEPLOY]).ok();
    assert_eq!(
        ran.changed_tasks(),
        [format!(
            "\"{ONE}\": \"Comment that out where it is read after ours\""
        )]
    );
    let left =
        "grep -l ^net.ipv4.ip_forward /etc/sysctl.d/10-before.conf /etc/sysctl.d/zz-after.conf || true";
    assert_eq!(lab.on(ONE, left), "/etc/sysctl.d/10-before.conf");
}

fn reboot(lab: &Lab) {
    let before = NODES.map(|host| lab.boot_id(host));
    let ran = lab.run("reboot", &["run", REBOOT]).ok();
    for (host, before) in NODES.iter().zip(before) {
        assert_ne!(lab.boot_id(host), before, "{host}");
        assert_eq!(ran.count("changed")[*host], 1, "{host}");
        assert_eq!(
            lab.on(host, "systemctl is-system-running --wait || true"),
            "running"
        );
    }
}

fn all_of_it_again(lab: &Lab) {
    modules(lab);
    swap_is_off(lab);
    settings_are_live(lab);
}

/// Its file is taken away: on Debian as where a kernel was replaced below its feet, on the look-alike in the place of
/// RHEL's kernel, whose modules lie in packages of their own.
fn a_module_is_missing(lab: &Lab) {
    const HIDE: &str = "modprobe -r vxlan
        file=$(modinfo -n vxlan)
        mv \"$file\" /var/tmp/vxlan.ko
        echo \"$file\" >/var/tmp/vxlan.path
        depmod";
    for host in [ONE, RHEL] {
        lab.on(host, HIDE);
    }
    let found = lab.run("module-missing-preflight", &["preflight"]);
    let ran = lab.run("module-missing", &["run", DEPLOY]);
    for host in [ONE, RHEL] {
        lab.on(
            host,
            "mv /var/tmp/vxlan.ko \"$(cat /var/tmp/vxlan.path)\"; depmod",
        );
    }
    assert_eq!(ran.status.code(), Some(3), "{}", ran.said);
    for host in [ONE, RHEL] {
        let said = ran.ending(host, "Say what a missing module needs").unwrap()["result"]["msg"].to_string();
        assert!(
            said.contains("vxlan") && said.contains("cannot be loaded"),
            "{said}"
        );
        assert!(said.contains(&lab.on(host, "uname -r")), "{said}");
        let named = found.events.iter().any(|event| {
            let all = event["result"]["findings"].as_array();
            all.into_iter()
                .flatten()
                .any(|finding| finding["host"] == host && finding.to_string().contains("vxlan"))
        });
        assert!(named, "preflight does not name vxlan on {host}");
    }
    // The third node is none the worse.
    assert_eq!(ran.count("failed")["masternode"], 0);
    let mended = lab.run("module-there-again", &["run", DEPLOY]).ok();
    assert!(mended.changes() > 0);
}

fn no_restart(lab: &Lab) {
    let before = lab.boot_id(ONE);
    let variables = format!("nodes={ONE} limit=20 command=true");
    let ran = lab.run("no-restart", &["run", REBOOT, "-e", &variables]);
    assert_eq!(ran.status.code(), Some(3), "{}", ran.said);
    let ending = ran.ending(ONE, "Restart").unwrap();
    let said = ending["result"]["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for last boot time check (timeout=20)"),
        "{said}"
    );
    assert!(said.ends_with("boot time has not changed"), "{said}");
    assert!(ran.took < Duration::from_secs(45), "{:?}", ran.took);
    assert_eq!(lab.boot_id(ONE), before);
}

/// Its processor stands still as soon as it has gone down.
fn no_return(lab: &Lab) {
    let variables = format!("nodes={ONE} limit=45");
    let running = lab.start("no-return", &["run", REBOOT, "-e", &variables]);
    running.wait_for(ONE, "Restart");
    sleep(Duration::from_secs(6));
    lab.monitor(ONE, "stop");
    let ran = running.end();
    lab.monitor(ONE, "cont");
    lab.wait_for(ONE);
    assert_eq!(ran.status.code(), Some(3), "{}", ran.said);
    let ending = ran.ending(ONE, "Restart").unwrap();
    let said = ending["result"]["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for last boot time check (timeout=45)"),
        "{said}"
    );
    assert_eq!(ending["result"]["rebooted"], true);
    assert!(ran.took < Duration::from_secs(80), "{:?}", ran.took);
}

fn slow(lab: &Lab, mark: &str, seconds: u32) -> Running {
    let variables = format!("mark={mark} seconds={seconds}");
    let running = lab.start(mark, &["run", SLOW, "-e", &variables]);
    for host in NODES {
        running.wait_for(host, "Take time");
    }
    sleep(Duration::from_secs(5));
    running
}

fn lines(lab: &Lab, host: &str, mark: &str) -> String {
    lab.on(
        host,
        &format!("tr '\\n' ' ' </var/tmp/{mark}; rm /var/tmp/{mark}"),
    )
}

/// The others go on; the one whose end nobody saw is out of the run, by name, and its command is not run again.
fn only_one_is_out(lab: &Lab, ran: &Ran, mark: &str) {
    assert_eq!(ran.status.code(), Some(4), "{}", ran.said);
    for host in NODES {
        let is_out = host == ONE;
        assert_eq!(
            ran.count("unreachable")[host],
            u64::from(is_out),
            "{host}: {:#?}",
            ran.failures()
        );
        let expected = if is_out { "ran" } else { "ran after" };
        assert_eq!(lines(lab, host, mark), expected, "{host}");
    }
    let ending = ran.ending(ONE, "Take time").unwrap();
    assert!(ending["result"]["msg"].to_string().contains(ONE), "{ending}");
}

fn sshd_is_killed(lab: &Lab) {
    let running = slow(lab, "sshd-killed", 25);
    lab.on(ONE, "systemd-run -q sh -c 'sleep 1; pkill -KILL -x sshd'");
    let ran = running.end();
    lab.wait_for(ONE);
    only_one_is_out(lab, &ran, "sshd-killed");
}

fn cable_is_pulled(lab: &Lab) {
    let running = slow(lab, "cable-pulled", 30);
    lab.monitor(ONE, "set_link cable off");
    sleep(Duration::from_secs(12));
    lab.monitor(ONE, "set_link cable on");
    running.end().ok();
    for host in NODES {
        assert_eq!(lines(lab, host, "cable-pulled"), "ran after", "{host}");
    }
}

fn cable_stays_out(lab: &Lab) {
    let running = slow(lab, "cable-out", 20);
    lab.monitor(ONE, "set_link cable off");
    let ran = running.end();
    lab.monitor(ONE, "set_link cable on");
    lab.wait_for(ONE);
    only_one_is_out(lab, &ran, "cable-out");
    assert!(ran.took < Duration::from_secs(150), "{:?}", ran.took);
}

fn reset(lab: &Lab) {
    assert!(lab.run("reset", &["reset", "--yes"]).ok().changes() > 0);
    let again = lab.run("reset-again", &["reset", "--yes"]).ok();
    assert_eq!(again.changes(), 0, "{:#?}", again.changed_tasks());
}

/// The last stage: the machine that it ends does not come back.
fn one_is_gone(lab: &Lab) {
    if !lab.is_ours {
        return;
    }
    let record = format!("/run/vmstation/{}/processes/host-{ONE}", lab.name);
    let pid = fs::read_to_string(record)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -9 {pid}")])
        .status()
        .unwrap();
    assert!(killed.success());
    sleep(Duration::from_secs(1));
    let status = lab.command(&["status"]).output().unwrap();
    assert_eq!(status.status.code(), Some(3));
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    let is_down = |line: &str| line.starts_with(ONE) && line.ends_with(" down");
    assert!(said.lines().any(is_down), "{said}");
    let refused = lab.command(&["ssh", "masternode", "true"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = format!("error: {ONE} of the lab `{}` does not run\n", lab.name);
    assert!(said.starts_with(&expected), "{said}");
}

fn all_are_fresh(lab: &Lab) {
    if !lab.is_ours {
        return;
    }
    lab.keep_consoles("-before-reset");
    let keys = format!("/run/vmstation/{}/known_hosts", lab.name);
    let before = fs::read_to_string(&keys).unwrap();
    lab.lab(&["reset"]);
    assert_eq!(lab.lab(&["status"]).matches(" up").count(), NODES.len());
    assert_ne!(fs::read_to_string(&keys).unwrap(), before);
    // ipvs() has left this there.
    assert_eq!(lab.on(ONE, "ls /root/identity-backup 2>/dev/null | wc -l"), "0");
    swap_is_on(lab);
}

/// How the stages went.
#[derive(Default)]
struct Record(Vec<(String, Duration, Option<String>)>);

impl Record {
    /// Plays a stage; whether it went well. The next is played all the same: it may show something of its own.
    fn play(&mut self, name: &str, stage: impl FnOnce()) -> bool {
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(stage));
        let failure = ended.err().map(|why| {
            let text = why.downcast_ref::<String>().cloned();
            text.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "failed".to_owned())
        });
        let took = began.elapsed();
        let word = if failure.is_none() { "ok    " } else { "FAILED" };
        let _ = writeln!(std::io::stderr(), "{word} {:>7.1} s  {name}", took.as_secs_f64());
        self.0.push((name.to_owned(), took, failure));
        self.0.last().is_some_and(|(_, _, failure)| failure.is_none())
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.0.iter().filter(|(_, _, failure)| failure.is_some());
        failed.map(|(name, ..)| name.as_str()).collect()
    }

    /// For people, in Markdown.
    fn table(&self) -> String {
        let mut text = String::from("| stage | | seconds |\n|---|---|---|\n");
        for (name, took, failure) in &self.0 {
            let word = if failure.is_none() { "ok" } else { "**failed**" };
            let _ = writeln!(text, "| {name} | {word} | {:.1} |", took.as_secs_f64());
        }
        text
    }

    fn junit(&self) -> String {
        let total: Duration = self.0.iter().map(|(_, took, _)| *took).sum();
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\" time=\"{:.3}\"",
            self.0.len(),
            self.failed().len(),
            total.as_secs_f64()
        );
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"smoke\" {counts}>\n  <testsuite name=\"smoke\" {counts}>\n"
        );
        for (name, took, failure) in &self.0 {
            let _ = write!(
                text,
                "    <testcase name=\"{}\" classname=\"smoke\" time=\"{:.3}\"",
                escaped(name),
                took.as_secs_f64()
            );
            let _ = match failure {
                None => writeln!(text, "/>"),
                Some(why) => writeln!(
                    text,
                    ">\n      <failure message=\"{}\" type=\"failed\">{}</failure>\n    </testcase>",
                    escaped(why.lines().next().unwrap_or_default()),
                    escaped(why)
                ),
            };
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    plain
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
