//! What `lineinfile` makes of a text.

use std::borrow::Cow;

use crate::modules::files::text::{bare, lines};
use crate::template::regex::{Pattern, Way, expanded};

/// What lines are looked for, and what line is wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    regexp: Option<Pattern>,
    search_string: Option<Cow<'a, str>>,
    line: Cow<'a, str>,
}

/// Where a line goes that is not there.
#[derive(Debug)]
pub enum Insert {
    AtEnd,
    AtBeginning,
    After(Pattern),
    Before(Pattern),
}

/// `state: present`.
#[derive(Debug)]
pub struct Present<'a> {
    pub wanted: Wanted<'a>,
    pub insert: Insert,
    pub backrefs: bool,
    pub firstmatch: bool,
}

/// `state: absent`.
#[derive(Debug)]
pub struct Absent<'a> {
    pub wanted: Wanted<'a>,
}

/// The new text, if it is another, and what was done.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Edit {
    pub text: Option<String>,
    pub message: &'static str,
}

impl<'a> Wanted<'a> {
    pub fn read(
        regexp: Option<Cow<'a, str>>,
        search_string: Option<Cow<'a, str>>,
        line: Option<Cow<'a, str>>,
    ) -> Result<Self, String> {
        Ok(Self {
            regexp: regexp.map(|r| Pattern::new(&r, Way::Search)).transpose()?,
            search_string,
            line: line.unwrap_or_default(),
        })
    }

    /// Whether a line is one that `regexp` or `search_string` looks for.
    fn found(&self, line: &str) -> Result<bool, String> {
        if let Some(regexp) = &self.regexp {
            return regexp.is_match(line);
        }
        Ok(self.search_string.as_ref().is_some_and(|s| line.contains(&**s)))
    }
}

impl Insert {
    pub fn matching(regexp: &str) -> Result<Pattern, String> {
        Pattern::new(regexp, Way::Search)
    }
}

impl Present<'_> {
    pub fn edit(&self, text: &str) -> Result<Edit, String> {
        let mut lines = lines(text);
        if let Some(at) = self.found(&lines)? {
            let line = if self.backrefs {
                self.with_groups(&lines[at])?
            } else {
                self.wanted.line.to_string()
            };
            return Ok(replaced(lines, at, &line));
        }
        let (same, beside) = self.places(&lines)?;
        if let Some(at) = same {
            return Ok(replaced(lines, at, &self.wanted.line));
        }
        // Without a match there are no groups to make the line of.
        if self.backrefs {
            return Ok(Edit::default());
        }
        let line = format!("{}\n", self.wanted.line);
        match (&self.insert, beside) {
            (Insert::AtBeginning, _) => lines.insert(0, line),
            (Insert::After(_), Some(at)) if is_before(&lines, at, &self.wanted.line) => {
                return Ok(Edit::default());
            }
            (Insert::After(_) | Insert::Before(_), Some(at)) => lines.insert(at, line),
            (_, _) => {
                if let Some(last) = lines.last_mut()
                    && !last.ends_with(['\n', '\r'])
                {
                    last.push('\n');
                }
                lines.push(line);
            }
        }
        Ok(Edit {
            text: Some(lines.concat()),
            message: "line added",
        })
    }

    /// The line that is to be replaced: the last that matches, or the first.
    fn found(&self, lines: &[String]) -> Result<Option<usize>, String> {
        let mut found = None;
        for (at, line) in lines.iter().enumerate() {
            if !self.wanted.found(line)? {
                continue;
            }
            found = Some(at);
            if self.firstmatch {
                break;
            }
        }
        Ok(found)
    }

    /// Where the very line is, and where it would be inserted.
    fn places(&self, lines: &[String]) -> Result<(Option<usize>, Option<usize>), String> {
        let (mut same, mut beside) = (None, None);
        for (at, line) in lines.iter().enumerate() {
            if bare(line) == self.wanted.line {
                same = Some(at);
                continue;
            }
            let place = match &self.insert {
                Insert::After(regexp) if regexp.is_match(line)? => at + 1,
                Insert::Before(regexp) if regexp.is_match(line)? => at,
                _ => continue,
            };
            beside = Some(place);
            if self.firstmatch {
                break;
            }
        }
        Ok((same, beside))
    }

    fn with_groups(&self, line: &str) -> Result<String, String> {
        let captures = match &self.wanted.regexp {
            Some(regexp) => regexp.captures(line)?,
            None => None,
        };
        match captures {
            Some(captures) => expanded(&self.wanted.line, &captures),
            None => Ok(self.wanted.line.to_string()),
        }
    }
}

/// Whether the line stands where it would be inserted.
fn is_before(lines: &[String], at: usize, line: &str) -> bool {
    let there = lines.get(at).or_else(|| lines.get(at.checked_sub(1)?));
    there.is_some_and(|there| bare(there) == line)
}

