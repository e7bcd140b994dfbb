//! A host as it is at a moment: its files, its processes, its units.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::casebook::shell;

/// Everything that can be written to. A file that was made and removed again shows in its directory's times.
const FILES: &str =
    r"find / /tmp /run /run/lock /dev/shm /dev/mqueue -xdev -printf '%p\t%y %m %u:%g %s %T@ %C@ %l\0'";

const UNITS: &str = "systemctl list-units --all --plain --no-legend | while read -r unit load active sub rest; do \
                     echo \"$unit $load $active $sub\"; done";

/// The processes but the kernel's, sshd's and those of this look itself.
const PROCESSES: &str = "me=$$; ps -eo pid=,ppid=,user=,args= | while read -r pid parent user words; do \
                         case $words in '['* | 'sshd: '* | *'ps -eo pid='*) continue;; esac; \
                         [ \"$pid\" = \"$me\" ] || [ \"$parent\" = \"$me\" ] || echo \"$pid $user $words\"; done";

#[derive(Clone)]
pub struct Snapshot {
    files: BTreeMap<String, String>,
    processes: BTreeSet<String>,
    units: BTreeSet<String>,
}

/// A path that changes by itself, or that a run may change, and why.
pub type Exception = (&'static str, &'static str);

impl Snapshot {
    pub fn of(lab: &str, host: &str) -> Self {
        let lines = |script: &str| shell(lab, host, script).lines().map(str::to_string).collect();
        let files = shell(lab, host, FILES);
        let files = files.split('\0').filter_map(|record| record.split_once('\t'));
        Self {
            files: files
                .map(|(path, rest)| (path.to_string(), rest.to_string()))
                .collect(),
            processes: lines(PROCESSES),
            units: lines(UNITS),
        }
    }

    /// What is not as it was, in words.
    pub fn changed(&self, lab: &str, host: &str, exceptions: &[Exception]) -> Vec<String> {
        let later = Self::of(lab, host);
        self.compared(lab, host, &later, exceptions)
    }

    /// What was not there, is gone, or is another thing or of another size by now: in between, things may have come
    /// and gone, and been written anew.
    pub fn left(&self, lab: &str, host: &str, exceptions: &[Exception]) -> Vec<String> {
        let later = Self::of(lab, host).without_times();
        self.clone()
            .without_times()
            .compared(lab, host, &later, exceptions)
    }

    fn without_times(mut self) -> Self {
        for what in self.files.values_mut() {
            // The size of a directory is that of its past, too.
            let fields = if what.starts_with("d ") { 3 } else { 4 };
            *what = what.split(' ').take(fields).collect::<Vec<_>>().join(" ");
        }
        self
    }

    fn compared(&self, lab: &str, host: &str, later: &Self, exceptions: &[Exception]) -> Vec<String> {
        let mut out = self.files_changed(later, exceptions);
        let units = self.units.symmetric_difference(&later.units);
        out.extend(units.filter(|unit| !is_excepted(unit, exceptions)).map(|unit| {
            format!(
                "unit {unit}: {}",
                if self.units.contains(unit) { "was" } else { "is" }
            )
        }));
        out.extend(self.processes_left(lab, host, exceptions));
        out
    }

    fn files_changed(&self, later: &Self, exceptions: &[Exception]) -> Vec<String> {
        let paths: BTreeSet<&String> = self.files.keys().chain(later.files.keys()).collect();
        let differs = |path: &&String| self.files.get(*path) != later.files.get(*path);
        paths
            .into_iter()
            .filter(differs)
            .filter(|path| !is_excepted(path, exceptions))
            .map(|path| {
                let of =
                    |all: &BTreeMap<_, _>| all.get(path).cloned().unwrap_or_else(|| "absent".to_string());
                format!("{path}: {} -> {}", of(&self.files), of(&later.files))
            })
            .collect()
    }

    /// Processes that are there now, were not then, and do not end within a while.
    pub fn processes_left(&self, lab: &str, host: &str, exceptions: &[Exception]) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(4);
        loop {
            let now = shell(lab, host, PROCESSES);
            let new: Vec<String> = now
                .lines()
                .filter(|line| !self.processes.contains(*line) && !is_excepted(line, exceptions))
                .map(|line| format!("process {line}"))
                .collect();
            if new.is_empty() || Instant::now() > end {
                return new;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

fn is_excepted(what: &str, exceptions: &[Exception]) -> bool {
    exceptions
        .iter()
        .any(|(pattern, _)| match pattern.split_once('*') {
            None => what == *pattern,
            Some((head, tail)) => {
                what.len() >= head.len() + tail.len() && what.starts_with(head) && what.ends_with(tail)
            }
        })
}
