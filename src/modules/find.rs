//! `find`: finds files below directories, by name, age, size, mode or content.
//!
//! ```yaml
//! - find:
//!     paths: /var/log
//!     patterns: '*.log,*.gz'
//!     age: 4w
//!     size: 1m
//!     recurse: true
//!   register: logs
//! - find:
//!     paths: [/etc/cni/net.d, /etc/kubernetes]
//!     file_type: any
//!     hidden: true
//!     excludes: ['^\..*\.swp$']
//!     use_regex: true
//! ```
//!
//! Looks into trees, into large directories and into much text at the task's turn, never ahead of it. Needs GNU
//! find, stat and, for `contains`, grep on the host.
//!
//! Returns `files` (each with `path` and what `stat` returns), `matched`, `examined`, `skipped_paths` and `msg`.
//! Refused: an `encoding` other than utf-8 and ascii.

mod filter;
mod walk;

use std::collections::HashSet;

use serde::Deserialize;

use self::filter::Filter;
use self::walk::{Entry, Walk};
use super::Module;
use super::files::mode::Mode;
use super::files::object::refused;
use super::files::path::expand;
use crate::host::question::Look;
use crate::host::{Halt, Host, Outcome, Output, Script, fail, quote};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Find {
    #[serde(alias = "name", alias = "path")]
    paths: Vec<String>,
    #[serde(default, alias = "pattern")]
    patterns: Vec<String>,
    #[serde(default, alias = "exclude")]
    excludes: Vec<String>,
    contains: Option<String>,
    #[serde(default)]
    read_whole_file: bool,
    #[serde(default)]
    file_type: FileType,
    age: Option<String>,
    #[serde(default)]
    age_stamp: Stamp,
    size: Option<String>,
    #[serde(default)]
    recurse: bool,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    get_checksum: bool,
    #[serde(default)]
    use_regex: bool,
    depth: Option<i64>,
    mode: Option<Mode>,
    #[serde(default = "yes")]
    exact_mode: bool,
    encoding: Option<String>,
    limit: Option<i64>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum FileType {
    Any,
    Directory,
    #[default]
    File,
    Link,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum Stamp {
    Atime,
    Ctime,
    #[default]
    Mtime,
}

fn yes() -> bool {
    true
}

/// How many names, and bytes of files, may be read for nothing.
const LISTED_AHEAD: usize = 200;
const READ_AHEAD: u64 = 256 * 1024;

/// The status of a look at a directory that holds more, or cannot be read.
const TOO_MUCH: i32 = 3;

/// What is said of each path.
const STAT: &str = "stat --printf '%f/%u/%g/%s/%i/%d/%h/%.9X/%.9Y/%.9Z/%U/%G/%n\\0'";

/// What has been found so far.
#[derive(Default)]
struct Found {
    files: Vec<Map>,
    examined: usize,
    skipped: Map,
    limited: bool,
}

impl Module for Find {
    const NAME: &'static str = "find";

    fn check(&self) -> Result<(), Halt> {
        let encoding = self.encoding.as_deref().unwrap_or("utf-8").to_ascii_lowercase();
        if !matches!(&*encoding, "utf-8" | "utf8" | "utf_8" | "ascii") {
            return Err(refused("encoding", "utf-8 and ascii are"));
        }
        if let Some(limit) = self.limit.filter(|limit| *limit <= 0) {
            return Err(fail(format!("`limit` must be 1 at least, not {limit}")));
        }
        Filter::new(self).map(|_| ())
    }

    async fn run(mut self, host: &Host) -> Result<Outcome, Halt> {
        let filter = Filter::new(&self)?;
        let mut paths = Vec::new();
        for path in std::mem::take(&mut self.paths) {
            paths.push(expand(host, &path).await?);
        }
        let mut found = Found::default();
        let output = self.listing(host, &paths).await?;
        for line in output.stderr_text().lines() {
            if let Some((path, why)) = unreadable(line) {
                found.skipped.insert(path.into(), why.into());
            }
        }
        let mut said = &output.stdout[..];
        for path in &paths {
            let walk;
            (walk, said) = Walk::read(path, said);
            let Some(walk) = walk else {
                let why = format!("'{path}' is not a directory");
                found.skipped.insert(path.as_str().into(), why.into());
                continue;
            };
            self.add(host, walk, &filter, &mut found).await?;
        }
        Ok(found.outcome())
    }
}

impl Find {
    async fn add(&self, host: &Host, walk: Walk, filter: &Filter, found: &mut Found) -> Result<(), Halt> {
        let now = walk.now;
        let (entries, examined) = walk.entries(self.recurse, self.depth);
        found.examined += examined;
        let mut entries: Vec<Entry> = entries.into_iter().filter(|e| filter.takes(e, now)).collect();
        if let Some(pattern) = self
            .contains
            .as_deref()
            .filter(|_| self.file_type == FileType::File)
        {
            let holding = self.holding(host, pattern, &entries).await?;
            entries.retain(|e| holding.contains(&e.path));
        }
        let left = self.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX) - found.files.len()
        });
        if entries.len() >= left {
            entries.truncate(left);
            found.limited = true;
        }
        let mut checksums = if self.get_checksum {
            checksums(host, &entries).await?
        } else {
            Vec::new()
        }
        .into_iter();
        for entry in entries {
            let mut values = entry.values();
            if self.get_checksum
                && entry.is_file()
                && let Some(checksum) = checksums.next()
            {
                values.insert("checksum".into(), checksum);
            }
            found.files.push(values);
        }
        Ok(())
    }

    /// What the script says: ahead of the task's turn if it is no tree and not much.
    async fn listing(&self, host: &Host, paths: &[String]) -> Result<Output, Halt> {
        let all = |script: &dyn Fn(&str) -> String| paths.iter().map(|path| script(path)).collect::<String>();
        if !self.recurse {
            let output = host
                .ask(Look::new("directory", all(&|path| self.names(path))))
                .await?;
            if output.status != TOO_MUCH {
                return Ok(output);
            }
        }
        let script = Script::new("look through the trees", all(&|path| self.tree(path)));
        host.ask_now(script).await
    }

    /// The time there, then everything below, NUL after each, and one more NUL.
    fn said_of(&self, path: &str, below: &str) -> String {
        let now = if self.age.is_some() {
            "date +%s.%N"
        } else {
            "echo 0"
        };
        format!("if [ -d {path} ]; then {now}; {below}\nelse echo -; fi; printf '\\0'\n")
    }

    /// What is in the directory itself, by the shell's own means.
    fn names(&self, path: &str) -> String {
        let path = directory(path);
        let below = format!(
            "set -- {path}* {path}.[!.]* {path}..?*\n\
             [ -r {path} ] && [ -x {path} ] && [ $# -le {LISTED_AHEAD} ] || exit {TOO_MUCH}\n\
             for f; do shift; if [ -e \"$f\" ] || [ -L \"$f\" ]; then set -- \"$@\" \"$f\"; fi; done\n\
             [ $# = 0 ] || {STAT} -- \"$@\""
        );
        self.said_of(&path, &below)
    }

    /// The whole tree. Without `recurse` only what is in the directory; with a depth one level more, because what is
    /// there counts as examined.
    fn tree(&self, path: &str) -> String {
        let follow = if self.follow { "-L" } else { "" };
        let depth = match (self.recurse, self.depth) {
            (false, _) => "-maxdepth 1".to_string(),
            (true, Some(depth)) if depth > 0 => format!("-maxdepth {}", depth + 1),
            (true, _) => String::new(),
        };
        let path = directory(path);
        let below = format!("find {follow} {path} -mindepth 1 {depth} -print0 | xargs -0r {STAT} --");
        self.said_of(&path, &below)
    }

    /// The paths of the files that hold the pattern.
    async fn holding(&self, host: &Host, pattern: &str, entries: &[Entry]) -> Result<HashSet<Vec<u8>>, Halt> {
        if !entries.iter().any(Entry::is_file) {
            return Ok(HashSet::new());
        }
        // PCRE is as near to Python's `re` as a host has it.
        let (option, pattern) = if self.read_whole_file {
            ("-lZzP", pattern.to_string())
        } else {
            ("-lZP", format!("^(?:{pattern})"))
        };
        let grep = format!("grep {option} -e {} --", quote(&pattern));
        let output = if let Some(paths) = read_ahead(entries) {
            host.ask(Look::new("look into files", format!("{grep}{paths}")))
                .await?
        } else {
            let text = format!("xargs -0r {grep}\n[ $? -lt 124 ]");
            let script = Script::new("look into files", text).stdin(names(entries));
            host.ask_now(script).await?
        };
        let said = output.stderr_text();
        if output.stdout.is_empty() && said.contains("grep: ") && !said.contains("denied") {
            return Err(fail(format!("`contains`: {}", said.trim())));
        }
        Ok(output.stdout.split(|b| *b == 0).map(<[u8]>::to_vec).collect())
    }
}

