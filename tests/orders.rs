//! Orders that people rely on without knowing: `tests/orders/*.yml`, each run ahead and one by one on the lab.
//!
//! Each playbook proves its order itself, by `assert`, so `ansible-playbook` can play the same files.
#![expect(clippy::unwrap_used, reason = "a test")]

mod hosts;

use std::path::Path;
use std::time::{Duration, Instant};

use hosts::Lab;

fn in_order(name: &str) -> Duration {
    let Some(lab) = Lab::enter() else {
        return Duration::ZERO;
    };
    let playbook = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/orders")
        .join(name);
    let playbook = playbook.display().to_string();
    let mut longest = Duration::ZERO;
    for how in [&[][..], &["--no-run-ahead"]] {
        let begun = Instant::now();
        let told = lab.run(&[how, &[playbook.as_str()]].concat());
        longest = longest.max(begun.elapsed());
        assert_eq!(told.exit, 0, "{name} {how:?}\n{}", told.text);
    }
    longest
}

#[test]
fn a_server_on_one_host_then_its_use_on_another() {
    in_order("served.yml");
}

#[test]
fn a_play_on_other_hosts_after_a_play() {
    in_order("plays.yml");
}

#[test]
fn a_file_that_a_command_elsewhere_makes_appear() {
    in_order("appears.yml");
}

#[test]
fn wait_for_and_then_stat() {
    in_order("wait_then_stat.yml");
}

#[test]
fn one_delegated_command_from_three_hosts_at_once() {
    // Twice two seconds would be one after another; the rest is the connections.
    assert!(in_order("delegated.yml") < Duration::from_secs(5));
}

#[test]
fn a_new_group_is_seen_by_the_next_task() {
    in_order("group.yml");
}

#[test]
fn what_runs_in_the_background_goes_on() {
    in_order("background.yml");
}
