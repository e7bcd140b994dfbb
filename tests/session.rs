//! Frames over this machine's own shell: what scripts do to it, what they leave, and what questions answer.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on stops"
)]

mod promised;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use vmstation::host::question::{
    Access, Account, Algorithm, Answer, Attributes, Checksum, Contents, FileKind, Group, Look, Mime, Package,
    PackageDatabase, Permitted, Question, Read, Stat, Unit, UnitScope,
};
use vmstation::host::{
    Become, BecomeMethod, Connector, Done, Frame, Identity, Machine, Output, Remote, Reply, Script, Secret,
    Unanswered,
};
use vmstation::transport::{Boxed, Local, Transport, TransportError};

fn connector() -> Connector {
    Arc::new(|| -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
        Box::pin(async { Ok(Arc::new(Local::new()) as Arc<dyn Transport>) })
    })
}

fn machine() -> Remote {
    Remote::new("here", connector())
}

fn work(script: Script) -> Frame {
    Frame {
        work: Some(script),
        ..Frame::default()
    }
}

fn asking(questions: Vec<Question>) -> Frame {
    Frame {
        questions,
        ..Frame::default()
    }
}

fn look(script: &str) -> Question {
    Look::new("look", script).into()
}

async fn send(machine: &Remote, frame: Frame) -> Reply {
    let reply = machine.frame(Identity::Login, frame);
    tokio::time::timeout(Duration::from_secs(60), reply)
        .await
        .expect("no reply")
        .unwrap()
}

async fn run(machine: &Remote, script: Script) -> Done {
    send(machine, work(script)).await.work.unwrap()
}

async fn finished(machine: &Remote, script: Script) -> Output {
    match run(machine, script).await {
        Done::Finished(output) => output,
        other => panic!("{other:?}"),
    }
}

async fn ask(machine: &Remote, question: Question) -> Answer {
    send(machine, asking(vec![question]))
        .await
        .answers
        .remove(0)
        .unwrap()
}

fn command(text: &str) -> Script {
    Script::new("test", text).command()
}

/// Whether a process with this among its arguments is there.
fn is_running(argument: &str) -> bool {
    let holds = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path().join("cmdline");
        let arguments = std::fs::read(path).ok()?;
        arguments
            .split(|b| *b == 0)
            .any(|word| word == argument.as_bytes())
            .then_some(())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .any(|entry| holds(entry).is_some())
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(8), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn streams_and_status_are_apart() {
    let machine = machine();
    for script in [
        Script::new("t", "cat; echo e >&2; exit 3"),
        command("cat; echo e >&2; exit 3"),
    ] {
        let output = finished(&machine, script.stdin("a\0b")).await;
        assert_eq!(
            (output.stdout, output.stderr, output.status),
            ("a\0b".into(), "e\n".into(), 3)
        );
    }
    machine.close().await;
}

#[tokio::test]
async fn standard_input_is_empty() {
    let machine = machine();
    let output = finished(&machine, command("cat; read x; echo end")).await;
    assert_eq!(output.stdout, "end\n");
}

#[tokio::test]
async fn each_script_starts_afresh() {
    let machine = machine();
    let first = finished(
        &machine,
        Script::new("t", "pwd; umask; cd /; umask 077; export X=1; PATH=/x"),
    )
    .await;
    let second = finished(
        &machine,
        Script::new("t", "pwd; umask; printf %s \"${X-}\"; ls / >/dev/null"),
    )
    .await;
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(second.status, 0);
}

#[tokio::test]
async fn a_command_has_a_name_and_no_arguments() {
    let output = finished(&machine(), command("echo $0 $# $*")).await;
    assert_eq!(output.stdout, "/bin/sh 0\n");
}

#[tokio::test]
async fn ten_megabytes_of_each_stream() {
    let text = "head -c 10000000 /dev/zero; head -c 10000000 /dev/zero | tr '\\0' x >&2";
    let output = finished(&machine(), Script::new("t", text)).await;
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (10_000_000, 10_000_000)
    );
    assert!(output.stdout.iter().all(|b| *b == 0) && output.stderr.iter().all(|b| *b == b'x'));
}

