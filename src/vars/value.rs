//! A variable's value as the program holds it between YAML and the template engine.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::{Equivalent, IndexMap};

use crate::source::Span;

/// A value as it was written (templates inside are not rendered) or as a host reported it.
///
/// Text that holds a template is a [`Value::Template`] only where a person wrote it: what a host answered is
/// always a [`Value::String`], so it can never be run as a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Arc<str>),
    Template(Arc<Template>),
    List(Arc<Vec<Value>>),
    Map(Arc<Map>),
    /// Text that nobody is to see: what `no_log` hid. To a template and to a host it is text like any other.
    Secret(Arc<str>),
    /// In a dry run: what a task that did not run would have said, with where it comes from ("`kernel` (read
    /// the kernel, site.yml:4:7)"). Whatever is computed from it is unknown too.
    Unknown(Arc<str>),
}

pub type Map = IndexMap<Key, Value>;

/// Text with `{{ }}`, `{% %}` or `{# #}` in it, written by a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub text: Arc<str>,
    /// The scalar in the YAML file; `None` for text made by the program or given on the command line.
    pub span: Option<Span>,
}

/// A map's key. YAML allows numbers and booleans there, and Ansible keeps them as such.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    String(Arc<str>),
    Int(i64),
    Bool(bool),
    Null,
    /// Every other key: a result that is known in part only has an unknown value here.
    Rest,
}

/// What every result has or lacks, whatever its module returns: not among the [rest](Key::Rest).
const OF_EVERY_RESULT: &[&str] = &[
    "attempts",
    "failed_when_result",
    "results",
    "skipped",
    "unreachable",
];

impl Hash for Key {
    /// A string key hashes as its text does, so that `map.get("name")` works.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::String(s) => s.hash(state),
            Self::Int(i) => i.hash(state),
            Self::Bool(b) => b.hash(state),
            Self::Null => 0_u8.hash(state),
            Self::Rest => 1_u8.hash(state),
        }
    }
}

impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::String(s) if **s == *self)
    }
}

impl fmt::Display for Key {
    /// As Python prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(s) => f.write_str(s),
            Self::Int(i) => i.fmt(f),
            Self::Bool(b) => f.write_str(if *b { "True" } else { "False" }),
            Self::Null => f.write_str("None"),
            Self::Rest => f.write_str("…"),
        }
    }
}

impl Key {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }
}

impl From<Key> for Value {
    /// The key as a value of its own, as in a loop over a mapping.
    fn from(key: Key) -> Self {
        match key {
            Key::String(s) => Self::String(s),
            Key::Int(i) => Self::Int(i),
            Key::Bool(b) => Self::Bool(b),
            Key::Null => Self::Null,
            Key::Rest => key.to_string().into(),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Arc<str>> for Key {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl Value {
    /// Text a person wrote: a template if it looks like one.
    pub fn written(text: &str, span: Option<&Span>) -> Self {
        if Self::is_template(text) {
            return Self::Template(Arc::new(Template {
                text: text.into(),
                span: span.cloned(),
            }));
        }
        Self::String(text.into())
    }

    /// Whether the text holds a template at all.
    pub fn is_template(text: &str) -> bool {
        text.contains("{{") || text.contains("{%") || text.contains("{#")
    }

    pub fn map(pairs: impl IntoIterator<Item = (impl Into<Key>, Value)>) -> Self {
        Self::Map(Arc::new(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect()))
    }

    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Self::List(Arc::new(items.into_iter().collect()))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) | Self::Secret(s) => Some(s),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(m) => Some(m),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(l) => Some(l),
            _ => None,
        }
    }

    /// A member of a map.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_map()?.get(name)
    }

    /// A switch as keywords take it; `None`: this is none, or a template.
    pub fn as_switch(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Int(n) => Some(*n != 0),
            Self::String(s) => match s.trim().to_ascii_lowercase().as_str() {
                "yes" | "on" | "1" | "true" | "y" | "t" => Some(true),
                "no" | "off" | "0" | "false" | "n" | "f" | "" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Python's truth.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::String(s) | Self::Secret(s) => !s.is_empty(),
            Self::Template(t) => !t.text.is_empty(),
            Self::List(l) => !l.is_empty(),
            Self::Map(m) => !m.is_empty(),
            Self::Unknown(_) => true,
        }
    }

