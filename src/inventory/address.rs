//! What stands where a host is named: a name or an address, a port, ranges.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `host:port` taken apart, where the whole is a name or an address that has one; else the text as it is.
pub(super) fn with_port(text: &str) -> (&str, Option<i64>) {
    let (host, port) = split(text);
    if is_address(host) {
        (host, port)
    } else {
        (text, None)
    }
}

/// A host name, IPv4 or IPv6 address, perhaps with ranges, perhaps with a port.
pub(super) fn is_host(text: &str) -> bool {
    is_address(split(text).0)
}

fn split(text: &str) -> (&str, Option<i64>) {
    let Some((host, digits)) = text.rsplit_once(':') else {
        return (text, None);
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return (text, None);
    }
    let Ok(port) = digits.parse() else {
        return (text, None);
    };
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return (inner, Some(port));
    }
    // Other colons mean an IPv6 address without brackets, which cannot have a port.
    if outside_brackets(host).contains(':') || host.is_empty() {
        return (text, None);
    }
    (host, Some(port))
}

/// The text without its bracketed parts.
fn outside_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|c| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

fn is_address(text: &str) -> bool {
    let Some(plain) = without_ranges(text) else {
        return false;
    };
    plain.parse::<Ipv4Addr>().is_ok() || plain.parse::<Ipv6Addr>().is_ok() || is_name(&plain)
}

/// Labels of letters, digits, `-` and `_`, none of which begins with `-` or ends with `-` or `_`.
fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let label =
        |l: &str| l.starts_with(word) && l.chars().all(|c| word(c) || c == '-') && !l.ends_with(['-', '_']);
    text.split('.').all(label)
}

/// Each range stood in for by a digit; `None` where brackets hold something else.
fn without_ranges(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let close = rest[open..].find(']')? + open;
        if !is_range(&rest[open + 1..close]) {
            return None;
        }
        out.push_str(&rest[..open]);
        out.push('1');
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    Some(out)
}

/// `1:20`, `a:f`, `01:20:2`, and hexadecimal as in IPv6 addresses.
fn is_range(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let hex = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_hexdigit());
    let letter = |s: &str| s.len() == 1 && s.bytes().all(|b| b.is_ascii_alphabetic());
    let bounds = match parts.as_slice() {
        [a, b] => [a, b],
        [a, b, step] if step.bytes().all(|d| d.is_ascii_digit()) => [a, b],
        _ => return false,
    };
    bounds.iter().all(|s| hex(s)) || bounds.iter().all(|s| letter(s))
}

/// The names that a pattern with ranges stands for: `db[01:10:3]-[a:c]`.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some(open) = pattern.find('[') else {
        return Ok(vec![pattern.to_string()]);
    };
    let close = pattern[open..]
        .find(']')
        .ok_or_else(|| "a `[` without its `]`".to_string())?;
    let (head, range) = (&pattern[..open], &pattern[open + 1..open + close]);
    let tails = expand(&pattern[open + close + 1..])?;
    let mut names = Vec::new();
    for item in sequence(range)? {
        names.extend(tails.iter().map(|tail| format!("{head}{item}{tail}")));
    }
    Ok(names)
}

fn sequence(range: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = range.split(':').collect();
    let (from, to, step) = match parts.as_slice() {
        [from, to] => (*from, *to, 1),
        [from, to, step] => (
            *from,
            *to,
            step.parse::<usize>()
                .ok()
                .filter(|s| *s > 0)
                .ok_or_else(|| format!("the step `{step}` of a range is not a number above zero"))?,
        ),
        _ => return Err(format!("`[{range}]` is not a range")),
    };
    let from = if from.is_empty() { "0" } else { from };
    if to.is_empty() {
        return Err(format!("the range `[{range}]` has no end"));
    }
    if let (Some(a), Some(b)) = (letter(from), letter(to)) {
        return letters(a, b, step).ok_or_else(|| backwards(range));
    }
    numbers(range, from, to, step)
}

fn numbers(range: &str, from: &str, to: &str, step: usize) -> Result<Vec<String>, String> {
    let width = if from.len() > 1 && from.starts_with('0') {
        from.len()
    } else {
        0
    };
    if width > 0 && to.len() != width {
        return Err(format!(
            "both ends of the range `[{range}]` must have as many digits"
        ));
    }
    let number = |s: &str| {
        s.parse::<u32>()
            .map_err(|_| format!("`[{range}]` is not a range of numbers or of single letters"))
    };
    let (from, to) = (number(from)?, number(to)?);
    Ok((from..=to)
        .step_by(step)
        .map(|n| format!("{n:0width$}"))
        .collect())
}

/// Its place in a…z, A…Z.
fn letter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [c @ b'a'..=b'z'] => Some(c - b'a'),
        [c @ b'A'..=b'Z'] => Some(c - b'A' + 26),
        _ => None,
    }
}

fn letters(from: u8, to: u8, step: usize) -> Option<Vec<String>> {
    if from > to {
        return None;
    }
    let name = |i: u8| char::from(if i < 26 { b'a' + i } else { b'A' + i - 26 });
    Some((from..=to).step_by(step).map(|i| name(i).to_string()).collect())
}

fn backwards(range: &str) -> String {
    format!("the range `[{range}]` ends before it begins")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(with_port("web:2222"), ("web", Some(2222)));
        assert_eq!(with_port("10.0.0.1:22"), ("10.0.0.1", Some(22)));
        assert_eq!(with_port("[2001:db8::1]:22"), ("2001:db8::1", Some(22)));
        assert_eq!(with_port("2001:db8::1"), ("2001:db8::1", None));
        assert_eq!(with_port("::1"), ("::1", None));
        assert_eq!(with_port("web[1:3]:22"), ("web[1:3]", Some(22)));
        assert_eq!(with_port("web[1:3]"), ("web[1:3]", None));
        assert_eq!(with_port("user@web:22"), ("user@web:22", None));
    }

    #[test]
    fn ranges() {
        let names = |p: &str| expand(p).unwrap().join(" ");
        assert_eq!(names("n[08:11].x"), "n08.x n09.x n10.x n11.x");
        assert_eq!(names("n[1:7:3]"), "n1 n4 n7");
        assert_eq!(names("n[:2]"), "n0 n1 n2");
        assert_eq!(names("db-[a:c]"), "db-a db-b db-c");
        assert_eq!(names("r[1:2]n[a:b]"), "r1na r1nb r2na r2nb");
        assert_eq!(names("n[5:3]"), "");
        assert!(expand("n[01:100]").unwrap_err().contains("as many digits"));
        assert!(expand("n[c:a]").is_err());
        assert!(expand("n[3]").is_err());
    }
}
