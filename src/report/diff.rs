//! Two texts as a unified difference, three lines of context.

use std::fmt::Write as _;

use similar::TextDiff;

use crate::host::Difference;

/// As `diff -u` writes it; texts that are the same give nothing.
pub fn unified(difference: &Difference) -> String {
    let before = format!("{} (before)", difference.subject);
    let after = format!("{} (after)", difference.subject);
    let diff = TextDiff::from_lines(&difference.before, &difference.after);
    let mut out = String::new();
    let _ = write!(
        out,
        "{}",
        diff.unified_diff().context_radius(3).header(&before, &after)
    );
    out
}
