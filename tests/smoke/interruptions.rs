//! What comes between a task and its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ONE;
use super::lab::{Lab, Running, Undo};
use super::own_lab::{NODES, Ran};

const SLOW: &str = "tests/smoke/slow.yml";

/// Starts it, and waits until every host is in the middle of it, as their consoles say.
fn slow(lab: &Lab, mark: &str, seconds: u32) -> Running {
    let variables = format!("mark={} seconds={seconds}", own(mark));
    let mut running = lab.start(mark, &["run", SLOW, "-e", &variables]);
    let begins = format!("{} begins", own(mark));
    for host in NODES {
        running.wait_for(host, "Take time");
        let end = Instant::now() + Duration::from_secs(60);
        while !lab.console(host).contains(&begins) {
            assert!(Instant::now() < end, "{host}: the command does not begin");
            sleep(Duration::from_millis(50));
        }
    }
    running
}

/// The mark of this test: machines that are left up may have those of others.
fn own(mark: &str) -> String {
    format!("{mark}-{}", std::process::id())
}

fn lines(lab: &Lab, host: &str, mark: &str) -> String {
    let file = own(mark);
    lab.script(
        host,
        &format!("tr '\\n' ' ' </var/tmp/{file}; rm /var/tmp/{file}"),
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
    let ending = ran.ending(ONE, "Take time");
    assert!(ending["result"]["msg"].to_string().contains(ONE), "{ending}");
}

pub fn sshd_is_killed(lab: &Lab) {
    let running = slow(lab, "sshd-killed", 25);
    lab.script(ONE, "systemd-run -q sh -c 'sleep 1; pkill -KILL -x sshd'");
    let ran = running.end();
    lab.wait_for(ONE);
    only_one_is_out(lab, &ran, "sshd-killed");
}

pub fn cable_is_pulled(lab: &Lab) {
    let running = slow(lab, "cable-pulled", 30);
    let pulled = pulled(lab);
    sleep(Duration::from_secs(12));
    drop(pulled);
    all_ran_once(lab, running, "cable-pulled");
}

/// The command ends while nobody can be told.
pub fn cable_is_pulled_at_the_end(lab: &Lab) {
    let running = slow(lab, "cable-at-end", 10);
    let pulled = pulled(lab);
    sleep(Duration::from_secs(14));
    drop(pulled);
    all_ran_once(lab, running, "cable-at-end");
}

fn all_ran_once(lab: &Lab, running: Running, mark: &str) {
    running.end().ok();
    for host in NODES {
        assert_eq!(lines(lab, host, mark), "ran after", "{host}");
    }
}

/// Put back in any case.
fn pulled(lab: &Lab) -> Undo<'_> {
    lab.while_monitor(ONE, "set_link cable off", "set_link cable on")
}

pub fn cable_stays_out(lab: &Lab) {
    let began = Instant::now();
    let running = slow(lab, "cable-out", 20);
    let pulled = pulled(lab);
    let ran = running.end();
    let took = began.elapsed();
    drop(pulled);
    lab.wait_for(ONE);
    only_one_is_out(lab, &ran, "cable-out");
    assert!(took < Duration::from_secs(150), "{took:?}");
}
