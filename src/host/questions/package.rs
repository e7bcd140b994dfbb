//! Installed packages, by the package database alone: one process for all names.

use std::collections::VecDeque;

use super::{Answered, Batch, Section, failure, impossible, lines};
use crate::host::machine::quote;
use crate::host::question::{Answer, Installed};

pub(super) struct DpkgPackages {
    pub names: Vec<String>,
}

pub(super) struct RpmPackages {
    pub names: Vec<String>,
}

impl Batch for DpkgPackages {
    fn script(&self, mark: &str) -> String {
        // Names are patterns to dpkg-query; what they match is sorted out by `answers`.
        format!(
            "dpkg-query -W -f '{mark}\\t${{Package}}\\t${{Version}}\\t${{Architecture}}\\t${{db:Status-Abbrev}}\\n' -- {}",
            words(&self.names)
        )
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        if let Some(failure) = failure(section, "dpkg-query", 1, self.names.len()) {
            return failure;
        }
        let installed: Vec<Installed> = lines(section)
            .iter()
            .filter_map(|line| record(line, mark))
            .filter(is_installed)
            .collect();
        let of = |name: &String| {
            let of_name = installed
                .iter()
                .filter(|package| is_dpkg_name(package, name))
                .cloned();
            Ok(Answer::Package(of_name.collect()))
        };
        self.names.iter().map(of).collect()
    }
}

impl Batch for RpmPackages {
    fn script(&self, mark: &str) -> String {
        let names = words(&self.names);
        let format =
            format!("{mark}\\t%{{NAME}}\\t%|EPOCH?{{%{{EPOCH}}:}}|%{{VERSION}}-%{{RELEASE}}\\t%{{ARCH}}\\t");
        // What is no package may be a capability; only those that were not found are asked again.
        format!(
            "_o=$(rpm -q --qf '{format}\\n' -- {names}); _r=$?; printf '%s\\n' \"$_o\"; \
             if [ $_r != 0 ] && [ $_r != 127 ]; then echo {mark}; set --; for _n in {names}; do \
             case $_o in *\"package $_n is not installed\"*|*\"file $_n\"*|*\"$_n: No such file\"*) set -- \"$@\" \"$_n\";; esac; done; \
             [ $# = 0 ] || rpm -q --whatprovides --qf '{format}[%{{PROVIDES}} ]\\n' -- \"$@\"; else ( exit $_r ); fi"
        )
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        // Its status is how many are missing.
        if let Some(failure) = failure(section, "rpm", 254, self.names.len()) {
            return failure;
        }
        // It calls every package missing when it cannot read its database.
        let said = String::from_utf8_lossy(&section.stderr);
        if let Some(line) = said
            .lines()
            .find(|line| line.contains("database") || line.contains("rpmdb"))
        {
            return vec![impossible(line); self.names.len()];
        }
        let lines = lines(section);
        let (named, provided) = match lines.iter().position(|line| line == mark) {
            Some(at) => lines.split_at(at),
            None => (lines.as_slice(), [].as_slice()),
        };
        let named: Vec<Installed> = named.iter().filter_map(|line| record(line, mark)).collect();
        let mut provided: VecDeque<&String> = provided.iter().skip(1).collect();
        let mut of = |name: &String| {
            let mut found: Vec<Installed> = named.iter().filter(|p| is_rpm_name(p, name)).cloned().collect();
            if found.is_empty() {
                found = providers(&mut provided, name, mark);
            }
            for package in &mut found {
                package.status.clear();
            }
            Ok(Answer::Package(found))
        };
        self.names.iter().map(&mut of).collect()
    }
}

fn words(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" ")
}

fn record(line: &str, mark: &str) -> Option<Installed> {
    let mut fields = line
        .strip_prefix(mark)?
        .strip_prefix('\t')?
        .split('\t')
        .map(str::to_owned);
    Some(Installed {
        name: fields.next()?,
        version: fields.next()?,
        architecture: fields.next()?,
        status: fields.next().unwrap_or_default(),
    })
}

/// The second letter of dpkg's status: installed, or waiting for a trigger. `rc` has left files behind.
fn is_installed(package: &Installed) -> bool {
    matches!(package.status.as_bytes().get(1), Some(b'i' | b'W' | b't'))
}

