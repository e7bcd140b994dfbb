//! `scripts/smoke.sh`, with a stand-in for cargo: what it removes, and what it leaves when somebody stops it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::own_lab::end_within;

/// Is the program that it builds, too: makes what a lab of that name would have left, says who it is, and does not end.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
*--message-format*) printf '{"target":{"name":"smoke"},"executable":"%s"}\n' "$0"; exit ;;
*--nocapture*) ;;
*) exit ;;
esac
host=/run/vmstation/$VMSTATION_SMOKE_NAME/hosts/one
mkdir -p "$host"
echo 'last words' >"$host/console.log"
echo 'of QEMU' >"$host/qemu.log"
until [ -s "$VMSTATION_SMOKE_DIR/beside" ]; do sleep 0.1; done
echo "$VMSTATION_SMOKE_NAME $$ $(cat "$VMSTATION_SMOKE_DIR/beside")" >"$VMSTATION_SMOKE_DIR/began.part"
rm "$VMSTATION_SMOKE_DIR/beside"
mv "$VMSTATION_SMOKE_DIR/began.part" "$VMSTATION_SMOKE_DIR/began"
sleep 300
"#;

/// What is to run beside it.
const MEANWHILE: &str = r#"echo building; echo $$ >"$KEPT/beside"; sleep 300; true"#;

/// Is the program, too, and ends well at once.
const GOOD_CARGO: &str = r#"#!/bin/sh
case "$*" in *--message-format*) printf '{"target":{"name":"smoke"},"executable":"%s"}\n' "$0" ;; esac
"#;

#[test]
fn what_runs_beside_has_the_last_word() {
    if !may_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    stand_in(folder.path(), GOOD_CARGO);
    for (end, code) in [("true", 0), ("exit 3", 3)] {
        let mut script = script(folder.path(), folder.path());
        let beside = format!("echo ${{VMSTATION_SMOKE_NAME-nameless}}; {end}");
        let ran = script.env("VMSTATION_SMOKE_MEANWHILE", beside).output().unwrap();
        assert_eq!(ran.status.code(), Some(code));
        let said = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(said.lines().last(), Some("nameless"), "{said}");
    }
}

/// The script installs what it needs, which not everybody wants of a test.
fn may_run() -> bool {
    let may = std::env::var_os("VMSTATION_LAB").is_some_and(|value| value == "1");
    if !may {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: set VMSTATION_LAB=1 to start the smoke run's script (needs root)"
        );
    }
    may
}

fn stand_in(folder: &Path, text: &str) {
    let cargo = folder.join("cargo");
    fs::write(&cargo, text).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
}

/// With a stand-in for cargo in `folder`.
fn script(folder: &Path, kept: &Path) -> Command {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    // Where the test itself runs in the background, it would not hear of Ctrl-C.
    let mut script = Command::new("env");
    script
        .args(["--default-signal=INT", "sh", "scripts/smoke.sh"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .env("VMSTATION_SMOKE_DIR", kept);
    script
}

#[test]
fn whoever_stops_it_is_left_with_the_record_and_no_machines() {
    if !may_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    stand_in(folder.path(), CARGO);
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for name in [
        "mine.txt",
        "notes.log",
        "deploy.jsonl",
        "deploy.log",
        "deploy.xml",
        "console-old.log",
    ] {
        fs::write(kept.join(name), name).unwrap();
    }
    for (signal, number) in [("TERM", 143), ("INT", 130)] {
        stopped_by(signal, number, folder.path(), &kept);
        // Of the run before nothing is left, and of somebody else's all.
        let mut left: Vec<_> = fs::read_dir(&kept)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "console-one.log",
                "meanwhile.log",
                "mine.txt",
                "notes.log",
                "qemu-one.log",
                "times.txt"
            ]
        );
        let console = fs::read_to_string(kept.join("console-one.log")).unwrap();
        assert_eq!(console, "last words\n");
        assert_eq!(
            fs::read_to_string(kept.join("meanwhile.log")).unwrap(),
            "building\n"
        );
    }
}

fn stopped_by(signal: &str, number: i32, cargo: &Path, kept: &Path) {
    let script = script(cargo, kept)
        .env("VMSTATION_SMOKE_MEANWHILE", MEANWHILE)
        .env("KEPT", kept)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = kept.join("began");
    let end = Instant::now() + Duration::from_secs(60);
    while !began.exists() {
        assert!(Instant::now() < end, "it does not come to the stages");
        sleep(Duration::from_millis(50));
    }
    let text = fs::read_to_string(&began).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, pid, beside] = words[..] else {
        panic!("{text}")
    };
    fs::remove_file(&began).unwrap();
    let killed = Command::new("kill")
        .args([&format!("-{signal}"), &script.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = end_within(Duration::from_secs(60), script).status;
    assert_eq!(status.code(), Some(number), "{:?}", status.signal());
    let state = format!("/run/vmstation/{name}");
    for pid in [pid, beside] {
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap(), "it runs on");
    }
    assert!(!fs::exists(&state).unwrap() && !fs::exists(format!("{state}.lock")).unwrap());
}
