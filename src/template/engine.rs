//! Renders values, conditions and template files.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind, Expression};

use super::environment::{environment, filter_names, global_names, test_names, with_line_ends};
use super::evaluation::{Carried, Evaluation};
use super::failure::{Failing, explain};
use super::lexer::Delimiters;
use super::literal;
use super::outside::Outside;
use super::rewrite::{self, Backslashes, Rewritten};
use super::scope::{Scope, TemplateError};
use super::variables::{AllHosts, Everything, LazyList, LazyMap, Root, is_plain, key_of};
use crate::source::{Diagnostic, Span};
use crate::vars::{Map, Secrets, Template, Value};

/// Whether the task's turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before it: what may change until then must not be looked at.
    Ahead,
    Turn,
}

/// The template engine. Cheap to clone, shared by all threads.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub outside: Arc<dyn Outside>,
    /// What it has seen that nobody is to see.
    pub secrets: Secrets,
    compiled: Mutex<HashMap<CacheKey, Arc<Compiled>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("outside", &self.outside)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// Text with `{{ }}` in it.
    Text,
    /// A bare expression with literal backslashes (`debug: var=`).
    Expression,
    /// A bare expression with Python's escapes (`when:`).
    Condition,
}

type CacheKey = (Form, Arc<str>);

/// More distinct templates than a run of any size has; then the cache starts anew.
const CACHED: usize = 8192;

struct Compiled {
    form: Form,
    rewritten: Rewritten,
    offset: usize,
    program: Program,
}

enum Program {
    Expression(Expression<'static, 'static>),
    /// Compiled at each use: the engine cannot own it, and it costs a microsecond.
    Text,
    Broken(Error),
}

impl Compiled {
    fn new(form: Form, text: &str) -> Self {
        let rewritten = match form {
            Form::Text => rewrite::template(text, &Delimiters::default(), Backslashes::Literal, true),
            Form::Expression => rewrite::expression(text, Backslashes::Literal, true),
            Form::Condition => rewrite::expression(text, Backslashes::Escapes, true),
        };
        let Some(single) = rewritten.single.clone() else {
            return Self {
                form,
                rewritten,
                offset: 0,
                program: Program::Text,
            };
        };
        let inner = rewritten.text[single.clone()].to_string();
        let program = match environment().compile_expression_owned(inner) {
            Ok(expression) => Program::Expression(expression),
            Err(error) => Program::Broken(error),
        };
        Self {
            form,
            offset: single.start,
            rewritten,
            program,
        }
    }

    fn run(&self, root: &Root) -> Result<Jinja, Error> {
        let context = Jinja::from_object(root.clone());
        match &self.program {
            Program::Expression(expression) => {
                let value = expression.eval(context)?;
                if value.is_undefined() {
                    return printed(value);
                }
                Ok(value)
            }
            Program::Text => {
                let text = environment().render_str(&self.rewritten.text, context)?;
                Ok(Jinja::from(with_line_ends(&self.rewritten.text, text)))
            }
            Program::Broken(error) => Err(repeat(error)),
        }
    }

    fn failing<'a>(
        &'a self,
        text: &'a str,
        span: Option<&'a Span>,
        delimiters: &'a Delimiters,
    ) -> Failing<'a> {
        Failing {
            text,
            span,
            bare: self.form != Form::Text,
            rewritten: &self.rewritten,
            offset: self.offset,
            delimiters,
        }
    }
}

/// Printing tells what is undefined, an error, from an `if` without `else`, which is empty text.
fn printed(value: Jinja) -> Result<Jinja, Error> {
    let context = Jinja::from_pairs([("it", value)]);
    let text = environment().render_str("{{ it }}", context);
    text.map(Jinja::from)
        .map_err(|_| Error::from(ErrorKind::UndefinedError))
}

/// The engine's errors cannot be cloned; this one says the same and keeps the place as its source.
fn repeat(error: &Error) -> Error {
    Broken {
        kind: error.kind(),
        detail: error.detail().unwrap_or_default().to_string(),
        range: error.range(),
    }
    .into()
}

