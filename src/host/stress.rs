//! Ten thousand random requests through one shell, in each kind of shell: every byte and status right.
//!
//! `VMSTATION_STRESS` says how many; `VMSTATION_SEED` with what seed.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::identity::{self, Site};
use super::machine::{Form, Identity};
use super::request::Input;
use super::shell::{End, Shell, Ticket};
use crate::transport::Local;

/// xorshift: the same requests for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        let kind = self.below(3);
        let mut byte = || match kind {
            0 => u8::try_from(self.below(256)).unwrap(),
            1 => self.pick(b"@0123456789abcdef \n\\%'\"$`-\0\r\x81\x82\x88\xff"),
            _ => self.pick(b"abc \n"),
        };
        (0..length).map(|_| byte()).collect()
    }

    /// Mostly small, now and then more than a pipe holds.
    fn size(&mut self) -> usize {
        match self.below(1000) {
            0 => 200_000,
            2..=14 => 70_000,
            15..=80 => 5_000,
            _ => 200,
        }
    }
}

struct Case {
    form: Form,
    script: String,
    stdin: Option<Vec<u8>>,
    wanted: Wanted,
}

enum Wanted {
    Exactly(Vec<u8>, Vec<u8>, i32),
    LastLine(&'static str),
    /// Shells do not agree on the status of a syntax error, nor on its words.
    Anything,
    Failure,
}

/// A script that prints these bytes: octal where the program text would not be UTF-8.
fn prints(bytes: &[u8]) -> String {
    let mut text = String::from("printf '");
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b' ' | b'\n' | b'@' | b'$' | b'`' | b'"' => {
                text.push(char::from(*byte));
            }
            other => {
                let _ = write!(text, "\\{other:03o}");
            }
        }
    }
    text + "'"
}

/// The request of this number.
fn case(random: &mut Random, number: usize) -> Case {
    let form = if random.below(6) == 0 {
        Form::Command
    } else {
        Form::Internal
    };
    if number % 4000 == 1999 {
        return pouring(random, form);
    }
    match random.below(100) {
        0..=54 => printing(random, form),
        55..=64 => feeding(random, form),
        _ => behaving(random, form),
    }
}

/// Any bytes on both streams, and any status.
fn printing(random: &mut Random, form: Form) -> Case {
    let most = random.size();
    let (stdout, stderr) = (random.bytes(most), random.bytes(most / 2));
    let status = i32::try_from(random.below(256)).unwrap();
    Case {
        form,
        script: format!("{}; {} >&2; exit {status}", prints(&stdout), prints(&stderr)),
        stdin: None,
        wanted: Wanted::Exactly(stdout, stderr, status),
    }
}

/// Ten megabytes on each stream, without a newline at the end.
fn pouring(random: &mut Random, form: Form) -> Case {
    let mut block = random.bytes(10_000);
    block.push(b'x');
    let times = (10 << 20) / block.len() + 1;
    let poured = block.repeat(times);
    Case {
        form,
        script: format!(
            "b() {{ {}; }}; i=0; while [ $i -lt {times} ]; do b; b >&2; i=$((i+1)); done; exit 3",
            prints(&block)
        ),
        stdin: None,
        wanted: Wanted::Exactly(poured.clone(), poured, 3),
    }
}

/// Any bytes in, and out again; or left unread.
fn feeding(random: &mut Random, form: Form) -> Case {
    let most = match random.below(200) {
        0 => 1 << 20,
        _ => random.size(),
    };
    let payload = random.bytes(most);
    let (script, stdout) = match random.below(5) {
        0 => ("exit 7", Vec::new()),
        _ => ("cat; exit 7", payload.clone()),
    };
    Case {
        form,
        script: script.to_owned(),
        stdin: Some(payload),
        wanted: Wanted::Exactly(stdout, Vec::new(), 7),
    }
}

/// Everything that a script can do to the shell that runs it.
fn behaving(random: &mut Random, form: Form) -> Case {
    let exactly = |stdout: &str, stderr: &str, status| {
        Wanted::Exactly(stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec(), status)
    };
    let broken = [
        "if then; fi ) (",
        "echo 'unterminated",
        "cat <<EOF\nfoo",
        "$(",
        "case x in",
    ];
    let kills_itself = matches!(random.below(12), 0);
    let form = if kills_itself { Form::Command } else { form };
    let (script, wanted) = match random.below(if kills_itself { 2 } else { 15 }) {
        0 if kills_itself => ("echo x; kill $$; sleep 5", exactly("x\n", "", 143)),
        1 if kills_itself => ("echo x; kill -9 $$; sleep 5", exactly("x\n", "", 137)),
        0 => (
            "cat; read x; wc -c | tr -d ' '; sh -c 'cat >/dev/null'; echo done",
            exactly("0\ndone\n", "", 0),
        ),
        1 => (
            "exec sh -c 'echo a; echo b >&2; exit 5'; echo never",
            exactly("a\n", "b\n", 5),
        ),
        2..=3 => (random.pick(&broken), Wanted::Anything),
        4 => ("set -eu; echo $nosuchvar_; echo never", Wanted::Failure),
        5 => (
            "cd /; umask 077; X=1; export X; f() { :; }; exec >/dev/null 2>&1; trap 'exit 9' 0; set -f; IFS=x; PATH=; unset PATH",
            exactly("", "", 9),
        ),
        6..=7 => (
            "umask; echo \"[${X-}$#]\"; [ \"$PATH\" ] && echo ok",
            exactly("0022\n[0]\nok\n", "", 0),
        ),
        8 => ("exec 1>&- 2>&-; exec 0<&-; exit 4", exactly("", "", 4)),
        9 => ("(sleep 0.3; :) & echo bg", exactly("bg\n", "", 0)),
        10 => ("printf a; printf b >&2", exactly("a", "b", 0)),
        11 => ("set >/dev/null; env >/dev/null; echo k", exactly("k\n", "", 0)),
        // It sees the start mark in its own arguments.
        12 => (
            "cat /proc/$$/cmdline | tr '\\0' '\\n'; echo c",
            Wanted::LastLine("c\n"),
        ),
        13 => (NONBLOCK, exactly("nb\n", "", 0)),
        _ => (
            "i=0; while [ $i -lt 300 ]; do echo $i; echo e$i >&2; i=$((i+1)); done",
            Wanted::Exactly(counted(""), counted("e"), 0),
        ),
    };
    Case {
        form,
        script: script.to_owned(),
        stdin: None,
        wanted,
    }
}

