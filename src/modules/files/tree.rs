//! Attributes of everything below a directory: `file` with `recurse`.
//!
//! A walk over a tree is no question to be asked early; it waits for the task's turn.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::attributes::{Present, Setting, Wanted};
use super::object::kind;
use super::times::Known;
use crate::host::question::FileKind;
use crate::host::{Change, Halt, Host, Script, quote};

/// Something in the tree; its name may be any bytes.
struct Entry {
    path: Vec<u8>,
    present: Present,
}

/// Paths by the command line that is to be run on them.
type Lines = IndexMap<String, Vec<u8>>;

/// Sets mode, owner, group and times of what is below the directory, where they differ.
///
/// With `follow`, links are followed too, also out of the tree: that is Ansible's meaning.
pub async fn adjust(
    host: &Host,
    directory: &str,
    wanted: &Wanted,
    times: &Known,
    follow: bool,
) -> Result<(), Halt> {
    if wanted.mode.is_none() && wanted.uid.is_none() && wanted.gid.is_none() && times.preserve() {
        return Ok(());
    }
    let listed = host
        .ask_now(Script::new("look through the tree", list(directory, follow)))
        .await?;
    let mut lines = Lines::new();
    let mut count = 0;
    let mut change = Change::new(String::new());
    for entry in listed.stdout.split(|b| *b == 0).filter_map(Entry::parse) {
        let differs = entry.differs(wanted, times, follow, &mut lines);
        let Some(setting) = differs else { continue };
        count += 1;
        let (before, after) = Wanted::difference(entry.present, setting);
        change = change.difference(String::from_utf8_lossy(&entry.path), before, after);
    }
    if count == 0 {
        return Ok(());
    }
    change.what = format!("set the attributes of {count} paths below {directory}");
    let script = Script::new(change.what.clone(), script(&lines));
    host.change_ok(change, script).await?;
    Ok(())
}

/// Everything below, NUL after each; with `follow` links as what they lead to, and after that as themselves.
fn list(directory: &str, follow: bool) -> String {
    let directory = quote(directory);
    let each = |find: &str, test: &str, stat: &str| {
        format!(
            "find {find} {directory} -mindepth 1 {test} -print0 | xargs -0r stat {stat} --printf '%f/%u/%g/%.9X/%.9Y/%n\\0' --\n"
        )
    };
    if follow {
        format!("{}{}", each("-L", "! -type l", "-L"), each("", "-type l", ""))
    } else {
        each("", "", "")
    }
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut parts = line.splitn(6, |b| *b == b'/');
        let mut number = || std::str::from_utf8(parts.next()?).ok();
        let raw = u32::from_str_radix(number()?, 16).ok()?;
        let present = Present {
            kind: kind(raw),
            mode: raw & 0o7777,
            uid: number()?.parse().ok()?,
            gid: number()?.parse().ok()?,
            accessed: number()?.parse().ok()?,
            modified: number()?.parse().ok()?,
        };
        Some(Self {
            path: parts.next()?.to_vec(),
            present,
        })
    }

    /// Adds the path to the command lines that set what differs.
    fn differs(&self, wanted: &Wanted, times: &Known, follow: bool, lines: &mut Lines) -> Option<Setting> {
        let setting = wanted.setting(self.present);
        let follow = follow && self.present.kind != FileKind::Link;
        let mut text = setting.map(|s| s.script("", follow)).unwrap_or_default();
        if self.present.kind != FileKind::Link {
            text.push_str(&times.script(Some(self.present), ""));
        }
        for line in text.lines() {
            let command = line.trim_end_matches(" || exit 1").trim_end().to_string();
            let paths = lines.entry(command).or_default();
            paths.extend_from_slice(&self.path);
            paths.push(0);
        }
        (!text.is_empty()).then(|| setting.unwrap_or_default())
    }
}

/// One `xargs` per command line. The paths are in the text, which no shell begins before it has read its end: of a
/// list that is cut off, the last path would be another one.
fn script(lines: &Lines) -> String {
    // Owners first: a new owner takes set-id bits away.
    let mut sorted: Vec<_> = lines.iter().collect();
    sorted.sort_by_key(|(command, _)| !command.starts_with("chown"));
    let mut text = String::new();
    for (command, paths) in sorted {
        let _ = writeln!(text, "printf {} | xargs -0r {command} || exit 1", printed(paths));
    }
    text
}

/// Any bytes, as a quoted format of `printf`.
fn printed(bytes: &[u8]) -> String {
    let mut format = String::from("'");
    for byte in bytes {
        match byte {
            b'%' => format.push_str("%%"),
            b' '..=b'~' if !b"'\\".contains(byte) => format.push(char::from(*byte)),
            other => {
                let _ = write!(format, "\\{other:03o}");
            }
        }
    }
    format.push('\'');
    format
}

#[cfg(test)]
mod tests {
    use super::super::mode::Mode;
    use super::*;

    #[test]
    fn paths_are_gathered_by_command() {
        let wanted = Wanted {
            mode: Some(Mode::read(&"u=rwX".into()).unwrap()),
            uid: Some(5),
            ..Wanted::default()
        };
        let mut lines = Lines::new();
        for entry in [
            "81a4/0/0/1.5/2.5//w/a b",
            "41ed/5/0/1/1//w/d",
            "a1ff/0/0/1/1//w/l",
        ] {
            let entry = Entry::parse(entry.as_bytes()).unwrap();
            entry.differs(&wanted, &Known::preserving(), false, &mut lines);
        }
        assert_eq!(
            script(&lines),
            "printf '/w/a b\\000/w/l\\000' | xargs -0r chown -h 5 -- || exit 1\n"
        );
    }
}
