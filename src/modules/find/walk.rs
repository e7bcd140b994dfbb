//! What lies below a directory, in the order in which Ansible walks.

use std::collections::HashMap;

use super::super::files::object::{kind, kind_flags};
use crate::host::question::FileKind;
use crate::vars::{Map, Value};

/// All that was listed below one path.
pub struct Walk {
    root: Vec<u8>,
    /// Seconds since 1970 on the host.
    pub now: f64,
    listed: Vec<Entry>,
}

/// One path; its name may be any bytes.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: Vec<u8>,
    pub kind: FileKind,
    pub mode: u32,
    uid: u32,
    gid: u32,
    pub size: u64,
    inode: u64,
    device: u64,
    links: u64,
    pub accessed: f64,
    pub modified: f64,
    pub changed: f64,
    owner: String,
    group: String,
}

impl Walk {
    /// What is said of one path, and the rest. `None`: the path is no directory.
    pub fn read<'s>(path: &str, said: &'s [u8]) -> (Option<Self>, &'s [u8]) {
        let end = said.iter().position(|b| *b == b'\n').unwrap_or(said.len());
        let (now, mut rest) = said.split_at(end);
        rest = rest.get(1..).unwrap_or_default();
        let mut listed = Vec::new();
        while let Some(end) = rest.iter().position(|b| *b == 0) {
            let line;
            (line, rest) = (&rest[..end], &rest[end + 1..]);
            if line.is_empty() {
                break;
            }
            listed.extend(Entry::parse(line));
        }
        let walk = text(now).parse().ok().map(|now| Self {
            root: normal(path.as_bytes()),
            now,
            listed,
        });
        (walk, rest)
    }

    /// The entries from the top down, files before directories, and how many were looked at.
    pub fn entries(self, recurse: bool, depth: Option<i64>) -> (Vec<Entry>, usize) {
        let examined = self.listed.len();
        let depth = depth.filter(|depth| *depth != 0 && recurse);
        let mut inside: HashMap<Vec<u8>, Vec<Entry>> = HashMap::new();
        for entry in self.listed {
            inside.entry(entry.parent().to_vec()).or_default().push(entry);
        }
        let mut out = Vec::new();
        let mut ways = vec![(self.root, 1)];
        while let Some((directory, level)) = ways.pop() {
            let Some(mut entries) = inside.remove(&directory) else {
                continue;
            };
            if depth.is_some_and(|depth| level > depth) {
                continue;
            }
            // Ansible has them as the file system does, which is no order at all.
            entries.sort_by(|a, b| {
                let kind = |e: &Entry| e.kind == FileKind::Directory;
                kind(a).cmp(&kind(b)).then_with(|| a.path.cmp(&b.path))
            });
            let deeper = entries.iter().rev().map(|e| (e.path.clone(), level + 1));
            ways.extend(deeper);
            out.append(&mut entries);
        }
        (out, examined)
    }
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut parts = line.splitn(13, |b| *b == b'/');
        let mut next = || parts.next().map(text);
        let raw = u32::from_str_radix(&next()?, 16).ok()?;
        Some(Self {
            kind: kind(raw),
            mode: raw & 0o7777,
            uid: next()?.parse().ok()?,
            gid: next()?.parse().ok()?,
            size: next()?.parse().ok()?,
            inode: next()?.parse().ok()?,
            device: next()?.parse().ok()?,
            links: next()?.parse().ok()?,
            accessed: next()?.parse().ok()?,
            modified: next()?.parse().ok()?,
            changed: next()?.parse().ok()?,
            owner: next()?,
            group: next()?,
            path: normal(parts.next()?),
        })
    }

    fn parent(&self) -> &[u8] {
        match self.path.iter().rposition(|b| *b == b'/') {
            Some(0) => b"/",
            Some(at) => &self.path[..at],
            None => b".",
        }
    }

    pub fn name(&self) -> String {
        text(self.path.rsplit(|b| *b == b'/').next().unwrap_or_default())
    }

    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    pub fn values(&self) -> Map {
        let mut values = Map::new();
        values.insert("path".into(), text(&self.path).into());
        values.insert("mode".into(), format!("{:04o}", self.mode).into());
        kind_flags(self.kind, self.mode, &mut values);
        let numbers = [
            ("uid", self.uid.into()),
            ("gid", self.gid.into()),
            ("size", self.size),
            ("inode", self.inode),
            ("dev", self.device),
            ("nlink", self.links),
        ];
        for (name, number) in numbers {
            values.insert(name.into(), Value::Int(number.try_into().unwrap_or(i64::MAX)));
        }
        let times = [
            ("atime", self.accessed),
            ("mtime", self.modified),
            ("ctime", self.changed),
        ];
        for (name, time) in times {
            values.insert(name.into(), Value::Float(time));
        }
        for (key, name) in [("pw_name", &self.owner), ("gr_name", &self.group)] {
            let name = if name == "UNKNOWN" { "" } else { name };
            values.insert(key.into(), name.into());
        }
        values
    }
}

/// The path without double slashes and without one at its end.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let path = path.strip_prefix(b"./").unwrap_or(path);
    for byte in path {
        if *byte != b'/' || out.last() != Some(&b'/') {
            out.push(*byte);
        }
    }
    if out.len() > 1 && out.last() == Some(&b'/') {
        out.pop();
    }
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(lines: &[&str]) -> Walk {
        let mut stdout = b"100.5\n".to_vec();
        for (kind, path) in lines.iter().map(|l| l.split_at(1)) {
            let raw = if kind == "d" { "41ed" } else { "81a4" };
            stdout.extend_from_slice(format!("{raw}/0/0/1/2/3/1/1.5/2.5/3.5/root/root/{path}\0").as_bytes());
        }
        stdout.push(0);
        Walk::read("/w/", &stdout).0.unwrap()
    }

    fn paths(walk: Walk, recurse: bool, depth: Option<i64>) -> (Vec<String>, usize) {
        let (entries, examined) = walk.entries(recurse, depth);
        (entries.iter().map(|e| text(&e.path)).collect(), examined)
    }

    #[test]
    fn walks_from_the_top() {
        let lines = ["d/w//d", "f/w//d/x", "d/w//d/e", "f/w//d/e/y", "f/w//a"];
        assert_eq!(
            paths(walk(&lines), true, None).0,
            ["/w/a", "/w/d", "/w/d/x", "/w/d/e", "/w/d/e/y"]
        );
        let (found, examined) = paths(walk(&lines), true, Some(1));
        assert_eq!(
            (found.as_slice(), examined),
            (["/w/a".to_string(), "/w/d".into()].as_slice(), 5)
        );
    }

    #[test]
    fn what_is_no_directory_is_nothing() {
        assert!(Walk::read("/w", b"").0.is_none());
        let (walk, rest) = Walk::read("/w", b"-\n\x00100.5\n\0");
        assert!(walk.is_none());
        assert!(Walk::read("/x", rest).0.is_some());
    }
}
