//! Bytes that a script takes from its standard input: whole, or not at all.
//!
//! When the connection is lost, or this program killed, what is on its way ends early, and looks like the end of
//! the input. A mark behind each part says that it has come to its end; half a file replaces nothing, and half a
//! program is not run.

use bytes::BytesMut;

/// What comes behind each part.
const MARK: &str = "whole\n";

/// The parts, one after the other.
#[derive(Debug, Default)]
pub struct Payload(BytesMut);

impl Payload {
    /// Adds a part; returns shell text that passes on exactly these bytes, and leaves what is behind them. It is to
    /// be followed by [`ARRIVED`].
    pub fn add(&mut self, part: &[u8]) -> String {
        self.0.extend_from_slice(part);
        self.0.extend_from_slice(MARK.as_bytes());
        take(part.len())
    }

    pub fn bytes(self) -> bytes::Bytes {
        self.0.freeze()
    }
}

/// Shell text that is true if the part that has just been taken was whole.
pub const ARRIVED: &str = "{ IFS= read -r w && [ \"$w\" = whole ] || { echo 'the content did not arrive as a whole' >&2; false; }; }";

fn take(size: usize) -> String {
    const BLOCK: usize = 65536;
    let (blocks, rest) = (size / BLOCK, size % BLOCK);
    let mut parts = Vec::new();
    if blocks > 0 {
        parts.push(format!(
            "dd bs={BLOCK} count={blocks} iflag=fullblock status=none"
        ));
    }
    if rest > 0 {
        parts.push(format!("dd bs={rest} count=1 iflag=fullblock status=none"));
    }
    match parts.len() {
        0 => ":".to_string(),
        _ => format!("{{ {}; }}", parts.join(" && ")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn takes_exactly_so_much() {
        assert_eq!(take(0), ":");
        assert_eq!(
            take(65537),
            "{ dd bs=65536 count=1 iflag=fullblock status=none && dd bs=1 count=1 iflag=fullblock status=none; }"
        );
    }

    /// What a script makes of two parts of which only so many bytes arrive.
    fn arrived(parts: [&[u8]; 2], bytes: usize) -> String {
        let mut payload = Payload::default();
        let script: Vec<String> = parts
            .iter()
            .map(|part| format!("{} >/dev/null && {ARRIVED} && printf +", payload.add(part)))
            .collect();
        let mut sh = Command::new("sh")
            .args(["-c", &script.join(" && ")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let payload = payload.bytes();
        let mut input = sh.stdin.take().unwrap();
        input.write_all(&payload[..bytes.min(payload.len())]).unwrap();
        drop(input);
        let output = sh.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn what_is_cut_off_has_not_arrived() {
        let large = vec![b'x'; 70_000];
        for parts in [[&b"first"[..], b""], [b"whole\n", b"\0\n"], [&large, b"whole"]] {
            let first = parts[0].len() + MARK.len();
            let all = first + parts[1].len() + MARK.len();
            assert_eq!(arrived(parts, all), "++");
            assert_eq!(arrived(parts, all - 1), "+");
            assert_eq!(arrived(parts, first), "+");
            assert_eq!(arrived(parts, first - 1), "");
            assert_eq!(arrived(parts, 3), "");
            assert_eq!(arrived(parts, 0), "");
        }
    }
}
