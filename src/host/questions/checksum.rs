//! Checksums: one process per algorithm for all files.

use super::{Answered, Batch, Section, complaint, failure, means_absent, operand, operands, refused};
use crate::host::question::{Algorithm, Answer};

pub(super) struct Checksums {
    pub paths: Vec<String>,
    pub algorithm: Algorithm,
}

impl Batch for Checksums {
    fn script(&self, _mark: &str) -> String {
        // A fifo or a device would be waited for. What is absent is tried, for the reason.
        format!(
            "set --; for _f in {}; do [ -e \"$_f\" ] && ! [ -f \"$_f\" ] || set -- \"$@\" \"$_f\"; done; \
             [ $# = 0 ] || {} -- \"$@\"",
            operands(&self.paths),
            program(self.algorithm)
        )
    }

    fn answers(&self, section: &Section, _mark: &str) -> Vec<Answered> {
        if let Some(failure) = failure(section, program(self.algorithm), 1, self.paths.len()) {
            return failure;
        }
        let stdout = String::from_utf8_lossy(&section.stdout);
        let mut rest = &*stdout;
        // Lines come in the order of the paths; what could not be read has none.
        let mut answer = |path: &String| {
            if let Some((sum, behind)) = take(rest, &operand(path)) {
                rest = behind;
                return Ok(Answer::Checksum(Some(sum.to_owned())));
            }
            match complaint(&section.stderr, path) {
                Some(why) if !means_absent(&why) => refused(path, &why),
                _ => Ok(Answer::Checksum(None)),
            }
        };
        self.paths.iter().map(&mut answer).collect()
    }
}

/// `SUM  NAME`, or GNU's `\SUM  NAME` with the name escaped; and what is behind it.
fn take<'a>(text: &'a str, path: &str) -> Option<(&'a str, &'a str)> {
    let (line, escaped) = match text.strip_prefix('\\') {
        Some(line) => (line, true),
        None => (text, false),
    };
    let (sum, rest) = line.split_once(' ')?;
    let rest = rest.strip_prefix([' ', '*'])?;
    let name = if escaped { escape(path) } else { path.to_owned() };
    Some((sum, rest.strip_prefix(&*name)?.strip_prefix('\n')?))
}

fn escape(path: &str) -> String {
    path.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn program(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Md5 => "md5sum",
        Algorithm::Sha1 => "sha1sum",
        Algorithm::Sha224 => "sha224sum",
        Algorithm::Sha256 => "sha256sum",
        Algorithm::Sha384 => "sha384sum",
        Algorithm::Sha512 => "sha512sum",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Unanswered;
    use bytes::Bytes;

    #[test]
    fn lines_find_their_paths() {
        let checksums = Checksums {
            paths: ["/gone", "/a\nb", "/plain", "/shut"].map(str::to_owned).to_vec(),
            algorithm: Algorithm::Md5,
        };
        for escaped in ["\\f00d  /a\\nb\nbeef  /plain\n", "f00d  /a\nb\nbeef  /plain\n"] {
            let section = Section {
                stdout: Bytes::from_static(escaped.as_bytes()),
                stderr: Bytes::from_static(b"md5sum: /shut: Permission denied\n"),
                status: 1,
            };
            let sum = |sum: &str| Ok(Answer::Checksum(Some(sum.to_owned())));
            let wanted = [
                Ok(Answer::Checksum(None)),
                sum("f00d"),
                sum("beef"),
                Err(Unanswered::Denied("/shut".to_owned())),
            ];
            assert_eq!(checksums.answers(&section, ""), wanted);
        }
    }
}
