//! Processes of the lab: started on their own, recorded by themselves, found again.
//!
//! A record is the process's own line of /proc/PID/stat, written by the process
//! before it becomes what it is to be: no moment in which it runs unrecorded. Pid
//! and start time together name a process for as long as the machine runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::place::{Place, directory};
use super::program;
use crate::source::Diagnostic;

/// Joins the control groups given up to `--`, records itself in the file before
/// them, and becomes the words after it.
const LAUNCH: &str = r#"
record=$1; shift
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done
shift
read -r stat </proc/$$/stat && echo "$stat" >"$record.part" && mv "$record.part" "$record" || exit 1
exec "$@"
"#;

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Stat {
    pid: u32,
    state: char,
    parent: u32,
    start: u64,
}

/// Starts a program in a session of its own, its output in `log`, so that it
/// outlives this one. `groups` are control group directories that it joins first.
pub fn start(
    place: &Place,
    name: &str,
    groups: &[PathBuf],
    log: &Path,
    words: &[String],
) -> Result<(), Diagnostic> {
    let record = place.processes().join(name);
    let _ = fs::remove_file(&record);
    for group in groups {
        directory(group)?;
    }
    // The shell that only sets up the output; setsid forks, and nobody waits.
    let mut line: Vec<String> = [
        "sh",
        "-c",
        r#"log=$1; shift; exec setsid --fork "$@" </dev/null >"$log" 2>&1"#,
        "sh",
    ]
    .map(str::to_owned)
    .to_vec();
    line.push(log.display().to_string());
    line.extend(["sh", "-c", LAUNCH, "sh"].map(str::to_owned));
    line.push(record.display().to_string());
    line.extend(groups.iter().map(|group| group.display().to_string()));
    line.push("--".to_owned());
    line.extend_from_slice(words);
    program::run(&line)?;
    let recorded = wait_until(Duration::from_secs(10), || record.exists());
    if recorded {
        return Ok(());
    }
    Err(Diagnostic::error(format!("`{name}` of the lab did not start"))
        .note(fs::read_to_string(log).unwrap_or_default())
        .help("`vmstation lab down`, then up again"))
}

/// The pid of a recorded process that still runs.
pub fn running(place: &Place, name: &str) -> Option<u32> {
    let record = parse(&fs::read_to_string(place.processes().join(name)).ok()?)?;
    let now = read(record.pid)?;
    (now.start == record.start && !matches!(now.state, 'Z' | 'X')).then_some(now.pid)
}

/// Every recorded name.
pub fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.processes());
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.contains('.'))
        .collect();
    names.sort();
    names
}

/// Ends a recorded process and waits until it is gone.
pub fn stop(place: &Place, name: &str) -> Result<(), Diagnostic> {
    let Some(pid) = running(place, name) else {
        return Ok(());
    };
    kill(&[pid]);
    if wait_until(Duration::from_secs(5), || running(place, name).is_none()) {
        return Ok(());
    }
    Err(
        Diagnostic::error(format!("process {pid} (`{name}` of the lab) does not end"))
            .help("look at it with `ps`, then run `vmstation lab down` again"),
    )
}

/// The first child of a process.
pub fn child(parent: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read)
        .filter(|stat| stat.parent == parent && stat.state != 'Z')
        .map(|stat| stat.pid)
        .min()
}

/// Sends SIGKILL to all of them; one that is gone already is no error.
pub fn kill(pids: &[u32]) {
    let mut words: Vec<String> = ["sh", "-c", r#"kill -9 "$@""#, "sh"].map(str::to_owned).to_vec();
    words.extend(pids.iter().map(u32::to_string));
    if !pids.is_empty() {
        let _ = program::run(&words);
    }
}

/// Whether `ready` came true within the time.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
}

fn read(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `PID (NAME) STATE PARENT … START …`; the name may hold spaces and parentheses.
fn parse(line: &str) -> Option<Stat> {
    let (pid, _) = line.split_once(' ')?;
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat {
        pid: pid.parse().ok()?,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "42 (a) (b c) S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2\n";
        assert_eq!(
            parse(line),
            Some(Stat {
                pid: 42,
                state: 'S',
                parent: 7,
                start: 98765
            })
        );
    }

    #[test]
    fn half_a_record_is_none() {
        assert_eq!(parse("42 (sh) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_found() {
        let me = std::process::id();
        assert_eq!(read(me).unwrap().pid, me);
    }
}