#[tokio::test]
async fn a_large_script_runs_whole() {
    let machine = machine();
    let filler = ": it's filler\n".replace('\'', "").repeat(25_000);
    for script in [
        Script::new("t", format!("{filler}cat; echo end")),
        command(&format!("{filler}cat; echo end")),
    ] {
        let output = finished(&machine, script.stdin("in ")).await;
        assert_eq!(output.stdout, "in end\n");
    }
    let output = finished(&machine, command(&format!("{filler}cat; echo $0 $#"))).await;
    assert_eq!(output.stdout, "/bin/sh 0\n");
}

#[tokio::test]
async fn a_large_payload_goes_by_a_channel_of_its_own() {
    let machine = machine();
    let payload: Bytes = (0..5_000_000_u32)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect::<Vec<_>>()
        .into();
    for script in [Script::new("t", "cat; exit 4"), command("cat; exit 4")] {
        let frame = Frame {
            work: Some(script.stdin(payload.clone())),
            questions: vec![look("echo behind")],
            patience: None,
        };
        let reply = send(&machine, frame).await;
        let Some(Done::Finished(output)) = reply.work else {
            panic!()
        };
        assert!(output.stdout == payload && output.status == 4);
        assert!(
            matches!(reply.answers.first(), Some(Ok(Answer::Look(output))) if output.stdout == "behind\n")
        );
    }
    // What is left unread is not run.
    let poison = format!("{}\n", "touch /tmp/vmstation-poison;exit 9\n".repeat(50_000));
    let output = finished(&machine, command("head -c 1 >/dev/null; exit 5").stdin(poison)).await;
    assert_eq!(output.status, 5);
    assert!(!std::path::Path::new("/tmp/vmstation-poison").exists());
}

