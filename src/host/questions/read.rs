//! The contents of many files by one `head`.
//!
//! Between the files it prints `/proc/self/environ`, its own environment, which is one random word: a boundary
//! that no content can hold, with no sizes to ask for beforehand and so nothing that could change in between.

use bytes::Bytes;
use memchr::memmem;

use super::{
    Answered, BEHIND_A_DENIAL, Batch, Section, complaint, failure, impossible, means_absent, operands,
};
use crate::host::question::{Answer, Contents};

pub(super) struct Reads {
    pub paths: Vec<String>,
    pub limit: u64,
}

/// What the shell saw at a path: one letter each.
const READABLE: char = 'r';
const DIRECTORY: char = 'd';
const SPECIAL: char = 's';

impl Batch for Reads {
    fn script(&self, mark: &str) -> String {
        // A fifo or a device would be waited for. What seems absent is tried all the same: `head` knows why.
        format!(
            "_s=; set --; for _f in {}; do if [ -d \"$_f\" ]; then _s=${{_s}}{DIRECTORY}; \
             elif [ -e \"$_f\" ] && ! [ -f \"$_f\" ]; then _s=${{_s}}{SPECIAL}; \
             else _s=${{_s}}{READABLE}; set -- \"$@\" \"$_f\" /proc/self/environ; fi; done; echo $_s; \
             [ $# = 0 ] || env -i _={mark} head -q -c {} -- \"$@\"",
            operands(&self.paths),
            self.limit.saturating_add(1),
        )
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        if let Some(failure) = failure(section, "head", 1, self.paths.len()) {
            return failure;
        }
        let Some(end) = memchr::memchr(b'\n', &section.stdout) else {
            return vec![impossible("the answer was cut off"); self.paths.len()];
        };
        let mut rest = section.stdout.clone();
        let seen = String::from_utf8_lossy(&rest.split_to(end)).into_owned();
        let mut contents = Contained {
            rest: rest.split_off(1),
            boundary: format!("_={mark}\0"),
        };
        let seen = seen.chars().chain(std::iter::repeat(SPECIAL));
        let paths = self.paths.iter().zip(seen);
        paths
            .map(|(path, seen)| self.answer(path, seen, &mut contents, &section.stderr))
            .collect()
    }
}

impl Reads {
    fn answer(&self, path: &str, seen: char, contents: &mut Contained, stderr: &[u8]) -> Answered {
        let unreadable = |why: &str| Ok(Answer::Read(Contents::Unreadable(why.to_owned())));
        match seen {
            DIRECTORY => return unreadable("is a directory"),
            SPECIAL => return unreadable("is not a regular file"),
            _ => {}
        }
        let Some(bytes) = contents.next() else {
            return impossible("the host does not show a process its own environment in /proc");
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > self.limit {
            return Ok(Answer::Read(Contents::TooLarge(length)));
        }
        if !bytes.is_empty() {
            return Ok(Answer::Read(Contents::Bytes(bytes)));
        }
        match complaint(stderr, path) {
            None => Ok(Answer::Read(Contents::Bytes(bytes))),
            Some(why) if means_absent(&why) => Ok(Answer::Read(Contents::Absent)),
            Some(why) if why == "Permission denied" => unreadable(BEHIND_A_DENIAL),
            Some(why) => unreadable(&why),
        }
    }
}

/// Contents with a boundary behind each.
struct Contained {
    rest: Bytes,
    boundary: String,
}

impl Iterator for Contained {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let at = memmem::find(&self.rest, self.boundary.as_bytes())?;
        let content = self.rest.split_to(at);
        self.rest = self.rest.split_off(self.boundary.len());
        Some(content)
    }
}
