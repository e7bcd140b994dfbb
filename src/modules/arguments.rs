//! A module's arguments: from the task's values to the module's typed fields, with Ansible's leniency.
//!
//! Ansible takes `yes` or `1` for a boolean, a number for text, text with commas for a list. All of that is
//! here, once; a module says only what type it wants. An option that is `null` counts as not given.

use std::fmt;
use std::sync::Arc;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::source::{Diagnostic, Span, nearest};
use crate::vars::{Key, Map, Value};

/// One option as the task gives it, rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    pub name: Arc<str>,
    pub value: Value,
    /// The option's name in the playbook.
    pub name_span: Option<Span>,
    pub value_span: Option<Span>,
}

/// All options of a task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arguments {
    pub given: Vec<Argument>,
    /// The module's name in the playbook, for what is missing.
    pub span: Option<Span>,
}

impl Arguments {
    /// Reads them as `T`; the error points at the option that is wrong.
    pub fn read<T: DeserializeOwned>(&self, module: &str) -> Result<T, Diagnostic> {
        // Where any name is an option, `null` is a value (`set_fact`).
        let any_name = options::<T>().is_none();
        let given = self
            .given
            .iter()
            .filter(|a| any_name || a.value != Value::Null)
            .collect();
        T::deserialize(Top { given }).map_err(|wrong| self.diagnostic(module, &wrong))
    }

    fn diagnostic(&self, module: &str, wrong: &Wrong) -> Diagnostic {
        let argument = wrong
            .option
            .as_deref()
            .and_then(|name| self.given.iter().find(|a| &*a.name == name));
        let name = wrong.option.as_deref().unwrap_or_default();
        let error = match &wrong.kind {
            Kind::Unknown { known } => Diagnostic::error(format!("`{module}` has no option `{name}`"))
                .did_you_mean(nearest(name, known.iter().copied()))
                .or_help(|| format!("its options are {}", listed(known))),
            Kind::Missing(option) => Diagnostic::error(format!("`{module}` needs the option `{option}`")),
            Kind::Value(text) if argument.is_some() => {
                Diagnostic::error(format!("option `{name}` of `{module}`: {text}"))
            }
            Kind::Value(text) => Diagnostic::error(format!("`{module}`: {text}")),
        };
        let place = argument.and_then(|a| match wrong.kind {
            Kind::Unknown { .. } => a.name_span.as_ref(),
            _ => a.value_span.as_ref().or(a.name_span.as_ref()),
        });
        match place.or(self.span.as_ref()) {
            Some(span) => error.at(span),
            None => error,
        }
    }
}

impl Diagnostic {
    fn or_help(self, text: impl FnOnce() -> String) -> Self {
        if self.help.is_some() {
            self
        } else {
            self.help(text())
        }
    }
}

fn listed(names: &[&str]) -> String {
    let mut names: Vec<_> = names.iter().filter(|n| !n.starts_with('_')).copied().collect();
    names.sort_unstable();
    names.join(", ")
}

