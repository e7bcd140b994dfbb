//! The forms in which a text appears inside of other texts.

use std::fmt::Write as _;

/// A line of a text is found on its own from this length on; shorter ones stand everywhere.
const LINE: usize = 8;

/// The text itself, its lines, and each of them as programs quote and encode it.
pub fn of(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|l| l.chars().count() >= LINE);
    let mut all: Vec<String> = Vec::new();
    for part in std::iter::once(text).chain(lines) {
        all.push(part.to_string());
        all.extend(escaped(part));
        all.extend(in_shell(part));
        all.extend(in_address(part));
        all.extend(in_base64(part));
    }
    all.retain(|form| !form.is_empty());
    all
}

/// As JSON and Python write it inside of quotes.
fn escaped(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json
        .get(1..json.len().saturating_sub(1))
        .unwrap_or_default()
        .to_string();
    let mut ascii = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    let python = text
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', "\\t");
    vec![python.replace('\'', "\\'"), python, ascii, json]
}

/// As words of a shell.
fn in_shell(text: &str) -> Vec<String> {
    let with_backslash = |special: &dyn Fn(char) -> bool| {
        let mut word = String::new();
        for c in text.chars() {
            if special(c) {
                word.push('\\');
            }
            word.push(c);
        }
        word
    };
    vec![
        text.replace('\'', r"'\''"),
        text.replace('\'', "'\"'\"'"),
        with_backslash(&|c| matches!(c, '$' | '`' | '"' | '\\')),
        with_backslash(&|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"@%+=:,./-_".contains(c)),
    ]
}

/// As part of a URL or a form.
fn in_address(text: &str) -> Vec<String> {
    let encoded = |kept: &str, lower: bool| {
        let mut out = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
                out.push(char::from(byte));
            } else if lower {
                let _ = write!(out, "%{byte:02x}");
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    };
    let mut all = Vec::new();
    for lower in [false, true] {
        for kept in ["-._~", "-._~/"] {
            let one = encoded(kept, lower);
            all.push(one.replace("%20", "+"));
            all.push(one);
        }
    }
    all
}

/// Alone, and what of it is the same wherever it stands in a longer text.
fn in_base64(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(text.as_bytes());
        let whole = base64(&bytes);
        let first = (offset * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        if let Some(inner) = whole.get(first..last).filter(|i| i.len() >= LINE) {
            all.push(inner.to_string());
        }
        if offset == 0 {
            all.push(whole);
        }
    }
    let of_url: Vec<String> = all
        .iter()
        .map(|f| f.replace('+', "-").replace('/', "_"))
        .collect();
    all.extend(of_url);
    all
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = (bits >> (18 - 6 * i) & 63) as usize;
            out.push(if i > chunk.len() {
                '='
            } else {
                char::from(ALPHABET[digit])
            });
        }
    }
    out
}
