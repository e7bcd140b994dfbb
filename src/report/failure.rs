//! A failure in words: what went wrong, the end of what the command said, and where the task stands.

use std::borrow::Cow;

use crate::run::{Finished, Status};

/// How many lines of a command's output are shown; all of them are in the run's record.
const TAIL: usize = 20;

/// And how much of a line: a program's JSON may be one of a hundred thousand characters.
const WIDEST: usize = 1000;

/// How many lines where the failure does not matter.
const SHORT_TAIL: usize = 3;

/// The lines under a failed task. `place` is that of the task, `file:line:column`.
pub fn text(what: &Finished, place: &str, all: bool) -> String {
    let mut text = what
        .error
        .clone()
        .or_else(|| what.message())
        .unwrap_or_else(|| "failed without a message".to_string());
    if let Some(rest) = text.strip_prefix("error: ") {
        text = rest.to_string();
    }
    if let Some(status) = exit_status(what)
        && !text.contains(&status)
    {
        text = format!("{text} ({status})");
    }
    if let Some(assertion) = what.result.get("assertion") {
        let written = assertion.as_str().map_or_else(
            || serde_json::to_string(assertion).unwrap_or_default(),
            ToString::to_string,
        );
        text = format!("{text}: `{written}` does not hold");
    }
    let tail = match (all, what.ignored) {
        (true, _) => usize::MAX,
        (_, true) => SHORT_TAIL,
        _ => TAIL,
    };
    for stream in ["stdout", "stderr"] {
        let said = what
            .result
            .get(stream)
            .and_then(|v| v.as_str())
            .unwrap_or_default();
        // Modules whose message is what the program said need not say it twice.
        if !said.trim().is_empty() && !text.contains(said.trim()) {
            text.push('\n');
            text.push_str(&output(stream, said, tail));
        }
    }
    let line = line_of(place);
    if what.status == Status::Failed && (all || !what.ignored) && !line.is_empty() && !text.contains(line) {
        text.push_str("\ntask at ");
        text.push_str(line);
    }
    text
}

fn exit_status(what: &Finished) -> Option<String> {
    use crate::vars::Value;
    match what.result.get("rc") {
        Some(Value::Int(rc)) if *rc != 0 => Some(format!("exit status {rc}")),
        _ => None,
    }
}

/// `file:line`: where an editor jumps to.
fn line_of(place: &str) -> &str {
    place.rsplit_once(':').map_or(place, |(line, _)| line)
}

fn output(stream: &str, said: &str, tail: usize) -> String {
    let lines: Vec<Cow<'_, str>> = said
        .trim_end()
        .lines()
        .map(|line| match tail {
            usize::MAX => Cow::Borrowed(line),
            _ => cut(line),
        })
        .collect();
    if let [one] = lines.as_slice() {
        return format!("{stream}: {one}");
    }
    let hidden = lines.len().saturating_sub(tail);
    let mut text = match hidden {
        0 => format!("{stream}:"),
        _ => format!(
            "{stream}, the last {tail} of {} lines (-v shows all):",
            lines.len()
        ),
    };
    for line in &lines[hidden..] {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

fn cut(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(WIDEST) {
        Some((end, _)) => {
            let left = line[end..].chars().count();
            Cow::Owned(format!(
                "{}… ({left} more characters; -v shows all)",
                &line[..end]
            ))
        }
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_output_floods_the_screen() {
        let said = format!("{}\n", "ü".repeat(200_000));
        let shown = output("stdout", &said, TAIL);
        assert!(shown.ends_with("üü… (199000 more characters; -v shows all)"));
        assert!(shown.chars().count() < 1100);
        assert_eq!(output("stdout", &said, usize::MAX).chars().count(), 200_008);
        let many = "line\n".repeat(100);
        let shown = output("stderr", &many, TAIL);
        assert!(shown.starts_with("stderr, the last 20 of 100 lines (-v shows all):\n  line"));
        assert_eq!(shown.lines().count(), 21);
    }
}
