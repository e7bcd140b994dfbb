//! A terminal whose cursor waits where what the terminal itself shows of keys does no harm.
//!
//! indicatif fills each line with blanks and leaves the cursor behind its last column. A `^C` would go to the next
//! line, and the lines that are replaced from then on would be the wrong ones; and whoever makes the window narrower,
//! or copies a line, would see the blanks. So nothing is filled, and behind the lines at the bottom the cursor goes
//! back to the beginning of the last one, which has a margin for it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// What every line at the bottom ends with, to be known by: it shows nothing.
pub(super) const END_OF_BOTTOM_LINE: &str = "\u{1b}[m";

#[derive(Debug, Clone)]
pub(super) struct Parked {
    term: Arc<dyn TermLike>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Whether what was written last is a line at the bottom.
    bottom: bool,
    /// Whether more is to come before anything is shown: bottom lines that go and come back would flicker.
    holds: bool,
}

impl Parked {
    pub(super) fn on(term: Box<dyn TermLike>) -> Self {
        Self {
            term: Arc::from(term),
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on nothing is shown, until text is.
    pub(super) fn hold(&self) {
        self.state().holds = true;
    }

    /// Lines that stay; the terminal breaks them where they are too long. `below` what stands in the cursor's line,
    /// or in place of it: a key that was pressed.
    pub(super) fn print(&self, lines: &[String], below: bool) {
        let begun = if below {
            self.term.write_str("\r\n")
        } else {
            self.term.clear_line()
        };
        let text = lines.join("\n").replace('\n', "\r\n");
        let _ = begun
            .and_then(|()| self.term.write_str(&text))
            .and_then(|()| self.term.write_str("\r\n"));
        self.state().holds = false;
        let _ = self.term.flush();
    }
}

/// A terminal that has gone away must not stop the run: what cannot be written is not.
impl TermLike for Parked {
    fn width(&self) -> u16 {
        self.term.width()
    }

    fn height(&self) -> u16 {
        self.term.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let _ = self.term.move_cursor_up(n);
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        let _ = self.term.move_cursor_down(n);
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        let _ = self.term.move_cursor_right(n);
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        let _ = self.term.move_cursor_left(n);
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        let _ = self.term.write_line(s);
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        let fills = s.chars().all(|c| c == ' ');
        if fills {
            return Ok(());
        }
        if s.ends_with(END_OF_BOTTOM_LINE) {
            let below = std::mem::replace(&mut self.state().bottom, true);
            if below {
                let _ = self.term.write_str("\r\n");
            }
        }
        let _ = self.term.write_str(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let _ = self.term.clear_line();
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let bottom = std::mem::take(&mut self.state().bottom);
        if bottom {
            let _ = self.term.write_str("\r");
        }
        if !self.state().holds {
            let _ = self.term.flush();
        }
        Ok(())
    }
}
