//! Names and versions with wildcards, by the rules of Python's `fnmatch`.

/// Whether there is a wildcard in it.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `text` matches the whole of `pattern`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches_from(&pattern, &text)
}

fn matches_from(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and how much it has taken: only the last one ever needs to take more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = pattern.get(p).and_then(|c| match c {
            '*' => None,
            '?' => Some(p + 1),
            '[' => match class(&pattern[p..], text[t]) {
                Some((true, width)) => Some(p + width),
                Some((false, _)) => None,
                None => (text[t] == '[').then_some(p + 1),
            },
            c => (*c == text[t]).then_some(p + 1),
        });
        if let Some(next) = step {
            p = next;
            t += 1;
        } else if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether `c` is in the class that `pattern` begins with, and how long that is; `None`: it is not closed.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A `]` in front is one of the class.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let members = &pattern[start..end];
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            found |= (members[at]..=members[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= members[at] == c;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_fnmatch_does() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("a*b*c", "axbxbc"),
            ("1.2*", "1.2-3"),
            ("?b", "ab"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("[]]", "]"),
            ("[a", "[a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a*c", "abb"),
            ("?", ""),
            ("[!a]", "a"),
            ("a", "ab"),
            ("[a-c]", "d"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
