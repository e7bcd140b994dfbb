//! The nodes' playbooks on virtual machines, each with a kernel of its own: what a container cannot show.
//!
//! `cargo test --test smoke -- --ignored --nocapture`, as root (`make smoke` does all of it, from the tools on). One run
//! of many stages, because to boot takes its time; docs/smoke.md has the table of what they show. What the runs
//! said is kept in `target/smoke` (`VMSTATION_SMOKE_DIR`): events, logs, `JUnit` files, the machines' consoles.
//! `VMSTATION_SMOKE_NAME` is how the lab is called, for whoever ends it when this test cannot.
//! `VMSTATION_SMOKE_LAB` names virtual machines that are up already; they are used as they are, and left up.
//! `VMSTATION_SMOKE_STAGE` plays the stages whose names hold that text, or one of several (`swap|reset`).
//! `VMSTATION_SMOKE_ACCELERATOR` says what runs the machines' processors, for `lab up --accelerator`.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod interruptions;
mod lab;
mod machines;
mod nodes;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../own_lab/mod.rs"]
mod own_lab;
mod record;
mod restarts;
mod script;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use lab::Lab;
use own_lab::Ran;
use record::Record;

/// A Debian node, for what is shown on one.
const ONE: &str = "storagenodet3500";
const RHEL: &str = "homelab";

/// One thing that is shown.
#[derive(Clone, Copy)]
pub struct Stage {
    name: &'static str,
    /// What in it stands for something else.
    simulated: &'static str,
    play: fn(&Lab),
    /// Not for machines that somebody else has started.
    ours: bool,
}

const fn stage(name: &'static str, play: fn(&Lab)) -> Stage {
    simulating(name, play, "")
}

const fn simulating(name: &'static str, play: fn(&Lab), simulated: &'static str) -> Stage {
    Stage {
        name,
        simulated,
        play,
        ours: false,
    }
}

/// Between the first and the last, machines are up.
const STAGES: &[Stage] = &[
    Stage {
        name: "the machines boot",
        simulated: "homelab is the RHEL look-alike, on Debian's kernel",
        play: machines::boot,
        ours: true,
    },
    simulating(
        "preflight names what deploy will mend",
        nodes::preflight,
        "there is no time server, so chrony runs and has nobody to ask",
    ),
    stage("swap is on before", nodes::swap_is_on),
    simulating(
        "deploy prepares the nodes",
        nodes::deploy,
        "packages of Kubernetes are stand-ins; SELinux is a file on homelab: its kernel has none switched on",
    ),
    stage("a second deploy changes nothing", nodes::deploy_again),
    simulating(
        "modules are loaded, and listed for the next boot",
        nodes::modules,
        "on homelab, RHEL's own modules (`kernel-modules-extra`) are a name in the rpmdb",
    ),
    stage("swap is off", nodes::swap_is_off),
    stage("settings of all kinds", nodes::settings),
    stage(
        "the file that wins is found and mended",
        nodes::the_file_that_wins,
    ),
    stage("what IPVS holds is taken away", nodes::ipvs),
    simulating(
        "a playbook restarts all nodes",
        restarts::reboot,
        "the kernel comes from QEMU, not from a boot loader",
    ),
    stage("after it deploy changes nothing", nodes::deploy_after_reboot),
    stage(
        "modules, settings and swap are so after the boot",
        nodes::all_of_it_again,
    ),
    simulating(
        "a module that the kernel lacks is named",
        nodes::a_module_is_missing,
        "on homelab it stands for RHEL's kernel without kernel-modules-extra",
    ),
    stage(
        "a node that does not restart is an error in time",
        restarts::no_restart,
    ),
    stage(
        "a node that does not come back is an error in time",
        restarts::no_return,
    ),
    stage(
        "sshd killed in the middle of a task",
        interruptions::sshd_is_killed,
    ),
    stage(
        "the cable pulled in the middle of a task, and put back",
        interruptions::cable_is_pulled,
    ),
    stage(
        "the cable pulled while a command ends, and put back",
        interruptions::cable_is_pulled_at_the_end,
    ),
    stage("the cable pulled for good", interruptions::cable_stays_out),
    stage("reset takes it back, once", nodes::reset),
    Stage {
        name: "a machine that is gone is told",
        simulated: "",
        play: machines::one_is_gone,
        ours: true,
    },
    Stage {
        name: "reset of the lab makes fresh ones of all",
        simulated: "",
        play: machines::all_are_fresh,
        ours: true,
    },
    Stage {
        name: "lab down leaves nothing",
        simulated: "",
        play: machines::down,
        ours: true,
    },
];

