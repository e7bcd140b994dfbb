//! What a run leaves behind on a host: of its questions, nothing at all; of its changes, what was asked for and no
//! more. Every case on every kind of host, and the same for runs that end badly (`endings`).
//!
//! Runs inside the network of a lab that has been up for some minutes, or what a boot ends by itself is seen:
//! `VMSTATION_INSIDE_LAB=lab nsenter --net=/run/netns/vmstation-lab cargo test --test traces`.
//! `VMSTATION_LAB_NAME` names another lab; `VMSTATION_CASE=file/touch` plays those whose name holds that text.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

#[path = "../cases/agreement.rs"]
mod agreement;
mod apart;
#[path = "../casebook/mod.rs"]
#[expect(dead_code, reason = "cases are not played by the program here")]
mod casebook;
mod endings;
mod guard;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::Mutex;

use agreement::Recorded;
use apart::{Asked, How, play};
use casebook::{Case, Seen, Wrong, cases, conclude, each, shell};
use guard::{PythonGuarded, ReadOnly};
use snapshot::{Exception, Snapshot};

/// Modules that have nothing to ask of a machine.
const ASK_NOTHING: &[&str] = &[
    "assert",
    "debug",
    "fail",
    "pause",
    "preflight_report",
    "raw",
    "set_fact",
    "tempfile",
];

/// Modules that ask a cluster, by kubectl or helm: their cases run where there is one (`# on: kubernetes`). That
/// nothing is altered by the verbs that they look with (`get`, `--dry-run=server`, `list`) is the API server's word.
const ASK_A_CLUSTER: &[&str] = &[
    "helm",
    "helm_repository",
    "k8s",
    "k8s_drain",
    "k8s_exec",
    "k8s_info",
    "k8s_json_patch",
    "k8s_log",
    "k8s_scale",
    "k8s_taint",
    "kubectl",
];

/// Modules that ask over connections of their own, of a host that restarts meanwhile: `tests/reboot.rs` has them.
const ASK_ACROSS_A_RESTART: &[&str] = &["reboot", "wait_for_connection"];

/// The host that differs from `nopython` only by a Python that nobody may call: there, everything is played once.
const LIKE_ANOTHER: &str = "masternode";

/// What changes by itself while questions are asked.
const RESTLESS: &[Exception] = &[
    ("/var/log/journal/*", "the system's log, of logins too"),
    ("/run/motd.dynamic", "made by sshd's PAM at each login"),
    ("/run", "there"),
    (
        "/usr/lib/sysimage/rpm/rpmdb.sqlite-shm",
        "SQLite's own, of every `rpm -q` by root",
    ),
    ("/usr/lib/sysimage/rpm/rpmdb.sqlite-wal", "there"),
];

/// What the cases leave because they ask for it, and what the system notes down meanwhile.
const ASKED_FOR: &[Exception] = &[
    ("/var/log/*", "logs of the system and of package managers"),
    ("/var/cache/*", "caches of package managers"),
    ("/var/lib/*", "the databases of package managers"),
    ("/usr/lib/sysimage/rpm/*", "there"),
    ("/etc/ld.so.cache", "made anew by packages"),
    ("/run/motd.dynamic", "made by sshd's PAM at each login"),
    (
        "/run/systemd/*",
        "systemd's own, of services that were started again",
    ),
    ("/run/crond.pid", "cron was started again by cases"),
    ("*/usr/sbin/cron -f", "there"),
    ("/tmp/ansible.*.x", "what `tempfile/plain` is there to make"),
];

/// Each looks at everything that there is on the hosts.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn lab() -> String {
    let inside = std::env::var_os("VMSTATION_INSIDE_LAB").is_some();
    assert!(
        inside,
        "not inside a lab: the first lines of this file say how it is run"
    );
    std::env::var("VMSTATION_LAB_NAME").unwrap_or_else(|_| "lab".to_string())
}

