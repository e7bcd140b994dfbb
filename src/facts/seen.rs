//! What the script printed, taken apart: sections, files, links.
//!
//! Nothing here trusts the bytes: a section that is missing is empty, a line that does not parse is passed over.

use std::collections::{HashMap, HashSet};

/// The script's output by kind.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sections: HashMap<String, Vec<String>>,
    /// By path without the leading `/`.
    files: HashMap<String, Vec<String>>,
    paths: HashSet<String>,
    links: HashMap<String, String>,
    pub(super) environment: Vec<(String, String)>,
    complete: bool,
}

impl Seen {
    pub(super) fn read(output: &[u8]) -> Self {
        let text = String::from_utf8_lossy(output);
        let mut seen = Self::default();
        let (environment, rest) = match text.split_once("=env\n") {
            Some((_, after)) => super::account::exports(after),
            None => (Vec::new(), &*text),
        };
        seen.environment = environment;
        let mut section = String::new();
        for line in rest.lines() {
            match line.strip_prefix('=') {
                Some(name) => section = name.to_string(),
                None => seen
                    .sections
                    .entry(section.clone())
                    .or_default()
                    .push(line.to_string()),
            }
        }
        seen.complete = section == "end";
        seen.sort_out();
        seen
    }

    fn sort_out(&mut self) {
        for line in self.sections.remove("files").unwrap_or_default() {
            if let Some((path, content)) = line.split_once(':') {
                self.files
                    .entry(path.to_string())
                    .or_default()
                    .push(content.to_string());
            }
        }
        self.paths = self
            .sections
            .remove("exists")
            .unwrap_or_default()
            .into_iter()
            .collect();
        let links = self.sections.get("links").map(Vec::as_slice).unwrap_or_default();
        self.links = links.iter().filter_map(|line| link(line)).collect();
    }

    pub(super) fn section(&self, name: &str) -> &[String] {
        self.sections.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first line of a section.
    pub(super) fn line(&self, section: &str) -> &str {
        self.section(section)
            .first()
            .map(String::as_str)
            .unwrap_or_default()
    }

    pub(super) fn lines(&self, path: &str) -> &[String] {
        self.files.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// A file's content without blanks around it; `None` if there is none.
    pub(super) fn content(&self, path: &str) -> Option<String> {
        let text = self.lines(path).join("\n");
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_string())
    }

    /// The value of `KEY=value` in a file of such lines, without its quotes.
    pub(super) fn assigned(&self, path: &str, key: &str) -> Option<String> {
        let lines = self.lines(path).iter();
        let value = lines
            .filter_map(|line| line.trim().split_once('='))
            .find(|(name, _)| name.trim() == key)?
            .1;
        Some(unquoted(value.trim()))
    }

    /// Paths of the files shown that begin so.
    pub(super) fn files_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .keys()
            .map(String::as_str)
            .filter(move |path| path.starts_with(prefix))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.paths.contains(path) || self.files.contains_key(path)
    }

    pub(super) fn program(&self, name: &str) -> bool {
        self.section("programs")
            .iter()
            .any(|path| path.rsplit('/').next() == Some(name))
    }

    /// Where a symbolic link points.
    pub(super) fn link(&self, path: &str) -> Option<&str> {
        self.links.get(path).map(String::as_str)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (&str, &str)> {
        self.links
            .iter()
            .map(|(path, target)| (path.as_str(), target.as_str()))
    }

    /// The inode number that `ls` printed for a path.
    pub(super) fn inode(&self, path: &str) -> Option<u64> {
        let line = self
            .section("links")
            .iter()
            .find(|line| line.rsplit(' ').next() == Some(path))?;
        line.split_whitespace().next()?.parse().ok()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.section("notes").to_vec();
        if !self.complete {
            notes.push("the host's answer broke off: some facts are missing".to_string());
        }
        notes
    }
}

/// A line of `ls -ldi` for a symbolic link.
fn link(line: &str) -> Option<(String, String)> {
    let (before, target) = line.split_once(" -> ")?;
    // Inode, mode, links, owner, group, size, month, day, time; then the path.
    let mut rest = before.trim_start();
    for _ in 0..9 {
        rest = rest.split_once(' ')?.1.trim_start();
    }
    Some((rest.to_string(), target.to_string()))
}

/// Without the quotes around it, and the backslashes that stand before quotes in them.
pub(super) fn unquoted(text: &str) -> String {
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    match inner {
        Some(inner) => inner
            .replace("\\\"", "\"")
            .replace("\\$", "$")
            .replace("\\`", "`")
            .replace("\\\\", "\\"),
        None => text.to_string(),
    }
}
