//! Frames to the lab's hosts: identities, lost connections, and what is left behind.
//!
//! Runs inside the network of a lab that is up, and only when it is named:
//! `VMSTATION_INSIDE_LAB=lab nsenter --net=/run/netns/vmstation-lab cargo test --test session_lab`.
//! `VMSTATION_LAB_NAME` names another lab; what is altered on its hosts is put back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vmstation::host::question::{Answer, Look, Package, PackageDatabase, Read, Stat, Unit, UnitScope};
use vmstation::host::{
    Become, BecomeMethod, Connector, Done, Frame, Identity, Lost, Machine, Output, Remote, Script, Secret,
};
use vmstation::transport::ssh::{Client, Surroundings};
use vmstation::transport::{Boxed, Destination, Transport, TransportError};

const DEBIAN: &str = "192.0.2.11";
const RHEL: &str = "192.0.2.13";
/// Debian without Python, and with nobody else at work.
const QUIET: &str = "192.0.2.14";

fn connector(address: &str, user: &str) -> Connector {
    let inside = std::env::var("VMSTATION_INSIDE_LAB").is_ok();
    assert!(inside, "not inside a lab: its first lines say how it is run");
    let lab = std::env::var("VMSTATION_LAB_NAME").unwrap_or_else(|_| "lab".to_owned());
    let place = PathBuf::from("/run/vmstation").join(lab);
    let known_hosts = place.join("known_hosts");
    let options = [
        format!("UserKnownHostsFile={}", known_hosts.display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "IdentitiesOnly=yes".to_owned(),
    ];
    let destination = Destination {
        name: address.to_owned(),
        host: address.to_owned(),
        port: None,
        user: Some(user.to_owned()),
        private_key_file: Some(place.join("key").display().to_string()),
        private_key_passphrase: None,
        password: None,
        ssh_args: options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option])
            .collect(),
        host_key_checking: None,
        timeout: Duration::from_secs(10),
    };
    let client = Client::new(Surroundings::of_this_process());
    Arc::new(
        move || -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
            let (client, destination) = (client.clone(), destination.clone());
            Box::pin(async move { client.connect(&destination).await })
        },
    )
}

fn machine(address: &str, user: &str) -> Remote {
    Remote::new(address, connector(address, user))
}

fn becoming(user: &str, method: BecomeMethod, password: Option<&str>) -> Identity {
    Identity::Become(Become {
        exe: None,
        user: user.into(),
        method,
        flags: None,
        password: password.map(Secret::new),
    })
}

fn sudo(user: &str) -> Identity {
    becoming(user, BecomeMethod::Sudo, None)
}

fn work(script: Script) -> Frame {
    Frame {
        work: Some(script),
        ..Frame::default()
    }
}

async fn frame(machine: &Remote, identity: Identity, script: Script) -> Result<Done, Lost> {
    Ok(machine.frame(identity, work(script)).await?.work.unwrap())
}

async fn run(machine: &Remote, identity: &Identity, text: &str) -> Output {
    match frame(machine, identity.clone(), Script::new("test", text).command())
        .await
        .unwrap()
    {
        Done::Finished(output) => output,
        other => panic!("{other:?}"),
    }
}

async fn says(machine: &Remote, identity: &Identity, text: &str) -> String {
    let output = run(machine, identity, text).await;
    assert!(output.ok(), "{output:?}");
    output.stdout_text().trim().to_owned()
}

