//! Ten thousand random requests through one shell, in each kind of shell: every byte and status right.
//!
//! `VMSTATION_STRESS` says how many; `VMSTATION_SEED` with what seed.

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
            0..=1 => 300_000,
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
    /// Shells word their complaints differently.
    Stdout(&'static str, i32),
    /// They do not agree on the status of a syntax error either.
    Anything,
    Failure,
}

/// A script that prints these bytes: octal where the program text would not be UTF-8.
fn prints(bytes: &[u8]) -> String {
    let mut text = String::from("printf '");
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b' ' | b'\n' | b'@' | b'$' | b'`' | b'"' => {
                text.push(char::from(*byte))
            }
            other => text.push_str(&format!("\\{other:03o}")),
        }
    }
    text + "'"
}

fn case(random: &mut Random) -> Case {
    let form = if random.below(6) == 0 {
        Form::Command
    } else {
        Form::Internal
    };
    let fixed = |script: &str, wanted| Case {
        form,
        script: script.to_owned(),
        stdin: None,
        wanted,
    };
    let alone = |script: &str, wanted| Case {
        form: Form::Command,
        ..fixed(script, wanted)
    };
    match random.below(100) {
        0..=54 => {
            let most = random.size();
            let (stdout, stderr) = (random.bytes(most), random.bytes(most / 2));
            let status = i32::try_from(random.below(256)).unwrap();
            let script = format!("{}; {} >&2; exit {status}", prints(&stdout), prints(&stderr));
            fixed(&script, Wanted::Exactly(stdout, stderr, status))
        }
        55..=64 => {
            let most = if random.below(200) == 0 {
                1 << 20
            } else {
                random.size()
            };
            let payload = random.bytes(most);
            Case {
                stdin: Some(payload.clone()),
                ..fixed("cat; exit 7", Wanted::Exactly(payload, Vec::new(), 7))
            }
        }
        65..=66 => Case {
            stdin: Some(random.bytes(20_000)),
            ..fixed("exit 5", Wanted::Exactly(Vec::new(), Vec::new(), 5))
        },
        67..=68 => fixed(
            "cat; read x; wc -c | tr -d ' '; sh -c 'cat >/dev/null'; echo done",
            Wanted::Stdout("0\ndone\n", 0),
        ),
        69..=71 => {
            let wanted = Wanted::Exactly(b"a\n".to_vec(), b"b\n".to_vec(), 5);
            fixed("exec sh -c 'echo a; echo b >&2; exit 5'; echo never", wanted)
        }
        72 => alone(
            "echo x; kill $$; sleep 5",
            Wanted::Exactly(b"x\n".to_vec(), Vec::new(), 143),
        ),
        73..=74 => alone(
            "echo x; kill -9 $$; sleep 5",
            Wanted::Exactly(b"x\n".to_vec(), Vec::new(), 137),
        ),
        75..=78 => {
            let broken = [
                "if then; fi ) (",
                "echo 'unterminated",
                "cat <<EOF\nfoo",
                "$(",
                "case x in",
            ];
            fixed(random.pick(&broken), Wanted::Anything)
        }
        79..=80 => fixed("set -eu; echo $nosuchvar_; echo never", Wanted::Failure),
        81..=83 => {
            let script = "cd /; umask 077; X=1; export X; f() { :; }; exec >/dev/null 2>&1; trap 'exit 9' 0; set -f; IFS=x; PATH=; unset PATH";
            fixed(script, Wanted::Exactly(Vec::new(), Vec::new(), 9))
        }
        84..=85 => fixed(
            "umask; echo \"[${X-}$#]\"; [ \"$PATH\" ] && echo ok",
            Wanted::Stdout("0022\n[0]\nok\n", 0),
        ),
        86..=87 => fixed(
            "exec 1>&- 2>&-; exec 0<&-; exit 4",
            Wanted::Exactly(Vec::new(), Vec::new(), 4),
        ),
        88..=90 => fixed("(sleep 0.3; :) & echo bg", Wanted::Stdout("bg\n", 0)),
        91..=92 => fixed(
            "printf a; printf b >&2",
            Wanted::Exactly(b"a".to_vec(), b"b".to_vec(), 0),
        ),
        93..=94 => fixed(
            "set >/dev/null; env >/dev/null; ps ax >/dev/null; echo k",
            Wanted::Stdout("k\n", 0),
        ),
        95..=96 => Case {
            stdin: Some(b"l1\nl2\n".to_vec()),
            ..fixed(
                "x=$(cat; echo .); printf %s \"${x%.}\"; cat >&2",
                Wanted::Stdout("l1\nl2\n", 0),
            )
        },
        97 => fixed(NONBLOCK, Wanted::Stdout("nb\n", 0)),
        98 => fixed(
            "cat /proc/$$/cmdline | tr -d '\\0' >&2; echo c",
            Wanted::Stdout("c\n", 0),
        ),
        _ => {
            let lines = |prefix: &str| {
                (0..300)
                    .map(|i| format!("{prefix}{i}\n"))
                    .collect::<String>()
                    .into_bytes()
            };
            let script = "i=0; while [ $i -lt 300 ]; do echo $i; echo e$i >&2; i=$((i+1)); done";
            fixed(script, Wanted::Exactly(lines(""), lines("e"), 0))
        }
    }
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
        Wanted::Stdout(stdout, status) => output.stdout == stdout.as_bytes() && output.status == *status,
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

async fn open(shell: &str) -> Shell {
    let site = Site {
        host: Arc::from("here"),
        shell: Arc::from(shell),
    };
    identity::open(&Local::new(), &Identity::Login, &site)
        .await
        .unwrap()
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

async fn stress(path: &str, pid_matters: bool) {
    let mut random = Random(setting("VMSTATION_SEED", 42));
    let wanted = usize::try_from(setting("VMSTATION_STRESS", 10_000)).unwrap();
    let shell = open(path).await;
    let pid = pid(&shell).await;
    let mut done = 0;
    while done < wanted {
        let depth = (1 + random.below(20)).min(wanted - done);
        let flight: Vec<_> = (0..depth)
            .map(|_| case(&mut random))
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
    if pid_matters {
        assert_eq!(
            super::stress::pid(&shell).await,
            pid,
            "{path}: it is another shell"
        );
    }
    shell.close().await;
}

async fn pid(shell: &Shell) -> String {
    let End::Finished(output) = shell.submit("echo $$", Input::Null, Form::Internal).end().await else {
        panic!()
    };
    output.stdout_text()
}

#[tokio::test]
async fn dash() {
    stress("/usr/bin/dash", true).await;
}

#[tokio::test]
async fn bash() {
    stress("/bin/bash", true).await;
}

#[tokio::test]
async fn busybox() {
    let Some(program) = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|p| std::path::Path::new(p).exists())
    else {
        eprintln!("SKIPPED: there is no busybox on this machine (apt-get install busybox)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ash = folder.path().join("ash");
    symlink(program, &ash).unwrap();
    stress(ash.to_str().unwrap(), true).await;
}
