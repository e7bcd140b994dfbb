//! Data as text and back: JSON and YAML.

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};
use serde_json::Value as Json;

use super::yaml;
use crate::source::Source;
use crate::template::call::{Call, Function, complaint, defined, items, pairs};
use crate::template::python;
use crate::template::variables::root;
use crate::vars::Value;
use std::fmt::Write as _;

pub const FILTERS: &[(&str, Function)] = &[
    ("from_json", from_json),
    ("from_yaml", from_yaml),
    ("from_yaml_all", from_yaml_all),
    ("json", to_json),
    ("pprint", pprint),
    ("to_json", to_json),
    ("to_nice_json", to_nice_json),
    ("to_nice_yaml", to_nice_yaml),
    ("to_yaml", to_yaml),
    ("tojson", to_json_for_html),
];

/// How Python's `json.dumps` writes.
struct Style {
    indent: Option<usize>,
    sorted: bool,
    ascii: bool,
    item: String,
    key: String,
}

impl Style {
    fn of(call: &Call, indent: Option<usize>, sorted: bool) -> Result<Self, Error> {
        let indent = match call.given(0, "indent")? {
            Some(value) => value.as_usize(),
            None => indent,
        };
        let separators = call.given(0, "separators")?;
        let parts: Vec<String> = match separators.filter(|s| !s.is_none()) {
            Some(s) => items(&s)?.iter().map(python::text).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let between = if indent.is_some() { "," } else { ", " };
        Ok(Self {
            indent,
            sorted: call.flag(0, "sort_keys", sorted)?,
            ascii: call.flag(0, "ensure_ascii", true)?,
            item: parts.first().map_or(between, String::as_str).to_string(),
            key: parts.get(1).map_or(": ", String::as_str).to_string(),
        })
    }

    fn write(&self, value: &Jinja, depth: usize, out: &mut String) -> Result<(), Error> {
        match defined(value)?.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => {
                let _ = write!(out, "{value}");
            }
            ValueKind::Number => out.push_str(&number(f64::try_from(value.clone())?)),
            ValueKind::Map => self.map(value, depth, out)?,
            ValueKind::Seq | ValueKind::Iterable => self.list(value, depth, out)?,
            _ => self.text(&python::text(value)?, out),
        }
        Ok(())
    }

    fn line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    }

    fn list(&self, value: &Jinja, depth: usize, out: &mut String) -> Result<(), Error> {
        let members = items(value)?;
        if members.is_empty() {
            out.push_str("[]");
            return Ok(());
        }
        out.push('[');
        for (i, member) in members.iter().enumerate() {
            if i > 0 {
                out.push_str(&self.item);
            }
            self.line(depth + 1, out);
            self.write(member, depth + 1, out)?;
        }
        self.line(depth, out);
        out.push(']');
        Ok(())
    }

    fn map(&self, value: &Jinja, depth: usize, out: &mut String) -> Result<(), Error> {
        let mut members = pairs(value)?;
        if members.is_empty() {
            out.push_str("{}");
            return Ok(());
        }
        if self.sorted {
            members.sort_by(|a, b| a.0.cmp(&b.0));
        }
        out.push('{');
        for (i, (key, member)) in members.iter().enumerate() {
            if i > 0 {
                out.push_str(&self.item);
            }
            self.line(depth + 1, out);
            self.text(&key_text(key)?, out);
            out.push_str(&self.key);
            self.write(member, depth + 1, out)?;
        }
        self.line(depth, out);
        out.push('}');
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if u32::from(c) < 0x20 || (self.ascii && u32::from(c) > 0x7e) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    python::float(value)
}

/// A key as JSON has it: always text.
fn key_text(key: &Jinja) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::None => "null".into(),
        ValueKind::Bool => if key.is_true() { "true" } else { "false" }.into(),
        _ => python::text(key)?,
    })
}

/// Text that stays text, even if it looks like data.
fn as_text(text: String) -> Jinja {
    Jinja::from_safe_string(text)
}

/// Arguments of Python's `json.dumps` that change nothing here.
fn accept(call: &Call, names: &[&str]) -> Result<(), Error> {
    for name in names {
        call.given(0, name)?;
    }
    Ok(())
}

const DUMPS: [&str; 6] = [
    "allow_nan",
    "check_circular",
    "cls",
    "default",
    "skipkeys",
    "vault_to_text",
];

