//! Variables as the engine's values: looked up, opened and rendered only when a template touches them.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Jinja};
use minijinja::{Error, ErrorKind, State};

use super::engine::Shared;
use super::evaluation::{Absent, Carried, Evaluation};
use super::python;
use super::scope::{Found, Hosts, Scope, TemplateError};
use crate::source::Diagnostic;
use crate::vars::{Key, Map, Template, Value};

/// The name under which filters find the evaluation they run in. No variable can have it.
const HANDLE: &str = "(evaluation)";

/// Whether a variable holds a password by its name.
pub fn is_password(name: &str) -> bool {
    let words = ["password", "pass", "passwd", "passphrase"];
    name.strip_prefix("ansible_").is_some_and(|rest| {
        words
            .iter()
            .any(|w| rest == *w || rest.ends_with(&format!("_{w}")))
    })
}

/// All names that a template sees.
#[derive(Clone)]
pub(super) struct Root {
    pub shared: Arc<Shared>,
    pub evaluation: Arc<Evaluation>,
    pub scope: Arc<dyn Scope>,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variables")
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Jinja> {
        if name == HANDLE {
            return Some(Jinja::from_dyn_object(self.clone()));
        }
        let found = self.named(name);
        if found.is_some() || Shared::is_global(name) {
            return found;
        }
        if name == "vars" {
            return Some(self.all());
        }
        let known = Absent::Name(name.to_string());
        self.evaluation.miss(known, None);
        None
    }
}

/// The variables of the template that runs this filter or function.
pub(super) fn root(state: &State) -> Result<Arc<Root>, Error> {
    state
        .lookup(HANDLE)
        .and_then(|v| v.downcast_object::<Root>())
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no variables here"))
}

impl Root {
    /// `vars`.
    pub fn all(&self) -> Jinja {
        Jinja::from_object(Everything(self.clone()))
    }

    /// A variable by name; `None` if there is none.
    pub fn named(&self, name: &str) -> Option<Jinja> {
        match self.scope.get(name) {
            Found::Undefined => None,
            Found::Pending(what) => Some(self.evaluation.decide(TemplateError::Pending(what)).into()),
            Found::Failed(why) => Some(self.evaluation.decide(TemplateError::Failed(why)).into()),
            Found::Hosts(hosts) => Some(Jinja::from_object(AllHosts {
                hosts,
                root: self.clone(),
            })),
            Found::Value(value) => {
                let value = self.value(&value, Some(&name.into()));
                if is_password(name)
                    && let Some(text) = value.as_str()
                {
                    self.shared.secrets.add(text);
                }
                Some(value)
            }
        }
    }

    /// A value as the engine sees it. Only a template in it is rendered, and only now.
    pub fn value(&self, value: &Value, name: Option<&Arc<str>>) -> Jinja {
        match value {
            Value::Null => Jinja::from(()),
            Value::Bool(b) => Jinja::from(*b),
            Value::Int(i) => Jinja::from(*i),
            Value::Float(f) => Jinja::from(*f),
            Value::String(s) => Jinja::from(s.clone()),
            Value::Secret(s) => {
                // From here on it may be part of any text.
                self.shared.secrets.add(s);
                Jinja::from(s.clone())
            }
            Value::Template(t) => self.template(t, name),
            Value::List(items) => Jinja::from_object(LazyList {
                items: items.clone(),
                root: self.clone(),
                name: name.cloned(),
            }),
            Value::Map(map) => Jinja::from_object(LazyMap {
                map: map.clone(),
                root: self.clone(),
                name: name.cloned(),
            }),
            Value::Unknown(reason) => self
                .evaluation
                .decide(TemplateError::Unknown(reason.clone()))
                .into(),
        }
    }

    /// Renders a variable's own template. If that is undefined, so is the variable; any other failure is
    /// the failure of the whole.
    fn template(&self, template: &Arc<Template>, name: Option<&Arc<str>>) -> Jinja {
        self.evaluation.naming(name);
        match self.shared.text(template, self) {
            Ok(value) => value,
            Err(TemplateError::Undefined(why)) => {
                let name = name.map_or_else(|| template.text.to_string(), ToString::to_string);
                self.evaluation.miss(Absent::Name(name), Some(why));
                Jinja::UNDEFINED
            }
            Err(other) => {
                self.evaluation.blame(name);
                self.evaluation.decide(other).into()
            }
        }
    }

    /// Fails the whole, where the engine offers no other way (printing).
    fn fail_undefined(&self, name: &str) {
        let known = Diagnostic::error(format!("`{name}` holds something undefined"));
        let cause = self
            .evaluation
            .missing(self.evaluation.frame())
            .into_iter()
            .find_map(|m| m.cause);
        let verdict = TemplateError::Undefined(cause.unwrap_or_else(|| Box::new(known)));
        self.evaluation.decide(verdict);
    }
}

