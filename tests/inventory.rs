//! Inventories and ansible.cfg as Ansible reads them: every case under `tests/inventory/cases` is compared
//! with what Ansible itself made of it (`tests/inventory/record.sh`); every file under
//! `tests/inventory/errors` with the sentence that a person sees.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use vmstation::inventory::{Inventory, Loaded};

fn directories(of: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/inventory")
        .join(of);
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.sort();
    found
}

fn read_json(path: &Path) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn sources(case: &Json) -> Vec<String> {
    let sources = case["sources"].as_array().unwrap();
    sources.iter().map(|s| s.as_str().unwrap().to_string()).collect()
}

/// What we make of a case, in the shape of `expected.json`.
fn ours(directory: &Path) -> Json {
    let case = read_json(&directory.join("case.json"));
    let Loaded { inventory, .. } = Inventory::load(&sources(&case), directory).unwrap();
    let play = case["playbook_dir"].as_str().map(|p| directory.join(p));
    let mut names: Vec<String> = inventory.groups()["all"]
        .iter()
        .map(ToString::to_string)
        .collect();
    names.push("localhost".to_string());
    let host = |name: &String| (name.clone(), host(&inventory, name, play.as_deref(), directory));
    let select = |p: &Json| json!([p[0], p[1], select(&inventory, p, directory)]);
    json!({
        "hosts": inventory.hosts(),
        "groups": inventory.groups(),
        "group_order": inventory.groups().keys().collect::<Vec<_>>(),
        "select": case["patterns"].as_array().map_or(Vec::new(), |p| p.iter().map(select).collect()),
        "host": names.iter().map(host).collect::<serde_json::Map<_, _>>(),
    })
}

fn host(inventory: &Inventory, name: &str, play: Option<&Path>, directory: &Path) -> Json {
    let name = inventory.resolve(name).unwrap();
    let below = |p: &Path| p.strip_prefix(directory).unwrap_or(p).display().to_string();
    let from_here = |p: &Path| Some(below(p)).map(|p| if p.is_empty() { ".".to_string() } else { p });
    json!({
        "vars": inventory.vars(&name, play).unwrap().iter().map(|(k, v)| (k.to_string(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "group_names": inventory.group_names(&name),
        "inventory_file": inventory.source_file(&name).and_then(from_here),
        "inventory_dir": inventory.source_dir(&name).and_then(from_here),
    })
}

fn select(inventory: &Inventory, case: &Json, directory: &Path) -> Json {
    let limit = case[1]
        .as_str()
        .map(|l| l.replace('@', &format!("@{}/", directory.display())));
    match inventory.select(case[0].as_str().unwrap(), limit.as_deref()) {
        Ok((hosts, _)) => json!(hosts),
        Err(_) => json!("error"),
    }
}

/// The places where two values differ, as `path: ours, Ansible's`.
fn differences(path: &str, ours: &Json, theirs: &Json, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Json::Object(a), Json::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let (a, b) = (a.get(key), b.get(key));
                let missing = json!("(missing)");
                differences(
                    &format!("{path}.{key}"),
                    a.unwrap_or(&missing),
                    b.unwrap_or(&missing),
                    out,
                );
            }
        }
        (Json::Array(a), Json::Array(b)) if path.ends_with(".select") => {
            for (a, b) in a.iter().zip(b) {
                differences(&format!("{path} {} limit {}", b[0], b[1]), &a[2], &b[2], out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: ours {ours}, Ansible's {theirs}")),
    }
}

#[test]
fn every_case_is_read_as_ansible_reads_it() {
    let mut wrong = Vec::new();
    for directory in directories("cases") {
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let theirs = read_json(&directory.join("expected.json"));
        differences(&name, &ours(&directory), &theirs, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