#[tokio::test]
async fn a_shell_that_was_killed_is_replaced() {
    let machine = machine();
    let frame = Frame {
        work: Some(Script::new("t", "echo before; kill -9 $$; echo after")),
        questions: vec![look("echo asked")],
        patience: None,
    };
    let reply = send(&machine, frame).await;
    let Some(Done::ShellKilled { so_far }) = reply.work else {
        panic!("{:?}", reply.work)
    };
    assert!(so_far.stdout_text().starts_with("before\n"));
    assert!(matches!(reply.answers.first(), Some(Ok(Answer::Look(output))) if output.stdout == "asked\n"));
    assert_eq!(finished(&machine, command("kill -9 $$")).await.status, 137);
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_its_group() {
    let machine = machine();
    let limit = Some(Duration::from_millis(300));
    for script in [
        command("echo x; sleep 98761 & sleep 98761"),
        Script::new("t", "echo x; sleep 98761; sleep 98761"),
    ] {
        let done = run(&machine, script.timeout(limit)).await;
        let Done::TimedOut { so_far, .. } = done else {
            panic!("{done:?}")
        };
        assert_eq!(so_far.stdout, "x\n");
        wait_until("sleep is still there", || !is_running("98761")).await;
    }
    // One that will not listen.
    let stubborn = command("trap '' TERM; sleep 98762; sleep 98762; sleep 98762").timeout(limit);
    assert!(matches!(run(&machine, stubborn).await, Done::TimedOut { .. }));
    wait_until("sleep is still there", || !is_running("98762")).await;
    assert_eq!(finished(&machine, command("echo on")).await.stdout, "on\n");
}

#[tokio::test]
async fn an_interrupt_ends_what_runs() {
    let machine = Arc::new(machine());
    let running: Vec<_> = [command("sleep 98763"), Script::new("t", "sleep 98763")]
        .into_iter()
        .map(|script| tokio::spawn(machine.frame(Identity::Login, work(script))))
        .collect();
    wait_until("sleep has not started", || is_running("98763")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    machine.interrupt().await;
    for frame in running {
        let reply = frame.await.unwrap().unwrap();
        assert_eq!(reply.work, Some(Done::Interrupted));
    }
    assert!(!is_running("98763"));
    machine.close().await;
}

/// Neither a host that does not answer nor a login shell that waits for something holds an interrupt up.
#[tokio::test]
async fn an_interrupt_does_not_wait_for_an_opening() {
    let never: Connector = Arc::new(|| Box::pin(std::future::pending()));
    let silent = Remote::new("here", never);
    let slow = wrapped(|command| format!("sleep 2; {command}"));
    for machine in [silent, slow] {
        let running = tokio::spawn(machine.frame(Identity::Login, work(command("sleep 76543"))));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        machine.interrupt().await;
        let reply = running.await.unwrap().unwrap();
        assert_eq!(reply.work, Some(Done::Interrupted));
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
    // What was sent behind the opening began once it was through, and was ended then.
    assert!(!is_running("76543"));
}

#[tokio::test]
async fn a_child_left_behind_is_named_and_left_alone() {
    let machine = machine();
    let begun = Instant::now();
    let output = finished(&machine, command("sleep 19.21 & echo started")).await;
    assert!(output.left_behind && begun.elapsed() < Duration::from_secs(15));
    wait_until("it was ended", || is_running("19.21")).await;
    // Up to its redirection a child holds what its shell holds.
    let folder = tempfile::tempdir().unwrap();
    let redirected = folder.path().join("redirected").display().to_string();
    let script = format!(
        "nohup sh -c 'touch {redirected}; exec sleep 19.22' >/dev/null 2>&1 </dev/null &
         until [ -e {redirected} ]; do sleep 0.01; done; echo started"
    );
    let quiet = finished(&machine, command(&script)).await;
    assert!(!quiet.left_behind);
    wait_until("it was ended", || is_running("19.22")).await;
    // What it says later is nobody's output.
    let noisy = finished(
        &machine,
        command("(sleep 1; echo stray; echo stray >&2) & echo started"),
    )
    .await;
    assert_eq!(noisy.stdout, "started\n");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let next = finished(&machine, command("echo next")).await;
    assert_eq!(
        (next.stdout, next.stderr, next.left_behind),
        ("next\n".into(), "".into(), false)
    );
}

#[tokio::test]
async fn frames_at_the_same_time_have_shells_of_their_own() {
    let machine = Arc::new(machine());
    let begun = Instant::now();
    let frames: Vec<_> = (0..12)
        .map(|_| tokio::spawn(machine.frame(Identity::Login, work(command("sleep 0.5")))))
        .collect();
    for frame in frames {
        assert!(matches!(
            frame.await.unwrap().unwrap().work,
            Some(Done::Finished(_))
        ));
    }
    // Eight at once, and four behind them.
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_millis(2500),
        "{took:?}"
    );
}

#[tokio::test]
async fn whoever_asked_may_go_away() {
    let machine = machine();
    let asked = machine.frame(Identity::Login, work(command("sleep 0.3; echo late")));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), asked)
            .await
            .is_err()
    );
    assert_eq!(finished(&machine, command("echo mine")).await.stdout, "mine\n");
}

#[tokio::test]
async fn nothing_is_left_after_closing() {
    let machine = machine();
    let pid = finished(&machine, Script::new("t", "echo $$"))
        .await
        .stdout_text();
    let shell = format!("/proc/{}", pid.trim());
    assert!(std::path::Path::new(&shell).exists());
    machine.close().await;
    assert!(!std::path::Path::new(&shell).exists());
    // And it can be used again.
    assert_eq!(finished(&machine, command("echo again")).await.stdout, "again\n");
}

