//! A host line of an INI inventory cut into words, as Python's `shlex` does it.

use std::ops::Range;

/// A word without its quotes, and where it stood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub place: Range<usize>,
}

/// Words up to a `#`, wherever that stands outside of quotes. The error is where an open quote began.
pub(super) fn split(line: &str) -> Result<Vec<Word>, usize> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '#' {
            break;
        }
        if c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_with(|| Word {
            text: String::new(),
            place: at..at,
        });
        let end = match c {
            '\'' => quoted(&mut chars, &mut current.text, at, '\'')?,
            '"' => quoted(&mut chars, &mut current.text, at, '"')?,
            '\\' => {
                let (at, c) = chars.next().ok_or(at)?;
                current.text.push(c);
                at + c.len_utf8()
            }
            _ => {
                current.text.push(c);
                at + c.len_utf8()
            }
        };
        current.place.end = end;
    }
    words.extend(word);
    Ok(words)
}

/// The rest of a quoted part; a backslash means something only in double quotes, before `"` and itself.
fn quoted(
    chars: &mut std::str::CharIndices<'_>,
    text: &mut String,
    open: usize,
    quote: char,
) -> Result<usize, usize> {
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok(at + 1);
        }
        if c != '\\' || quote == '\'' {
            text.push(c);
            continue;
        }
        let (_, next) = chars.next().ok_or(open)?;
        if !matches!(next, '"' | '\\') {
            text.push('\\');
        }
        text.push(next);
    }
    Err(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn quotes_go_and_comments_end_the_line() {
        assert_eq!(
            words("h a='x y' b=\"1\\\"2\" c=d#e f"),
            ["h", "a=x y", "b=1\"2", "c=d"]
        );
        assert_eq!(words(r"h a=C:\\x b='\n' c=\  "), ["h", r"a=C:\x", r"b=\n", "c= "]);
        assert_eq!(words("h # c"), ["h"]);
        assert_eq!(split("h a='x"), Err(4));
    }

    #[test]
    fn words_know_where_they_stood() {
        let words = split("h  a='x y'").unwrap();
        assert_eq!(words[1].place, 3..10);
    }
}