/// A syntax error, kept for each use of the broken text.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub kind: ErrorKind,
    pub detail: String,
    pub range: Option<std::ops::Range<usize>>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        Error::new(broken.kind, broken.detail.clone()).with_source(broken)
    }
}

impl Shared {
    pub fn is_global(name: &str) -> bool {
        global_names().binary_search(&name).is_ok()
    }

    fn compiled(&self, form: Form, text: &Arc<str>) -> Arc<Compiled> {
        let key = (form, text.clone());
        let known = self.cache().get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let made = Arc::new(Compiled::new(form, text));
        let mut cache = self.cache();
        if cache.len() >= CACHED {
            cache.clear();
        }
        cache.insert(key, made.clone());
        made
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<CacheKey, Arc<Compiled>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders text that a person wrote.
    pub fn text(&self, template: &Template, root: &Root) -> Result<Jinja, TemplateError> {
        let made = self.run(Form::Text, &template.text, template.span.as_ref(), root)?;
        if made.is_none() && is_lone_name(&template.text) {
            return Ok(made);
        }
        Ok(typed(made))
    }

    fn run(
        &self,
        form: Form,
        text: &Arc<str>,
        span: Option<&Span>,
        root: &Root,
    ) -> Result<Jinja, TemplateError> {
        let compiled = self.compiled(form, text);
        let entered = root.evaluation.enter(text, span, &root.scope)?;
        let frame = root.evaluation.frame();
        let result = compiled.run(root).and_then(settled);
        drop(entered);
        result.map_err(|error| {
            let delimiters = Delimiters::default();
            let failing = compiled.failing(text, span, &delimiters);
            explain(&error, &failing, frame, &root.evaluation, &root.scope)
        })
    }
}

/// Turns what can be read only once into a list.
fn settled(value: Jinja) -> Result<Jinja, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    let items: Vec<Jinja> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
    Ok(Jinja::from(items))
}

/// `{{ name }}` hands a variable on as it is, None too.
fn is_lone_name(text: &str) -> bool {
    let inner = text.trim().strip_prefix("{{").and_then(|t| t.strip_suffix("}}"));
    inner.is_some_and(|name| {
        let name = name.trim();
        !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && name != "none"
            && name != "None"
    })
}

/// Ansible's typing of a result: None is empty text, and text that looks like data is data, unless a filter
/// said that it is meant as text.
fn typed(value: Jinja) -> Jinja {
    if value.is_none() {
        return Jinja::from("");
    }
    if value.is_safe() {
        return value;
    }
    match value.as_str().and_then(literal::data) {
        Some(data) => data,
        None => value,
    }
}

impl Engine {
    pub fn new(outside: Arc<dyn Outside>) -> Self {
        Self {
            shared: Arc::new(Shared {
                outside,
                secrets: Secrets::default(),
                compiled: Mutex::default(),
            }),
        }
    }