#[tokio::test]
async fn stat_tells_every_path_from_every_other() {
    let machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "plain",
        "a b",
        "new\nline",
        "it's",
        "-dash",
        "a -> b",
        "\"$x\"",
        "ünï",
    ];
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in names {
        std::fs::write(path(name), name).unwrap();
    }
    std::os::unix::fs::symlink("it's", path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere\nto go", path("dangling")).unwrap();
    let mut questions: Vec<Question> = Vec::new();
    for name in names {
        questions.push(Stat::of(path(&format!("no {name}"))).into());
        questions.push(Stat::of(path(name)).into());
        questions.push(Stat::following(path(name)).into());
    }
    let answers = send(&machine, asking(questions)).await.answers;
    for (three, name) in answers.chunks(3).zip(names) {
        assert_eq!(three[0], Ok(Answer::Stat(None)), "{name}");
        for answer in &three[1..] {
            let Ok(Answer::Stat(Some(stat))) = answer else {
                panic!("{name}: {answer:?}")
            };
            assert_eq!(
                (stat.kind, stat.size),
                (FileKind::File, name.len() as u64),
                "{name}"
            );
            let modified = std::fs::metadata(path(name)).unwrap().modified().unwrap();
            let since = modified
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_secs_f64();
            assert!((stat.modified - since).abs() < 0.001, "{name}");
        }
    }
    let Answer::Stat(Some(link)) = ask(&machine, Stat::of(path("link")).into()).await else {
        panic!()
    };
    assert_eq!(
        (link.kind, link.target.as_deref()),
        (FileKind::Link, Some("it's"))
    );
    let Answer::Stat(Some(dangling)) = ask(&machine, Stat::of(path("dangling")).into()).await else {
        panic!()
    };
    assert_eq!(dangling.target.as_deref(), Some("nowhere\nto go"));
    assert_eq!(
        ask(&machine, Stat::following(path("dangling")).into()).await,
        Answer::Stat(None)
    );
    let Answer::Stat(Some(null)) = ask(&machine, Stat::of("/dev/null").into()).await else {
        panic!()
    };
    assert_eq!(
        (null.kind, null.device_type, null.owner.as_str()),
        (FileKind::CharDevice, 0x103, "root")
    );
}

#[tokio::test]
async fn contents_are_read_exactly() {
    let machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    std::fs::write(path("binary"), &binary).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("no newline"), "x").unwrap();
    std::fs::write(path("large"), vec![b'l'; 3000]).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let limited = Question::Read(Read {
        path: path("large"),
        limit: 2999,
    });
    let mut questions: Vec<Question> = ["binary", "empty", "gone", "no newline", "fifo", "."]
        .map(|name| Read::of(path(name)).into())
        .to_vec();
    questions.extend([
        limited,
        Read::of("/proc/sys/kernel/ostype").into(),
        Read::of(path("binary")).into(),
    ]);
    let answers = send(&machine, asking(questions)).await.answers;
    let contents: Vec<Contents> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(Answer::Read(contents)) => contents,
            other => panic!("{other:?}"),
        })
        .collect();
    let bytes = |bytes: &[u8]| Contents::Bytes(Bytes::copy_from_slice(bytes));
    assert_eq!(contents[0], bytes(&binary));
    assert_eq!(contents[1], bytes(b""));
    assert_eq!(contents[2], Contents::Absent);
    assert_eq!(contents[3], bytes(b"x"));
    assert!(matches!(contents[4], Contents::Unreadable(_)));
    assert!(matches!(contents[5], Contents::Unreadable(_)));
    assert_eq!(contents[6], Contents::TooLarge(3000));
    assert_eq!(contents[7], bytes(b"Linux\n"));
    assert_eq!(contents[8], bytes(&binary));
}

#[tokio::test]
async fn what_may_be_done_with_files_and_what_they_are() {
    let machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let odd = path("l\nnd -a");
    std::fs::write(&odd, "text\n").unwrap();
    std::os::unix::fs::symlink(&odd, path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("loose")).unwrap();
    let paths = [path("gone"), odd.clone(), path("link"), path("loose")];
    let access = |path: &String| Access { path: path.clone() }.into();
    let mime = |path: &String| Mime { path: path.clone() }.into();
    let attributes = |path: &String| Attributes { path: path.clone() }.into();
    let questions = (paths.iter().map(access))
        .chain(paths.iter().map(mime))
        .chain(paths.iter().map(attributes))
        .collect();
    let answers = send(&machine, asking(questions)).await.answers;
    let permitted = |may: bool, real: Option<String>| {
        Ok(Answer::Access(Permitted {
            read: may,
            write: may,
            execute: false,
            real,
        }))
    };
    let real = folder.path().canonicalize().unwrap();
    let real = |name: &str| Some(real.join(name).to_str().unwrap().to_owned());
    assert_eq!(answers[0], permitted(false, None));
    assert_eq!(answers[1], permitted(true, None));
    assert_eq!(answers[2], permitted(true, real("l\nnd -a")));
    assert_eq!(answers[3], permitted(false, real("nowhere")));
    let there = std::process::Command::new("file").arg("-v").output().is_ok();
    for (answer, kind) in answers[5..7].iter().zip(["text/plain", "inode/symlink"]) {
        let Ok(Answer::Mime(mime)) = answer else {
            panic!("{answer:?}")
        };
        let mime = mime.as_ref().map(|(kind, _)| kind.as_str());
        assert_eq!(mime, there.then_some(kind));
    }
    assert_eq!(answers[4], Ok(Answer::Mime(None)));
    assert_eq!(answers[8], Ok(Answer::Attributes(None)));
    assert!(matches!(&answers[9], Ok(Answer::Attributes(_))));
}

