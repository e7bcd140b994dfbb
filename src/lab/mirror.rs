//! Which mirrors this machine's own apt uses for Debian 12, as deb822 text.
//!
//! The lab names no mirror of its own: behind a proxy or a company's mirror, the
//! machine's own configuration is what works.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::Diagnostic;

const RELEASE: &str = "bookworm";
const SUITES: [&str; 3] = ["bookworm", "bookworm-updates", "bookworm-security"];

/// The sources of this machine that have Debian 12, for mmdebstrap.
pub fn sources() -> Result<String, Diagnostic> {
    let text = read(Path::new("/etc/apt"));
    if text.is_empty() {
        return Err(Diagnostic::error(format!(
            "this machine's apt knows no mirror of Debian 12 ({RELEASE}), which the lab's hosts are made of"
        ))
        .help(format!(
            "add one to /etc/apt/sources.list.d, for example: deb <mirror> {RELEASE} main"
        )));
    }
    Ok(text)
}

fn read(apt: &Path) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.push(apt.join("sources.list"));
    files.sort();
    let mut stanzas = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|e| e.to_str()) {
            Some("sources") => stanzas.extend(from_deb822(&text)),
            Some("list") => stanzas.extend(from_lines(&text)),
            _ => {}
        }
    }
    stanzas.join("\n")
}

/// Stanzas with a suite of Debian 12, reduced to those suites and to binaries.
fn from_deb822(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let plain: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in plain.split(|line| line.trim().is_empty()) {
        let field = |name: &str| {
            stanza.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let suites = ours(field("Suites").unwrap_or_default().split_whitespace());
        let off = field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        let Some(uris) = field("URIs") else { continue };
        if suites.is_empty() || off {
            continue;
        }
        found.push(stanza_text(
            uris,
            &suites,
            field("Components"),
            field("Signed-By"),
        ));
    }
    found
}

/// `deb [options] URI SUITE COMPONENT…` lines.
fn from_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb ") else {
            continue;
        };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((options, rest)) => (options, rest),
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
            continue;
        };
        let suites = ours([suite].into_iter());
        if suites.is_empty() {
            continue;
        }
        let components: Vec<&str> = words.collect();
        let key = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        found.push(stanza_text(uri, &suites, Some(&components.join(" ")), key));
    }
    found
}

fn ours<'a>(suites: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    suites.filter(|suite| SUITES.contains(suite)).collect()
}

fn stanza_text(uris: &str, suites: &[&str], components: Option<&str>, key: Option<&str>) -> String {
    let mut text = format!(
        "Types: deb\nURIs: {uris}\nSuites: {}\nComponents: {}\n",
        suites.join(" "),
        components.unwrap_or("main")
    );
    if let Some(key) = key {
        text.push_str("Signed-By: ");
        text.push_str(key);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_of_other_releases_are_left_out() {
        let text = "Types: deb\nURIs: http://m/debian\nSuites: bookworm trixie\nComponents: main\n# note\nSigned-By: /k\n\n\
                    Types: deb\nURIs: http://other\nSuites: nodistro\nComponents: main\n";
        assert_eq!(
            from_deb822(text),
            ["Types: deb\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\nSigned-By: /k\n"]
        );
    }

    #[test]
    fn lines_are_read_with_their_options() {
        let text = "# deb http://no bookworm main\ndeb-src http://m bookworm main\n\
                    deb [arch=amd64 signed-by=/k] http://m/debian bookworm-security main contrib # x\n";
        assert_eq!(
            from_lines(text),
            [
                "Types: deb\nURIs: http://m/debian\nSuites: bookworm-security\nComponents: main contrib\nSigned-By: /k\n"
            ]
        );
    }
}