/// docs/smoke.md says of each what is real in it, and what is not.
#[test]
fn the_table_is_the_stages() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/smoke.md")).unwrap();
    let (_, table) = page
        .split_once("| stage | what is real | what is not |\n|---|---|---|\n")
        .unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let told: Vec<(&str, &str)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 3, "{row}");
            assert_ne!(cells[1], "", "{row}");
            (cells[0], cells[2])
        })
        .collect();
    let played: Vec<_> = STAGES.iter().map(|stage| (stage.name, stage.simulated)).collect();
    assert_eq!(told, played);
}

#[test]
#[ignore = "boots three virtual machines; needs root and QEMU: make smoke"]
fn nodes_with_kernels_of_their_own() {
    let artefacts = std::env::var_os("VMSTATION_SMOKE_DIR").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../smoke"),
        PathBuf::from,
    );
    fs::create_dir_all(&artefacts).unwrap();
    let variable = |name: &str| std::env::var(name).ok();
    let lab = Lab::new(
        variable("VMSTATION_SMOKE_LAB"),
        variable("VMSTATION_SMOKE_NAME"),
        fs::canonicalize(artefacts).unwrap(),
    );
    let wanted = variable("VMSTATION_SMOKE_STAGE").unwrap_or_default();
    let is_wanted = |stage: &Stage| wanted.split('|').any(|part| stage.name.contains(part));
    for part in wanted.split('|') {
        assert!(
            STAGES.iter().any(|stage| stage.name.contains(part)),
            "no stage has `{part}` in its name"
        );
    }

    let mut record = Record::new(lab.artefacts.clone());
    let (first, last) = (&STAGES[0], &STAGES[STAGES.len() - 1]);
    let mut are_up = !lab.is_ours;
    for stage in STAGES {
        let frames = [first.name, last.name].contains(&stage.name);
        if stage.ours && !lab.is_ours {
            record.skip(stage, "the machines are somebody else's");
        } else if !frames && !is_wanted(stage) {
            record.skip(stage, "not asked for");
        } else if !frames && !are_up {
            record.skip(stage, "the machines did not boot");
        } else {
            if stage.name == last.name {
                lab.keep_consoles("");
            }
            let went_well = record.play(stage, || (stage.play)(&lab));
            are_up |= went_well;
            if !went_well {
                lab.keep_consoles("");
                lab.keep_journals(&stage.name.replace([' ', ','], "-"));
            }
        }
    }
    lab.keep_consoles("");
    let failed = record.failed();
    assert!(failed.is_empty(), "failed: {failed:#?}");
    assert!(!record.is_empty(), "nothing was played");
}

#[test]
#[should_panic(expected = "no host was reached")]
fn a_run_on_no_host_shows_nothing() {
    let finished = r#"{"event":"run_finished","hosts":[]}"#;
    Ran::new(ExitStatus::default(), finished, String::new()).changed_nothing();
}

#[test]
#[should_panic(expected = "no host was reached")]
fn a_host_on_which_nothing_ran_shows_nothing() {
    let finished = r#"{"event":"run_finished","hosts":[{"host":"one","ok":0,"changed":0}]}"#;
    Ran::new(ExitStatus::default(), finished, String::new()).changed_nothing();
}

#[test]
fn a_program_that_hangs_is_ended() {
    let hangs = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = hangs.id();
    assert!(own_lab::ended_within(Duration::from_millis(100), hangs).is_none());
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    let mut says = Command::new("sh");
    let output = own_lab::ended(says.args(["-c", "echo out; echo err >&2; exit 3"]));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        (output.stdout, output.stderr),
        (b"out\n".to_vec(), b"err\n".to_vec())
    );
}