#[tokio::test]
async fn checksums_packages_units_accounts() {
    let machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let odd = folder
        .path()
        .join("back\\slash\nand line")
        .to_str()
        .unwrap()
        .to_owned();
    std::fs::write(&odd, "").unwrap();
    let checksum = |path: &str, algorithm| {
        Question::Checksum(Checksum {
            path: path.to_owned(),
            algorithm,
        })
    };
    let answers = send(
        &machine,
        asking(vec![
            checksum("/gone", Algorithm::Sha256),
            checksum(&odd, Algorithm::Sha256),
            checksum(&odd, Algorithm::Md5),
            checksum("/etc", Algorithm::Md5),
            Account { name: "root".into() }.into(),
            Account { name: "0".into() }.into(),
            Account {
                name: "nobody-here".into(),
            }
            .into(),
            Group { name: "root".into() }.into(),
            Unit {
                name: "no-such.service".into(),
                scope: UnitScope::System,
            }
            .into(),
            Package {
                database: PackageDatabase::Dpkg,
                name: "bash".into(),
            }
            .into(),
            Package {
                database: PackageDatabase::Dpkg,
                name: "no-such-package".into(),
            }
            .into(),
        ]),
    )
    .await
    .answers;
    let sum = |sum: &str| Ok(Answer::Checksum(Some(sum.to_owned())));
    assert_eq!(answers[0], Ok(Answer::Checksum(None)));
    assert_eq!(
        answers[1],
        sum("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    assert_eq!(answers[2], sum("d41d8cd98f00b204e9800998ecf8427e"));
    assert_eq!(answers[3], Ok(Answer::Checksum(None)));
    let Ok(Answer::Account(Some(root))) = &answers[4] else {
        panic!()
    };
    assert_eq!((root.uid, root.home.as_str()), (0, "/root"));
    assert_eq!(answers[5], answers[4]);
    assert_eq!(answers[6], Ok(Answer::Account(None)));
    assert!(matches!(&answers[7], Ok(Answer::Group(Some(group))) if group.gid == 0));
    assert!(matches!(
        &answers[8],
        Ok(Answer::Unit(_)) | Err(Unanswered::Impossible(_))
    ));
    if std::path::Path::new("/usr/bin/dpkg-query").exists() {
        assert!(
            matches!(&answers[9], Ok(Answer::Package(found)) if found.len() == 1 && found[0].status.starts_with("ii"))
        );
        assert_eq!(answers[10], Ok(Answer::Package(Vec::new())));
    }
}

#[tokio::test]
async fn a_look_that_takes_too_long_takes_nothing_else_along() {
    let machine = machine();
    let frame = Frame {
        work: Some(Script::new("t", "sleep 0.5; echo done")),
        questions: vec![
            look("sleep 98764"),
            Stat::of("/").into(),
            look("echo never asked"),
        ],
        patience: Some(Duration::from_millis(300)),
    };
    let reply = send(&machine, frame).await;
    assert!(matches!(reply.work, Some(Done::Finished(output)) if output.stdout == "done\n"));
    assert_eq!(reply.answers[0], Err(Unanswered::TooSlow));
    assert!(matches!(reply.answers[1], Ok(Answer::Stat(Some(_)))));
    assert_eq!(reply.answers[2], Err(Unanswered::TooSlow));
    assert!(!is_running("98764"));
}

#[tokio::test]
async fn equal_questions_are_asked_once() {
    let machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log").to_str().unwrap().to_owned();
    let same = look(&format!("echo x >>{log}; wc -l <{log}"));
    let answers = send(&machine, asking(vec![same.clone(), look("exit 3"), same]))
        .await
        .answers;
    assert_eq!(answers[0], answers[2]);
    assert!(matches!(&answers[0], Ok(Answer::Look(output)) if output.stdout_text().trim() == "1"));
    assert!(matches!(&answers[1], Ok(Answer::Look(output)) if output.status == 3));
    assert_eq!(trips(&machine), ["connect", "open a shell, 3 look"]);
}

fn trips(machine: &Remote) -> Vec<String> {
    machine.trips().into_iter().map(|trip| trip.what).collect()
}

fn answer_of(answers: &[Result<Answer, Unanswered>]) -> String {
    match answers {
        [Ok(Answer::Look(output))] => output.stdout_text().trim().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The first look goes with the command that opens the shell, whatever it looks like.
#[tokio::test]
async fn the_first_look_costs_no_round_trip_of_its_own() {
    let machine = machine();
    let odd = r#"printf '%s|' "it's" 'a\b' '!x' '%d' ä "$((1+1))" `echo b`; printf '\001\377\n'
echo $$; read x; echo "[$x]""#;
    let frame = Frame {
        work: Some(Script::new("facts", odd).public_look()),
        questions: vec![look("echo $$")],
        patience: None,
    };
    let reply = send(&machine, frame).await;
    let Some(Done::Finished(output)) = reply.work else {
        panic!()
    };
    let pid = answer_of(&reply.answers);
    let wanted = [
        &b"it's|a\\b|!x|%d|\xc3\xa4|2|b|\x01\xff\n"[..],
        pid.as_bytes(),
        b"\n[]\n",
    ]
    .concat();
    assert_eq!((output.stdout, output.stderr), (wanted.into(), "".into()));
    assert_eq!(trips(&machine), ["connect", "open a shell, facts, 1 look"]);
    // The shell behind it is the same process, and set up like any other.
    let after = finished(&machine, Script::new("t", "echo $$; umask; sleep 0.01")).await;
    assert_eq!(after.stdout_text().lines().next(), Some(&*pid));
    let left = finished(&machine, command("sleep 30 & echo $!")).await;
    assert!(left.left_behind);
    finished(&machine, Script::new("t", format!("kill {}", left.stdout_text()))).await;
    assert_eq!(trips(&machine).len(), 5);
}

/// What alters may not be done twice, and what others must not see may not be in a list of processes.
#[tokio::test]
async fn nothing_else_goes_with_the_opening() {
    for script in [
        Script::new("t", "echo x"),
        Script::new("t", "echo x").public_look().stdin("y"),
        Script::new("t", "echo x").public_look().command(),
    ] {
        let machine = machine();
        assert_eq!(finished(&machine, script).await.stdout, "x\n");
        assert_eq!(trips(&machine), ["connect", "open a shell", "t"]);
    }
}

#[tokio::test]
async fn a_look_that_is_too_long_to_go_with_the_opening() {
    let machine = machine();
    let script = format!("echo {}", "x".repeat(150_000));
    let answers = send(&machine, asking(vec![look(&script)])).await.answers;
    assert_eq!(answer_of(&answers).len(), 150_000);
    assert_eq!(trips(&machine), ["connect", "open a shell", "1 look"]);
}

/// csh of old read words of a thousand characters.
#[tokio::test]
async fn a_login_shell_that_takes_no_long_words() {
    let machine = wrapped(|command| {
        if command.len() > 1000 {
            return "echo Word too long. >&2; exit 1".to_owned();
        }
        command.to_owned()
    });
    let answers = send(&machine, asking(vec![look("echo there")])).await.answers;
    assert_eq!(answer_of(&answers), "there");
    let wanted = ["open a shell, 1 look", "open a shell", "1 look"];
    assert_eq!(trips(&machine), wanted);
}

/// The pipes of another user cannot be opened anew.
#[tokio::test]
async fn a_first_look_behind_relays() {
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let probe = std::process::Command::new("sh")
        .args(["-c", &format!("{nobody} true")])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        promised::left_out("another user needs root and setpriv");
        return;
    }
    let machine =
        wrapped(move |command| format!("cd /; exec {nobody} sh -c {}", vmstation::host::quote(command)));
    let answers = send(&machine, asking(vec![look("id -u; cat")])).await.answers;
    assert_eq!(answer_of(&answers), "65534");
    assert_eq!(trips(&machine), ["open a shell, 1 look"]);
    let after = finished(&machine, command("id -u; head -c 100000 /dev/zero | wc -c")).await;
    assert_eq!(after.stdout, "65534\n100000\n");
    machine.close().await;
}

#[tokio::test]
async fn a_first_look_that_hangs_is_given_up() {
    let machine = machine();
    let frame = Frame {
        questions: vec![look("echo quick"), look("sleep 87654")],
        patience: Some(Duration::from_millis(300)),
        ..Frame::default()
    };
    let answers = send(&machine, frame).await.answers;
    assert!(
        answers[0].is_ok() && answers[1] == Err(Unanswered::TooSlow),
        "{answers:?}"
    );
    assert!(!is_running("87654"));
    assert_eq!(finished(&machine, command("echo on")).await.stdout, "on\n");
}

/// This machine, with every command made into another.
struct Wrapped {
    local: Local,
    wrap: Box<dyn Fn(&str) -> String + Send + Sync>,
}

impl Transport for Wrapped {
    fn start<'a>(
        &'a self,
        command: &'a str,
    ) -> Boxed<'a, Result<vmstation::transport::Channel, TransportError>> {
        Box::pin(async move { self.local.start(&(self.wrap)(command)).await })
    }

    fn is_closed(&self) -> bool {
        self.local.is_closed()
    }

    fn close(&self) -> Boxed<'_, ()> {
        self.local.close()
    }
}

