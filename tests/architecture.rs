//! The rooms of `src/lib.rs` as a rule: a room uses lower rooms only, and what a reader may expect of names and
//! sizes holds everywhere.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file longer than this is two things, or somebody has said here why not.
const LONGEST: usize = 800;

/// Files that may be longer, how long, and why.
const ARGUED: &[(&str, usize, &str)] = &[];

/// Names that two rooms give to two things, and why each is right where it is. The rooms `modules` is left out
/// of this: its types carry Ansible's names, and nobody outside sees them.
const TWICE: &[(&str, &str)] = &[
    (
        "Task",
        "playbook: as written; host: what a module may know of the task it works for",
    ),
    (
        "Local",
        "transport: this machine as a target; host: a request to this machine",
    ),
    ("Host", "host: what a module talks to; lab: a machine of the lab"),
    ("Template", "vars: text with braces; the module is Ansible's"),
];

struct File {
    /// From the project's directory: `src/run/world.rs`.
    path: String,
    text: String,
}

impl File {
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap();
        inside.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn is_room(&self) -> bool {
        !matches!(self.path.as_str(), "src/lib.rs" | "src/main.rs")
    }
}

fn files_under(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(read(root, &path));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn read(root: &Path, path: &PathBuf) -> File {
    File {
        path: path.strip_prefix(root).unwrap().display().to_string(),
        text: std::fs::read_to_string(path).unwrap(),
    }
}

/// The picture in the module comment of `src/lib.rs`: each room with its floor.
fn picture() -> BTreeMap<String, u32> {
    let lib = include_str!("../src/lib.rs");
    let mut rooms = BTreeMap::new();
    for line in lib.lines().filter_map(|l| l.strip_prefix("//! ")) {
        let mut words = line.split_whitespace();
        let Some(floor) = words.next().and_then(|w| w.parse().ok()) else {
            continue;
        };
        rooms.extend(words.map(|room| (room.to_string(), floor)));
    }
    assert!(rooms.len() > 5, "the picture in src/lib.rs cannot be read");
    rooms
}

/// Code without its comments.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that a file names: `crate::room`, and `use crate::{room, …}`.
fn uses(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            found.extend(heads(list));
        } else {
            found.insert(word(after));
        }
    }
    found
}

/// The first word of each part of `a::B, c::{D, E}};…`.
fn heads(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![String::new()];
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(String::new()),
            c if depth == 0 => heads.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    heads
        .iter()
        .map(|h| word(h.trim()))
        .filter(|h| !h.is_empty())
        .collect()
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn arrows_go_down() {
    let floors = picture();
    let mut wrong = Vec::new();
    for file in files_under("src").iter().filter(|f| f.is_room()) {
        let room = file.room();
        let Some(floor) = floors.get(room) else {
            wrong.push(format!(
                "{}: the room `{room}` is not in the picture of src/lib.rs",
                file.path
            ));
            continue;
        };
        for other in uses(&file.text).iter().filter(|o| *o != room) {
            match floors.get(other) {
                Some(below) if below < floor => {}
                Some(_) => wrong.push(format!(
                    "{}: `{room}` uses `{other}`, which is not below it",
                    file.path
                )),
                None => wrong.push(format!("{}: `crate::{other}` is no room", file.path)),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_of_the_picture_is_there() {
    let files = files_under("src");
    let there: BTreeSet<&str> = files.iter().filter(|f| f.is_room()).map(File::room).collect();
    let painted = picture();
    let painted: BTreeSet<&str> = painted.keys().map(String::as_str).collect();
    assert_eq!(there, painted);
}

#[test]
fn imports_are_found() {
    let found = uses(
        "use crate::{run::{Event, Sink}, vars};\nlet x = crate::source::reason(&e); // crate::lab\n// crate::cli",
    );
    let expected = ["lab", "run", "source", "vars"].map(String::from);
    // A comment behind code counts: better one name too many.
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn every_module_is_registered() {
    for file in files_under("src/modules") {
        if !file.text.contains("impl Module for ") {
            continue;
        }
        let line = file
            .text
            .lines()
            .find(|l| l.contains("const NAME: &'static str = "))
            .unwrap();
        let name = line.split('"').nth(1).unwrap();
        let entry = vmstation::modules::find(name);
        assert_eq!(
            entry.map(|e| e.name),
            Some(name),
            "{}: not in modules::ALL",
            file.path
        );
        assert!(
            file.path == format!("src/modules/{name}.rs")
                || file.path == format!("src/modules/{name}/mod.rs"),
            "{}: the module `{name}` is looked for under its own name",
            file.path
        );
    }
}

#[test]
fn a_name_means_one_thing() {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files_under("src")
        .iter()
        .filter(|f| f.is_room() && f.room() != "modules")
    {
        for line in file.text.lines() {
            let Some(name) = line
                .strip_prefix("pub struct ")
                .or_else(|| line.strip_prefix("pub enum "))
            else {
                continue;
            };
            rooms
                .entry(word(name))
                .or_default()
                .insert(file.room().to_string());
        }
    }
    let twice: Vec<_> = rooms
        .iter()
        .filter(|(name, rooms)| rooms.len() > 1 && !TWICE.iter().any(|(n, _)| n == name))
        .collect();
    assert!(twice.is_empty(), "one name for two things: {twice:?}");
}

#[test]
fn names_say_what_a_file_is_for() {
    for file in files_under("src").iter().chain(&files_under("tests")) {
        for vague in ["util", "helper", "manager", "common", "misc"] {
            let named = file
                .path
                .split(['/', '_', '.'])
                .any(|part| part.starts_with(vague));
            // Ansible's fact of that name.
            let ansible = file.path == "src/facts/managers.rs";
            assert!(
                !named || ansible,
                "{}: `{vague}` is no name for a thing",
                file.path
            );
        }
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for folder in ["src", "tests", "benches"] {
        for file in files_under(folder) {
            assert!(
                file.text.starts_with("//! "),
                "{}: no `//!` at the top",
                file.path
            );
        }
    }
}

#[test]
fn lints_are_expected_with_a_reason_or_obeyed() {
    // Put together, or this file would be found.
    let allow = ["#", "[allow("].concat();
    let inner = ["#!", "[allow("].concat();
    for folder in ["src", "tests", "benches"] {
        for file in files_under(folder) {
            assert!(
                !file.text.contains(&allow) && !file.text.contains(&inner),
                "{}: `#[expect(…, reason = …)]` says why, and when it is over",
                file.path
            );
        }
    }
}

#[test]
fn files_are_one_thing_each() {
    let mut wrong = Vec::new();
    for file in files_under("src") {
        let lines = file.text.lines().count();
        let argued = ARGUED.iter().find(|(path, ..)| *path == file.path);
        match argued {
            Some((_, most, why)) if lines > *most => wrong.push(format!(
                "{}: {lines} lines, more than argued for: {why}",
                file.path
            )),
            Some(_) if lines <= LONGEST => {
                wrong.push(format!("{}: short again; take it out of ARGUED", file.path));
            }
            None if lines > LONGEST => {
                wrong.push(format!("{}: {lines} lines, and nobody has said why", file.path));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