/// `name.key` or `name[0]`, for the chain of a recursive variable.
fn member_name(name: Option<&Arc<str>>, key: &dyn fmt::Display, index: bool) -> Arc<str> {
    match (name, index) {
        (Some(name), true) => format!("{name}[{key}]").into(),
        (Some(name), false) => format!("{name}.{key}").into(),
        (None, _) => key.to_string().into(),
    }
}

pub(super) struct LazyMap {
    pub map: Arc<Map>,
    pub root: Root,
    pub name: Option<Arc<str>>,
}

impl fmt::Debug for LazyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mapping")
    }
}

impl LazyMap {
    fn open(&self, key: &Key, value: &Value) -> Jinja {
        let name = matches!(value, Value::Template(_) | Value::Map(_) | Value::List(_))
            .then(|| member_name(self.name.as_ref(), key, false));
        self.root.value(value, name.as_ref())
    }
}

impl Object for LazyMap {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        if let Some(text) = key.as_str() {
            return self.get_value_by_str(text);
        }
        let (_, key, value) = self.map.get_full(&key_of(key)?)?;
        Some(self.open(key, value))
    }

    fn get_value_by_str(self: &Arc<Self>, text: &str) -> Option<Jinja> {
        let Some((_, key, value)) = self.map.get_full(text) else {
            let reason = Value::unknown_member(&self.map, text)?;
            return Some(self.root.value(&Value::Unknown(reason.clone()), None));
        };
        Some(self.open(key, value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if let Some(rest) = self.map.get(&Key::Rest) {
            // Touching it is what decides.
            self.root.value(rest, None);
        }
        Enumerator::Values(self.map.keys().map(key_value).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.map.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(
            &Jinja::from_dyn_object(self.clone()),
            &self.root,
            self.name.as_deref(),
            f,
        )
    }
}

pub(super) struct LazyList {
    pub items: Arc<Vec<Value>>,
    pub root: Root,
    pub name: Option<Arc<str>>,
}

impl fmt::Debug for LazyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("list")
    }
}

impl Object for LazyList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let index = key.as_usize()?;
        let value = self.items.get(index)?;
        let name = member_name(self.name.as_ref(), &index, true);
        Some(self.root.value(value, Some(&name)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(
            &Jinja::from_dyn_object(self.clone()),
            &self.root,
            self.name.as_deref(),
            f,
        )
    }
}

/// Prints as Python does. Printing cannot fail in the engine, so a failure is told to the evaluation.
fn print(value: &Jinja, root: &Root, name: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match python::repr(value) {
        Ok(text) => f.write_str(&text),
        Err(error) => {
            if error.kind() == ErrorKind::UndefinedError {
                root.fail_undefined(name.unwrap_or("the value"));
            }
            Ok(())
        }
    }
}

/// `vars`, and the variables of one host in `hostvars`.
pub(super) struct Everything(pub Root);

impl fmt::Debug for Everything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variables")
    }
}

impl Object for Everything {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.0.named(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        // Some names have a value only sometimes (`role_name`), and `hostvars` holds all of this once more.
        let names = self.0.scope.names().into_iter();
        let there =
            names.filter(|name| !matches!(self.0.scope.get(name), Found::Undefined | Found::Hosts(_)));
        Enumerator::Values(there.map(Jinja::from).collect())
    }
}

/// `hostvars`.
pub(super) struct AllHosts {
    pub hosts: Arc<dyn Hosts>,
    pub root: Root,
}

impl fmt::Debug for AllHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostvars")
    }
}

impl Object for AllHosts {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let scope = self.hosts.get(key.as_str()?)?;
        Some(Jinja::from_object(Everything(Root {
            scope,
            ..self.root.clone()
        })))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.hosts.names();
        Enumerator::Values(names.into_iter().map(Jinja::from).collect())
    }
}

pub(super) fn key_value(key: &Key) -> Jinja {
    match key {
        Key::String(s) => Jinja::from(s.clone()),
        Key::Int(i) => Jinja::from(*i),
        Key::Bool(b) => Jinja::from(*b),
        Key::Null => Jinja::from(()),
        Key::Rest => Jinja::from(key.to_string()),
    }
}

/// A key, if the value can be one.
pub(super) fn key_of(value: &Jinja) -> Option<Key> {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::None => Some(Key::Null),
        ValueKind::Bool => Some(Key::Bool(value.is_true())),
        ValueKind::String => value.to_str().map(Key::String),
        ValueKind::Number if value.is_integer() => value.as_i64().map(Key::Int),
        ValueKind::Number => Some(Key::from(python::text(value).ok()?)),
        _ => None,
    }
}

/// Whether nothing in the value has to be rendered, so that it can be handed on as it is.
pub(super) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Template(_) | Value::Secret(_) => false,
        Value::List(items) => items.iter().all(is_plain),
        Value::Map(map) => map.values().all(is_plain),
        _ => true,
    }
}

/// A failure of our own as one of the engine's.
pub(super) fn carried(error: TemplateError) -> Error {
    Carried::error(error)
}
