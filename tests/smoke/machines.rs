//! The machines themselves: boot, loss, fresh ones, and what is left.

use std::fs::{self, File};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::ONE;
use super::lab::Lab;
use super::nodes::swap_is_on;
use super::own_lab::NODES;

pub fn boot(lab: &Lab) {
    let log = lab.artefacts.join("boot.log");
    let status = lab
        .command(&["up", "--vms"])
        .stderr(File::create(&log).unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{}", fs::read_to_string(&log).unwrap());
    assert_eq!(lab.lab(&["status"]).matches(" up").count(), NODES.len());
    for host in NODES {
        assert_eq!(lab.script(host, "systemctl is-system-running"), "running");
    }
}

/// The last stage: the machine that it ends does not come back.
pub fn one_is_gone(lab: &Lab) {
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

pub fn all_are_fresh(lab: &Lab) {
    if !lab.is_ours {
        return;
    }
    lab.keep_consoles("-before-reset");
    let keys = format!("/run/vmstation/{}/known_hosts", lab.name);
    let before = fs::read_to_string(&keys).unwrap();
    lab.lab(&["reset"]);
    assert_eq!(lab.lab(&["status"]).matches(" up").count(), NODES.len());
    assert_ne!(fs::read_to_string(&keys).unwrap(), before);
    // `nodes::ipvs` has left this there.
    assert_eq!(
        lab.script(ONE, "ls /root/identity-backup 2>/dev/null | wc -l"),
        "0"
    );
    swap_is_on(lab);
}

/// What `lab down` should not leave.
pub fn left(name: &str) -> Vec<String> {
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
