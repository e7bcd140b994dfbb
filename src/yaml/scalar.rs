//! What an unquoted word means in YAML 1.1 (<https://yaml.org/type/>), as `PyYAML` decides it.

use crate::vars::Value;

/// The value of a plain scalar.
///
/// Dates stay text: Ansible's users see them as text.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        _ => {}
    }
    if let Some(b) = boolean(text) {
        return Value::Bool(b);
    }
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if !matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') {
        return text.into();
    }
    if let Some(i) = integer(text) {
        return i;
    }
    float(text).map_or_else(|| text.into(), Value::Float)
}

/// The words that are booleans; `y` and `n` are not.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Binary, octal by a leading zero, hexadecimal, decimal, base 60; underscores anywhere but first.
/// A number that does not fit 64 bits becomes a float rather than wrong.
fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    let bare = digits.replace('_', "");
    let number = if let Some(rest) = digits.strip_prefix("0b") {
        radix(rest, 2)?
    } else if let Some(rest) = digits.strip_prefix("0x") {
        radix(rest, 16)?
    } else if bare == "0" {
        0
    } else if let Some(rest) = digits.strip_prefix('0') {
        radix(rest, 8)?
    } else if digits.contains(':') {
        sexagesimal(digits)?
    } else {
        if !digits.starts_with(|c: char| c.is_ascii_digit())
            || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        {
            return None;
        }
        match bare.parse::<i128>() {
            Ok(n) => n,
            Err(_) => return bare.parse().ok().map(Value::Float),
        }
    };
    let number = if negative { -number } else { number };
    Some(match i64::try_from(number) {
        Ok(n) => Value::Int(n),
        #[expect(clippy::cast_precision_loss, reason = "better near than not at all")]
        Err(_) => Value::Float(number as f64),
    })
}

fn radix(digits: &str, radix: u32) -> Option<i128> {
    let bare = digits.replace('_', "");
    if digits.is_empty() || bare.starts_with(['+', '-']) {
        return None;
    }
    // `0_` and the like: only underscores left.
    if bare.is_empty() {
        return Some(0);
    }
    i128::from_str_radix(&bare, radix).ok()
}

fn sexagesimal(digits: &str) -> Option<i128> {
    let mut parts = digits.split(':');
    let head = parts.next()?;
    if !head.starts_with(|c: char| matches!(c, '1'..='9'))
        || !head.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return None;
    }
    let mut number: i128 = head.replace('_', "").parse().ok()?;
    for part in parts {
        number = number.checked_mul(60)?.checked_add(sixty(part)?)?;
    }
    Some(number)
}

/// One place of a base-60 number: `0` to `59`, one or two digits.
fn sixty(part: &str) -> Option<i128> {
    let fine = match part.as_bytes() {
        [d] => d.is_ascii_digit(),
        [t, d] => matches!(t, b'0'..=b'5') && d.is_ascii_digit(),
        _ => false,
    };
    if fine { part.parse().ok() } else { None }
}

/// A float has a point; an exponent has a sign; that is YAML 1.1.
fn float(text: &str) -> Option<f64> {
    let (negative, digits) = sign(text);
    let signed = digits.len() != text.len();
    let value = match digits {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" if !signed => f64::NAN,
        _ if digits.contains(':') => sexagesimal_float(digits)?,
        _ => decimal(digits, signed)?,
    };
    Some(if negative { -value } else { value })
}

fn decimal(digits: &str, signed: bool) -> Option<f64> {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let numeral = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let starts = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
    if !numeral(whole) || !numeral(fraction) {
        return None;
    }
    if whole.is_empty() && (signed || !starts(fraction)) || !whole.is_empty() && !starts(whole) {
        return None;
    }
    if let Some(exponent) = exponent {
        let after = exponent.strip_prefix(['+', '-'])?;
        if after.is_empty() || !after.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let bare = digits.replace('_', "");
    let padded = if bare.starts_with('.') {
        format!("0{bare}")
    } else {
        bare
    };
    padded.parse().ok()
}

fn sexagesimal_float(digits: &str) -> Option<f64> {
    let (places, fraction) = digits.split_once('.')?;
    let (head, rest) = places.split_once(':')?;
    if !head.starts_with(|c: char| c.is_ascii_digit())
        || !head.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        || !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return None;
    }
    let mut value: f64 = head.replace('_', "").parse().ok()?;
    for part in rest.split(':') {
        #[expect(clippy::cast_precision_loss, reason = "a number below sixty")]
        let place = sixty(part)? as f64;
        value = value * 60.0 + place;
    }
    let fraction = fraction.replace('_', "");
    let tail: f64 = format!("0.{fraction}0").parse().ok()?;
    Some(value + tail)
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, want) in [
            ("0", 0),
            ("-1", -1),
            ("+12", 12),
            ("0755", 0o755),
            ("0b101", 5),
            ("0xFF", 255),
            ("1_000", 1000),
            ("1:30", 90),
            ("12:30:45", 45_045),
        ] {
            assert_eq!(resolve(text), Value::Int(want), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_number_and_is_none() {
        for text in [
            "08",
            "0o17",
            "1e3",
            "1:60",
            "-",
            "+",
            ".",
            "1.2.3",
            "10.244.0.0/16",
            "2024-01-31",
            "y",
            "0x",
            "1-2",
        ] {
            assert_eq!(resolve(text), Value::from(text), "{text}");
        }
    }

    #[test]
    fn floats() {
        for (text, want) in [
            ("1.5", 1.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("1.5e+3", 1500.0),
            ("-0.1", -0.1),
            ("1:30.5", 90.5),
        ] {
            assert_eq!(resolve(text), Value::Float(want), "{text}");
        }
    }
}
