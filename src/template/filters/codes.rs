//! Encodings and checksums.

use std::fmt::Write as _;

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::template::call::{Call, Function, complaint, items, pairs};
use crate::template::python;

pub const FILTERS: &[(&str, Function)] = &[
    ("b64decode", b64decode),
    ("b64encode", b64encode),
    ("checksum", checksum),
    ("hash", hash),
    ("md5", md5_sum),
    ("sha1", checksum),
    ("to_uuid", to_uuid),
    ("urldecode", urldecode),
    ("urlencode", urlencode),
    ("urlsplit", urlsplit),
];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn bytes(value: &Jinja) -> Result<Vec<u8>, Error> {
    match value.as_bytes() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Ok(python::text(value)?.into_bytes()),
    }
}

pub(in crate::template) fn encode64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let number = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = ALPHABET[(number >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn decode64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let c = match c {
            b'-' => b'+',
            b'_' => b'/',
            c => c,
        };
        let digit = ALPHABET.iter().position(|a| *a == c)?;
        bits = bits << 6 | u32::try_from(digit).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(out)
}

/// Text in another encoding than UTF-8, as far as playbooks use one.
fn encoded(text: &str, encoding: &str) -> Result<Vec<u8>, Error> {
    match encoding.to_lowercase().as_str() {
        "utf-8" | "utf8" | "ascii" => Ok(text.as_bytes().to_vec()),
        "utf-16-le" | "utf-16le" => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16-be" | "utf-16be" => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        "latin-1" | "latin1" | "iso-8859-1" => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).map_err(|_| complaint(format!("`{c}` is not in {encoding}"))))
            .collect(),
        _ => Err(complaint(format!("unknown encoding `{encoding}`"))),
    }
}

fn decoded(bytes: &[u8], encoding: &str) -> Result<String, Error> {
    let wide = |from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|c| from([c[0], c[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match encoding.to_lowercase().as_str() {
        "utf-8" | "utf8" | "ascii" => Ok(String::from_utf8_lossy(bytes).into_owned()),
        "utf-16-le" | "utf-16le" => Ok(wide(u16::from_le_bytes)),
        "utf-16-be" | "utf-16be" => Ok(wide(u16::from_be_bytes)),
        "latin-1" | "latin1" | "iso-8859-1" => Ok(bytes.iter().map(|b| char::from(*b)).collect()),
        _ => Err(complaint(format!("unknown encoding `{encoding}`"))),
    }
}

fn encoding(call: &Call) -> Result<String, Error> {
    Ok(call.text(1, "encoding")?.unwrap_or_else(|| "utf-8".into()))
}

fn b64encode(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    let raw = match value.as_bytes() {
        Some(raw) if value.kind() == ValueKind::Bytes => raw.to_vec(),
        _ => encoded(&python::text(&value)?, &encoding(call)?)?,
    };
    Ok(Jinja::from(encode64(&raw)))
}

fn b64decode(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let raw = decode64(&text).ok_or_else(|| complaint("this is not base64"))?;
    Ok(Jinja::from(decoded(&raw, &encoding(call)?)?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn digest(kind: &str, data: &[u8]) -> Option<String> {
    Some(match kind {
        "md5" => hex(&md5::compute(data).0),
        "sha1" => hex(&Sha1::digest(data)),
        "sha224" => hex(&Sha224::digest(data)),
        "sha256" => hex(&Sha256::digest(data)),
        "sha384" => hex(&Sha384::digest(data)),
        "sha512" => hex(&Sha512::digest(data)),
        _ => return None,
    })
}

fn hash(call: &mut Call) -> Result<Jinja, Error> {
    let kind = call.text(1, "hashtype")?.unwrap_or_else(|| "sha1".into());
    let data = bytes(&call.value()?)?;
    match digest(&kind, &data) {
        Some(sum) => Ok(Jinja::from(sum)),
        None => Err(complaint(format!(
            "unknown hash `{kind}`: known are md5, sha1, sha224, sha256, sha384, sha512"
        ))),
    }
}

fn checksum(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(hex(&Sha1::digest(bytes(&call.value()?)?))))
}

fn md5_sum(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(hex(&md5::compute(bytes(&call.value()?)?).0)))
}

/// Ansible's own namespace for names made into UUIDs.
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn uuid_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let pair = |i: usize| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok();
    (digits.len() == 32).then_some(())?;
    (0..32).step_by(2).map(pair).collect()
}

fn to_uuid(call: &mut Call) -> Result<Jinja, Error> {
    let namespace = call.text(1, "namespace")?.unwrap_or_else(|| NAMESPACE.into());
    let mut data = uuid_bytes(&namespace).ok_or_else(|| complaint(format!("`{namespace}` is not a UUID")))?;
    data.extend(call.subject()?.bytes());
    let mut sum: Vec<u8> = Sha1::digest(&data).iter().copied().take(16).collect();
    sum[6] = sum[6] & 0x0f | 0x50;
    sum[8] = sum[8] & 0x3f | 0x80;
    let text = hex(&sum);
    let parts = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    Ok(Jinja::from(parts.join("-")))
}

fn percent(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        let c = char::from(b);
        if b.is_ascii_alphanumeric() || "_.-~".contains(c) || (b.is_ascii() && safe.contains(c)) {
            out.push(c);
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

fn urlencode(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    let members = match value.kind() {
        ValueKind::Map => pairs(&value)?,
        ValueKind::Seq | ValueKind::Iterable => items(&value)?
            .iter()
            .map(|p| Ok((p.get_item_by_index(0)?, p.get_item_by_index(1)?)))
            .collect::<Result<_, Error>>()?,
        _ => return Ok(Jinja::from(percent(&python::text(&value)?, "/"))),
    };
    let mut parts = Vec::new();
    for (key, value) in members {
        let (key, value) = (python::text(&key)?, python::text(&value)?);
        let form = |t: &str| percent(t, "").replace("%20", "+");
        parts.push(format!("{}={}", form(&key), form(&value)));
    }
    Ok(Jinja::from(parts.join("&")))
}

fn urldecode(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let raw = text.as_bytes();
    let mut out = Vec::with_capacity(raw.len());
    let mut i = 0;
    while i < raw.len() {
        let code = text
            .get(i + 1..i + 3)
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (raw[i], code) {
            (b'%', Some(code)) => {
                out.push(code);
                i += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
        i += 1;
    }
    Ok(Jinja::from(String::from_utf8_lossy(&out).into_owned()))
}

/// The parts of a URL under the names that Python gives them.
fn url_parts(url: &str) -> Vec<(&'static str, Jinja)> {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let schemed = rest.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let (scheme, rest) = schemed.unwrap_or(("", rest));
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, place) = netloc
        .rsplit_once('@')
        .map_or((None, netloc), |(u, p)| (Some(u), p));
    let (name, password) = match user.map(|u| u.split_once(':').map_or((u, None), |(n, p)| (n, Some(p)))) {
        Some((name, password)) => (Some(name), password),
        None => (None, None),
    };
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').unwrap_or((bracketed, ""));
        (host, rest.strip_prefix(':'))
    } else {
        place.split_once(':').map_or((place, None), |(h, p)| (h, Some(p)))
    };
    let optional = |t: Option<&str>| t.map_or_else(|| Jinja::from(()), Jinja::from);
    let port = port.and_then(|p| p.parse::<u16>().ok());
    let host = (!host.is_empty()).then(|| host.to_lowercase());
    vec![
        ("fragment", Jinja::from(fragment)),
        ("hostname", optional(host.as_deref())),
        ("netloc", Jinja::from(netloc)),
        ("password", optional(password)),
        ("path", Jinja::from(path)),
        ("port", port.map_or_else(|| Jinja::from(()), Jinja::from)),
        ("query", Jinja::from(query)),
        ("scheme", Jinja::from(scheme.to_lowercase())),
        ("username", optional(name)),
    ]
}

fn urlsplit(call: &mut Call) -> Result<Jinja, Error> {
    let url = call.subject()?;
    let wanted = call.text(1, "query")?;
    let parts = url_parts(&url);
    let Some(wanted) = wanted.filter(|w| !w.is_empty()) else {
        return Ok(Jinja::from_pairs(parts));
    };
    match parts.into_iter().find(|(name, _)| *name == wanted) {
        Some((_, part)) => Ok(part),
        None => Err(complaint(format!("a URL has no part `{wanted}`"))),
    }
}
