//! A terminal whose cursor waits where what the terminal itself shows of keys does no harm.
//!
//! indicatif fills each line and leaves the cursor behind its last column. A `^C` would go to the next line, and the
//! lines that are replaced from then on would be the wrong ones. So behind the lines at the bottom the cursor goes
//! back to the beginning of the last one, which has a margin for it; behind anything else, to a new line.

use std::io;
use std::sync::{Mutex, PoisonError};

use indicatif::TermLike;

/// What every line at the bottom ends with, to be known by: it shows nothing.
pub(super) const END_OF_BOTTOM_LINE: &str = "\u{1b}[m";

#[derive(Debug)]
pub(super) struct Parked {
    term: Box<dyn TermLike>,
    last: Mutex<Last>,
}

/// What was written last since the cursor was parked.
#[derive(Debug, Clone, Copy)]
enum Last {
    Nothing,
    BottomLine,
    Text,
}

impl Parked {
    pub(super) fn on(term: Box<dyn TermLike>) -> Self {
        Self {
            term,
            last: Mutex::new(Last::Nothing),
        }
    }

    fn note(&self, last: Last) -> Last {
        let mut noted = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut noted, last)
    }
}

impl TermLike for Parked {
    fn width(&self) -> u16 {
        self.term.width()
    }

    fn height(&self) -> u16 {
        self.term.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_left(n)
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.note(Last::Nothing);
        self.term.write_line(s)
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        let fills = !s.is_empty() && s.trim().is_empty();
        if s.ends_with(END_OF_BOTTOM_LINE) {
            self.note(Last::BottomLine);
        } else if !fills {
            self.note(Last::Text);
        }
        self.term.write_str(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        match self.note(Last::Nothing) {
            Last::Nothing => {}
            Last::BottomLine => self.term.write_str("\r")?,
            Last::Text => self.term.write_str("\r\n")?,
        }
        self.term.flush()
    }
}
