//! What `blockinfile` makes of a text.

use std::borrow::Cow;

use crate::modules::files::text::universal_lines;
use crate::template::regex::{Pattern, Way};

/// A block with its markers, and where it belongs.
#[derive(Debug)]
pub struct Block {
    begin: String,
    end: String,
    /// With the markers; empty: the block is to go.
    pub lines: Vec<String>,
    insert: Insert,
    blank_before: bool,
    blank_after: bool,
}

/// Where a block goes that is not there.
#[derive(Debug)]
pub enum Insert {
    AtEnd,
    AtBeginning,
    After(Place),
    Before(Place),
}

/// A line to be found, or, with `(?m)`, a place in the whole text.
#[derive(Debug)]
pub struct Place {
    pattern: Pattern,
    whole: bool,
}

impl Insert {
    pub fn pattern(regexp: &str) -> Result<Place, String> {
        let flags = regexp.strip_prefix("(?").and_then(|rest| rest.split_once(')'));
        let whole = flags
            .is_some_and(|(flags, _)| flags.contains('m') && flags.bytes().all(|b| b.is_ascii_alphabetic()));
        let way = if whole { Way::Lines } else { Way::Search };
        Ok(Place {
            pattern: Pattern::new(regexp, way)?,
            whole,
        })
    }
}

impl Block {
    pub fn new(begin: String, end: String, block: Cow<'_, str>) -> Self {
        let mut lines = Vec::new();
        if !block.is_empty() {
            lines.push(begin.clone());
            lines.append(&mut universal_lines(&ended(block.into_owned())));
            lines.push(end.clone());
        }
        Self {
            begin,
            end,
            lines,
            insert: Insert::AtEnd,
            blank_before: false,
            blank_after: false,
        }
    }

    pub fn insert(mut self, insert: Insert) -> Self {
        self.insert = insert;
        self
    }

    /// `prepend_newline`, `append_newline`.
    pub fn blank_lines(mut self, before: bool, after: bool) -> Self {
        self.blank_before = before;
        self.blank_after = after;
        self
    }

    pub fn edit(&self, text: &str) -> Result<String, String> {
        let mut lines = universal_lines(text);
        let last = |marker: &str| lines.iter().rposition(|line| line == marker);
        let mut at = match (last(&self.begin), last(&self.end)) {
            (Some(begin), Some(end)) => {
                let first = begin.min(end);
                lines.drain(first..=begin.max(end));
                first
            }
            _ => self.place(text, &lines)?,
        };
        if at > 0
            && let Some(line) = lines.get_mut(at - 1)
        {
            *line = ended(std::mem::take(line));
        }
        if self.blank_before && at > 0 && lines[at - 1] != "\n" {
            lines.insert(at, "\n".to_string());
            at += 1;
        }
        lines.splice(at..at, self.lines.iter().cloned());
        let behind = at + self.lines.len();
        if self.blank_after && lines.get(behind).is_some_and(|line| line != "\n") {
            lines.insert(behind, "\n".to_string());
        }
        Ok(lines.concat())
    }

    fn place(&self, text: &str, lines: &[String]) -> Result<usize, String> {
        let (place, after) = match &self.insert {
            Insert::AtEnd => return Ok(lines.len()),
            Insert::AtBeginning => return Ok(0),
            Insert::After(place) => (place, true),
            Insert::Before(place) => (place, false),
        };
        let found = place.find(text, lines, after)?;
        Ok(found
            .map_or(lines.len(), |at| at + usize::from(after))
            .min(lines.len()))
    }
}

impl Place {
    fn find(&self, text: &str, lines: &[String], after: bool) -> Result<Option<usize>, String> {
        if self.whole {
            let captures = self.pattern.captures(text)?;
            return Ok(captures.and_then(|c| c.get(0)).map(|m| {
                let end = if after { m.end() } else { m.start() };
                text[..end].matches('\n').count()
            }));
        }
        let mut found = None;
        for (at, line) in lines.iter().enumerate() {
            if self.pattern.is_match(line)? {
                found = Some(at);
            }
        }
        Ok(found)
    }
}

fn ended(mut line: String) -> String {
    if !line.ends_with('\n') {
        line.push('\n');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &'static str) -> Block {
        Block::new("# BEGIN\n".into(), "# END\n".into(), text.into())
    }

    #[test]
    fn inserts_and_replaces_and_removes() {
        let text = block("a\nb").edit("x").unwrap();
        assert_eq!(text, "x\n# BEGIN\na\nb\n# END\n");
        assert_eq!(block("a\nb\n").edit(&text).unwrap(), text);
        assert_eq!(block("c").edit(&text).unwrap(), "x\n# BEGIN\nc\n# END\n");
        assert_eq!(block("").edit(&text).unwrap(), "x\n");
        assert_eq!(block("").edit("x").unwrap(), "x\n");
    }

    #[test]
    fn finds_its_place() {
        let after = |regexp| Insert::After(Insert::pattern(regexp).unwrap());
        let before = |regexp| Insert::Before(Insert::pattern(regexp).unwrap());
        for (insert, wanted) in [
            (after("^a"), "a\nb\na\n# BEGIN\nx\n# END\nc\n"),
            (before("^a"), "a\nb\n# BEGIN\nx\n# END\na\nc\n"),
            (Insert::AtBeginning, "# BEGIN\nx\n# END\na\nb\na\nc\n"),
            (before("^z"), "a\nb\na\nc\n# BEGIN\nx\n# END\n"),
            (after("(?m)^a\nb$"), "a\nb\n# BEGIN\nx\n# END\na\nc\n"),
        ] {
            assert_eq!(block("x").insert(insert).edit("a\nb\na\nc\n").unwrap(), wanted);
        }
    }

    #[test]
    fn blank_lines_are_made_once() {
        let once = block("x")
            .insert(Insert::Before(Insert::pattern("^b").unwrap()))
            .blank_lines(true, true);
        let text = once.edit("a\nb\n").unwrap();
        assert_eq!(text, "a\n\n# BEGIN\nx\n# END\n\nb\n");
        assert_eq!(once.edit(&text).unwrap(), text);
        assert_eq!(
            block("x").blank_lines(true, true).edit("").unwrap(),
            "# BEGIN\nx\n# END\n"
        );
    }
}
