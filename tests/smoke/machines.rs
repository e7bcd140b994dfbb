//! The machines themselves: boot, loss, fresh ones, and what is left.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::ONE;
use super::lab::Lab;
use super::nodes::swap_is_on;
use super::own_lab::{LIMIT, NODES, end_within, ended, said};

/// On every machine before the lab is reset.
const MARK: &str = "/var/tmp/smoke-was-here";

pub fn boot(lab: &Lab) {
    let log = lab.artefacts.join("boot.log");
    let mut up = lab.command(&["up", "--vms"]);
    if let Ok(accelerator) = std::env::var("VMSTATION_SMOKE_ACCELERATOR") {
        up.args(["--accelerator", &accelerator]);
    }
    let up = up
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let up = end_within(LIMIT, up);
    let told = fs::read_to_string(&log).unwrap();
    assert!(up.status.success(), "{told}");
    // What CI warns of.
    if let Some(why) = told.lines().find(|line| line.contains("KVM is not used")) {
        fs::write(lab.artefacts.join("no-kvm.txt"), why).unwrap();
    }
    assert_eq!(lab.lab(&["status"]).matches(" up").count(), NODES.len());
    // What runs them is what the lab says.
    let virtualization = match told.matches(", KVM)").count() {
        0 => "qemu",
        count => {
            assert_eq!(count, NODES.len(), "{told}");
            "kvm"
        }
    };
    for host in NODES {
        assert_eq!(lab.script(host, "systemctl is-system-running"), "running");
        assert_eq!(lab.script(host, "systemd-detect-virt"), virtualization, "{host}");
        // A private network.
        let reach = "if timeout 5 bash -c 'exec 3<>/dev/tcp/198.51.100.1/80' 2>/dev/null; then echo out; fi";
        assert_eq!(lab.script(host, reach), "", "{host}");
    }
}

/// The machine that it ends comes back only with all others.
pub fn one_is_gone(lab: &Lab) {
    for host in NODES {
        lab.script(host, &format!("touch {MARK}; sync"));
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
    let told = String::from_utf8_lossy(&status.stdout).into_owned();
    let is_down = |line: &str| line.starts_with(ONE) && line.ends_with(" down");
    assert!(told.lines().any(is_down), "{told}");
    let refused = lab.command(&["ssh", "masternode", "true"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = format!("error: {ONE} of the lab `{}` does not run\n", lab.name);
    assert!(told.starts_with(&expected), "{told}");
}

/// What `one_is_gone` has left is half a lab; and a mark.
pub fn all_are_fresh(lab: &Lab) {
    lab.keep_consoles("-before-reset");
    let keys = || fs::read_to_string(format!("/run/vmstation/{}/known_hosts", lab.name)).unwrap();
    let before = keys();
    let reset = ended(&mut lab.command(&["reset"]));
    said(&reset);
    let told = String::from_utf8_lossy(&reset.stderr).into_owned();
    // What they start from was kept.
    assert!(!told.contains("making the disk"), "{told}");
    assert_eq!(lab.lab(&["status"]).matches(" up").count(), NODES.len());
    let after = keys();
    assert_eq!(after.lines().count(), before.lines().count());
    for key in after.lines() {
        assert!(
            !before.lines().any(|old| old == key),
            "a host key of before: {key}"
        );
    }
    for host in NODES {
        assert_eq!(
            lab.script(host, &format!("if [ -e {MARK} ]; then echo old; fi")),
            "",
            "{host}"
        );
    }
    swap_is_on(lab);
}

pub fn down(lab: &Lab) {
    lab.lab(&["down"]);
    assert_eq!(left(&lab.name), Vec::<String>::new());
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