fn replaced(mut lines: Vec<String>, at: usize, line: &str) -> Edit {
    let line = if line.ends_with('\n') {
        line.to_string()
    } else {
        format!("{line}\n")
    };
    if lines[at] == line {
        return Edit::default();
    }
    lines[at] = line;
    Edit {
        text: Some(lines.concat()),
        message: "line replaced",
    }
}

impl Absent<'_> {
    /// The text without those lines, and how many they were.
    pub fn edit(&self, text: &str) -> Result<(String, usize), String> {
        let (mut rest, mut found) = (String::new(), 0);
        let exact = self.wanted.regexp.is_none() && self.wanted.search_string.is_none();
        for line in lines(text) {
            let goes = if exact {
                bare(&line) == self.wanted.line
            } else {
                self.wanted.found(&line)?
            };
            if goes {
                found += 1;
            } else {
                rest.push_str(&line);
            }
        }
        Ok((rest, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present<'a>(regexp: Option<&'a str>, line: &'a str, insert: Insert) -> Present<'a> {
        Present {
            wanted: Wanted::read(regexp.map(Into::into), None, Some(line.into())).unwrap(),
            insert,
            backrefs: false,
            firstmatch: false,
        }
    }

    fn after(regexp: &str) -> Insert {
        Insert::After(Insert::matching(regexp).unwrap())
    }

    fn before(regexp: &str) -> Insert {
        Insert::Before(Insert::matching(regexp).unwrap())
    }

    fn text(edit: Edit) -> Option<String> {
        edit.text
    }

    #[test]
    fn replaces_the_last_match() {
        let mut p = present(Some("^a"), "b", Insert::AtEnd);
        assert_eq!(
            text(p.edit("a1\nx\na2\n").unwrap()).as_deref(),
            Some("a1\nx\nb\n")
        );
        p.firstmatch = true;
        assert_eq!(
            text(p.edit("a1\nx\na2\n").unwrap()).as_deref(),
            Some("b\nx\na2\n")
        );
    }

    #[test]
    fn a_dollar_stands_before_the_line_end() {
        let p = present(Some("^a$"), "b", Insert::AtEnd);
        assert_eq!(text(p.edit("a\n").unwrap()).as_deref(), Some("b\n"));
        assert_eq!(text(p.edit("ab\n").unwrap()).as_deref(), Some("ab\nb\n"));
    }

    #[test]
    fn nothing_to_do_is_nothing_done() {
        let p = present(None, "a", Insert::AtEnd);
        assert_eq!(p.edit("a\nb\n").unwrap(), Edit::default());
        let p = present(Some("^a"), "a", Insert::AtEnd);
        assert_eq!(p.edit("a\n").unwrap(), Edit::default());
    }

    #[test]
    fn adds_a_line_end_before_the_new_line() {
        let p = present(None, "b", Insert::AtEnd);
        assert_eq!(text(p.edit("a").unwrap()).as_deref(), Some("a\nb\n"));
        assert_eq!(text(p.edit("").unwrap()).as_deref(), Some("b\n"));
    }

    #[test]
    fn inserts_where_it_is_told() {
        let lines = "a\nb\na\nc\n";
        for (insert, wanted) in [
            (after("^a"), "a\nb\na\nx\nc\n"),
            (before("^a"), "a\nb\nx\na\nc\n"),
            (Insert::AtBeginning, "x\na\nb\na\nc\n"),
            (after("^z"), "a\nb\na\nc\nx\n"),
            (after("^c"), "a\nb\na\nc\nx\n"),
        ] {
            assert_eq!(
                text(present(None, "x", insert).edit(lines).unwrap()).as_deref(),
                Some(wanted)
            );
        }
        let mut p = present(None, "x", after("^a"));
        p.firstmatch = true;
        assert_eq!(text(p.edit(lines).unwrap()).as_deref(), Some("a\nx\nb\na\nc\n"));
    }

    #[test]
    fn groups_of_the_match_come_back() {
        let mut p = present(Some(r"^(k=)(\w+)(;)?"), r"\1new\g<3>", Insert::AtEnd);
        p.backrefs = true;
        assert_eq!(text(p.edit("k=old\n").unwrap()).as_deref(), Some("k=new\n"));
        assert_eq!(p.edit("other\n").unwrap(), Edit::default());
    }

    #[test]
    fn removes_what_matches() {
        let gone =
            |regexp: Option<&'static str>, search: Option<&'static str>, line: Option<&'static str>| {
                Absent {
                    wanted: Wanted::read(
                        regexp.map(Into::into),
                        search.map(Into::into),
                        line.map(Into::into),
                    )
                    .unwrap(),
                }
                .edit("a.b\naxb\r\na.b\n")
                .unwrap()
            };
        assert_eq!(gone(Some("a.b"), None, None), (String::new(), 3));
        assert_eq!(gone(None, Some("a.b"), None), ("axb\r\n".to_string(), 2));
        assert_eq!(gone(None, None, Some("axb")), ("a.b\na.b\n".to_string(), 1));
    }
}
