//! Tests that need what not every machine has.

use std::io::Write as _;

/// Says that a test is left out, and why. `make test` promises to run them all, and sets `VMSTATION_LAB`: there,
/// it fails.
pub fn left_out(why: &str) {
    assert!(
        std::env::var_os("VMSTATION_LAB").is_none(),
        "not tested, but promised: {why}"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
