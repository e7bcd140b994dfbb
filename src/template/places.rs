//! From an offset in a template's text to the place in the file.
//!
//! A plain scalar's text stands in the file as it is. In quotes and in blocks it does not: quotes and
//! backslashes are doubled, indentation and line ends are taken out. But every character that is not a space
//! stands there, in order, so counting those leads to the place.

use std::ops::Range;

use crate::source::Span;

/// The part of the file that holds this part of the text; the whole span where that cannot be told.
pub(super) fn place(span: &Span, text: &str, part: Range<usize>) -> Span {
    let raw = span.text();
    if raw == text {
        return span.part(part.start.min(raw.len()), part.end.min(raw.len()));
    }
    if let Some(at) = raw.find(text) {
        return span.part(at + part.start, at + part.end);
    }
    let exact = Reading::of(raw).and_then(|reading| reading.locate(text, &part));
    if let Some(found) = exact {
        return span.part(found.start, found.end);
    }
    let wanted = text.get(part).unwrap_or_default();
    match raw.find(wanted) {
        Some(at) if !wanted.is_empty() => span.part(at, at + wanted.len()),
        _ => span.clone(),
    }
}

/// The visible characters of a scalar, each with its bytes in the file.
struct Reading {
    visible: Vec<(char, Range<usize>)>,
}

impl Reading {
    fn of(raw: &str) -> Option<Self> {
        let visible = match raw.chars().next()? {
            '\'' => single_quoted(raw),
            '"' => double_quoted(raw),
            '|' | '>' => plain(raw, raw.find('\n')? + 1),
            _ => plain(raw, 0),
        };
        Some(Self { visible })
    }

    fn locate(&self, text: &str, part: &Range<usize>) -> Option<Range<usize>> {
        let matches = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .eq(self.visible.iter().map(|v| v.0));
        if !matches {
            return None;
        }
        let count = |s: &str| s.chars().filter(|c| !c.is_whitespace()).count();
        let before = count(text.get(..part.start)?);
        let inside = count(text.get(part.clone())?).max(1);
        let first = self.visible.get(before)?;
        let last = self.visible.get(before + inside - 1)?;
        Some(first.1.start..last.1.end)
    }
}

fn plain(raw: &str, from: usize) -> Vec<(char, Range<usize>)> {
    raw[from..]
        .char_indices()
        .filter(|(_, c)| !c.is_whitespace())
        .map(|(i, c)| (c, from + i..from + i + c.len_utf8()))
        .collect()
}

fn single_quoted(raw: &str) -> Vec<(char, Range<usize>)> {
    let mut out = Vec::new();
    let mut rest = raw.char_indices().skip(1).peekable();
    while let Some((i, c)) = rest.next() {
        if c != '\'' {
            if !c.is_whitespace() {
                out.push((c, i..i + c.len_utf8()));
            }
            continue;
        }
        if rest.next_if(|(_, next)| *next == '\'').is_none() {
            break;
        }
        out.push(('\'', i..i + 2));
    }
    out
}

fn double_quoted(raw: &str) -> Vec<(char, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 1;
    while let Some(c) = raw[at..].chars().next() {
        if c == '"' {
            break;
        }
        let (value, length) = if c == '\\' {
            escape(&raw[at + 1..])
        } else {
            (Some(c), c.len_utf8())
        };
        let visible = value.filter(|v| !v.is_whitespace());
        out.extend(visible.map(|v| (v, at..at + length)));
        at += length;
    }
    out
}

/// What a backslash and the text after it mean in YAML, and their length together.
fn escape(rest: &str) -> (Option<char>, usize) {
    let Some(c) = rest.chars().next() else {
        return (None, 1);
    };
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    if digits > 0 {
        let code = rest.get(1..=digits).and_then(|d| u32::from_str_radix(d, 16).ok());
        return (code.and_then(char::from_u32), 2 + digits);
    }
    let value = match c {
        'n' | 't' | 'r' | '\n' | 'N' | '_' | 'L' | 'P' | 'v' | 'f' | ' ' => None,
        '0' => Some('\0'),
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'e' => Some('\x1b'),
        other => Some(other),
    };
    (value, 1 + c.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn found(raw: &str, text: &str, word: &str) -> (usize, String) {
        let source = Source::new("a.yml", raw);
        let at = text.find(word).unwrap();
        let span = place(&Span::new(&source, 0, raw.len()), text, at..at + word.len());
        (span.start, span.text().to_string())
    }

    #[test]
    fn finds_the_word_in_every_style_of_scalar() {
        assert_eq!(found("{{ zz }}", "{{ zz }}", "zz").1, "zz");
        assert_eq!(found("'it''s {{ zz }}'", "it's {{ zz }}", "zz").0, 10);
        assert_eq!(found(r#""a\n\"{{ zz }}\"""#, "a\n\"{{ zz }}\"", "zz").1, "zz");
        assert_eq!(
            found("|-\n  zz: 1\n  {{ zz }}", "zz: 1\n{{ zz }}", " zz }").1,
            "zz }"
        );
        assert_eq!(found(">\n  a\n  {{ b\n  zz }}\n", "a {{ b zz }}\n", "zz").1, "zz");
    }
}
