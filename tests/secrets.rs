//! Nothing secret is shown or kept: a playbook that tries to leak a canary in every way, under every loudness, and
//! a search for the canary in all its forms through all that was said and all that stays in `.vmstation`.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const PLAYBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/secrets/leaks.yml");

/// Every kind of character that anything escapes.
const CANARY: &str = "kanári'\"$&\\ vogel+/42";
const PASSWORD: &str = "sparrow-password-17";
/// The beginning of a secret that is too long for a line of a report.
const LONG: &str = "long-tailed finch";

/// Forms of a text, written down here apart from the program's own list.
fn forms(text: &str) -> Vec<String> {
    let base64 = |text: &str| {
        let mut bits = String::new();
        for byte in text.bytes() {
            write!(bits, "{byte:08b}").unwrap();
        }
        let alphabet: Vec<char> = ('A'..='Z')
            .chain('a'..='z')
            .chain('0'..='9')
            .chain(['+', '/'])
            .collect();
        let whole = bits.len() / 6 * 6;
        let digits = (0..whole).step_by(6);
        digits
            .map(|i| alphabet[usize::from_str_radix(&bits[i..i + 6], 2).unwrap()])
            .collect::<String>()
    };
    let url = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() {
                out.push(char::from(byte));
            } else {
                write!(out, "%{byte:02X}").unwrap();
            }
        }
        out
    };
    vec![
        text.to_string(),
        serde_json::to_string(text).unwrap().trim_matches('"').to_string(),
        base64(text),
        base64(&format!("user:{text}"))[8..].to_string(),
        url(text),
        url(text).replace("%20", "+"),
        text.replace('\'', r"'\''"),
        text.replace('\'', "'\"'\"'"),
        // Pieces that no escaping touches: they show a form that nobody thought of.
        if text == CANARY {
            "vogel".to_string()
        } else {
            "sparrow".to_string()
        },
        base64(" vogel")[2..].to_string(),
    ]
}

struct Ran {
    said: String,
    kept: String,
    directory: tempfile::TempDir,
}

fn run(arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    std::fs::write(home.join("canary"), CANARY).unwrap();
    std::fs::write(home.join("long"), format!("{LONG}{}", " and so on".repeat(30))).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .current_dir(home)
        .env("ANSIBLE_CONFIG", "/dev/null")
        .env("PASSWORD_CANARY", PASSWORD)
        .args(["run", "-i", "one,", "-e", "ansible_connection=local"])
        .args(["-e", &format!("w={}", home.display())])
        .args(arguments)
        .arg(PLAYBOOK)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let mut kept = String::new();
    read_all(&home.join(".vmstation"), &mut kept);
    Ran {
        said: String::from_utf8_lossy(&said).into_owned(),
        kept,
        directory,
    }
}

/// Every file below a directory, and nobody else may read any.
fn read_all(directory: &Path, into: &mut String) {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory), 0o700, "{}", directory.display());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            read_all(&path, into);
            continue;
        }
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        into.push_str(&std::fs::read_to_string(path).unwrap());
    }
}

fn leaks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let all = [CANARY, PASSWORD].into_iter().flat_map(forms);
    for form in all.chain([LONG.to_owned()]) {
        let lines = text.lines().filter(|l| l.contains(&form));
        found.extend(lines.map(|l| {
            let (before, after) = l.split_once(&form).unwrap();
            let skipped = before.chars().count().saturating_sub(300);
            let before: String = before.chars().skip(skipped).collect();
            let after: String = after.chars().take(200).collect();
            format!("{form}: …{before}{form}{after}…")
        }));
    }
    found
}

const WAYS: &[&[&str]] = &[
    &[],
    &["-v"],
    &["-vvv", "--diff", "--trips"],
    &["--json", "--diff"],
    &["-q"],
    &["--check", "--diff", "-vv"],
    &["--no-run-ahead", "-vvv", "--diff", "--trips"],
];

#[test]
fn a_secret_is_nowhere_to_be_seen() {
    for way in WAYS {
        let ran = run(way);
        for (what, text) in [("said", &ran.said), ("kept", &ran.kept)] {
            let found = leaks(text);
            assert!(found.is_empty(), "{way:?}: {what}:\n{}", found.join("\n"));
            assert!(
                way.contains(&"-q") || text.contains("********"),
                "{way:?}: {what}:\n{text}"
            );
        }
        // What goes to hosts is whole.
        let dry = way.contains(&"--check");
        let templated = std::fs::read_to_string(ran.directory.path().join("templated"));
        assert_eq!(templated.is_ok(), !dry, "{way:?}\n{}", ran.said);
        if let Ok(text) = templated {
            assert!(text.starts_with(&format!("the password is {CANARY}\n")), "{text}");
        }
    }
}

/// A password that was typed is masked also where something else says it.
#[test]
fn a_typed_password_is_masked() {
    let directory = tempfile::tempdir().unwrap();
    let playbook = "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: \"x {{ lookup('env', 'IT') }} y\"}\n";
    std::fs::write(directory.path().join("p.yml"), playbook).unwrap();
    std::fs::write(directory.path().join("typed"), format!("{PASSWORD}\n")).unwrap();
    let run = |option: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
            .current_dir(directory.path())
            .env("ANSIBLE_CONFIG", "/dev/null")
            .env("IT", PASSWORD)
            .args(["run", "-i", "one,", "-e", "ansible_connection=local", "p.yml"])
            .args(option)
            .stdin(std::fs::File::open(directory.path().join("typed")).unwrap())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for option in ["-K", "-k"] {
        let said = run(&[option]);
        assert!(said.contains("x ******** y"), "{option}: {said}");
        assert!(leaks(&said).is_empty(), "{option}: {said}");
    }
    assert!(!leaks(&run(&[])).is_empty());
}

/// All of the playbook ran, so that each way to leak was tried.
#[test]
fn every_way_to_leak_is_tried() {
    let ran = run(&["-v"]);
    let text = std::fs::read_to_string(PLAYBOOK).unwrap();
    let names = text.lines().filter_map(|l| l.strip_prefix("    - name: "));
    for name in names.filter(|n| !n.contains("{{") && *n != "rescued") {
        assert!(ran.kept.contains(name), "`{name}` did not run:\n{}", ran.said);
    }
}

/// The search finds what it looks for.
#[test]
fn a_leak_is_found() {
    for form in forms(CANARY).iter().chain(&forms(PASSWORD)) {
        assert!(!leaks(&format!("a line\nwith {form} in it")).is_empty(), "{form}");
    }
    assert!(leaks("a line").is_empty());
}
