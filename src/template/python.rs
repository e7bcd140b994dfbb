//! Text of values as Python prints them.

use std::fmt::Write as _;

use minijinja::value::{Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind};

/// `str(x)`.
pub(super) fn text(value: &Jinja) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(undefined()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_string()),
        _ => repr(value),
    }
}

/// `repr(x)`.
pub(super) fn repr(value: &Jinja) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(value, &mut out)?;
    Ok(out)
}

fn undefined() -> Error {
    Error::from(ErrorKind::UndefinedError)
}

fn write_repr(value: &Jinja, out: &mut String) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(undefined()),
        ValueKind::Invalid => {
            value.try_iter()?;
        }
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float(f64::try_from(value.clone())?));
        }
        ValueKind::String => out.push_str(&quoted(value.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => write_list(value, out)?,
        ValueKind::Map => write_map(value, out)?,
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

fn write_list(value: &Jinja, out: &mut String) -> Result<(), Error> {
    let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
    out.push(open);
    let mut count = 0;
    for item in value.try_iter()?.checked() {
        if count > 0 {
            out.push_str(", ");
        }
        write_repr(&item?, out)?;
        count += 1;
    }
    if value.is_tuple() && count == 1 {
        out.push(',');
    }
    out.push(close);
    Ok(())
}

fn write_map(value: &Jinja, out: &mut String) -> Result<(), Error> {
    out.push('{');
    for (i, key) in value.try_iter()?.checked().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        let key = key?;
        write_repr(&key, out)?;
        out.push_str(": ");
        write_repr(&value.get_item(&key)?, out)?;
    }
    out.push('}');
    Ok(())
}

/// A string in quotes, double ones if it holds single ones only.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 0x20 || (0x7f..0xa1).contains(&u32::from(c)) => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// The shortest text that reads back as the same number, with an exponent where Python has one.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_string();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') {
        plain
    } else {
        format!("{plain}.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        for (value, want) in [
            (1.0, "1.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e20, "1e+20"),
            (1e15, "1000000000000000.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(float(value), want);
        }
    }

    #[test]
    fn containers_print_as_in_python() {
        let items = vec![
            Jinja::from(1),
            Jinja::from(()),
            Jinja::from(true),
            Jinja::from("it's"),
        ];
        let value = Jinja::from_pairs([("a", items)]);
        assert_eq!(repr(&value).unwrap(), r#"{'a': [1, None, True, "it's"]}"#);
    }
}
