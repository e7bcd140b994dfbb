//! Nodes that restart, and some that do not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ONE;
use super::lab::Lab;
use super::own_lab::NODES;

const REBOOT: &str = "tests/smoke/reboot.yml";

/// One of them, for what is seen after it.
pub fn restart_one(lab: &Lab, name: &str) {
    let variables = format!("nodes={ONE}");
    lab.run(name, &["run", REBOOT, "-e", &variables]).ok();
}

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

/// How often it has gone down, as its kernel says last.
fn restarts(lab: &Lab) -> usize {
    lab.console(ONE).matches("reboot: Restarting system").count()
}

/// Its processor stands still as soon as it has gone down.
pub fn no_return(lab: &Lab) {
    let variables = format!("nodes={ONE} limit=45");
    let (before, restarts) = (lab.boot_id(ONE), restarts(lab));
    let began = Instant::now();
    let running = lab.start("no-return", &["run", REBOOT, "-e", &variables]);
    while self::restarts(lab) == restarts {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not go down");
        sleep(Duration::from_millis(50));
    }
    let stopped = lab.while_monitor(ONE, "stop", "cont");
    let ran = running.end();
    let took = began.elapsed();
    drop(stopped);
    lab.wait_for(ONE);
    assert_ne!(lab.boot_id(ONE), before);
    let ran = ran.ends_with(3);
    let ending = ran.ending(ONE, "Restart");
    let said = ending["result"]["msg"].as_str().unwrap();
    assert!(
        said.starts_with("Timed out waiting for last boot time check (timeout=45)"),
        "{said}"
    );
    // Not that it seemed to run on: it was down by then.
    let (_, last) = said
        .split_once("Last error message before the timeout exception - ")
        .unwrap();
    assert!(!last.is_empty() && !last.contains("boot time"), "{said}");
    assert_eq!(ending["result"]["rebooted"], true);
    assert!(took < Duration::from_secs(80), "{took:?}");
}
