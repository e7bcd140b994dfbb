//! Two texts as a unified difference, three lines of context.

use std::fmt::Write as _;

use similar::TextDiff;

use super::narration::clean;
use super::palette::{Meaning, Palette};
use crate::host::Difference;

/// As `diff -u` writes it; texts that are the same give nothing.
pub fn unified(difference: &Difference, palette: Palette) -> String {
    let before = format!("{} (before)", difference.subject);
    let after = format!("{} (after)", difference.subject);
    let (clean_before, clean_after) = (clean(&difference.before), clean(&difference.after));
    let diff = TextDiff::from_lines(&clean_before, &clean_after);
    let mut out = String::new();
    let _ = write!(
        out,
        "{}",
        diff.unified_diff().context_radius(3).header(&before, &after)
    );
    if !palette.coloured {
        return out;
    }
    let lines: Vec<String> = out.lines().map(|line| painted(line, palette)).collect();
    lines.join("\n")
}

fn painted(line: &str, palette: Palette) -> String {
    match line.as_bytes().first() {
        Some(b'+') => palette.paint(Meaning::Added, line),
        Some(b'-') => palette.paint(Meaning::Removed, line),
        Some(b'@') => palette.paint(Meaning::Aside, line),
        _ => line.to_string(),
    }
}
