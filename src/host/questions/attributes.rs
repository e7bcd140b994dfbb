//! What file systems note of files besides their modes: one `lsattr` for all that are there.

use super::mime::present;
use super::{Answered, Batch, Section, operand};
use crate::host::question::{Answer, FileFlags};

pub(super) struct AllAttributes {
    pub paths: Vec<String>,
}

impl Batch for AllAttributes {
    fn script(&self, _mark: &str) -> String {
        present(&self.paths, "lsattr -vd")
    }

    fn answers(&self, section: &Section, _mark: &str) -> Vec<Answered> {
        let text = String::from_utf8_lossy(&section.stdout);
        let (_, mut said) = text.split_once('\n').unwrap_or_default();
        // Lines come in the order of the paths; not every file system has any.
        let mut answer = |path: &String| {
            let record = record(said, &operand(path));
            let flags = record.map(|(flags, rest)| {
                said = rest;
                flags
            });
            Ok(Answer::Attributes(flags))
        };
        self.paths.iter().map(&mut answer).collect()
    }
}

/// A version, the flags with `-` for those not set, the path; and what is behind that.
fn record<'s>(said: &'s str, path: &str) -> Option<(FileFlags, &'s str)> {
    let (version, rest) = said.trim_start_matches(' ').split_once(' ')?;
    let (flags, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let rest = rest.strip_prefix(path)?.strip_prefix('\n')?;
    let flags = FileFlags {
        version: version.to_owned(),
        flags: flags.replace('-', ""),
    };
    Some((flags, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_every_file_has_attributes() {
        let section = Section {
            stdout: "111\n   512938 --------------e------- /a\nb\n1 ----i--------- /d\n".into(),
            ..Section::default()
        };
        let all = AllAttributes {
            paths: ["/a\nb", "/proc/x", "/d"].map(str::to_owned).to_vec(),
        };
        let flags = |version: &str, flags: &str| {
            Ok(Answer::Attributes(Some(FileFlags {
                version: version.to_owned(),
                flags: flags.to_owned(),
            })))
        };
        let expected = [
            flags("512938", "e"),
            Ok(Answer::Attributes(None)),
            flags("1", "i"),
        ];
        assert_eq!(all.answers(&section, ""), expected);
    }
}