    /// The type as Ansible's users know it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "float",
            Self::String(_) | Self::Template(_) | Self::Secret(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "mapping",
            Self::Unknown(_) => "unknown value",
        }
    }

    /// Whether any text in it is a secret.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::List(items) => items.iter().any(Self::has_secret),
            Self::Map(map) => map.values().any(Self::has_secret),
            _ => false,
        }
    }

    /// All texts in it as secrets.
    #[must_use]
    pub fn into_secret(self) -> Self {
        match self {
            Self::String(text) => Self::Secret(text),
            Self::List(items) => Self::list(items.iter().cloned().map(Self::into_secret)),
            Self::Map(map) => Self::from(
                map.iter()
                    .map(|(k, v)| (k.clone(), v.clone().into_secret()))
                    .collect::<Map>(),
            ),
            other => other,
        }
    }

    /// Where it comes from that a member is unknown which the mapping does not name.
    pub fn unknown_member<'m>(map: &'m Map, name: &str) -> Option<&'m Arc<str>> {
        if OF_EVERY_RESULT.contains(&name) {
            return None;
        }
        map.get(&Key::Rest).and_then(Self::unknown)
    }

    /// The reason, if any part of this is unknown.
    pub fn unknown(&self) -> Option<&Arc<str>> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::List(l) => l.iter().find_map(Self::unknown),
            Self::Map(m) => m.values().find_map(Self::unknown),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::list(items)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<serde_json::Value> for Value {
    /// Data from outside: strings stay strings, whatever they look like.
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(b),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Self::Int(i),
                None => Self::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(s) => Self::String(s.into()),
            Json::Array(a) => Self::list(a.into_iter().map(Self::from)),
            Json::Object(o) => Self::map(o.into_iter().map(|(k, v)| (k, Self::from(v)))),
        }
    }
}

impl serde::Serialize for Value {
    /// As JSON: keys as text, templates as their text, the unknown as `{"unknown": reason}`.
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_unit(),
            Self::Bool(b) => s.serialize_bool(*b),
            Self::Int(i) => s.serialize_i64(*i),
            Self::Float(f) => s.serialize_f64(*f),
            Self::String(t) | Self::Secret(t) => s.serialize_str(t),
            Self::Template(t) => s.serialize_str(&t.text),
            Self::List(l) => s.collect_seq(l.iter()),
            Self::Map(m) => s.collect_map(m.iter().map(|(k, v)| (k.to_string(), v))),
            Self::Unknown(reason) => s.collect_map([("unknown", reason)]),
        }
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Int(i) => Self::Int(i),
            Value::Bool(b) => Self::Bool(b),
            Value::Null => Self::Null,
            Value::String(s) => Self::String(s),
            Value::Unknown(_) => Self::Rest,
            other => {
                return Err(serde::de::Error::custom(format!(
                    "a {} cannot be a key",
                    other.type_name()
                )));
            }
        })
    }
}

/// Takes whatever comes.
struct AnyValue;

impl<'de> serde::de::Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        serde::Deserialize::deserialize(d)
    }

    /// What is unknown comes under a wrapping that nothing else has.
    fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        let reason: String = serde::Deserialize::deserialize(d)?;
        Ok(Value::Unknown(reason.into()))
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Int(i))
    }

    fn visit_u64<E: serde::de::Error>(self, u: u64) -> Result<Value, E> {
        i64::try_from(u)
            .map(Value::Int)
            .map_err(|_| E::custom(format!("{u} is out of range")))
    }

    fn visit_f64<E>(self, f: f64) -> Result<Value, E> {
        Ok(Value::Float(f))
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(s.into())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::list(all))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = members.next_entry()? {
            map.insert(key, value);
        }
        Ok(Value::from(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_asked_by_text_and_keeps_number_keys_apart() {
        let map: Map = [
            (Key::from("80"), Value::Bool(true)),
            (Key::Int(80), Value::Bool(false)),
        ]
        .into_iter()
        .collect();
        assert_eq!(map.get("80"), Some(&Value::Bool(true)));
        assert_eq!(map.get(&Key::Int(80)), Some(&Value::Bool(false)));
    }

    #[test]
    fn only_written_text_can_be_a_template() {
        assert!(matches!(Value::written("{{ x }}", None), Value::Template(_)));
        assert!(matches!(Value::from("{{ x }}"), Value::String(_)));
    }
}
