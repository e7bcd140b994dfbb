//! What comes between a task and its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ONE;
use super::lab::{Lab, Running};
use super::own_lab::{NODES, Ran};

const SLOW: &str = "tests/smoke/slow.yml";

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
    lab.script(
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
    lab.monitor(ONE, "set_link cable off");
    sleep(Duration::from_secs(12));
    lab.monitor(ONE, "set_link cable on");
    running.end().ok();
    for host in NODES {
        assert_eq!(lines(lab, host, "cable-pulled"), "ran after", "{host}");
    }
}

pub fn cable_stays_out(lab: &Lab) {
    let began = Instant::now();
    let running = slow(lab, "cable-out", 20);
    lab.monitor(ONE, "set_link cable off");
    let ran = running.end();
    let took = began.elapsed();
    lab.monitor(ONE, "set_link cable on");
    lab.wait_for(ONE);
    only_one_is_out(lab, &ran, "cable-out");
    assert!(took < Duration::from_secs(150), "{took:?}");
}
