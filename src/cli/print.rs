//! What commands write themselves: data to standard output, talk to standard error.

use std::io::{self, Write as _};

/// A reader that went away is no error of ours.
pub fn data(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line that is not part of the result.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
