//! `ssh_config`: read here as far as its meaning is plain, and by `ssh -G` where it is not.
//!
//! `ssh -G` is exact, but a process of 5 ms for every host. Most files are `Host` blocks with plain keywords, so
//! they are read here; `Match`, canonicalisation and whatever is not known are left to `ssh`, if there is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::expand::tilde;
use super::glob;
use super::keywords::{self, Meaning};
use super::options::Setting;

/// How deep one file may include another, as in `ssh`.
const DEPTH: usize = 16;

/// The files that are read, the user's before the system's.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) user: Option<PathBuf>,
    pub(super) system: Option<PathBuf>,
}

/// What the files say about one host.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) settings: Vec<Setting>,
    /// Why only `ssh` itself could tell for sure: the line that is not understood here.
    pub(super) unsure: Option<String>,
    /// Lines that were passed over, with their places.
    pub(super) ignored: Vec<String>,
}

/// Reads the files for `host`, as it was asked for.
pub(super) fn read(files: &Files, host: &str, home: &Path) -> Reading {
    let mut reader = Reader {
        host,
        home,
        own: true,
        reading: Reading::default(),
    };
    if let Some(file) = &files.user {
        reader.file(file, &home.join(".ssh"), true, 0);
    }
    reader.own = false;
    if let Some(file) = &files.system {
        reader.file(file, Path::new("/etc/ssh"), true, 0);
    }
    reader.reading
}

struct Reader<'a> {
    host: &'a str,
    home: &'a Path,
    /// Whether the file is the user's. What a distribution writes into its own (lists of ciphers, above all) the
    /// user neither wrote nor wants to hear about.
    own: bool,
    reading: Reading,
}

impl Reader<'_> {
    /// `active`: whether the block that includes this file applies to the host.
    fn file(&mut self, path: &Path, beside: &Path, active: bool, depth: usize) {
        let Ok(text) = fs::read_to_string(path) else {
            return;
        };
        let mut applies = active;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("{}:{}", path.display(), index + 1);
            let Some(setting) = Setting::parse(line) else {
                self.reading.ignored.push(format!("{place}: {line}"));
                continue;
            };
            match setting.keyword.as_str() {
                "host" => applies = active && self.is_meant(setting.words()),
                "match" => applies = active && self.is_matched(&setting, &place),
                "include" if applies => self.include(setting.words(), beside, &place, depth),
                _ if applies => self.setting(setting, &place),
                _ => {}
            }
        }
    }

    fn is_meant(&self, patterns: &[String]) -> bool {
        glob::matches_list(patterns.iter().map(String::as_str), self.host)
    }

    fn is_matched(&mut self, criteria: &Setting, place: &str) -> bool {
        let plain = criteria.words().join(" ").to_lowercase();
        // `final` asks for the files to be read twice; what stands there yields to all else, as what comes last does.
        if plain == "all" || plain == "final all" {
            return true;
        }
        self.unsure(place, &format!("Match {}", criteria.value));
        false
    }

    fn include(&mut self, patterns: &[String], beside: &Path, place: &str, depth: usize) {
        if depth >= DEPTH {
            self.unsure(place, "Include (too deep)");
            return;
        }
        for pattern in patterns {
            let pattern = tilde(pattern, self.home);
            // Joining an absolute path yields that path.
            for file in glob::files(&beside.join(pattern)) {
                self.file(&file, beside, true, depth + 1);
            }
        }
    }

    fn setting(&mut self, setting: Setting, place: &str) {
        let name = &setting.keyword;
        match keywords::meaning(name) {
            Meaning::Used => self.reading.settings.push(setting),
            Meaning::Idle => {}
            Meaning::Missing if is_off(&setting.value) || !self.own => {}
            Meaning::Missing => self
                .reading
                .ignored
                .push(format!("{place}: {name} {}", setting.value)),
            Meaning::Unknown => self.unsure(place, name),
        }
    }

    fn unsure(&mut self, place: &str, what: &str) {
        let line = format!("{place}: {what}");
        self.reading.unsure.get_or_insert_with(|| line.clone());
        self.reading.ignored.push(line);
    }
}

fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "no" | "none")
}

/// Asks `ssh` what it would do; `None` when it cannot tell (it is too old, or the file is wrong).
pub(super) async fn ask_ssh(program: &Path, arguments: &[String], host: &str) -> Option<Vec<Setting>> {
    let output = Command::new(program)
        .arg("-G")
        .args(arguments)
        .args(["--", host])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let settings: Vec<_> = text.lines().filter_map(Setting::printed).collect();
    Some(without_defaults(settings))
}

/// `ssh -G` prints the default key files as if somebody had named them.
fn without_defaults(mut settings: Vec<Setting>) -> Vec<Setting> {
    let named = settings
        .iter()
        .any(|setting| setting.keyword == "identityfile" && !DEFAULT_KEYS.contains(&setting.value.as_str()));
    settings.retain(|setting| {
        keywords::meaning(&setting.keyword) == Meaning::Used && (named || setting.keyword != "identityfile")
    });
    settings
}

/// The key files that `ssh` looks for unasked, in its order.
pub(super) const DEFAULT_KEYS: &[&str] = &[
    "~/.ssh/id_rsa",
    "~/.ssh/id_ecdsa",
    "~/.ssh/id_ecdsa_sk",
    "~/.ssh/id_ed25519",
    "~/.ssh/id_ed25519_sk",
    "~/.ssh/id_xmss",
    "~/.ssh/id_dsa",
];

#[cfg(test)]
mod tests {
    use super::super::options::Options;
    use super::*;

    struct Home {
        directory: tempfile::TempDir,
    }

    impl Home {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join(".ssh")).unwrap();
            for (name, text) in files {
                let path = directory.path().join(".ssh").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self { directory }
        }

        fn read(&self, host: &str) -> Reading {
            let files = Files {
                user: Some(self.directory.path().join(".ssh/config")),
                system: None,
            };
            read(&files, host, self.directory.path())
        }

