//! Values that become what is asked for, as far as Ansible would let them.

use std::sync::Arc;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::Argument;
use super::later::Later;
use super::python;
use super::wrong::Wrong;
use crate::vars::{Key, Map, Value};

/// What is known of an option's value.
#[derive(Clone, Copy)]
pub(super) enum Worth<'a> {
    Known(&'a Value),
    /// The same, but a list or a mapping is no text.
    Exact(&'a Value),
    /// A template has yet to be rendered.
    Later,
}

/// The options as a map.
pub(super) struct Top<'a> {
    given: Vec<(&'a Argument, Worth<'a>)>,
}

impl<'a> Top<'a> {
    pub fn new(given: Vec<(&'a Argument, Worth<'a>)>) -> Self {
        Self { given }
    }
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
    rest: std::vec::IntoIter<(&'a Argument, Worth<'a>)>,
    current: Option<(&'a Argument, Worth<'a>)>,
}

impl<'de> MapAccess<'de> for Options<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.current = self.rest.next();
        let Some((argument, _)) = self.current else {
            return Ok(None);
        };
        seed.deserialize(argument.name.to_string().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some((argument, worth)) = self.current else {
            return Err(de::Error::custom("a value without a name"));
        };
        let value = match worth {
            Worth::Known(value) => seed.deserialize(Lenient(value.clone())),
            Worth::Exact(value) => seed.deserialize(Exact(value)),
            Worth::Later => seed.deserialize(Later),
        };
        value.map_err(|mut wrong| {
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
            Value::Secret(_) => "what is hidden".to_string(),
            Value::Null => "nothing".to_string(),
            Value::Int(i) => format!("`{i}`"),
            Value::Float(f) => format!("`{f:?}`"),
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
            Value::String(s) | Value::Secret(s) => s.trim().parse().ok(),
            _ => None,
        };
        visitor.visit_f64(number.ok_or_else(|| self.wrong("a number"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match text(&self.0) {
            Some(text) => visitor.visit_string(text),
            // Ansible warns, and takes what Python prints.
            None if matches!(self.0, Value::List(_) | Value::Map(_)) => {
                visitor.visit_string(python::repr(&self.0))
            }
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
            Value::String(s) | Value::Secret(s) => s.split(',').map(|part| part.trim().into()).collect(),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => vec![self.0.clone()],
            _ => return Err(self.wrong("a list")),
        };
        visitor.visit_seq(Items(items.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let map = match &self.0 {
            Value::Map(map) => (**map).clone(),
            Value::String(s) | Value::Secret(s) => pairs(s).ok_or_else(|| self.wrong("a mapping"))?,
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
        Value::Float(f) => match whole(*f)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(s) | Value::Secret(s) => match s.trim().to_ascii_lowercase().as_str() {
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
        Value::Bool(b) => Some(i64::from(*b)),
        Value::String(s) | Value::Secret(s) => {
            s.trim().parse().ok().or_else(|| whole(s.trim().parse().ok()?))
        }
        Value::Float(f) => whole(*f),
        _ => None,
    }
}

/// A boolean where Ansible takes any other word for no.
pub fn any_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value: Value = de::Deserialize::deserialize(deserializer)?;
    Ok(truth(&value).unwrap_or(false))
}

/// `3.0`, but not `3.5`.
fn whole(number: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no fraction, and checked for range"
    )]
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// Looks only whether text is wanted where a list or a mapping is given.
struct Exact<'a>(&'a Value);

impl<'de> Deserializer<'de> for Exact<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        Lenient(self.0.clone()).deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        Err(Lenient(self.0.clone()).wrong("text"))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A scalar as Python's `str` writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) | Value::Secret(s) => Some(s.to_string()),
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

pub(super) struct Choice(pub String);

impl<'de> EnumAccess<'de> for Choice {
    type Error = Wrong;
    type Variant = Unit;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Unit), Wrong> {
        let name: de::value::StringDeserializer<Wrong> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, Unit))
    }
}

pub(super) struct Unit;

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
