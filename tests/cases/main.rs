//! Every case under `tests/cases`: a playbook run by us, with and without running ahead, twice each, and compared
//! with what `ansible-playbook` made of it (`record.py`); on this machine, on the lab's host without Python, and,
//! where a case needs machines of its own, on those of the lab.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

mod agreement;
#[path = "../casebook/mod.rs"]
mod casebook;

use agreement::Recorded;
use casebook::{Case, Ran, Seen, Stage, Wrong, cases, conclude, each, lab, shell};

/// Most of a run is waiting.
const AT_ONCE: usize = 4;

/// Where kubeadm puts the administrator's kubeconfig, as `ls` says it.
const ADMIN: &str = "/etc/kubernetes/admin.conf\n";

/// The two ways of running, which must come to the same.
const WAYS: [(&str, &[&str]); 2] = [("ahead", &[]), ("one-by-one", &["--no-run-ahead"])];

#[test]
fn on_this_machine() {
    let cases: Vec<Case> = cases().into_iter().filter(Case::is_local).collect();
    let wrong = each(&cases, AT_ONCE, |case| {
        let recorded = match Recorded::of(case, None) {
            Ok(recorded) => vec![(String::from("localhost"), recorded)],
            Err(nothing) => return vec![Wrong::new(nothing, "")],
        };
        let w = tempfile::Builder::new().prefix("case.").tempdir().unwrap();
        both_ways(case, &recorded, |_, words| {
            let w = w.path().join(words.len().to_string());
            std::fs::create_dir(&w).unwrap();
            Stage::here(&w.display().to_string(), words)
        })
    });
    conclude(cases.len(), "this machine", &wrong);
}

/// Those that are at home anywhere, over SSH, where there is no Python.
#[test]
fn local_ones_on_a_host_without_python() {
    let cases: Vec<Case> = cases().into_iter().filter(Case::is_local).collect();
    on_the_lab(&cases, AT_ONCE, "a host without Python", &["nopython"], |case| {
        let recorded = Recorded::of(case, None)?;
        Ok(vec![(String::from("nopython"), recorded)])
    });
}

/// Those that need machines of their own, one after the other on each: they install and remove. They clean up
/// after themselves.
#[test]
fn others_on_debian() {
    others_on("Debian", &["masternode", "nopython"]);
}

#[test]
fn others_on_rhel() {
    others_on("RHEL", &["homelab"]);
}

/// Those that need a cluster: from this machine, if `VMSTATION_KUBECONFIG` names one, else on the lab's masternode,
/// if the lab has one.
#[test]
#[ignore = "a cluster: cargo test --test cases on_a_cluster -- --ignored"]
fn on_a_cluster() {
    let cases: Vec<Case> = cases().into_iter().filter(Case::is_of_a_cluster).collect();
    if let Some(kubeconfig) = std::env::var_os("VMSTATION_KUBECONFIG") {
        let kubeconfig = format!("kubeconfig={}", kubeconfig.display());
        // One after the other: they are in each other's namespace.
        let wrong = each(&cases, 1, |case| {
            let recorded = match Recorded::of(case, None) {
                Ok(recorded) => vec![(String::from("localhost"), recorded)],
                Err(nothing) => return vec![Wrong::new(nothing, "")],
            };
            let w = tempfile::Builder::new().prefix("case.").tempdir().unwrap();
            both_ways(case, &recorded, |way, words| {
                let w = w.path().join(way);
                std::fs::create_dir(&w).unwrap();
                Stage::here(&w.display().to_string(), &[words, &["-e", &kubeconfig]].concat())
            })
        });
        conclude(cases.len(), "a cluster", &wrong);
        return;
    }
    let has_one =
        |lab: &String| shell(lab, "masternode", "ls /etc/kubernetes/admin.conf 2>&1; true") == ADMIN;
    let Some(lab) = lab().filter(has_one) else {
        panic!("there is no cluster: set VMSTATION_KUBECONFIG, or use a lab with --kubernetes");
    };
    with_directories(&lab, &["masternode"], &cases, "mkdir -p");
    let kubeconfig = format!("kubeconfig={}", ADMIN.trim());
    let wrong = each(&cases, 1, |case| match Recorded::of(case, None) {
        Err(nothing) => vec![Wrong::new(nothing, "")],
        Ok(recorded) => both_ways(case, &[("masternode".to_string(), recorded)], |way, words| {
            let words = [words, &["-e", &kubeconfig]].concat();
            Stage::lab(&lab, &["masternode"], &case.directory(way), &words)
        }),
    });
    with_directories(&lab, &["masternode"], &cases, "rm -rf");
    conclude(cases.len(), "the lab's cluster", &wrong);
}

