//! Orders that people rely on without knowing: `tests/orders/*.yml`, each run ahead and one by one on the lab.
//!
//! Each playbook proves its order itself, by `assert`; beside it is what `ansible-playbook` made of it on the same
//! hosts (`tests/flow/record.py`), and ours must be the same. None of them measures time.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "flow/case.rs"]
mod case;
#[expect(dead_code, reason = "only where the lab is")]
mod hosts;

use std::path::Path;

use hosts::Lab;

fn in_order(name: &str) {
    let Some(lab) = Lab::enter() else { return };
    let orders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/orders");
    let case = case::Case::read(orders.join(name));
    let wrong = case.check(&lab.name);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_server_on_one_host_then_its_use_on_another() {
    in_order("served.yml");
}

#[test]
fn storage_on_one_host_then_a_mount_on_another() {
    in_order("mounted.yml");
}

#[test]
fn a_play_on_other_hosts_after_a_play() {
    in_order("plays.yml");
}

#[test]
fn a_file_that_a_command_on_another_host_makes_appear() {
    in_order("appears.yml");
}

#[test]
fn wait_for_and_then_stat() {
    in_order("wait_then_stat.yml");
}

#[test]
fn one_delegated_command_from_three_hosts_at_once() {
    in_order("delegated.yml");
}

#[test]
fn a_new_group_is_seen_by_the_next_task() {
    in_order("group.yml");
}

#[test]
fn what_runs_in_the_background_goes_on() {
    in_order("background.yml");
}