    /// The texts that nobody is to see, as far as they have been looked at.
    pub fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }

    fn root(&self, scope: &Arc<dyn Scope>, moment: Moment) -> Root {
        Root {
            shared: self.shared.clone(),
            evaluation: Evaluation::new(self.shared.outside.clone(), moment),
            scope: scope.clone(),
        }
    }

    /// Renders all templates in a value, however deep. Keys stay as they are. All of it must be known.
    pub fn render(
        &self,
        value: &Value,
        scope: &Arc<dyn Scope>,
        moment: Moment,
    ) -> Result<Value, TemplateError> {
        let value = self.render_in_part(value, scope, moment)?;
        match value.unknown() {
            Some(reason) => Err(TemplateError::Unknown(reason.clone())),
            None => Ok(value),
        }
    }

    /// The same, where what is unknown stays in its place.
    pub fn render_in_part(
        &self,
        value: &Value,
        scope: &Arc<dyn Scope>,
        moment: Moment,
    ) -> Result<Value, TemplateError> {
        match value {
            _ if is_plain(value) => Ok(value.clone()),
            Value::List(items) => {
                let items = items.iter().map(|v| self.render_in_part(v, scope, moment));
                Ok(Value::from(items.collect::<Result<Vec<Value>, _>>()?))
            }
            Value::Map(map) => {
                let pairs = map
                    .iter()
                    .map(|(k, v)| Ok((k.clone(), self.render_in_part(v, scope, moment)?)));
                Ok(Value::from(pairs.collect::<Result<Map, TemplateError>>()?))
            }
            _ => {
                let root = self.root(scope, moment);
                let rendered = deep(value, &root);
                match finish(rendered, &root) {
                    Err(TemplateError::Unknown(reason)) => Ok(Value::Unknown(reason)),
                    other => other,
                }
            }
        }
    }

    /// Evaluates a bare expression.
    pub fn expression(
        &self,
        text: &str,
        span: Option<&Span>,
        scope: &Arc<dyn Scope>,
        moment: Moment,
    ) -> Result<Value, TemplateError> {
        let root = self.root(scope, moment);
        let value = self
            .shared
            .run(Form::Expression, &text.into(), span, &root)
            .and_then(|v| result(&v, &root));
        finish(value, &root)
    }

    /// Whether a condition holds: `when`, `until`, `failed_when` and their like. A list holds if all of it
    /// does. `span` is the place of text that carries none itself.
    pub fn condition(
        &self,
        condition: &Value,
        span: Option<&Span>,
        scope: &Arc<dyn Scope>,
        moment: Moment,
    ) -> Result<bool, TemplateError> {
        let root = self.root(scope, moment);
        let held = self.holds(condition, span, &root);
        finish(held, &root)
    }

    fn holds(&self, condition: &Value, span: Option<&Span>, root: &Root) -> Result<bool, TemplateError> {
        match condition {
            Value::Null => Ok(true),
            Value::String(text) | Value::Secret(text) => self.text_holds(text, span, root),
            Value::Template(template) => {
                let span = template.span.as_ref().or(span);
                let made = self.shared.run(Form::Text, &template.text, span, root)?;
                // What the template made is an expression again; it may hold what a host answered.
                root.evaluation.refuse_lookups();
                match typed(made) {
                    text if text.as_str().is_some() => {
                        let text: Arc<str> = text.as_str().unwrap_or_default().into();
                        self.text_holds(&text, span, root)
                    }
                    value => Ok(value.is_true()),
                }
            }
            Value::List(items) => {
                for item in items.iter() {
                    if !self.holds(item, span, root)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Unknown(reason) => Err(TemplateError::Unknown(reason.clone())),
            other => Ok(other.is_true()),
        }
    }

    fn text_holds(&self, text: &Arc<str>, span: Option<&Span>, root: &Root) -> Result<bool, TemplateError> {
        if text.trim().is_empty() {
            return Ok(true);
        }
        let value = self.shared.run(Form::Condition, text, span, root)?;
        Ok(value.is_true())
    }

    /// All filters by name, sorted.
    pub fn filters() -> &'static [&'static str] {
        filter_names()
    }

    /// All tests by name, sorted.
    pub fn tests() -> &'static [&'static str] {
        test_names()
    }

    /// The short name of a lookup, if there is one, with its collection or without.
    pub fn lookup(name: &str) -> Option<&'static str> {
        super::lookups::short_name(name)
    }

    /// All lookups by name, sorted.
    pub fn lookups() -> &'static [&'static str] {
        super::lookups::names()
    }

    pub(super) fn shared_arc(&self) -> Arc<Shared> {
        self.shared.clone()
    }
}

/// What was touched decides, whatever came out.
pub(super) fn finish<T>(result: Result<T, TemplateError>, root: &Root) -> Result<T, TemplateError> {
    match (root.evaluation.verdict(), result) {
        (None, result) => result,
        // The result's own words are the same verdict with more places.
        (Some(TemplateError::Failed(_)), Err(TemplateError::Failed(d))) => Err(TemplateError::Failed(d)),
        (Some(TemplateError::Undefined(_)), Err(TemplateError::Undefined(d))) => {
            Err(TemplateError::Undefined(d))
        }
        (Some(verdict), _) => Err(verdict),
    }
}