/// The word of a shell for a directory. The slash makes a link that is named itself one to be followed.
fn directory(path: &str) -> String {
    quote(&format!("{}/", path.trim_end_matches('/')))
}

/// A line of find's complaints: which path, and why.
fn unreadable(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("find: ")?;
    let rest = rest.trim_start_matches(['\'', '‘']);
    let (path, why) = rest.rsplit_once(": ")?;
    Some((path.trim_end_matches(['\'', '’']), why))
}

fn names(entries: &[Entry]) -> Vec<u8> {
    let mut names = Vec::new();
    for entry in entries.iter().filter(|e| e.is_file()) {
        names.extend_from_slice(&entry.path);
        names.push(0);
    }
    names
}

/// The words of a shell for the files, if all of them together are little to read. A file of no size may be one of
/// the kernel's, which have more to say than they admit, and may keep their reader waiting.
fn read_ahead(entries: &[Entry]) -> Option<String> {
    let files: Vec<&Entry> = entries.iter().filter(|e| e.is_file()).collect();
    let sizes = files.iter().map(|e| e.size);
    if sizes.clone().any(|size| size == 0) || sizes.sum::<u64>() > READ_AHEAD {
        return None;
    }
    files
        .iter()
        .map(|e| Some(format!(" {}", quote(std::str::from_utf8(&e.path).ok()?))))
        .collect()
}