async fn refused(machine: &Remote, identity: Identity) -> (String, String) {
    match frame(
        machine,
        identity,
        Script::new("test", "touch /tmp/vmstation-must-not-be"),
    )
    .await
    {
        Err(Lost::Become { message, help }) => (message, help.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_frame_is_one_round_trip_whoever_it_is_for() {
    for address in [DEBIAN, RHEL] {
        let machine = machine(address, "admin");
        assert_eq!(says(&machine, &Identity::Login, "id -un").await, "admin");
        assert_eq!(
            says(&machine, &sudo("root"), "id -un; echo $HOME").await,
            "root\n/root"
        );
        assert_eq!(
            says(&machine, &sudo("guest"), "id -un; cd; pwd").await,
            "guest\n/home/guest"
        );
        let trips: Vec<String> = machine.trips().into_iter().map(|trip| trip.what).collect();
        let wanted = [
            "connect",
            "open a shell",
            "test",
            "open a shell as root",
            "test",
            "open a shell as guest",
            "test",
        ];
        assert_eq!(trips, wanted);
        machine.close().await;
    }
}

/// The first look goes with the opening, for whoever logs in; sudo would log it.
#[tokio::test]
async fn a_first_look_saves_a_round_trip() {
    for address in [DEBIAN, RHEL] {
        let machine = machine(address, "admin");
        for identity in [Identity::Login, sudo("root")] {
            let look = Frame {
                questions: vec![Look::new("look", "id -un").into()],
                ..Frame::default()
            };
            machine.frame(identity, look).await.unwrap();
        }
        let trips: Vec<String> = machine.trips().into_iter().map(|trip| trip.what).collect();
        let wanted = [
            "connect",
            "open a shell, 1 look",
            "open a shell as root",
            "1 look",
        ];
        assert_eq!(trips, wanted);
        machine.close().await;
    }
}

#[tokio::test]
async fn passwords_for_sudo_and_su() {
    for address in [DEBIAN, RHEL] {
        let machine = machine(address, "operator");
        let with = |password| becoming("root", BecomeMethod::Sudo, Some(password));
        let (message, help) = refused(&machine, sudo("root")).await;
        assert!(
            message.contains("wants a password for becoming root"),
            "{message}"
        );
        assert!(help.contains("--ask-become-pass"), "{help}");
        let (message, _) = refused(&machine, with("wrong")).await;
        assert!(
            message.contains("refused the password for becoming root"),
            "{message}"
        );
        assert_eq!(says(&machine, &with("operator"), "id -un").await, "root");
        let guest = becoming("guest", BecomeMethod::Su, Some("guest"));
        assert_eq!(says(&machine, &guest, "id -un").await, "guest");
        let (message, _) = refused(&machine, becoming("guest", BecomeMethod::Su, Some("no"))).await;
        assert!(message.contains("su"), "{message}");
        let (message, _) = refused(&machine, becoming("guest", BecomeMethod::Su, None)).await;
        assert!(message.contains("su wants a password"), "{message}");
        let (message, _) = refused(&machine, sudo("no-such-user")).await;
        assert!(
            message.contains("password") || message.contains("no-such-user"),
            "{message}"
        );
        machine.close().await;

        // A password that is not needed harms nothing.
        let machine = self::machine(address, "admin");
        let unneeded = becoming("root", BecomeMethod::Sudo, Some("unneeded"));
        assert_eq!(says(&machine, &unneeded, "id -un; cat").await, "root");
        let (message, _) = refused(&machine, sudo("no-such-user")).await;
        assert!(message.contains("no-such-user"), "{message}");
        machine.close().await;

        let machine = self::machine(address, "guest");
        let (message, _) = refused(&machine, becoming("root", BecomeMethod::Sudo, Some("guest"))).await;
        assert!(message.contains("sudo cannot become root"), "{message}");
        machine.close().await;
    }
}

#[tokio::test]
async fn a_command_of_another_user_can_be_ended() {
    for address in [DEBIAN, RHEL] {
        let machine = machine(address, "admin");
        for identity in [Identity::Login, sudo("root"), sudo("guest")] {
            let script = Script::new("t", "sleep 87651 & sleep 87651").command();
            let limit = Some(Duration::from_millis(300));
            let begun = Instant::now();
            let done = frame(&machine, identity.clone(), script.timeout(limit))
                .await
                .unwrap();
            assert!(matches!(done, Done::TimedOut { .. }), "{done:?}");
            assert!(begun.elapsed() < Duration::from_secs(4));
            let script = Script::new("t", "sleep 87651; sleep 87651").timeout(limit);
            let done = frame(&machine, identity, script).await.unwrap();
            assert!(matches!(done, Done::TimedOut { .. }), "{done:?}");
        }
        let left = run(&machine, &sudo("root"), "pgrep -x sleep -a | grep 87651").await;
        assert_eq!(left.stdout_text(), "");
        machine.close().await;
    }
}

#[tokio::test]
async fn nonblocking_pipes_of_one_command_do_not_harm_the_next() {
    let machine = machine(DEBIAN, "admin");
    let script = "python3 -c 'import os; os.set_blocking(1, False); os.set_blocking(2, False)'";
    for identity in [Identity::Login, sudo("root"), sudo("guest")] {
        run(&machine, &identity, script).await;
        let output = run(&machine, &identity, "head -c 3000000 /dev/zero").await;
        assert_eq!((output.stdout.len(), output.status), (3_000_000, 0));
    }
    machine.close().await;
}

#[tokio::test]
async fn a_user_added_to_a_group_is_in_it_at_the_next_task() {
    let root = machine(DEBIAN, "root");
    let groups = "id -nG | tr ' ' '\\n' | grep -x games || echo none";
    let login = machine(DEBIAN, "guest");
    let other = machine(DEBIAN, "admin");
    assert_eq!(says(&login, &Identity::Login, groups).await, "none");
    assert_eq!(says(&other, &sudo("guest"), groups).await, "none");
    says(&root, &Identity::Login, "gpasswd -a guest games").await;
    for machine in [&login, &other] {
        machine.forget_identities();
    }
    assert_eq!(says(&login, &Identity::Login, groups).await, "games");
    assert_eq!(says(&other, &sudo("guest"), groups).await, "games");
    says(&root, &Identity::Login, "gpasswd -d guest games").await;
    for machine in [&login, &other] {
        machine.forget_identities();
    }
    assert_eq!(says(&login, &Identity::Login, groups).await, "none");
    assert_eq!(says(&other, &sudo("guest"), groups).await, "none");
    // Where nothing has changed, nothing is opened anew.
    let before = login.trips().len();
    login.forget_identities();
    says(&login, &Identity::Login, "true").await;
    assert_eq!(login.trips().len(), before + 1);
    for machine in [root, login, other] {
        machine.close().await;
    }
}

#[tokio::test]
async fn a_lost_connection_is_named_and_opened_again() {
    let machine = machine(DEBIAN, "root");
    // The session's own sshd is the parent of the shell.
    let cut = "p=$(cut -d ' ' -f 4 /proc/$PPID/stat); echo started; kill -9 $p; sleep 5";
    let lost = frame(&machine, Identity::Login, Script::new("t", cut).command()).await;
    assert!(matches!(&lost, Err(Lost::During(_))), "{lost:?}");
    assert_eq!(says(&machine, &Identity::Login, "echo back").await, "back");
    // Questions are asked again of the new connection.
    let asked = Frame {
        questions: vec![Look::new("t", "echo answer").into()],
        ..Frame::default()
    };
    let ticket = "/run/vmstation-cut-once";
    let once = format!(
        "[ -e {ticket} ] || {{ touch {ticket}; kill -9 $PPID; sleep 5; }}; echo whole; rm -f {ticket}"
    );
    let cutting = Frame {
        questions: vec![Look::new("t", once).into()],
        ..Frame::default()
    };
    for (frame, wanted) in [(cutting, "whole\n"), (asked, "answer\n")] {
        let answers = machine.frame(Identity::Login, frame).await.unwrap().answers;
        assert!(
            matches!(answers.first(), Some(Ok(Answer::Look(output))) if output.stdout == wanted),
            "{answers:?}"
        );
    }
    machine.close().await;
}

#[tokio::test]
async fn more_frames_than_channels_queue() {
    let machine = Arc::new(machine(RHEL, "admin"));
    let frames: Vec<_> = (0..20)
        .map(|i| {
            let identity = if i % 2 == 0 { Identity::Login } else { sudo("root") };
            tokio::spawn(machine.frame(identity, work(Script::new("t", "sleep 0.2; id -un").command())))
        })
        .collect();
    for (i, frame) in frames.into_iter().enumerate() {
        let reply = frame.await.unwrap().unwrap();
        let wanted = if i % 2 == 0 { "admin\n" } else { "root\n" };
        assert!(matches!(reply.work, Some(Done::Finished(output)) if output.stdout == wanted));
    }
    machine.close().await;
}

#[tokio::test]
async fn large_payloads_under_every_identity() {
    let payload: Vec<u8> = (0..3_000_000_u32)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    for address in [DEBIAN, RHEL] {
        let admin = machine(address, "admin");
        let operator = machine(address, "operator");
        let password = becoming("root", BecomeMethod::Sudo, Some("operator"));
        for (machine, identity) in [
            (&admin, Identity::Login),
            (&admin, sudo("root")),
            (&admin, sudo("guest")),
            (&operator, password),
        ] {
            for size in [50_000, 500_000, 3_000_000] {
                let part = payload.get(..size).unwrap().to_vec();
                let script = Script::new("t", "cat").stdin(part.clone());
                let done = frame(machine, identity.clone(), script).await.unwrap();
                assert!(matches!(done, Done::Finished(output) if output.stdout == part));
            }
        }
        admin.close().await;
        operator.close().await;
    }
}

#[tokio::test]
async fn an_interrupt_leaves_no_process() {
    let machine = Arc::new(machine(RHEL, "admin"));
    let identities = [Identity::Login, sudo("root"), sudo("guest")];
    let frames: Vec<_> = identities
        .into_iter()
        .map(|identity| {
            tokio::spawn(machine.frame(identity, work(Script::new("t", "sleep 87653").command())))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let begun = Instant::now();
    machine.interrupt().await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    for frame in frames {
        assert_eq!(frame.await.unwrap().unwrap().work, Some(Done::Interrupted));
    }
    assert_eq!(
        run(&machine, &sudo("root"), "pgrep -f 'sleep 8765[3]'")
            .await
            .stdout_text(),
        ""
    );
    machine.close().await;
}

#[tokio::test]
async fn nothing_is_left_on_the_host() {
    let watcher = machine(QUIET, "root");
    let machine = machine(QUIET, "operator");
    let root = becoming("root", BecomeMethod::Sudo, Some("operator"));
    let listing = "ps -e -o args= | grep -E '[s]udo|^/bin/sh$|^cat' | sort";
    let before = says(&watcher, &Identity::Login, &format!("{listing} || true")).await;
    for identity in [
        Identity::Login,
        root,
        becoming("guest", BecomeMethod::Su, Some("guest")),
    ] {
        says(&machine, &identity, "true").await;
    }
    machine.close().await;
    // Nobody has waited for them to end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = says(&watcher, &Identity::Login, &format!("{listing} || true")).await;
    assert_eq!(
        before.lines().count(),
        after.lines().count(),
        "{before}\n---\n{after}"
    );
    watcher.close().await;
}

#[tokio::test]
async fn questions_of_both_families() {
    for (address, database, has, unit) in [
        (DEBIAN, PackageDatabase::Dpkg, "cron", "cron.service"),
        (RHEL, PackageDatabase::Rpm, "bash", "crond.service"),
    ] {
        let machine = machine(address, "admin");
        let package = |name: &str| Package {
            database,
            name: name.to_owned(),
        };
        let unit_of = |name: &str| Unit {
            name: name.to_owned(),
            scope: UnitScope::System,
        };
        let frame = Frame {
            questions: vec![
                package(has).into(),
                package("no-such-package").into(),
                package("sample").into(),
                unit_of(unit).into(),
                unit_of("no-such.service").into(),
                unit_of("template-without-instance@.service").into(),
                unit_of("sshd").into(),
                Stat::of("/root/closed").into(),
                Read::of("/etc/shadow").into(),
                Read::of("/proc/cpuinfo").into(),
            ],
            ..Frame::default()
        };
        let answers = machine.frame(sudo("root"), frame.clone()).await.unwrap().answers;
        let count = |i: usize| match answers.get(i) {
            Some(Ok(Answer::Package(found))) => found.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!((count(0), count(1), count(2)), (1, 0, 1));
        let property = |i: usize, name: &str| match answers.get(i) {
            Some(Ok(Answer::Unit(properties))) => properties.get(name).cloned().unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (property(3, "ActiveState"), property(3, "UnitFileState")),
            ("active".into(), "enabled".into())
        );
        assert_eq!(property(4, "LoadState"), "not-found");
        assert!(matches!(answers.get(5), Some(Err(_))), "{:?}", answers.get(5));
        assert_eq!(property(6, "LoadState"), "loaded");
        assert_eq!(answers.get(7), Some(&Ok(Answer::Stat(None))));
        let answers = machine.frame(Identity::Login, frame).await.unwrap().answers;
        assert!(matches!(answers.get(7), Some(Err(_))), "{:?}", answers.get(7));
        assert!(
            format!("{:?}", answers.get(8)).contains("permission denied"),
            "{:?}",
            answers.get(8)
        );
        assert!(format!("{:?}", answers.get(9)).contains("processor"));
        machine.close().await;
    }
}
