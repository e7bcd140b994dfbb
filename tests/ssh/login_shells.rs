//! Whatever shell a user logs in to, and whatever its start-up files say, what runs there is `sh`.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use vmstation::host::question::{Answer, Look};
use vmstation::host::{Connector, Done, Frame, Identity, Machine, Remote, Script};
use vmstation::transport::{Boxed, Destination, Transport, TransportError};

use crate::need;
use crate::promised::left_out;
use crate::server::{Home, SSHD, Sshd, bare, set_mode};

const USER: u32 = 54321;

/// A server on which `vmstation-test` logs in to `shell`, whose start-up files are noisy.
fn with_login_shell(shell: &str, noise: &str) -> Option<Sshd> {
    let may_mount = Command::new("unshare")
        .args(["-m", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !may_mount {
        left_out("a user with another shell needs root and unshare");
        return None;
    }
    let home = Home::new();
    home.key("host", &["ed25519"], "");
    home.key("id", &["ed25519"], "");
    home.write("authorized", &home.public("id"));
    set_mode(home.directory.path(), 0o755);
    let theirs = home.path("theirs");
    fs::create_dir_all(theirs.join(".config/fish")).unwrap();
    for file in [
        ".bashrc",
        ".cshrc",
        ".tcshrc",
        ".zshenv",
        ".config/fish/config.fish",
    ] {
        fs::write(theirs.join(file), noise).unwrap();
    }
    for path in [".", ".config", ".config/fish"] {
        chown(theirs.join(path), Some(USER), Some(USER)).unwrap();
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = format!("vmstation-test:x:{USER}:{USER}::{}:{shell}\n", theirs.display());
    home.write("passwd", &format!("{passwd}{line}"));
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    home.write(
        "shadow",
        &format!("{shadow}vmstation-test:*:19000:0:99999:7:::\n"),
    );
    home.write(
        "pam",
        "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    );
    // The home is theirs, not the one that keeps other tests quiet.
    let more = format!("SetEnv HOME={}\n", theirs.display());
    Some(Sshd::start_with_accounts(home, &more))
}

fn machine(sshd: &Sshd) -> Remote {
    let client = sshd.home.client();
    let destination = Destination {
        user: Some("vmstation-test".to_owned()),
        private_key_file: Some("~/id".to_owned()),
        ..bare(sshd.port)
    };
    let connect: Connector = Arc::new(
        move || -> Boxed<'static, Result<Arc<dyn Transport>, TransportError>> {
            let (client, destination) = (client.clone(), destination.clone());
            Box::pin(async move { client.connect(&destination).await })
        },
    );
    Remote::new("web1", connect)
}

async fn look(machine: &Remote, script: &str) -> String {
    let frame = Frame {
        questions: vec![Look::new("look", script).into()],
        ..Frame::default()
    };
    let mut answers = machine.frame(Identity::Login, frame).await.unwrap().answers;
    match answers.pop() {
        Some(Ok(Answer::Look(output))) => output.stdout_text(),
        other => panic!("{other:?}"),
    }
}

async fn run(machine: &Remote, script: &str) -> String {
    let frame = Frame {
        work: Some(Script::new("run", script).command()),
        ..Frame::default()
    };
    match machine.frame(Identity::Login, frame).await.unwrap().work {
        Some(Done::Finished(output)) => output.stdout_text(),
        other => panic!("{other:?}"),
    }
}

const SHELLS: &[&str] = &[
    "/bin/sh",
    "/bin/bash",
    "/usr/bin/zsh",
    "/usr/bin/fish",
    "/usr/bin/tcsh",
    "/usr/bin/bsd-csh",
    "/usr/bin/mksh",
];

/// Quotes, dollars, exclamation marks, backslashes, letters that are not ASCII: what shells read differently.
const ODD: &str = r#"printf '%s|' "it's" 'a\b' '!!' '%d' ä '$HOME' "$((1+1))" `echo b` "x
y"; id -u"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_login_shell() {
    need!(SSHD, "ssh-keygen");
    for shell in SHELLS {
        if !Path::new(shell).exists() {
            left_out(&format!("there is no {shell} here"));
            continue;
        }
        let noise = "echo hello from the start-up file\n";
        let Some(sshd) = with_login_shell(shell, noise) else {
            return;
        };
        let machine = machine(&sshd);
        let wanted = format!("it's|a\\b|!!|%d|ä|$HOME|2|b|x\ny|{USER}\n");
        assert_eq!(look(&machine, ODD).await, wanted, "{shell}");
        assert_eq!(run(&machine, ODD).await, wanted, "{shell}");
        // As long as the script that reads the facts.
        let long = format!(": {} {}; echo end", "'x y' ".repeat(100), "facts ".repeat(3000));
        let other = self::machine(&sshd);
        assert_eq!(look(&other, &long).await, "end\n", "{shell}");
        let trips: Vec<String> = other.trips().into_iter().map(|trip| trip.what).collect();
        // Only csh of old reads no long words.
        if !shell.ends_with("csh") {
            assert_eq!(trips, ["connect", "open a shell, 1 look"], "{shell}");
        }
        println!("{shell}: {trips:?}");
        machine.close().await;
        other.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_up_files_that_end_the_shell() {
    need!(SSHD, "ssh-keygen");
    let Some(sshd) = with_login_shell("/bin/bash", "echo not today >&2\nexit 7\n") else {
        return;
    };
    let frame = Frame {
        questions: vec![Look::new("look", "echo").into()],
        ..Frame::default()
    };
    let error = machine(&sshd).frame(Identity::Login, frame).await.unwrap_err();
    println!("{error:?}");
    let said = format!("{error:?}");
    assert!(
        said.contains("the login shell ended at once: not today"),
        "{said}"
    );
    assert!(said.contains("start-up files"), "{said}");
}