        fn value(&self, host: &str, keyword: &str) -> Option<String> {
            self.read(host)
                .settings
                .into_iter()
                .find(|setting| setting.keyword == keyword)
                .map(|setting| setting.value)
        }
    }

    #[test]
    fn blocks_apply_by_pattern_and_negation() {
        let home = Home::new(&[(
            "config",
            "User everyone\nHost *.lan !bad.lan\n  Port 2200\nHost bad.* good.lan\n\tPort = 2300\n",
        )]);
        assert_eq!(home.value("a.lan", "port").as_deref(), Some("2200"));
        assert_eq!(home.value("bad.lan", "port").as_deref(), Some("2300"));
        assert_eq!(home.value("good.lan", "port").as_deref(), Some("2200"));
        assert_eq!(home.value("other", "port"), None);
        assert_eq!(home.value("other", "user").as_deref(), Some("everyone"));
    }

    #[test]
    fn included_files_belong_to_their_block() {
        let home = Home::new(&[
            ("config", "Host a\n  Include conf.d/*.conf\nPort 1\n"),
            ("conf.d/one.conf", "Host *\n  User included\n"),
            ("conf.d/other.txt", "User wrong\n"),
        ]);
        assert_eq!(home.value("a", "user").as_deref(), Some("included"));
        assert_eq!(home.value("a", "port").as_deref(), Some("1"));
        assert_eq!(home.value("b", "user"), None);
        assert_eq!(home.value("b", "port"), None);
    }

    #[test]
    fn what_a_distribution_writes_needs_no_ssh() {
        let home = Home::new(&[(
            "system",
            "Include none.d/*.conf\nHost *\n SendEnv LANG LC_*\n HashKnownHosts yes\n GSSAPIAuthentication yes\n\
             Match final all\n Ciphers aes256-gcm@openssh.com\n ForwardX11Trusted yes\n",
        )]);
        let files = Files {
            user: None,
            system: Some(home.directory.path().join(".ssh/system")),
        };
        let reading = read(&files, "a", home.directory.path());
        assert_eq!((reading.unsure, reading.ignored), (None, Vec::new()));
        assert_eq!(reading.settings, [Setting::new("hashknownhosts", "yes")]);
    }

    #[test]
    fn what_only_ssh_can_tell_is_named() {
        let home = Home::new(&[(
            "config",
            "Match exec \"true\"\n  Port 9\nHost a\n  CanonicalizeHostname yes\n  Ciphers aes128-ctr\n  SendEnv X\n",
        )]);
        let reading = home.read("a");
        assert!(reading.unsure.unwrap().ends_with("config:1: Match exec \"true\""));
        assert_eq!(reading.settings, []);
        assert_eq!(reading.ignored.len(), 3, "{:?}", reading.ignored);
    }

    /// What `ssh` makes of the same files, where it is installed.
    #[tokio::test]
    async fn ssh_reads_the_same() {
        let ssh = Path::new("/usr/bin/ssh");
        if !ssh.exists() {
            // `make test` promises to run every test, and sets it.
            assert!(std::env::var_os("VMSTATION_LAB").is_none(), "there is no ssh");
            return;
        }
        let texts = [
            "Host a b !c\n Port 1\nHost *\n Port 2\n User u\n",
            "User=first\nUser second\nHost b*\n\tIdentityFile \"~/with blank\"\n IdentityFile ~/%h\n",
            "Host *.lan\n ProxyJump one,two:2222\n StrictHostKeyChecking accept-new\nHost a.lan\n ProxyCommand nc %h %p\n",
            "Host a?\n HostName %h.example.org\n IdentitiesOnly yes\n HashKnownHosts yes\nMatch all\n Port 7\n",
            "Host a # b\n HostName 10.0.0.1 # the web server\n Port 2222 # high\n User 'an admin'\n\
             IdentityFile ~/a\\ b # c\nHost b\n ProxyJump gw-%h,x # jump\n UserKnownHostsFile /a /b # c\n",
            "# comment\n\n   Host   b\n UserKnownHostsFile /x /y\n ServerAliveInterval 7\nHost\ta\n AddressFamily inet6\n",
            "Host !a *\n Port 3\nhost A\n port 4\nHOST *\n GSSAPIAuthentication yes\n SendEnv LANG\n HostKeyAlias x\n",
        ];
        for text in texts {
            let home = Home::new(&[("config", text)]);
            let file = home.directory.path().join(".ssh/config");
            for host in ["a", "b", "c", "ab", "a.lan", "b.lan", "A"] {
                let asked = ask_ssh(ssh, &["-F".to_owned(), file.display().to_string()], host)
                    .await
                    .unwrap();
                let reading = home.read(host);
                assert_eq!(reading.unsure, None, "{text}");
                assert_same(&reading.settings, &asked, &format!("{host}: {text}"));
            }
        }
    }

    /// `ssh -G` prints defaults too; what was read here must be what it prints.
    fn assert_same(read: &[Setting], asked: &[Setting], what: &str) {
        let read = Options::from_settings(read).unwrap();
        let asked = Options::from_settings(asked).unwrap();
        assert_eq!(read.port.unwrap_or(22), asked.port.unwrap(), "{what}");
        assert!(read.user.is_none() || read.user == asked.user, "{what}");
        assert_eq!(read.identity_files, asked.identity_files, "{what}");
        assert_eq!(read.identities_only, asked.identities_only, "{what}");
        assert_eq!(read.way, asked.way, "{what}");
        assert_eq!(read.strictness, asked.strictness, "{what}");
        assert_eq!(read.hash_known_hosts, asked.hash_known_hosts, "{what}");
        assert_eq!(read.host_key_alias, asked.host_key_alias, "{what}");
        assert_eq!(read.alive_interval, asked.alive_interval, "{what}");
        assert_eq!(read.family, asked.family, "{what}");
        if read.user_known_hosts.is_some() {
            assert_eq!(read.user_known_hosts, asked.user_known_hosts, "{what}");
        }
    }

    #[test]
    fn default_key_files_are_not_named_ones() {
        let line = |value: &str| Setting::new("identityfile", value);
        assert_eq!(
            without_defaults(vec![line("~/.ssh/id_rsa"), line("~/.ssh/id_dsa")]),
            []
        );
        assert_eq!(without_defaults(vec![line("~/mine")]).len(), 1);
    }
}
