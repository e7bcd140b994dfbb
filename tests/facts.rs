//! Facts: recorded answers of hosts, and the script itself in the shells of this machine.
//!
//! A case is a directory in tests/facts: `output.txt` is what the script printed on a machine, `expected.json`
//! what is to be made of it. `VMSTATION_RECORD=1 cargo test --test facts` writes the second from the first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use vmstation::facts::{Subset, parse, script, script_under};

fn json(output: &[u8], subset: &Subset) -> Json {
    let facts = parse(output, subset);
    let mut json = serde_json::to_value(vmstation::vars::Value::from(facts.facts)).unwrap();
    if !facts.notes.is_empty() {
        json["(notes)"] = facts.notes.into();
    }
    json
}

/// Runs the script as a host's shell would: program text on stdin, nothing else of ours.
fn run(shell: &[&str], script: &str) -> Vec<u8> {
    let (program, arguments) = shell.split_first().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .args(["-c", script])
        .stdin(Stdio::null())
        .env("VMSTATION_QUOTED", "it's \"$x\"\n=files\nü")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?} complains");
    output.stdout
}

fn shells() -> Vec<Vec<&'static str>> {
    let there = |program: &&str| {
        Path::new("/bin").join(program).exists() || Path::new("/usr/bin").join(program).exists()
    };
    [vec!["dash"], vec!["bash"], vec!["busybox", "sh"]]
        .into_iter()
        .filter(|shell| there(&shell[0]))
        .collect()
}

#[test]
fn recorded_hosts() {
    let mut cases: Vec<PathBuf> = fs::read_dir("tests/facts")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    for case in cases {
        let output = fs::read(case.join("output.txt")).unwrap();
        let found = json(&output, &Subset::default());
        let path = case.join("expected.json");
        if std::env::var_os("VMSTATION_RECORD").is_some() {
            fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let wanted: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(found, wanted, "{}", case.display());
    }
}

/// Facts that differ from one moment, or one shell, to the next.
const PASSING: &[&str] = &[
    "date_time",
    "loadavg",
    "uptime_seconds",
    "memfree_mb",
    "memory_mb",
    "mounts",
    "env",
    "swapfree_mb",
];

#[test]
fn every_shell_says_the_same() {
    let subset = Subset::default();
    let script = script(&subset);
    let mut answers: Vec<(Vec<&str>, Json)> = Vec::new();
    for shell in shells() {
        let mut facts = json(&run(&shell, &script), &subset);
        assert_eq!(
            facts["env"]["VMSTATION_QUOTED"], "it's \"$x\"\n=files\nü",
            "{shell:?}"
        );
        assert!(facts["date_time"]["epoch"].as_str().unwrap().len() >= 10);
        PASSING.iter().for_each(|name| facts[*name] = Json::Null);
        answers.push((shell, facts));
    }
    for pair in answers.windows(2) {
        let [(one, a), (other, b)] = pair else {
            unreachable!()
        };
        for (name, value) in a.as_object().unwrap() {
            assert_eq!(value, &b[name], "{name} in {one:?} and {other:?}");
        }
    }
}

#[test]
#[ignore = "prints the facts of this machine, for comparison with Ansible's"]
fn print() {
    let subset = Subset::default();
    let output = run(&["sh"], &script(&subset));
    println!(
        "{}",
        serde_json::to_string_pretty(&json(&output, &subset)).unwrap()
    );
}

#[test]
fn what_is_not_wanted_is_not_read() {
    let subset = Subset::new(&["!all".into(), "!min".into(), "pkg_mgr".into()], &[]).unwrap();
    let script = script_under("/", &subset);
    assert!(!script.contains("meminfo") && !script.contains("date") && !script.contains("export -p"));
    let facts = json(&run(&["sh"], &script), &subset);
    assert!(facts["pkg_mgr"].is_string() && facts["kernel"].is_null());
}

#[test]
#[ignore = "prints the script"]
fn print_script() {
    print!("{}", script(&Subset::default()));
}
