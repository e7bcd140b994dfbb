//! Nodes that restart, and some that do not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ONE;
use super::lab::Lab;
use super::own_lab::NODES;

const REBOOT: &str = "tests/smoke/reboot.yml";

pub fn reboot(lab: &Lab) {
    let before = NODES.map(|host| lab.boot_id(host));
    let ran = lab.run("reboot", &["run", REBOOT]).ok();
    for (host, before) in NODES.iter().zip(before) {
        assert_ne!(lab.boot_id(host), before, "{host}");
        assert_eq!(ran.count("changed")[*host], 1, "{host}");
        assert_eq!(
            lab.script(host, "systemctl is-system-running --wait || true"),
            "running"
        );
    }
}

pub fn no_restart(lab: &Lab) {
    let before = lab.boot_id(ONE);
    let variables = format!("nodes={ONE} limit=20 command=true");
    let began = Instant::now();
    let ran = lab.run("no-restart", &["run", REBOOT, "-e", &variables]);
    let ran = ran.ends_with(3);
    let ending = ran.ending(ONE, "Restart");
    let said = ending["result"]["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for last boot time check (timeout=20)"),
        "{said}"
    );
    assert!(said.ends_with("boot time has not changed"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    assert_eq!(lab.boot_id(ONE), before);
}

/// Its processor stands still as soon as it has gone down.
pub fn no_return(lab: &Lab) {
    let variables = format!("nodes={ONE} limit=45");
    let began = Instant::now();
    let running = lab.start("no-return", &["run", REBOOT, "-e", &variables]);
    running.wait_for(ONE, "Restart");
    sleep(Duration::from_secs(6));
    lab.monitor(ONE, "stop");
    let ran = running.end();
    let took = began.elapsed();
    lab.monitor(ONE, "cont");
    lab.wait_for(ONE);
    let ran = ran.ends_with(3);
    let ending = ran.ending(ONE, "Restart");
    let said = ending["result"]["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for last boot time check (timeout=45)"),
        "{said}"
    );
    assert_eq!(ending["result"]["rebooted"], true);
    assert!(took < Duration::from_secs(80), "{took:?}");
}