fn is_dpkg_name(package: &Installed, name: &str) -> bool {
    match name.split_once(':') {
        Some((name, architecture)) => matches(name, &package.name) && architecture == package.architecture,
        None => matches(name, &package.name),
    }
}

/// The shell's `*` and `?`, which are all that package names are asked with.
fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return name.is_empty();
    };
    let rest = pattern.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '*' => {
            name.char_indices()
                .any(|(at, _)| matches(rest, name.get(at..).unwrap_or_default()))
                || matches(rest, "")
        }
        _ => match name.chars().next() {
            Some(c) if first == '?' || first == c => {
                matches(rest, name.get(c.len_utf8()..).unwrap_or_default())
            }
            _ => false,
        },
    }
}

/// `name`, `name.arch`, `name-version`, `name-version-release`, with or without the architecture.
fn is_rpm_name(package: &Installed, name: &str) -> bool {
    let Installed {
        name: is,
        version,
        architecture,
        ..
    } = package;
    let version = version
        .split_once(':')
        .map_or(version.as_str(), |(_, version)| version);
    let short = version.split_once('-').map_or(version, |(short, _)| short);
    let known = [is.clone(), format!("{is}-{short}"), format!("{is}-{version}")];
    known
        .iter()
        .any(|known| known == name || format!("{known}.{architecture}") == name)
}

/// Takes the lines that answer for a capability: those of its providers, or the one that says there is none.
fn providers(lines: &mut VecDeque<&String>, name: &str, mark: &str) -> Vec<Installed> {
    let mut found = Vec::new();
    while let Some(line) = lines.front() {
        if let Some(package) = record(line, mark) {
            let provides = package.status.split(' ').any(|provided| provided == name);
            let is_path = name.starts_with('/') && found.is_empty();
            if !provides && !is_path {
                return found;
            }
            found.push(package);
        } else if !(found.is_empty() && line.contains(name)) {
            return found;
        } else {
            lines.pop_front();
            return found;
        }
        lines.pop_front();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn answers(batch: &dyn Batch, stdout: &str) -> Vec<Vec<String>> {
        let section = Section {
            stdout: Bytes::from(stdout.to_owned()),
            stderr: Bytes::new(),
            status: 1,
        };
        let packages = |answer: Answered| match answer {
            Ok(Answer::Package(found)) => found
                .into_iter()
                .map(|p| format!("{} {}", p.name, p.version))
                .collect(),
            other => panic!("{other:?}"),
        };
        batch.answers(&section, "@m").into_iter().map(packages).collect()
    }

    #[test]
    fn dpkg_lists_what_is_installed() {
        let names = ["bash", "gone", "left", "libc6:i386", "lib*6"]
            .map(str::to_owned)
            .to_vec();
        let found = answers(
            &DpkgPackages { names },
            "@m\tbash\t5.2\tamd64\tii \n@m\tleft\t1\tall\trc \n@m\tlibc6\t2.36\tamd64\tii \n@m\tlibc6\t2.36\ti386\thi \n",
        );
        assert_eq!(found.first().unwrap(), &["bash 5.2"]);
        assert!(found.get(1).unwrap().is_empty() && found.get(2).unwrap().is_empty());
        assert_eq!((found.get(3).unwrap().len(), found.get(4).unwrap().len()), (1, 2));
    }

    #[test]
    fn rpm_falls_back_to_capabilities() {
        let names = ["bash", "webserver", "gone", "kernel-6.1"]
            .map(str::to_owned)
            .to_vec();
        let found = answers(
            &RpmPackages { names },
            "@m\tbash\t1:5.2-1.el10\tx86_64\t\npackage webserver is not installed\npackage gone is not installed\n\
             @m\tkernel\t6.1-2\tx86_64\t\n@m\n@m\tnginx\t1.26-1\tx86_64\tnginx webserver \n\
             @m\thttpd\t2.4-1\tx86_64\thttpd webserver \nno package provides gone\n",
        );
        let wanted: [&[&str]; 4] = [
            &["bash 1:5.2-1.el10"],
            &["nginx 1.26-1", "httpd 2.4-1"],
            &[],
            &["kernel 6.1-2"],
        ];
        assert_eq!(found, wanted);
    }
}
