//! What kinds of content files have: one `file` for all that are there.

use super::{Answered, Batch, Section, operands};
use crate::host::question::Answer;

pub(super) struct Mimes {
    pub paths: Vec<String>,
}

impl Batch for Mimes {
    fn script(&self, _mark: &str) -> String {
        present(&self.paths, "file -b --mime-type --mime-encoding")
    }

    fn answers(&self, section: &Section, _mark: &str) -> Vec<Answered> {
        let text = String::from_utf8_lossy(&section.stdout);
        let (present, said) = text.split_once('\n').unwrap_or_default();
        // A line for each that is there; without the program, none at all.
        let mut lines = said.lines();
        let mut answer = |letter: char| {
            let line = (letter == HERE).then(|| lines.next()).flatten();
            Ok(Answer::Mime(line.and_then(kind)))
        };
        present.chars().map(&mut answer).collect()
    }
}

/// `text/plain; charset=us-ascii`; `file` also complains in place of it.
fn kind(line: &str) -> Option<(String, String)> {
    let (kind, charset) = line.split_once("; charset=")?;
    let is_kind = kind.contains('/') && !kind.contains([' ', '`', '\'']);
    is_kind.then(|| (kind.to_owned(), charset.trim().to_owned()))
}

const HERE: char = '1';

/// A line with a letter for each path, whether it is there; then what a program says of those that are.
pub(super) fn present(paths: &[String], program: &str) -> String {
    format!(
        "_s=; set --; for _f in {}; do if [ -e \"$_f\" ] || [ -L \"$_f\" ]; then _s=${{_s}}{HERE}; set -- \"$@\" \"$_f\"; \
         else _s=${{_s}}0; fi; done; echo $_s; [ $# = 0 ] || {program} -- \"$@\" 2>/dev/null",
        operands(paths)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_that_is_there() {
        let section = Section {
            stdout: "101\ntext/plain; charset=us-ascii\ncannot open `/a; charset=/x' (Permission denied)\n"
                .into(),
            ..Section::default()
        };
        let mimes = Mimes { paths: Vec::new() };
        let answers = mimes.answers(&section, "");
        let text = Some(("text/plain".to_owned(), "us-ascii".to_owned()));
        assert_eq!(
            answers,
            [
                Ok(Answer::Mime(text)),
                Ok(Answer::Mime(None)),
                Ok(Answer::Mime(None))
            ]
        );
    }
}
