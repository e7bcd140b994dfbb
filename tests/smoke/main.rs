//! The nodes' playbooks on virtual machines, each with a kernel of its own: what a container cannot show.
//!
//! `cargo test --test smoke -- --ignored --nocapture`, as root (`make smoke` does all of it, from the tools on). One run
//! of many stages, because to boot takes its time; docs/smoke.md has the table of what they show. What the runs
//! said is kept in `target/smoke` (`VMSTATION_SMOKE_DIR`): events, logs, `JUnit` files, the machines' consoles.
//! `VMSTATION_SMOKE_LAB` names virtual machines that are up already; they are used as they are, and left up.
//! `VMSTATION_SMOKE_STAGE` plays the stages whose names hold that text.

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

use std::fs;
use std::path::{Path, PathBuf};

use interruptions::{cable_is_pulled, cable_stays_out, sshd_is_killed};
use lab::Lab;
use machines::{all_are_fresh, boot, left, one_is_gone};
use record::Record;
use restarts::{no_restart, no_return};

/// A Debian node, for what is shown on one.
const ONE: &str = "storagenodet3500";
const RHEL: &str = "homelab";

/// One thing that is shown.
type Stage = (&'static str, fn(&Lab));

const STAGES: &[Stage] = &[
    ("preflight names what deploy will mend", nodes::preflight),
    ("swap is on before", nodes::swap_is_on),
    ("deploy prepares the nodes", nodes::deploy),
    ("a second deploy changes nothing", nodes::deploy_again),
    ("modules are loaded, and listed for the next boot", nodes::modules),
    ("swap is off", nodes::swap_is_off),
    ("settings of all kinds", nodes::settings),
    (
        "the file that wins is found and mended",
        nodes::the_file_that_wins,
    ),
    ("what IPVS holds is taken away", nodes::ipvs),
    ("a playbook restarts all nodes", restarts::reboot),
    ("after it deploy changes nothing", nodes::deploy_after_reboot),
    (
        "modules, settings and swap are so after the boot",
        nodes::all_of_it_again,
    ),
    (
        "a module that the kernel lacks is named",
        nodes::a_module_is_missing,
    ),
    ("a node that does not restart is an error in time", no_restart),
    ("a node that does not come back is an error in time", no_return),
    ("sshd killed in the middle of a task", sshd_is_killed),
    (
        "the cable pulled in the middle of a task, and put back",
        cable_is_pulled,
    ),
    ("the cable pulled for good", cable_stays_out),
    ("reset takes it back, once", nodes::reset),
    ("a machine that is gone is told", one_is_gone),
    ("reset of the lab makes fresh ones of all", all_are_fresh),
];

/// docs/smoke.md says of each what is real in it.
#[test]
fn every_stage_is_in_the_table() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/smoke.md")).unwrap();
    for (name, _) in STAGES {
        assert!(page.contains(&format!("\n| {name} | ")), "{name}");
    }
}

#[test]
#[ignore = "boots three virtual machines; needs root and QEMU: make smoke"]
fn nodes_with_kernels_of_their_own() {
    let artefacts = std::env::var_os("VMSTATION_SMOKE_DIR").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../smoke"),
        PathBuf::from,
    );
    fs::create_dir_all(&artefacts).unwrap();
    let lab = Lab::new(
        std::env::var("VMSTATION_SMOKE_LAB").ok(),
        fs::canonicalize(artefacts).unwrap(),
    );
    let wanted = std::env::var("VMSTATION_SMOKE_STAGE").unwrap_or_default();
    let mut record = Record::default();
    let booted = !lab.is_ours || record.play("the machines boot", || boot(&lab));
    for (name, stage) in STAGES.iter().filter(|(name, _)| name.contains(&wanted)) {
        if booted {
            record.play(name, || stage(&lab));
        }
    }
    lab.keep_consoles("");
    fs::write(lab.artefacts.join("smoke.xml"), record.junit()).unwrap();
    fs::write(lab.artefacts.join("stages.md"), record.table()).unwrap();
    let failed = record.failed();
    let (name, is_ours) = (lab.name.clone(), lab.is_ours);
    drop(lab);
    if is_ours {
        assert_eq!(left(&name), Vec::<String>::new());
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}
