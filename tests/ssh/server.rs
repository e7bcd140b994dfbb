//! A throw-away sshd with keys of its own, and a user's home to connect from.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use vmstation::transport::ssh::{Client, Surroundings};
use vmstation::transport::{Channel, Destination, Exit, Piece, Transport, TransportError};

use crate::promised::left_out;

pub const SSHD: &str = "/usr/sbin/sshd";

/// Whether a tool is missing; it is said, then.
pub fn missing(tools: &[&str]) -> bool {
    let Some(tool) = tools.iter().find(|tool| find(tool).is_none()) else {
        return false;
    };
    left_out(&format!(
        "{tool} is missing (Debian: apt-get install openssh-server openssh-client)"
    ));
    true
}

fn find(tool: &str) -> Option<PathBuf> {
    if tool.starts_with('/') {
        return Some(PathBuf::from(tool)).filter(|path| path.is_file());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(tool))
        .find(|path| path.is_file())
}

/// Leaves the test where a tool is missing.
#[macro_export]
macro_rules! need {
    ($($tool:expr),*) => {
        if $crate::server::missing(&[$($tool),*]) { return; }
    };
}

/// The name of the user who runs the tests, as whom sshd lets us in.
pub fn me() -> String {
    static ME: OnceLock<String> = OnceLock::new();
    ME.get_or_init(|| run(Command::new("id").arg("-un")).trim().to_owned())
        .clone()
}

pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A port that nobody uses at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A directory with keys, a `~/.ssh`, and what a test writes.
pub struct Home {
    pub directory: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".ssh")).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `ssh-keygen -t KIND -f NAME`.
    pub fn key(&self, name: &str, kind: &[&str], passphrase: &str) -> PathBuf {
        let path = self.path(name);
        run(Command::new("ssh-keygen")
            // One round: what makes guessing slow would make the tests slow.
            .args(["-q", "-a", "1", "-t"])
            .args(kind)
            .args(["-N", passphrase, "-C", name, "-f"])
            .arg(&path));
        path
    }

    pub fn public(&self, name: &str) -> String {
        self.read(&format!("{name}.pub")).trim().to_owned()
    }

    pub fn client(&self) -> Client {
        Client::new(self.surroundings())
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            home: self.directory.path().to_owned(),
            user: me(),
            agent: None,
            config: self.path(".ssh/config"),
            system_config: self.path("system_config"),
            ssh: find("ssh"),
        }
    }
}

pub struct Sshd {
    child: Child,
    pub port: u16,
    pub home: Home,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    /// One that takes the key `id`, and is known to `home`.
    pub fn start(more: &str) -> Self {
        let home = Home::new();
        home.key("host", &["ed25519"], "");
        home.key("id", &["ed25519"], "");
        home.write("authorized", &home.public("id"));
        Self::start_in(home, more)
    }

    /// One whose host keys and `authorized` are there already.
    pub fn start_in(home: Home, more: &str) -> Self {
        let port = free_port();
        let config = Self::configure(&home, port, more);
        Self::spawn(
            home,
            port,
            Command::new(SSHD).args(["-D", "-e", "-f"]).arg(&config),
        )
    }

    /// What `more` says comes first, and so wins.
    pub fn configure(home: &Home, port: u16, more: &str) -> PathBuf {
        // Needed by sshd when it runs as root; nobody else can make it.
        let _ = fs::create_dir_all("/run/sshd");
        let host_keys: Vec<String> = ["host", "host_rsa", "host_ecdsa"]
            .iter()
            .filter(|name| home.path(name).exists())
            .map(|name| format!("HostKey {}\n", home.path(name).display()))
            .collect();
        let host_keys = host_keys.concat();
        // Without a home, no start-up file of whoever runs the tests has its say, or takes its time.
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\n{host_keys}PidFile none\nStrictModes no\n\
             AuthorizedKeysFile {}\nPermitRootLogin yes\nMaxStartups 1000\n{more}\nSetEnv HOME=/nonexistent\nUsePAM no\n",
            home.path("authorized").display()
        );
        home.write("sshd_config", &config)
    }

    /// One that sees the home's `passwd`, `shadow` and `pam` in place of the machine's.
    pub fn start_with_accounts(home: Home, more: &str) -> Self {
        let port = free_port();
        let config = Self::configure(&home, port, more);
        let mounts = "d=$1; mount --bind $d/passwd /etc/passwd && mount --bind $d/shadow /etc/shadow || exit
                      [ ! -e /etc/pam.d/sshd ] || mount --bind $d/pam /etc/pam.d/sshd || exit
                      exec /usr/sbin/sshd -D -e -f $d/sshd_config";
        assert!(config.exists());
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", mounts, "sh"])
            .arg(home.directory.path());
        Self::spawn(home, port, &mut command)
    }

    fn spawn(home: Home, port: u16, command: &mut Command) -> Self {
        let log = fs::File::create(home.path("sshd.log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut sshd = Self { child, port, home };
        sshd.wait();
        sshd.home.write(
            ".ssh/known_hosts",
            &format!("[127.0.0.1]:{port} {}\n", sshd.home.public("host")),
        );
        sshd
    }

    fn wait(&mut self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "sshd: {}", self.home.read("sshd.log"));
            assert!(start.elapsed() < Duration::from_secs(10), "sshd does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// With the key `id`.
    pub fn destination(&self) -> Destination {
        Destination {
            private_key_file: Some("~/id".to_owned()),
            ..bare(self.port)
        }
    }

    pub async fn connect(&self) -> Arc<dyn Transport> {
        self.home
            .client()
            .connect(&self.destination())
            .await
            .unwrap_or_else(|error| panic!("{error:?}\n{}", self.home.read("sshd.log")))
    }
}

/// Nothing but an address.
pub fn bare(port: u16) -> Destination {
    Destination {
        name: "web1".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        user: Some(me()),
        private_key_file: None,
        private_key_passphrase: None,
        password: None,
        ssh_args: Vec::new(),
        host_key_checking: None,
        timeout: Duration::from_secs(10),
    }
}

pub fn args(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

pub async fn refused(client: &Client, destination: &Destination) -> TransportError {
    match client.connect(destination).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Option<Exit>,
}

pub async fn collect(mut channel: Channel, input: &[u8]) -> Output {
    if !input.is_empty() {
        // A program may have ended by now; then nobody takes its input.
        let _ = channel.input.send(Bytes::copy_from_slice(input));
    }
    drop(channel.input);
    let mut output = Output::default();
    while let Some(piece) = channel.output.recv().await {
        match piece {
            Piece::Stdout(bytes) => output.stdout.extend_from_slice(&bytes),
            Piece::Stderr(bytes) => output.stderr.extend_from_slice(&bytes),
            Piece::Exit(exit) => output.exit = Some(exit),
        }
    }
    output
}

pub async fn say(transport: &dyn Transport, command: &str) -> String {
    let output = collect(transport.start(command).await.unwrap(), b"").await;
    assert_eq!(output.exit, Some(Exit::Code(0)), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
