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
use super::options::{Setting, words};

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
        reading: Reading::default(),
    };
    for (file, beside) in [
        (&files.user, home.join(".ssh")),
        (&files.system, PathBuf::from("/etc/ssh")),
    ] {
        if let Some(file) = file {
            reader.file(file, &beside, true, 0);
        }
    }
    reader.reading
}

struct Reader<'a> {
    host: &'a str,
    home: &'a Path,
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
                "host" => applies = active && self.is_meant(&setting.value),
                "match" => applies = active && self.is_matched(&setting.value, &place),
                "include" if applies => self.include(&setting.value, beside, &place, depth),
                _ if applies => self.setting(setting, &place),
                _ => {}
            }
        }
    }

    fn is_meant(&self, patterns: &str) -> bool {
        let patterns = words(patterns);
        glob::matches_list(patterns.iter().map(String::as_str), self.host)
    }

    fn is_matched(&mut self, criteria: &str, place: &str) -> bool {
        if criteria.eq_ignore_ascii_case("all") {
            return true;
        }
        self.unsure(place, &format!("Match {criteria}"));
        false
    }

    fn include(&mut self, value: &str, beside: &Path, place: &str, depth: usize) {
        if depth >= DEPTH {
            self.unsure(place, "Include (too deep)");
            return;
        }
        for pattern in words(value) {
            let pattern = tilde(&pattern, self.home);
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
            Meaning::Missing if is_off(&setting.value) => {}
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
    let settings: Vec<_> = text.lines().filter_map(Setting::parse).collect();
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
