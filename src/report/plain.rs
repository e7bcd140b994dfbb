//! Plain lines, one for each thing worth saying: what is shown where there is no terminal.

use std::io::Write;

use super::narration::{Loudness, Narration};
use super::palette::Palette;
use crate::run::{Event, Sink};

/// Writes lines as events come, warnings to the second writer.
pub struct Plain<W, E> {
    out: W,
    err: E,
    narration: Narration,
}

impl<W: Write + Send, E: Write + Send> Plain<W, E> {
    pub fn new(out: W, err: E, loudness: Loudness, palette: Palette) -> Self {
        Self {
            out,
            err,
            narration: Narration::new(loudness, palette),
        }
    }
}

impl<W: Write + Send, E: Write + Send> Sink for Plain<W, E> {
    fn take(&mut self, event: &Event) {
        let said = self.narration.tell(event);
        write(&mut self.err, &said.err);
        write(&mut self.out, &said.out);
    }
}

fn write(to: &mut impl Write, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let mut text = lines.join("\n");
    text.push('\n');
    // A reader that has gone away must not stop the run.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