/// In the order of the files among the entries.
async fn checksums(host: &Host, entries: &[Entry]) -> Result<Vec<Value>, Halt> {
    let names = names(entries);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // A file that cannot be read still takes its line.
    let text = "xargs -0r sh -c 'for p; do sha1sum <\"$p\" || echo; done' sh";
    let output = host.ask_now(Script::new("checksums", text).stdin(names)).await?;
    let line = |line: &str| match line.split(' ').next() {
        Some(sum) if sum.len() == 40 => Value::from(sum),
        _ => Value::Null,
    };
    Ok(output.stdout_text().lines().map(line).collect())
}

impl Found {
    fn outcome(self) -> Outcome {
        let number = |n: usize| Value::Int(n.try_into().unwrap_or(i64::MAX));
        let msg = if !self.skipped.is_empty() {
            "Not all paths examined, check warnings for details"
        } else if self.limited {
            "Limit of matches reached"
        } else {
            "All paths examined"
        };
        let mut outcome = Outcome::new()
            .with("matched", number(self.files.len()))
            .with("examined", number(self.examined))
            .with("msg", msg);
        for (path, why) in &self.skipped {
            if let Some(why) = why.as_str() {
                outcome = outcome.warn(format!("`{path}` was not looked at: {why}"));
            }
        }
        outcome
            .with(
                "files",
                self.files.into_iter().map(Value::from).collect::<Vec<_>>(),
            )
            .with("skipped_paths", self.skipped)
    }
}
