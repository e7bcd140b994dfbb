//! The text of an ansible.cfg: sections, `name = value`, comments, values over several lines.
//!
//! The dialect is that of Python's `configparser` with `;` as inline comment: `#` begins a comment only at the
//! start of a line, names are not case-sensitive, an indented line continues the value above it.

use std::sync::Arc;

use crate::source::{Diagnostic, Source, Span};

/// One setting as it stands in the file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub section: String,
    /// In lower case.
    pub name: String,
    pub value: String,
    /// The name's place.
    pub name_span: Span,
    /// The value's place.
    pub value_span: Span,
}

/// All settings of a file, each once.
pub(super) fn parse(source: &Arc<Source>) -> Result<Vec<Entry>, Diagnostic> {
    let mut reader = Reader::default();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let span = Span::new(source, start, start + line.len());
        start += line.len();
        reader.line(&span)?;
    }
    Ok(reader.entries)
}

#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    sections: Vec<Span>,
    /// How far the last name was indented, if a value can go on.
    indent: Option<usize>,
}

impl Reader {
    fn line(&mut self, line: &Span) -> Result<(), Diagnostic> {
        let Some(content) = content(line) else {
            return Ok(());
        };
        let indent = content.start - line.start;
        if self.indent.is_some_and(|above| indent > above) {
            self.go_on(&content);
            return Ok(());
        }
        if content.text().starts_with('[') {
            return self.section(&content);
        }
        self.entry(&content, indent)
    }

    fn go_on(&mut self, content: &Span) {
        if let Some(entry) = self.entries.last_mut() {
            if !entry.value.is_empty() {
                entry.value.push('\n');
            }
            entry.value.push_str(content.text());
            entry.value_span.end = content.end;
        }
    }

    fn section(&mut self, content: &Span) -> Result<(), Diagnostic> {
        let Some(close) = content.text().rfind(']').filter(|c| *c > 1) else {
            return Err(Diagnostic::error("a section is a name in brackets")
                .at(content)
                .help("write `[defaults]`"));
        };
        let title = content.part(1, close);
        if let Some(first) = self.sections.iter().find(|s| s.text() == title.text()) {
            return Err(
                Diagnostic::error(format!("the section `[{}]` stands twice", title.text()))
                    .at(&title)
                    .note_at("first here", first)
                    .help("put the settings of both into one"),
            );
        }
        self.sections.push(title);
        self.indent = None;
        Ok(())
    }

    fn entry(&mut self, content: &Span, indent: usize) -> Result<(), Diagnostic> {
        let Some(section) = self.sections.last() else {
            return Err(Diagnostic::error("a setting before the first section")
                .at(content)
                .help("begin the file with `[defaults]`"));
        };
        let Some(at) = content.text().find(['=', ':']).filter(|at| *at > 0) else {
            return Err(Diagnostic::error("expected `name = value`").at(content));
        };
        let name_span = content.part(0, content.text()[..at].trim_end().len());
        let value = content.text()[at + 1..].trim_start();
        let length = content.text().len();
        let value_span = content.part(length - value.len(), length);
        let entry = Entry {
            section: section.text().to_string(),
            name: name_span.text().to_lowercase(),
            value: value.to_string(),
            name_span,
            value_span,
        };
        self.add(entry)?;
        self.indent = Some(indent);
        Ok(())
    }

    fn add(&mut self, entry: Entry) -> Result<(), Diagnostic> {
        let same = |e: &&Entry| e.section == entry.section && e.name == entry.name;
        if let Some(first) = self.entries.iter().find(same) {
            return Err(Diagnostic::error(format!("`{}` is set twice", entry.name))
                .at(&entry.name_span)
                .note_at("first here", &first.name_span)
                .help("take one of the two out"));
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// The line without comments and the white space around it; `None` where nothing is left.
fn content(line: &Span) -> Option<Span> {
    let text = line.text();
    let start = text.len()
        - text
            .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
            .len();
    if text[start..].starts_with(['#', ';']) {
        return None;
    }
    let comment = text
        .match_indices(';')
        .find(|(at, _)| text[..*at].ends_with(char::is_whitespace))
        .map_or(text.len(), |(at, _)| at);
    let end = text[..comment].trim_end().len();
    (start < end).then(|| line.part(start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String, String)> {
        let entries = parse(&Source::new("ansible.cfg", text)).unwrap();
        entries
            .into_iter()
            .map(|e| (e.section, e.name, e.value))
            .collect()
    }

    #[test]
    fn reads_the_dialect() {
        let text =
            "# c\n[defaults]\nForks = 3 ; inline\nroles_path: a:b#c\nssh = -o a=b\n  -o c\n\n[x]\n  y =\n";
        let want = [
            ("defaults", "forks", "3"),
            ("defaults", "roles_path", "a:b#c"),
            ("defaults", "ssh", "-o a=b\n-o c"),
            ("x", "y", ""),
        ];
        let want: Vec<_> = want
            .iter()
            .map(|(s, n, v)| (s.to_string(), n.to_string(), v.to_string()))
            .collect();
        assert_eq!(entries(text), want);
    }
}
