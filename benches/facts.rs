//! What reading the facts costs on a host: processes started and milliseconds, per shell and subset.
//!
//! `cargo bench --bench facts`. Processes are counted with `strace` where there is one.

#![expect(clippy::print_stdout, reason = "a measurement is for reading")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vmstation::facts::{Subset, parse, script};

const RUNS: usize = 40;

fn main() {
    let subsets = [
        ("all", vec![]),
        ("min", vec!["!all"]),
        ("network", vec!["!all", "!min", "network"]),
    ];
    println!(
        "{:<10} {:<9} {:>9} {:>8} {:>9} {:>7}",
        "shell", "subset", "processes", "min ms", "median ms", "bytes"
    );
    for (name, words) in subsets {
        let words: Vec<String> = words.into_iter().map(str::to_string).collect();
        let Ok(subset) = Subset::new(&words, &[]) else {
            continue;
        };
        let script = script(&subset);
        for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
            measure(shell, name, &script);
        }
        parsing(name, &script, &subset);
    }
}

fn run(words: &[&str], script: &str) -> Option<Vec<u8>> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command.output().ok().map(|output| output.stdout)
}

fn measure(shell: &[&str], subset: &str, script: &str) {
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..RUNS {
        let began = Instant::now();
        let Some(output) = run(shell, script) else { return };
        times.push(began.elapsed());
        bytes = output.len();
    }
    times.sort_unstable();
    let processes = processes(shell, script).map_or_else(|| "?".to_string(), |count| count.to_string());
    let (min, median) = (milliseconds(times.first()), milliseconds(times.get(RUNS / 2)));
    let shell = shell.join(" ");
    println!("{shell:<10} {subset:<9} {processes:>9} {min:>8.1} {median:>9.1} {bytes:>7}");
}

fn milliseconds(time: Option<&Duration>) -> f64 {
    time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// How many processes the shell starts, itself not counted.
fn processes(shell: &[&str], script: &str) -> Option<usize> {
    let trace = std::env::temp_dir().join(format!("vmstation-facts-{}", std::process::id()));
    let path = trace.to_str()?;
    let words = [
        &["strace", "-f", "-e", "trace=clone,clone3,fork,vfork", "-o", path],
        shell,
    ]
    .concat();
    run(&words, script)?;
    let text = std::fs::read_to_string(&trace).ok()?;
    let _ = std::fs::remove_file(&trace);
    let started = |line: &&str| line.contains("+++ exited with");
    Some(text.lines().filter(started).count().saturating_sub(1))
}

fn parsing(subset: &str, script: &str, wanted: &Subset) {
    let Some(output) = run(&["sh"], script) else {
        return;
    };
    let began = Instant::now();
    for _ in 0..RUNS {
        let _ = parse(&output, wanted);
    }
    let each = milliseconds(Some(&began.elapsed())) / f64::from(u32::try_from(RUNS).unwrap_or(1));
    println!("{:<10} {subset:<9} {:>9} {:>8} {each:>9.2}", "(reading)", "", "");
}
