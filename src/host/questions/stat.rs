//! `stat`: one process for all paths, another for those that are followed.

use super::{Answered, Batch, Section, complaint, failure, means_absent, operand, operands, refused};
use crate::host::question::{Answer, FileKind, FileStat};

/// Understood by GNU's and busybox's `stat` alike. `%X` has no fraction, and `%x` no seconds since 1970: both
/// are asked for. The names come last, with the link's target.
const FORMAT: &str = "%f %u %g %s %i %d %h %b %o %t %T %X %Y %Z %x %y %z /%U/%G/%N";

pub(super) struct Stats {
    pub paths: Vec<String>,
    pub follow: bool,
}

impl Batch for Stats {
    fn script(&self, mark: &str) -> String {
        let follow = if self.follow { "-L " } else { "" };
        // Else GNU's %N quotes names, each locale and version differently.
        format!(
            "QUOTING_STYLE=literal stat {follow}-c '{mark} {FORMAT}' -- {}",
            operands(&self.paths)
        )
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        if let Some(failure) = failure(section, "stat", 1, self.paths.len()) {
            return failure;
        }
        let stdout = String::from_utf8_lossy(&section.stdout);
        let mut records = stdout.split(mark).skip(1).filter_map(Record::parse).peekable();
        let mut answer = |path: &String| {
            // Records come in the order of the paths; absent ones have none.
            if let Some(stat) = records.peek().and_then(|record| record.of(&operand(path))) {
                records.next();
                return Ok(Answer::Stat(Some(Box::new(stat))));
            }
            match complaint(&section.stderr, path) {
                Some(why) if !means_absent(&why) => refused(path, &why),
                _ => Ok(Answer::Stat(None)),
            }
        };
        self.paths.iter().map(&mut answer).collect()
    }
}

struct Record<'a> {
    stat: FileStat,
    /// `name`, `name -> target`, or busybox's `'name' -> 'target'`.
    names: &'a str,
}

impl<'a> Record<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (fields, rest) = text.strip_suffix('\n')?.split_once('/')?;
        let (user, rest) = rest.split_once('/')?;
        let (group, names) = rest.split_once('/')?;
        let mut fields = fields.split_whitespace();
        let mode = u32::from_str_radix(fields.next()?, 16).ok()?;
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (uid, gid) = (u32::try_from(number()?).ok()?, u32::try_from(number()?).ok()?);
        let (size, inode, device, links, blocks, block_size) =
            (number()?, number()?, number()?, number()?, number()?, number()?);
        let major = u64::from_str_radix(fields.next()?, 16).ok()?;
        let minor = u64::from_str_radix(fields.next()?, 16).ok()?;
        let seconds = [fields.next()?, fields.next()?, fields.next()?];
        // Each of the three is a date, a time with a fraction, and a zone.
        let clocks: Vec<&str> = fields.skip(1).step_by(3).collect();
        let time = |i: usize| time(seconds.get(i)?, clocks.get(i)?);
        let stat = FileStat {
            kind: kind(mode)?,
            mode: mode & 0o7777,
            uid,
            gid,
            owner: named(user, uid),
            group: named(group, gid),
            size,
            inode,
            device,
            links,
            blocks,
            block_size,
            device_type: device_number(major, minor),
            accessed: time(0)?,
            modified: time(1)?,
            changed: time(2)?,
            target: None,
        };
        Some(Self { stat, names })
    }

    /// What it says of `path`, if it is that path's record.
    fn of(&self, path: &str) -> Option<FileStat> {
        let names = self.names;
        if names == path || names.strip_prefix('\'').and_then(|n| n.strip_suffix('\'')) == Some(path) {
            return Some(self.stat.clone());
        }
        if self.stat.kind != FileKind::Link {
            return None;
        }
        let literal = names
            .strip_prefix(path)
            .and_then(|rest| rest.strip_prefix(" -> "));
        let quoted = || {
            let rest = names
                .strip_prefix('\'')?
                .strip_prefix(path)?
                .strip_prefix("' -> '")?;
            rest.strip_suffix('\'')
        };
        Some(FileStat {
            target: Some(literal.or_else(quoted)?.to_owned()),
            ..self.stat.clone()
        })
    }
}

fn kind(mode: u32) -> Option<FileKind> {
    Some(match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Link,
        0o010_000 => FileKind::Fifo,
        0o140_000 => FileKind::Socket,
        0o060_000 => FileKind::BlockDevice,
        0o020_000 => FileKind::CharDevice,
        _ => return None,
    })
}

fn named(name: &str, number: u32) -> String {
    if name == "UNKNOWN" {
        number.to_string()
    } else {
        name.to_owned()
    }
}

/// Linux's `makedev`.
fn device_number(major: u64, minor: u64) -> u64 {
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | (minor & 0xff) | (minor & !0xff) << 12
}

fn time(seconds: &str, clock: &str) -> Option<f64> {
    let fraction = clock.split_once('.').map_or("0", |(_, fraction)| fraction);
    format!("{seconds}.{fraction}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Unanswered;
    use bytes::Bytes;

    fn section(stdout: &str, stderr: &str) -> Section {
        Section {
            stdout: Bytes::from(stdout.to_owned()),
            stderr: Bytes::from(stderr.to_owned()),
            status: 1,
        }
    }

    const NUMBERS: &str = "a1ff 0 7 4 24 2 1 0 4096 8 1 17 -3 19 \
        2026-11-22 17:05:10.5 +0000 2023-01-05 13:20:48.000000000 +0000 2023-01-05 13:20:48 +0000";

    #[test]
    fn records_find_their_paths() {
        let paths = ["/gone", "/a -> b", "/a -> b -> c\nd", "/closed/x"]
            .map(str::to_owned)
            .to_vec();
        let stats = Stats { paths, follow: false };
        let stdout = format!(
            "@m {NUMBERS} /root/UNKNOWN//a -> b -> c\n@m {NUMBERS} /root/domain users/'/a -> b -> c\nd' -> 'e'\n"
        );
        let stderr = "stat: cannot statx '/gone': No such file or directory\n\
            stat: cannot statx '/closed/x': Permission denied\n";
        let answers = stats.answers(&section(&stdout, stderr), "@m");
        let target = |i: usize| match answers.get(i).unwrap() {
            Ok(Answer::Stat(Some(stat))) => stat.target.clone(),
            _ => None,
        };
        assert_eq!(answers.first().unwrap(), &Ok(Answer::Stat(None)));
        assert_eq!(target(1).unwrap(), "c");
        assert_eq!(target(2).unwrap(), "e");
        assert_eq!(
            answers.get(3).unwrap(),
            &Err(Unanswered::Denied("/closed/x".to_owned()))
        );
        let Ok(Answer::Stat(Some(stat))) = answers.get(1).unwrap() else {
            panic!()
        };
        assert_eq!((stat.group.as_str(), stat.device_type), ("7", 0x801));
        assert_eq!(stat.accessed.to_string(), "17.5");
    }
}