fn others_on(name: &str, hosts: &[&str]) {
    let cases: Vec<Case> = cases().into_iter().filter(|c| !c.is_local()).collect();
    let cases: Vec<Case> = cases
        .into_iter()
        .filter(|c| c.hosts().iter().any(|h| hosts.contains(h)))
        .collect();
    on_the_lab(&cases, 1, name, hosts, |case| {
        let hosts = hosts.iter();
        hosts
            .map(|host| Ok(((*host).to_string(), Recorded::of(case, Some(host))?)))
            .collect()
    });
}

fn on_the_lab(
    cases: &[Case],
    at_once: usize,
    place: &str,
    hosts: &[&str],
    recorded: impl Fn(&Case) -> Result<Vec<(String, Recorded)>, String> + Sync,
) {
    let Some(lab) = lab() else {
        eprintln!("SKIPPED: set VMSTATION_LAB=1 to run the cases that need the lab's hosts");
        return;
    };
    with_directories(&lab, hosts, cases, "mkdir -p");
    let wrong = each(cases, at_once, |case| match recorded(case) {
        Err(nothing) => vec![Wrong::new(nothing, "")],
        Ok(recorded) => both_ways(case, &recorded, |way, words| {
            Stage::lab(&lab, hosts, &case.directory(way), words)
        }),
    });
    with_directories(&lab, hosts, cases, "rm -rf");
    conclude(cases.len(), place, &wrong);
}

/// Makes or removes the directories of the cases, all of a host at once.
fn with_directories(lab: &str, hosts: &[&str], cases: &[Case], command: &str) {
    let directories: Vec<String> = cases
        .iter()
        .flat_map(|case| WAYS.map(|(way, _)| case.directory(way)))
        .collect();
    if directories.is_empty() {
        return;
    }
    for host in hosts {
        shell(lab, host, &format!("{command} {}", directories.join(" ")));
    }
}

/// Plays a case twice ahead and twice one by one, on a stage for each way; what is wrong, in words.
fn both_ways(
    case: &Case,
    recorded: &[(String, Recorded)],
    stage: impl Fn(&str, &[&str]) -> Stage,
) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let ran = WAYS.map(|(way, words)| {
        let stage = stage(way, words);
        let runs = [0, 1].map(|run| {
            let ran = stage.play(&case.path);
            for (host, recorded) in recorded {
                let tasks: Vec<&Seen> = ran.tasks.iter().filter(|t| t.host == *host).collect();
                let place = format!("{host}, {way}, run {run}");
                wrong.extend(recorded.compare(case, &place, run, &ran, &tasks));
            }
            ran
        });
        let again: Vec<&String> = (runs[1].tasks.iter().filter(|t| t.changed))
            .map(|t| &t.name)
            .collect();
        let expected = case.setting("again") == Some("changed");
        if !expected && !again.is_empty() {
            let what = format!("{}: the second run changed {again:?}", case.name);
            wrong.push(Wrong::new(what, way));
        }
        runs
    });
    for run in [0, 1] {
        if steady(&ran[0][run]) != steady(&ran[1][run]) {
            let why = format!(
                "{}\n--- one by one\n{}",
                ran[0][run].failures(),
                ran[1][run].failures()
            );
            let what = format!("{}: with and without running ahead differ\n{why}", case.name);
            wrong.push(Wrong::new(what, format!("run {run}")));
        }
    }
    wrong
}

/// What two runs of the same case must have in common: hosts may be in any order, a host's tasks not.
fn steady(ran: &Ran) -> (i32, Vec<(&str, String)>) {
    let of = |task: &Seen| {
        format!(
            "{}: changed {}, failed {}, skipped {}",
            task.name, task.changed, task.failed, task.skipped
        )
    };
    let mut tasks: Vec<_> = ran.tasks.iter().map(|t| (t.host.as_str(), of(t))).collect();
    tasks.sort_by_key(|(host, _)| *host);
    (ran.rc, tasks)
}
