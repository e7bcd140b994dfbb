//! Every event as a line of JSON: `--json`.

use std::io::Write;

use crate::run::{Event, Sink};

/// Writes events as they come.
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write + Send> JsonLines<W> {
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn take(&mut self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        // A reader that has gone away must not stop the run.
        let _ = self.out.write_all(&line).and_then(|()| self.out.flush());
    }
}