#[test]
fn questions_alter_nothing_and_runs_leave_nothing() {
    let lab = lab();
    let _alone = ONE_AT_A_TIME.lock();
    let asked = Asked::default();
    let wrong = Mutex::new(Vec::new());
    let cases = cases();
    std::thread::scope(|threads| {
        for host in ["nopython", "homelab", "masternode"] {
            let (lab, cases, asked, wrong) = (&lab, &cases, &asked, &wrong);
            threads.spawn(move || {
                let found = on(lab, host, cases, asked);
                wrong.lock().unwrap().extend(found);
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    if std::env::var_os("VMSTATION_CASE").is_none() {
        wrong.extend(not_covered(&asked.lock().unwrap()));
    }
    conclude(cases.len(), "hosts that must stay clean", &wrong);
}

/// A module without a case, or one whose questions no case has put.
fn not_covered(asked: &BTreeSet<String>) -> Vec<Wrong> {
    let expected: BTreeSet<String> = vmstation::modules::ALL
        .iter()
        .map(|entry| entry.name.to_string())
        .filter(|name| {
            ![ASK_NOTHING, ASK_A_CLUSTER, ASK_ACROSS_A_RESTART]
                .concat()
                .contains(&name.as_str())
        })
        .collect();
    let names = |from: &BTreeSet<String>, without: &BTreeSet<String>, what: &str| {
        let names: Vec<String> = from.difference(without).cloned().collect();
        names
            .into_iter()
            .map(|name| Wrong::new(format!("{what}: {name}"), ""))
            .collect::<Vec<_>>()
    };
    let mut wrong = names(&expected, asked, "no case has seen this module ask");
    wrong.extend(names(
        asked,
        &expected,
        "this module asks, and is listed as one that does not",
    ));
    wrong
}

/// The cases that can be played on a host: those for any machine, and those for its kind.
fn for_host<'a>(cases: &'a [Case], host: &str) -> (Vec<&'a Case>, Vec<&'a Case>) {
    let anywhere = |case: &&Case| case.is_local();
    let its_own = |case: &&Case| !case.is_local() && case.hosts().contains(&host);
    (
        cases.iter().filter(anywhere).collect(),
        cases.iter().filter(its_own).collect(),
    )
}

fn on(lab: &str, host: &str, cases: &[Case], asked: &Asked) -> Vec<Wrong> {
    let (anywhere, its_own) = for_host(cases, host);
    let all: Vec<&Case> = anywhere.iter().chain(&its_own).copied().collect();
    if all.is_empty() {
        return Vec::new();
    }
    let directories: Vec<String> = all.iter().map(|case| case.directory("traces")).collect();
    let directories = directories.join(" ");
    let python = PythonGuarded::on(lab, host);
    let before = Snapshot::of(lab, host);

    shell(lab, host, &format!("mkdir -p {directories}"));
    // What asks on Debian asks alike elsewhere.
    let dry = match host {
        LIKE_ANOTHER => &[],
        "nopython" => &all[..],
        _ => &its_own[..],
    };
    let mut wrong = looked_only(lab, host, dry, "a dry run of everything");
    wrong.extend(read_only(lab, host, &anywhere, &its_own, asked));
    wrong.extend(looked_only(lab, host, dry, "a dry run of everything again"));
    shell(lab, host, &format!("rm -rf {directories}"));

    let mut seen = |what: Vec<String>, place: &str| {
        wrong.extend(
            what.into_iter()
                .map(|what| Wrong::new(what, format!("{host}, {place}"))),
        );
    };
    seen(before.left(lab, host, ASKED_FOR), "at the end");
    seen(python.called(), "called Python");
    wrong
}

/// For real, with the questions where nothing can be altered: what comes of it is as ever.
fn read_only(lab: &str, host: &str, anywhere: &[&Case], its_own: &[&Case], asked: &Asked) -> Vec<Wrong> {
    let _shut = ReadOnly::on(lab, host);
    let twice = |wanted: bool| if wanted { 2 } else { 1 };
    let mut wrong = each(anywhere, 2, |case| {
        really(lab, host, case, twice(host == "nopython"), asked)
    });
    wrong.extend(each(its_own, 1, |case| {
        really(lab, host, case, twice(host != LIKE_ANOTHER), asked)
    }));
    wrong
}

fn really(lab: &str, host: &str, case: &Case, runs: usize, asked: &Asked) -> Vec<Wrong> {
    let recorded = match Recorded::of(case, (!case.is_local()).then_some(host)) {
        Ok(recorded) => recorded,
        Err(nothing) => return vec![Wrong::new(nothing, host)],
    };
    let one = |run: usize| {
        let ran = play(lab, host, case, &case.directory("traces"), How::Apart, asked);
        let tasks: Vec<&Seen> = ran.tasks.iter().collect();
        recorded.compare(
            case,
            &format!("{host}, questions read-only, run {run}"),
            run,
            &ran,
            &tasks,
        )
    };
    let wrong = (0..runs).flat_map(one);
    wrong
        .filter(|wrong| !is_asked_of_the_file_system(wrong))
        .collect()
}

/// Whether a file can be written to is what `stat` tells, and here none can.
fn is_asked_of_the_file_system(wrong: &Wrong) -> bool {
    wrong
        .what
        .ends_with(".stat.writeable: Ansible has true, we have false")
}

/// Dry runs of all cases, where everything can be written to: nothing is.
fn looked_only(lab: &str, host: &str, cases: &[&Case], what: &str) -> Vec<Wrong> {
    if cases.is_empty() {
        return Vec::new();
    }
    let before = Snapshot::of(lab, host);
    // What asks in a dry run may not ask otherwise.
    let not_counted = Asked::default();
    let mut wrong = each(cases, 4, |case| {
        let ran = play(
            lab,
            host,
            case,
            &case.directory("traces"),
            How::Check,
            &not_counted,
        );
        if ran.rc == 0 || ran.rc == 3 {
            return Vec::new();
        }
        vec![Wrong::new(
            format!("{}: a dry run ends with {}: {}", case.name, ran.rc, ran.text),
            host,
        )]
    });
    let changed = before.changed(lab, host, RESTLESS);
    wrong.extend(
        changed
            .into_iter()
            .map(|changed| Wrong::new(changed, format!("{host}, {what}"))),
    );
    wrong
}

/// What has come and gone again is seen, too.
#[test]
fn traces_are_seen() {
    let lab = lab();
    let _alone = ONE_AT_A_TIME.lock();
    let host = "nopython";
    let before = Snapshot::of(&lab, host);
    assert_eq!(before.changed(&lab, host, RESTLESS), Vec::<String>::new());
    let leave = "touch /usr/local/x && rm /usr/local/x; chmod 700 /etc/hosts && chmod 644 /etc/hosts; \
                 setsid sleep 7 >/dev/null 2>&1 </dev/null & systemd-run --quiet --unit=trace sleep 7";
    shell(&lab, host, leave);
    let seen = before.changed(&lab, host, RESTLESS).join("\n");
    for trace in [
        "/usr/local: d",
        "/etc/hosts: f",
        "root sleep 7",
        "unit trace.service",
    ] {
        assert!(seen.contains(trace), "{trace} is not in\n{seen}");
    }
}

#[test]
fn however_a_run_ends_nothing_of_ours_stays() {
    let lab = lab();
    let _alone = ONE_AT_A_TIME.lock();
    let wrong: Vec<String> = std::thread::scope(|threads| {
        let hosts = ["masternode", "homelab"];
        let running = hosts.map(|host| {
            let lab = &lab;
            threads.spawn(move || {
                let wrong = endings::on(lab, host);
                wrong
                    .into_iter()
                    .map(move |what| format!("{host}: {what}"))
                    .collect::<Vec<_>>()
            })
        });
        running
            .into_iter()
            .flat_map(|host| host.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