/// A written value with all its templates rendered.
fn deep(value: &Value, root: &Root) -> Result<Value, TemplateError> {
    match value {
        Value::Template(template) => {
            let made = root.shared.text(template, root)?;
            result(&made, root)
        }
        _ if is_plain(value) => Ok(value.clone()),
        Value::Secret(text) => {
            root.shared.secrets.add(text);
            Ok(Value::String(text.clone()))
        }
        Value::List(items) => {
            let items: Result<Vec<Value>, _> = items.iter().map(|v| deep(v, root)).collect();
            Ok(Value::from(items?))
        }
        Value::Map(map) => {
            let pairs = map.iter().map(|(k, v)| Ok((k.clone(), deep(v, root)?)));
            let pairs: Result<Map, TemplateError> = pairs.collect();
            Ok(Value::from(pairs?))
        }
        other => Ok(other.clone()),
    }
}

/// The engine's value as ours.
fn result(value: &Jinja, root: &Root) -> Result<Value, TemplateError> {
    convert(value, root).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => match source.downcast_ref::<Carried>() {
            Some(Carried(inner)) => inner.clone(),
            None => failed(&error),
        },
        None => failed(&error),
    })
}

fn failed(error: &Error) -> TemplateError {
    let text = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_string);
    let diagnostic = Box::new(Diagnostic::error(text));
    match error.kind() {
        ErrorKind::UndefinedError => TemplateError::Undefined(diagnostic),
        _ => TemplateError::Failed(diagnostic),
    }
}

pub(super) fn convert(value: &Jinja, root: &Root) -> Result<Value, Error> {
    if let Some(known) = written(value) {
        return known;
    }
    Ok(match value.kind() {
        ValueKind::Undefined => {
            let cause = root.evaluation.missing(root.evaluation.frame());
            return Err(match cause.into_iter().next().and_then(|m| m.cause) {
                Some(why) => Carried::error(TemplateError::Undefined(why)),
                None => Error::new(ErrorKind::UndefinedError, "a part of the result is undefined"),
            });
        }
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => number(value)?,
        ValueKind::String => Value::String(value.to_str().unwrap_or_default()),
        ValueKind::Bytes => {
            let bytes = value.as_bytes().unwrap_or_default();
            Value::from(String::from_utf8_lossy(bytes).into_owned())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked();
            let items: Result<Vec<Value>, Error> = items.map(|v| convert(&v?, root)).collect();
            Value::from(items?)
        }
        ValueKind::Map => mapping(value, root)?,
        ValueKind::Invalid => {
            value.try_iter()?;
            Value::Null
        }
        _ => Value::from(value.to_string()),
    })
}

/// Values that were ours before and have only passed through.
fn written(value: &Jinja) -> Option<Result<Value, Error>> {
    let ours = |v: Value, root: &Root| deep(&v, root).map_err(Carried::error);
    if let Some(list) = value.downcast_object_ref::<LazyList>() {
        return Some(ours(Value::List(list.items.clone()), &list.root));
    }
    if let Some(map) = value.downcast_object_ref::<LazyMap>() {
        return Some(ours(Value::Map(map.map.clone()), &map.root));
    }
    if let Some(all) = value.downcast_object_ref::<Everything>() {
        return Some(mapping(value, &all.0));
    }
    let hosts = value.downcast_object_ref::<AllHosts>()?;
    Some(mapping(value, &hosts.root))
}

fn number(value: &Jinja) -> Result<Value, Error> {
    if !value.is_integer() {
        return Ok(Value::Float(f64::try_from(value.clone())?));
    }
    value.as_i64().map(Value::Int).ok_or_else(|| {
        let text = format!("{value} does not fit into 64 bits");
        Error::new(ErrorKind::InvalidOperation, text)
    })
}

fn mapping(value: &Jinja, root: &Root) -> Result<Value, Error> {
    let mut map = Map::new();
    for key in value.try_iter()?.checked() {
        let key = key?;
        let member = convert(&value.get_item(&key)?, root)?;
        let key = key_of(&key).ok_or_else(|| {
            let text = format!(
                "{} cannot be the key of a mapping",
                super::failure::kind_name(&key)
            );
            Error::new(ErrorKind::InvalidOperation, text)
        })?;
        map.insert(key, member);
    }
    Ok(Value::from(map))
}