fn wrapped(wrap: impl Fn(&str) -> String + Send + Sync + 'static) -> Remote {
    machine().connected(Arc::new(Wrapped {
        local: Local::new(),
        wrap: Box::new(wrap),
    }))
}

/// Questions of every kind, about what is there and what is not.
fn all_kinds(folder: &std::path::Path) -> Vec<Question> {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(path("a b"), "contents").unwrap();
    std::os::unix::fs::symlink("a b", path("link")).unwrap();
    let checksum = |name: &str, algorithm| Checksum {
        path: path(name),
        algorithm,
    };
    vec![
        Stat::of(path("a b")).into(),
        Stat::of(path("link")).into(),
        Stat::following(path("link")).into(),
        Stat::of(path("gone")).into(),
        Read::of(path("a b")).into(),
        Read::of(path("gone")).into(),
        Read::of("/proc/sys/kernel/ostype").into(),
        checksum("a b", Algorithm::Sha1).into(),
        checksum("gone", Algorithm::Sha256).into(),
        Account { name: "root".into() }.into(),
        Group { name: "root".into() }.into(),
        look("echo out; echo err >&2; exit 3"),
        Unit {
            name: "cron.service".into(),
            scope: UnitScope::System,
        }
        .into(),
        Package {
            database: PackageDatabase::Dpkg,
            name: "bash".into(),
        }
        .into(),
    ]
}

