//! What a dry run says is what happens.

use std::collections::{BTreeMap, BTreeSet};

use super::own_lab::{NODES, Ran};
use super::troubles::{DEBIAN, inject};
use super::{DEPLOY, Lab, RESET};

/// A task that a dry run promises to change does change, one that it calls in order or leaves out does not, and the
/// rest is named as unknown.
#[test]
fn what_a_dry_run_says_is_what_happens() {
    let Some(lab) = Lab::up("plantest") else { return };
    let on = |hosts: &[&str], task: &str| -> Vec<String> {
        hosts.iter().map(|host| format!("{host}: {task}")).collect()
    };
    let rules = on(&NODES, "Make rules and chains now");
    let unknown = promises_are_kept(&lab, DEPLOY, 20);
    assert_eq!(unknown, rules.iter().cloned().collect());
    inject(&lab);
    let unknown = promises_are_kept(&lab, DEPLOY, 20);
    assert_eq!(
        unknown,
        rules.into_iter().chain(on(DEBIAN, "Turn ufw off")).collect()
    );
    let unknown = promises_are_kept(&lab, RESET, 15);
    let undone = on(&NODES, "Remove the rules and chains that nobody uses");
    assert_eq!(unknown, undone.into_iter().collect());
}

/// Runs it dry, then really; what was said to be unknown.
fn promises_are_kept(lab: &Lab, playbook: &str, least: usize) -> BTreeSet<String> {
    let (dry, real) = (
        lab.play(playbook, &["--check", "--diff"]),
        lab.play(playbook, &[]),
    );
    let (dry, real) = (statuses(&dry), statuses(&real));
    let mut unknown = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut promised = 0;
    let keys: BTreeSet<_> = dry.keys().chain(real.keys()).collect();
    for key in keys {
        let [host, task, _] = key;
        // A handler that nothing notifies does nothing.
        let of = |run: &BTreeMap<_, &str>| run.get(key).map_or("nothing", |status| *status).to_owned();
        match (of(&dry).as_str(), of(&real).as_str()) {
            ("unknown", _) => drop(unknown.insert(format!("{host}: {task}"))),
            ("changed", "changed") => promised += 1,
            (said, happened) if said == "changed" || happened == "changed" => {
                wrong.push(format!("{host}: {task}: said to be {said}, but {happened}"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{playbook}:\n{}", wrong.join("\n"));
    assert!(promised >= least, "{playbook}: {promised} promised: {dry:#?}");
    unknown
}

/// How each task ended, by host, task and place.
fn statuses(ran: &Ran) -> BTreeMap<[&str; 3], &str> {
    ran.endings()
        .map(|(host, task, ending)| {
            let place = ending["place"].as_str().unwrap();
            ([host, task, place], ending["status"].as_str().unwrap())
        })
        .collect()
}