fn counted(prefix: &str) -> Vec<u8> {
    let mut lines = String::new();
    for i in 0..300 {
        let _ = writeln!(lines, "{prefix}{i}");
    }
    lines.into_bytes()
}

/// perl is on every Debian; where it is missing the case is an `echo`.
const NONBLOCK: &str = "perl -e 'use Fcntl; fcntl(STDOUT,F_SETFL,O_NONBLOCK|O_WRONLY); fcntl(STDERR,F_SETFL,O_NONBLOCK|O_WRONLY)' 2>/dev/null; echo nb";

fn check(case: &Case, end: &End) -> Result<(), String> {
    let End::Finished(output) = end else {
        return Err(format!("{end:?}"));
    };
    let right = match &case.wanted {
        Wanted::Exactly(stdout, stderr, status) => {
            output.stdout == stdout && output.stderr == stderr && output.status == *status
        }
        Wanted::LastLine(line) => output.stdout.ends_with(line.as_bytes()) && output.status == 0,
        Wanted::Anything => true,
        Wanted::Failure => output.status != 0 && !output.stdout_text().contains("never"),
    };
    if right {
        return Ok(());
    }
    let short = |bytes: &[u8]| {
        format!(
            "[{}] {:?}",
            bytes.len(),
            String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
        )
    };
    Err(format!(
        "{:?} {:?}: status {} stdout {} stderr {}",
        case.form,
        &case.script.chars().take(120).collect::<String>(),
        output.status,
        short(&output.stdout),
        short(&output.stderr)
    ))
}

async fn open(machine: &Local, shell: &str) -> Shell {
    let site = Site {
        host: Arc::from("here"),
        shell: Arc::from(shell),
    };
    identity::open(machine, &Identity::Login, &site).await.unwrap()
}

fn submit(shell: &Shell, case: &Case) -> Ticket {
    let input = case.stdin.as_deref().map_or(Input::Null, Input::Inline);
    shell.submit(&case.script, input, case.form)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

async fn stress(path: &str) {
    let mut random = Random(setting("VMSTATION_SEED", 42));
    let wanted = usize::try_from(setting("VMSTATION_STRESS", 10_000)).unwrap();
    // A machine that is dropped takes its shells along.
    let machine = Local::new();
    let shell = open(&machine, path).await;
    let pid = pid(&shell).await;
    let mut done = 0;
    while done < wanted {
        let depth = (1 + random.below(20)).min(wanted - done);
        let flight: Vec<_> = (0..depth)
            .map(|n| case(&mut random, done + n))
            .map(|case| (submit(&shell, &case), case))
            .collect();
        for (ticket, case) in flight {
            let end = tokio::time::timeout(std::time::Duration::from_secs(60), ticket.end()).await;
            let end = end.unwrap_or_else(|_| panic!("{path}: no end after {done}: {}", case.script));
            if let Err(wrong) = check(&case, &end) {
                panic!("{path}: request {done}: {wrong}");
            }
            done += 1;
        }
    }
    assert_eq!(self::pid(&shell).await, pid, "{path}: it is another shell");
}

async fn pid(shell: &Shell) -> String {
    match shell.submit("echo $$", Input::Null, Form::Internal).end().await {
        End::Finished(output) => output.stdout_text(),
        other @ End::ShellEnded { .. } => panic!("the shell does not tell its process id: {other:?}"),
    }
}

#[tokio::test]
async fn dash() {
    stress("/usr/bin/dash").await;
}

#[tokio::test]
async fn bash() {
    stress("/bin/bash").await;
}

#[tokio::test]
async fn busybox() {
    let Some(program) = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|p| std::path::Path::new(p).exists())
    else {
        // `make test` promises to run every test, and sets it.
        assert!(std::env::var_os("VMSTATION_LAB").is_none(), "there is no busybox");
        eprintln!("SKIPPED: there is no busybox on this machine (apt-get install busybox)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ash = folder.path().join("ash");
    symlink(program, &ash).unwrap();
    stress(ash.to_str().unwrap()).await;
}