#[tokio::test]
async fn questions_are_answered_alike_by_busybox() {
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
    else {
        promised::left_out("there is no busybox on this machine (apt-get install busybox)");
        return;
    };
    let tools = tempfile::tempdir().unwrap();
    for applet in [
        "ash",
        "stat",
        "head",
        "env",
        "sha1sum",
        "sha256sum",
        "cat",
        "setsid",
        "id",
        "sleep",
    ] {
        std::os::unix::fs::symlink(busybox, tools.path().join(applet)).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let questions = all_kinds(folder.path());
    let tools = tools.path().to_str().unwrap();
    let full = send(&machine(), asking(questions.clone())).await.answers;
    let path = format!("PATH={tools}; export PATH;");
    let spare = wrapped(move |command| format!("{path} {command}")).shell(format!("{tools}/ash"));
    let answers = send(&spare, asking(questions.clone())).await.answers;
    for ((answer, wanted), question) in answers.into_iter().zip(full).zip(&questions) {
        // The sbin directories are searched by everybody: only there are systemctl and dpkg-query not.
        if matches!(question, Question::Unit(_) | Question::Package(_)) {
            assert!(matches!(answer, Err(Unanswered::Impossible(_))), "{answer:?}");
            continue;
        }
        let (answer, wanted) = (never_accessed(answer), never_accessed(wanted));
        assert_eq!(answer, wanted, "{question:?}");
    }
}

/// PAM asks in the host's language, whatever sudo was told to ask.
#[tokio::test]
async fn a_password_is_given_in_every_language() {
    use std::os::unix::fs::PermissionsExt as _;
    let tools = tempfile::tempdir().unwrap();
    let sudo = tools.path().join("sudo");
    let text = "#!/bin/sh\nask() { printf 'Passwort für mich: ' >&2; read p; [ \"$p\" = geheim ]; }\n\
        echo Belehrung >&2\nask || { echo Falsch >&2; ask || exit 1; }\n\
        while [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n";
    std::fs::write(&sudo, text).unwrap();
    std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:$PATH; export PATH;", tools.path().display());
    let machine = wrapped(move |command| format!("{path} {command}"));
    let becoming = |password: &str| {
        Identity::Become(Become {
            exe: None,
            user: "root".into(),
            method: BecomeMethod::Sudo,
            flags: None,
            password: Some(Secret::new(password)),
        })
    };
    let frame = || work(Script::new("t", "echo in"));
    let reply = machine.frame(becoming("geheim"), frame()).await.unwrap();
    assert!(format!("{reply:?}").contains("in\\n"), "{reply:?}");
    let refused = machine.frame(becoming("falsch"), frame()).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("sudo refused the password for becoming root"),
        "{refused}"
    );
}

