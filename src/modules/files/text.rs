//! The content of a file as text that can be searched and changed without losing a byte.

use std::borrow::Cow;

/// Content as characters: as UTF-8 where it is that, else each byte as one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    bytes: bool,
}

impl Text {
    pub fn decode(content: &[u8]) -> Self {
        match std::str::from_utf8(content) {
            Ok(text) => Self {
                text: text.to_string(),
                bytes: false,
            },
            Err(_) => Self::bytes(content),
        }
    }

    /// Each byte as one character.
    pub fn bytes(content: &[u8]) -> Self {
        Self {
            text: content.iter().map(|b| char::from(*b)).collect(),
            bytes: true,
        }
    }

    /// What a person wrote, in the characters of this text.
    pub fn written<'w>(&self, written: &'w str) -> Cow<'w, str> {
        if self.bytes && !written.is_ascii() {
            return Cow::Owned(written.bytes().map(char::from).collect());
        }
        Cow::Borrowed(written)
    }

    /// The content of which this text's characters would be.
    pub fn encode(&self, text: &str) -> Vec<u8> {
        if !self.bytes {
            return text.as_bytes().to_vec();
        }
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            match u8::try_from(u32::from(c)) {
                Ok(byte) => out.push(byte),
                Err(_) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out
    }
}

/// Lines with their ends, split at `\n` only.
pub fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_string).collect()
}

/// Lines with their ends, split at `\n`, `\r` and `\r\n`.
pub fn universal_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let (body, end) = match line.strip_suffix("\r\n") {
            Some(body) => (body, "\r\n"),
            None => (line, ""),
        };
        let mut parts: Vec<String> = body.split_inclusive('\r').map(str::to_string).collect();
        match parts.last_mut() {
            Some(last) if !last.ends_with('\r') => last.push_str(end),
            _ if end.is_empty() => {}
            _ => parts.push(end.to_string()),
        }
        lines.append(&mut parts);
    }
    lines
}

/// A line without its end.
pub fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_lost() {
        for content in [&b"a\xffb\xc3\xa4\n"[..], "ä\n".as_bytes(), b""] {
            let text = Text::decode(content);
            assert_eq!(text.encode(&text.text), content);
        }
        let text = Text::decode(b"\xff \xc3\xa4");
        assert!(text.text.contains(&*text.written("ä")));
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(lines("a\r\nb\rc"), ["a\r\n", "b\rc"]);
        assert_eq!(
            universal_lines("a\r\nb\rc\n\nd"),
            ["a\r\n", "b\r", "c\n", "\n", "d"]
        );
        assert_eq!(universal_lines("\r\n\r\r\n"), ["\r\n", "\r", "\r\n"]);
        assert!(universal_lines("").is_empty());
    }
}
