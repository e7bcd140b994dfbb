//! The ground that the modules for files stand on: attributes, what is at a path, atomic replacement.

pub mod attributes;
pub mod digest;
pub mod edit;
pub mod json;
pub mod mode;
pub mod object;
pub mod path;
pub mod put;
pub mod text;
pub mod times;
pub mod tree;
pub mod write;

use bytes::Bytes;

use crate::host::{Halt, Host, Script, fail, quote};

/// Reads a file that is too large to be asked for ahead of the task's turn.
pub async fn large(host: &Host, path: &str) -> Result<Bytes, Halt> {
    let script = Script::new("read a large file", format!("cat -- {}", quote(path)));
    let output = host.ask_now(script).await?;
    if output.ok() {
        return Ok(output.stdout);
    }
    Err(fail(format!(
        "{path} cannot be read: {}",
        output.stderr_text().trim()
    )))
}

/// The bytes in base64.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let bits = part
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for i in 0..4 {
            let letter = LETTERS[bits >> (18 - 6 * i) & 63];
            out.push(if i <= part.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_any_length() {
        let texts: [&[u8]; 5] = [b"", b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc"];
        assert_eq!(texts.map(base64), ["", "YQ==", "YWI=", "YWJj", "//79/A=="]);
    }
}
