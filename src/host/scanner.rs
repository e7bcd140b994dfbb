//! Cuts one of a shell's two streams at the marks that its requests print.
//!
//! A request prints a start mark before anything else and an end mark after everything else, on both streams.
//! What comes before a start mark is stray: a shell's start-up files, or a daemon that an earlier request left
//! behind. The two marks are unlike each other, because a command can see the start mark in its own argument
//! list (`ps` prints it), and never the end mark.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::{memchr, memmem};

/// The marks of one request, made anew for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    pub start: String,
    pub end: String,
}

/// A place where the stream was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cut {
    /// The rest of the start mark's line.
    Started { request: u64, line: Bytes },
    /// What came between the marks, and the rest of the end mark's line.
    Ended {
        request: u64,
        between: Bytes,
        line: Bytes,
    },
}

#[derive(Debug, Default)]
pub(super) struct Scanner {
    expected: VecDeque<Expected>,
    gathered: BytesMut,
    /// No mark begins before this place in `gathered`.
    searched: usize,
}

#[derive(Debug)]
struct Expected {
    request: u64,
    /// `None` once it was seen: from then on only the end mark counts.
    start: Option<Vec<u8>>,
    end: Vec<u8>,
}

/// A mark found in what was gathered.
struct Found {
    at: usize,
    length: usize,
    is_end: bool,
}

impl Scanner {
    /// Must be called before the request is written.
    pub fn expect(&mut self, request: u64, marks: &Marks) {
        self.expected.push_back(Expected {
            request,
            start: Some(marks.start.clone().into_bytes()),
            end: marks.end.clone().into_bytes(),
        });
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Cut> {
        if self.expected.is_empty() {
            return Vec::new();
        }
        self.gathered.extend_from_slice(bytes);
        let mut cuts = Vec::new();
        while let Some(cut) = self.cut() {
            cuts.push(cut);
        }
        if self.expected.is_empty() {
            self.gathered.clear();
            self.searched = 0;
        }
        cuts
    }

    /// What has come for the request at the head so far; forgets everything that was expected.
    pub fn give_up(&mut self) -> Bytes {
        self.expected.clear();
        self.searched = 0;
        self.gathered.split().freeze()
    }

    fn cut(&mut self) -> Option<Cut> {
        let head = self.expected.front()?;
        let unsearched = self.gathered.get(self.searched..).unwrap_or_default();
        let Some(found) = head.find(unsearched) else {
            let carried = head.longest().saturating_sub(1);
            self.searched = self.searched.max(self.gathered.len().saturating_sub(carried));
            return None;
        };
        self.searched += found.at;
        let after = self
            .gathered
            .get(self.searched + found.length..)
            .unwrap_or_default();
        let line_length = memchr(b'\n', after)?;
        let between = self.gathered.split_to(self.searched).freeze();
        self.gathered.advance(found.length);
        let line = self.gathered.split_to(line_length).freeze();
        self.gathered.advance(1);
        self.searched = 0;
        if found.is_end {
            let request = self.expected.pop_front()?.request;
            return Some(Cut::Ended {
                request,
                between,
                line,
            });
        }
        let head = self.expected.front_mut()?;
        head.start = None;
        Some(Cut::Started {
            request: head.request,
            line,
        })
    }
}

impl Expected {
    fn find(&self, bytes: &[u8]) -> Option<Found> {
        let end = memmem::find(bytes, &self.end);
        // Where the subshell could not even be forked, there is an end without a start.
        let start = self
            .start
            .as_ref()
            .and_then(|mark| Some((memmem::find(bytes, mark)?, mark.len())));
        match (start, end) {
            (Some((at, length)), end) if end.is_none_or(|end| at < end) => Some(Found {
                at,
                length,
                is_end: false,
            }),
            (_, Some(at)) => Some(Found {
                at,
                length: self.end.len(),
                is_end: true,
            }),
            (_, None) => None,
        }
    }

    fn longest(&self) -> usize {
        self.start.as_ref().map_or(0, Vec::len).max(self.end.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(n: u64) -> Marks {
        Marks {
            start: format!("@S{n:04x}"),
            end: format!("@E{n:04x}"),
        }
    }

    /// xorshift: the same programs every time.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % n as u64).unwrap()
        }

        /// Bytes that look like marks as often as can be.
        fn bytes(&mut self, most: usize) -> Vec<u8> {
            let pieces: [&[u8]; 9] = [
                b"@", b"@S", b"@E", b"@E000", b"@S0001", b"\n", b" 0\n", b"x", b"\0\xff",
            ];
            (0..self.below(most + 1))
                .flat_map(|_| pieces[self.below(pieces.len())].to_vec())
                .collect()
        }
    }

    fn has_mark(bytes: &[u8], marks: &Marks) -> bool {
        memmem::find(bytes, marks.end.as_bytes()).is_some()
    }

    #[test]
    fn cuts_alike_wherever_the_stream_is_split() {
        let mut random = Random(42);
        for round in 0..3000 {
            let mut scanner = Scanner::default();
            let mut stream = Vec::new();
            let mut wanted = Vec::new();
            for request in 0..random.below(5) as u64 {
                // Marks that no other text of this round holds: numbers from 0x1000.
                let marks = marks(0x1000 + request);
                scanner.expect(request, &marks);
                let (stray, between) = (random.bytes(6), random.bytes(30));
                assert!(
                    !has_mark(&between, &marks) && !has_mark(&stray, &marks),
                    "round {round}"
                );
                stream.extend_from_slice(&stray);
                stream.extend_from_slice(format!("{} {request}\n", marks.start).as_bytes());
                stream.extend_from_slice(&between);
                stream.extend_from_slice(format!("{} {request} left\n", marks.end).as_bytes());
                wanted.push(Cut::Started {
                    request,
                    line: format!(" {request}").into(),
                });
                wanted.push(Cut::Ended {
                    request,
                    between: between.into(),
                    line: format!(" {request} left").into(),
                });
            }
            let mut rest = stream.as_slice();
            let mut cuts = Vec::new();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(1 + random.below(rest.len().min(40)));
                cuts.extend(scanner.feed(piece));
                rest = more;
            }
            assert_eq!(cuts, wanted, "round {round}");
        }
    }

    #[test]
    fn a_start_mark_seen_again_is_output() {
        let mut scanner = Scanner::default();
        scanner.expect(7, &marks(1));
        let cuts = scanner.feed(b"noise@S0001 12\nps: @S0001 $$\n@E0001 3\n");
        let between = Bytes::from_static(b"ps: @S0001 $$\n");
        assert_eq!(
            cuts.last(),
            Some(&Cut::Ended {
                request: 7,
                between,
                line: Bytes::from_static(b" 3")
            })
        );
    }

    #[test]
    fn an_end_without_a_start_ends() {
        let mut scanner = Scanner::default();
        scanner.expect(7, &marks(1));
        assert_eq!(scanner.feed(b"cannot fork\n@E0001 2\n").len(), 1);
        assert!(scanner.feed(b"stray").is_empty());
        assert!(scanner.gathered.is_empty());
    }

    #[test]
    fn what_has_come_of_a_request_that_does_not_end() {
        let mut scanner = Scanner::default();
        scanner.expect(7, &marks(1));
        scanner.feed(b"@S0001 1\nhalf a li");
        assert_eq!(scanner.give_up(), Bytes::from_static(b"half a li"));
    }
}