/// The options of a module, by asking its type what fields it would read.
pub(super) fn options<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    struct Probe<'a>(&'a mut Option<&'static [&'static str]>);

    impl<'de> Deserializer<'de> for Probe<'_> {
        type Error = Wrong;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
            Err(de::Error::custom("probed"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Wrong> {
            *self.0 = Some(fields);
            Err(de::Error::custom("probed"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut fields = None;
    let _ = T::deserialize(Probe(&mut fields));
    fields
}

/// What is wrong, and with which option.
#[derive(Debug)]
struct Wrong {
    kind: Kind,
    option: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Unknown { known: &'static [&'static str] },
    Missing(&'static str),
    Value(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Value(text) => f.write_str(text),
            Kind::Unknown { .. } => f.write_str("unknown option"),
            Kind::Missing(option) => write!(f, "missing option `{option}`"),
        }
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self {
            kind: Kind::Value(text.to_string()),
            option: None,
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            kind: Kind::Unknown { known: expected },
            option: Some(field.to_string()),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            kind: Kind::Missing(field),
            option: None,
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is given twice, once by another of its names"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("must be one of {}, not `{variant}`", expected.join(", ")))
    }
}

/// The options as a map.
struct Top<'a> {
    given: Vec<&'a Argument>,
}

impl<'de> Deserializer<'de> for Top<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Options {
            rest: self.given.into_iter(),
            current: None,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Options<'a> {
    rest: std::vec::IntoIter<&'a Argument>,
    current: Option<&'a Argument>,
}

impl<'de> MapAccess<'de> for Options<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.current = self.rest.next();
        let Some(argument) = self.current else {
            return Ok(None);
        };
        seed.deserialize(argument.name.to_string().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some(argument) = self.current else {
            return Err(de::Error::custom("a value without a name"));
        };
        seed.deserialize(Lenient(argument.value.clone()))
            .map_err(|mut wrong| {
                wrong.option.get_or_insert_with(|| argument.name.to_string());
                wrong
            })
    }
}

/// A value that becomes what is asked for, as far as Ansible would let it.
struct Lenient(Value);

impl Lenient {
    fn wrong(&self, wanted: &str) -> Wrong {
        let shown = match &self.0 {
            Value::String(s) => format!("`{s}`"),
            Value::Null => "nothing".to_string(),
            other => format!("a {}", other.type_name()),
        };
        de::Error::custom(format!("must be {wanted}, not {shown}"))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let number = integer(&self.0).ok_or_else(|| self.wrong("an integer"))?;
            let number = <$type>::try_from(number)
                .map_err(|_| -> Wrong { de::Error::custom(format!("{number} is out of range")) })?;
            visitor.$visit(number)
        }
    )*};
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            // Only a `Value` takes this as it is.
            Value::Unknown(reason) => visitor.visit_newtype_struct(Lenient(Value::String(reason))),
            Value::Bool(b) => visitor.visit_bool(b),
            Value::Int(i) => visitor.visit_i64(i),
            Value::Float(f) => visitor.visit_f64(f),
            Value::String(s) | Value::Secret(s) => visitor.visit_str(&s),
            Value::Template(t) => visitor.visit_str(&t.text),
            Value::List(items) => visitor.visit_seq(Items((*items).clone().into_iter())),
            Value::Map(map) => visitor.visit_map(Members {
                rest: (*map).clone().into_iter(),
                value: None,
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match truth(&self.0) {
            Some(b) => visitor.visit_bool(b),
            None => Err(self.wrong("a boolean (yes or no)")),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        #[expect(clippy::cast_precision_loss, reason = "seconds and the like, far below 2^53")]
        let number = match &self.0 {
            Value::Int(i) => Some(*i as f64),
            Value::Float(f) => Some(*f),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        };
        visitor.visit_f64(number.ok_or_else(|| self.wrong("a number"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match text(&self.0) {
            Some(text) => visitor.visit_string(text),
            None => Err(self.wrong("text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.0 == Value::Null {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let items: Vec<Value> = match &self.0 {
            Value::List(items) => items.to_vec(),
            // Ansible splits text at commas.
            Value::String(s) => s.split(',').map(|part| part.trim().into()).collect(),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => vec![self.0.clone()],
            _ => return Err(self.wrong("a list")),
        };
        visitor.visit_seq(Items(items.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let map = match &self.0 {
            Value::Map(map) => (**map).clone(),
            Value::String(s) => pairs(s).ok_or_else(|| self.wrong("a mapping"))?,
            _ => return Err(self.wrong("a mapping")),
        };
        visitor.visit_map(Members {
            rest: map.into_iter(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let Some(mut name) = text(&self.0) else {
            return Err(self.wrong(&format!("one of {}", variants.join(", "))));
        };
        // `state: yes` was read as a boolean before anybody knew that it is a word here.
        if let Value::Bool(b) = self.0 {
            let words: &[&str] = if b {
                &["yes", "on", "true"]
            } else {
                &["no", "off", "false"]
            };
            if let Some(word) = words.iter().find(|w| variants.contains(w)) {
                name = (*word).to_string();
            }
        }
        visitor.visit_enum(Choice(name))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::String(s) => match s.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        Value::String(s) => s.trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "no fraction, and checked for range"
        )]
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => Some(*f as i64),
        _ => None,
    }
}

/// A scalar as Python's `str` writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.to_string()),
        Value::Template(t) => Some(t.text.to_string()),
        Value::Int(i) => Some(i.to_string()),
        Value::Float(f) => Some(format!("{f:?}")),
        Value::Bool(b) => Some(if *b { "True" } else { "False" }.to_string()),
        _ => None,
    }
}

/// A mapping written as text: JSON, or `k=v` pairs with commas or spaces between.
fn pairs(text: &str) -> Option<Map> {
    if text.trim_start().starts_with('{') {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        return Value::from(json).as_map().cloned();
    }
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (k, v) = part.split_once('=')?;
            Some((Key::from(k), Value::from(v)))
        })
        .collect()
}

struct Items(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        self.0.next().map(|v| seed.deserialize(Lenient(v))).transpose()
    }
}

struct Members {
    rest: indexmap::map::IntoIter<Key, Value>,
    value: Option<Value>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let key = match key {
            Key::String(s) => Value::String(s),
            Key::Int(i) => Value::Int(i),
            Key::Bool(b) => Value::Bool(b),
            Key::Null => Value::Null,
            Key::Rest => Value::Unknown(Arc::default()),
        };
        seed.deserialize(Lenient(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        seed.deserialize(Lenient(self.value.take().unwrap_or(Value::Null)))
    }
}

struct Choice(String);

impl<'de> EnumAccess<'de> for Choice {
    type Error = Wrong;
    type Variant = Unit;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Unit), Wrong> {
        let name: de::value::StringDeserializer<Wrong> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, Unit))
    }
}

struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Wrong> {
        Err(de::Error::custom("must be a single word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(de::Error::custom("must be a single word"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Wrong> {
        Err(de::Error::custom("must be a single word"))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::source::Source;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(alias = "dest")]
        path: String,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        names: Vec<String>,
        state: Option<State>,
        count: Option<u32>,
        value: Option<Value>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum State {
        Present,
        Absent,
    }

    fn arguments(pairs: &[(&str, Value)]) -> Arguments {
        let source = Source::new("t.yml", "m:\n");
        Arguments {
            given: pairs
                .iter()
                .map(|(name, value)| Argument {
                    name: (*name).into(),
                    value: value.clone(),
                    name_span: None,
                    value_span: None,
                })
                .collect(),
            span: Some(Span::new(&source, 0, 1)),
        }
    }

    fn read(pairs: &[(&str, Value)]) -> Result<Sample, String> {
        arguments(pairs)
            .read("sample")
            .map_err(|d| d.message + &d.help.map_or(String::new(), |h| format!("; {h}")))
    }

    #[test]
    fn takes_what_ansible_takes() {
        let sample = read(&[
            ("dest", Value::Int(5)),
            ("force", "yes".into()),
            ("names", "a, b".into()),
            ("state", "absent".into()),
            ("count", "3".into()),
            ("value", Value::map([("a", Value::Bool(true))])),
        ]);
        assert_eq!(
            sample,
            Ok(Sample {
                path: "5".into(),
                force: true,
                names: vec!["a".into(), "b".into()],
                state: Some(State::Absent),
                count: Some(3),
                value: Some(Value::map([("a", Value::Bool(true))])),
            })
        );
    }

    #[test]
    fn null_is_not_given() {
        let sample = read(&[("path", "x".into()), ("count", Value::Null)]).unwrap();
        assert_eq!(sample.count, None);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(read(&[]).unwrap_err(), "`sample` needs the option `path`");
        assert_eq!(
            read(&[("path", "x".into()), ("stat", "x".into())]).unwrap_err(),
            "`sample` has no option `stat`; did you mean `state`?"
        );
        assert_eq!(
            read(&[("path", "x".into()), ("state", "gone".into())]).unwrap_err(),
            "option `state` of `sample`: must be one of present, absent, not `gone`"
        );
        assert_eq!(
            read(&[("path", "x".into()), ("force", "maybe".into())]).unwrap_err(),
            "option `force` of `sample`: must be a boolean (yes or no), not `maybe`"
        );
        assert_eq!(
            read(&[("path", "x".into()), ("count", Value::Int(-1))]).unwrap_err(),
            "option `count` of `sample`: -1 is out of range"
        );
    }

    #[test]
    fn knows_the_options_of_a_type() {
        let mut names = options::<Sample>().unwrap().to_vec();
        names.sort_unstable();
        assert_eq!(
            names,
            ["count", "dest", "force", "names", "path", "state", "value"]
        );
    }
}