/// Reading a file may set the time of its last access.
fn never_accessed(answer: Result<Answer, Unanswered>) -> Result<Answer, Unanswered> {
    match answer {
        Ok(Answer::Stat(Some(mut stat))) => {
            stat.accessed = 0.0;
            Ok(Answer::Stat(Some(stat)))
        }
        other => other,
    }
}

#[tokio::test]
async fn looking_alters_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let questions = all_kinds(folder.path());
    // Where nothing can be written, answers must be the same: in a mount namespace with everything read-only.
    let shut = "mount --make-rprivate / && mount -o remount,bind,ro / && \
        for m in /tmp /var /run /home /root; do mount --bind $m $m && mount -o remount,bind,ro $m; done; \
        touch /tmp/vmstation-written 2>/dev/null && exit 9;";
    let probe = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", &format!("{shut} exit 0")])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        promised::left_out("this machine allows no mount namespace (root and unshare are needed)");
        return;
    }
    let closed = wrapped(move |command| {
        let script = vmstation::host::quote(&format!("{shut} {command}"));
        format!("exec unshare -m sh -c {script}")
    });
    let open = send(&machine(), asking(questions.clone())).await.answers;
    let answers = send(&closed, asking(questions)).await.answers;
    for (answer, wanted) in answers.into_iter().zip(open) {
        assert_eq!(never_accessed(answer), never_accessed(wanted));
    }
}

#[tokio::test]
async fn who_reconnects_logs_in_anew() {
    let logins = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&logins);
    let connector: Connector = Arc::new(
        move || -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(async { Ok(Arc::new(Local::new()) as Arc<dyn Transport>) })
        },
    );
    let machine = Remote::new("here", connector);
    for (reconnects, wanted) in [(false, 1), (false, 1), (true, 2), (false, 2), (true, 3)] {
        if reconnects {
            machine.reconnect();
        }
        assert_eq!(
            finished(&machine, command("echo here")).await.stdout,
            "here\n".as_bytes()
        );
        assert_eq!(logins.load(std::sync::atomic::Ordering::Relaxed), wanted);
    }
}