fn to_json(call: &mut Call) -> Result<Jinja, Error> {
    accept(call, &DUMPS)?;
    accept(call, &["preprocess_unsafe"])?;
    let mut out = String::new();
    Style::of(call, None, false)?.write(&call.value()?, 0, &mut out)?;
    Ok(as_text(out))
}

fn to_nice_json(call: &mut Call) -> Result<Jinja, Error> {
    accept(call, &DUMPS)?;
    let mut style = Style::of(call, Some(4), true)?;
    if let Some(indent) = call.size(1, "indent")? {
        style.indent = Some(indent);
    }
    let mut out = String::new();
    style.write(&call.value()?, 0, &mut out)?;
    Ok(as_text(out))
}

/// Jinja's own: sorted, and safe inside HTML.
fn to_json_for_html(call: &mut Call) -> Result<Jinja, Error> {
    let indent = call.size(1, "indent")?;
    let mut out = String::new();
    Style::of(call, indent, true)?.write(&call.value()?, 0, &mut out)?;
    let safe = out
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027");
    Ok(Jinja::from(safe))
}

/// What is in the text is data, never a template.
fn from_json(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.string()?;
    let json: Json = serde_json::from_str(&text).map_err(|e| complaint(format!("this is not JSON: {e}")))?;
    Ok(root(call.state)?.value(&Value::from(json), None))
}

fn parse_yaml(text: &str, call: &Call) -> Result<Vec<Value>, Error> {
    let source = Source::new("text given to from_yaml", text);
    let (nodes, _) = crate::yaml::parse_many(&source)
        .map_err(|d| complaint(format!("`{}` cannot read this: {}", call.name, d.one_line())))?;
    Ok(nodes.iter().map(|n| untemplated(n.value())).collect())
}

/// What a filter has read is data, even where it looks like a template.
fn untemplated(value: Value) -> Value {
    match value {
        Value::Template(t) => Value::String(t.text.clone()),
        Value::List(items) => Value::list(items.iter().cloned().map(untemplated)),
        Value::Map(map) => {
            let pairs = map.iter().map(|(k, v)| (k.clone(), untemplated(v.clone())));
            Value::map(pairs)
        }
        other => other,
    }
}

fn from_yaml(call: &mut Call) -> Result<Jinja, Error> {
    let value = call.value()?;
    let Some(text) = value.as_str() else {
        return Ok(value);
    };
    let root = root(call.state)?;
    let mut documents = parse_yaml(text, call)?;
    if documents.len() > 1 {
        return Err(complaint(
            "`from_yaml` wants one document; `from_yaml_all` takes several",
        ));
    }
    Ok(root.value(&documents.pop().unwrap_or(Value::Null), None))
}

fn from_yaml_all(call: &mut Call) -> Result<Jinja, Error> {
    let text = call.subject()?;
    let root = root(call.state)?;
    let documents = parse_yaml(&text, call)?;
    Ok(root.value(&Value::from(documents), None))
}

fn yaml_style(call: &Call, indent: usize, flow: yaml::Flow) -> Result<yaml::Style, Error> {
    accept(call, &["explicit_start_ignored", "allow_unicode", "Dumper"])?;
    let flow = match call.given(0, "default_flow_style")? {
        Some(value) if value.is_none() => yaml::Flow::Leaves,
        Some(value) if value.is_true() => yaml::Flow::Always,
        Some(_) => yaml::Flow::Never,
        None => flow,
    };
    Ok(yaml::Style {
        indent: call.size(1, "indent")?.unwrap_or(indent),
        width: call.size(0, "width")?.unwrap_or(80),
        sorted: call.flag(0, "sort_keys", true)?,
        explicit_start: call.flag(0, "explicit_start", false)?,
        unicode: call.flag(0, "allow_unicode", true)?,
        flow,
    })
}

fn to_yaml(call: &mut Call) -> Result<Jinja, Error> {
    let style = yaml_style(call, 2, yaml::Flow::Leaves)?;
    Ok(as_text(yaml::dump(&call.value()?, &style)?))
}

fn to_nice_yaml(call: &mut Call) -> Result<Jinja, Error> {
    let style = yaml_style(call, 4, yaml::Flow::Never)?;
    Ok(as_text(yaml::dump(&call.value()?, &style)?))
}

fn pprint(call: &mut Call) -> Result<Jinja, Error> {
    Ok(Jinja::from(python::repr(&call.value()?)?))
}
