//! From the engine's error to a sentence with its place.

use std::ops::Range;
use std::sync::Arc;

use minijinja::value::{Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind};

use super::engine::Broken;
use super::environment::{filter_names, global_names, test_names};
use super::evaluation::{Absent, Carried, Evaluation, Missing};
use super::lexer::{self, Delimiters, Kind, Token};
use super::methods;
use super::places::place;
use super::python;
use super::rewrite::Rewritten;
use super::scope::{Scope, TemplateError};
use crate::source::{Diagnostic, Span, nearest};

/// The template that failed, with all that is known of it.
pub(super) struct Failing<'a> {
    pub text: &'a str,
    pub span: Option<&'a Span>,
    /// A bare expression, without delimiters.
    pub bare: bool,
    pub rewritten: &'a Rewritten,
    /// Where the compiled text begins in the rewritten one.
    pub offset: usize,
    pub delimiters: &'a Delimiters,
}

impl Failing<'_> {
    fn range(&self, error: &Error) -> Option<Range<usize>> {
        let Some(range) = error.range().or_else(|| kept(error)?.range.clone()) else {
            return self.whole();
        };
        let range = self
            .rewritten
            .written_range(range.start + self.offset..range.end + self.offset);
        // The engine sometimes points at a blank after the thing.
        let shown = self.text.get(range.clone())?;
        let end = range.start + shown.trim_end().len();
        Some(range.start..end.max(range.start))
    }

    /// The expression, if the template is nothing else.
    fn whole(&self) -> Option<Range<usize>> {
        let single = self.rewritten.written_range(self.rewritten.single.clone()?);
        let shown = self.text.get(single.clone())?;
        let start = single.start + shown.len() - shown.trim_start().len();
        Some(start..start + shown.trim().len())
    }

    fn place(&self, range: Range<usize>) -> Option<Span> {
        Some(place(self.span?, self.text, range))
    }

    fn tokens(&self) -> Vec<Token> {
        if self.bare {
            lexer::expression(self.text)
        } else {
            lexer::template(self.text, self.delimiters)
        }
    }

    /// Where a path like `app.url` stands, or at least its first name.
    fn path_at(&self, path: &str, within: Option<&Range<usize>>) -> Option<Range<usize>> {
        let first = path.split(['.', '[']).next().unwrap_or(path);
        let found = self.name_at(first, within)?;
        let whole = self.text.get(found.start..)?.starts_with(path);
        Some(if whole {
            found.start..found.start + path.len()
        } else {
            found
        })
    }

    /// Where a name stands, at best inside the range.
    fn name_at(&self, name: &str, within: Option<&Range<usize>>) -> Option<Range<usize>> {
        let tokens = self.tokens();
        let mut hits = tokens.iter().filter_map(|t| match t.kind {
            Kind::Name if t.of(self.text) == name => Some(t.start..t.end),
            // The name of a filter or test may be given as text.
            Kind::Text if t.of(self.text).get(1..)?.strip_suffix(['\'', '"']) == Some(name) => {
                Some(t.start + 1..t.end - 1)
            }
            _ => None,
        });
        let inside = |r: &Range<usize>| within.is_none_or(|w| w.start <= r.start && r.end <= w.end);
        hits.clone().find(inside).or_else(|| hits.next())
    }
}

/// What became of an evaluation that the engine gave up.
pub(super) fn explain(
    error: &Error,
    failing: &Failing<'_>,
    frame: usize,
    evaluation: &Evaluation,
    scope: &Arc<dyn Scope>,
) -> TemplateError {
    if let Some(inner) = evaluation.verdict().or_else(|| carried(error)) {
        return in_variable(inner, failing, error, evaluation.culprit().as_deref());
    }
    if deepest(error).kind() == ErrorKind::UndefinedError {
        return undefined(error, failing, frame, evaluation, scope);
    }
    let cause = deepest(error);
    let diagnostic = Box::new(other(cause, failing));
    match cause.kind() {
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => TemplateError::Undefined(diagnostic),
        _ => TemplateError::Failed(diagnostic),
    }
}

/// The error inside "could not render include" and the like.
fn deepest(error: &Error) -> &Error {
    let mut error = error;
    while let Some(inner) = std::error::Error::source(error).and_then(|s| s.downcast_ref::<Error>()) {
        error = inner;
    }
    error
}

/// The place of a syntax error that was met before.
fn kept(error: &Error) -> Option<&Broken> {
    std::error::Error::source(error).and_then(|s| s.downcast_ref::<Broken>())
}

fn carried(error: &Error) -> Option<TemplateError> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(Carried(inner)) = error.downcast_ref::<Carried>() {
            return Some(inner.clone());
        }
        source = error.source();
    }
    None
}

/// A failure inside a variable's own template keeps its place there, and says where the variable is used.
fn in_variable(
    inner: TemplateError,
    failing: &Failing<'_>,
    error: &Error,
    culprit: Option<&str>,
) -> TemplateError {
    let named = culprit.and_then(|name| failing.path_at(name, None));
    let range = named.or_else(|| failing.range(error));
    let note = |d: Box<Diagnostic>| Box::new(used_here(*d, failing, range.clone()));
    match inner {
        TemplateError::Undefined(d) => TemplateError::Undefined(note(d)),
        TemplateError::Failed(d) => TemplateError::Failed(note(d)),
        other => other,
    }
}

fn used_here(diagnostic: Diagnostic, failing: &Failing<'_>, range: Option<Range<usize>>) -> Diagnostic {
    let Some(span) = range.clone().and_then(|r| failing.place(r)) else {
        return diagnostic;
    };
    if diagnostic.span.is_none() {
        return diagnostic.at(&span);
    }
    if diagnostic.span.as_ref() == Some(&span) {
        return diagnostic;
    }
    let shown = range.and_then(|r| failing.text.get(r)).unwrap_or_default();
    if shown.is_empty() || shown.contains('\n') {
        return diagnostic.note_at("used here", &span);
    }
    diagnostic.note_at(format!("while rendering `{shown}`, used here"), &span)
}

fn undefined(
    error: &Error,
    failing: &Failing<'_>,
    frame: usize,
    evaluation: &Evaluation,
    scope: &Arc<dyn Scope>,
) -> TemplateError {
    let range = failing.range(error);
    if let Some(said) = deepest(error).detail().filter(|d| d.starts_with(AN_ITEM)) {
        let diagnostic = Diagnostic::error(said);
        let span = range.and_then(|r| failing.place(r));
        return TemplateError::Undefined(Box::new(match span {
            Some(span) => diagnostic.at(&span),
            None => diagnostic,
        }));
    }
    let missing = evaluation.missing(frame);
    let chosen = choose(&missing, failing, range.as_ref());
    let Some(chosen) = chosen else {
        return TemplateError::Undefined(Box::new(nameless(error, failing, range)));
    };
    let (path, at) = describe(chosen, failing, range.as_ref());
    if let Some(cause) = &chosen.cause {
        let whole = match &chosen.what {
            Absent::Member { chain, end, .. } => Some(*chain..*end),
            Absent::Name(_) => at,
        };
        let at = whole.or(range);
        return TemplateError::Undefined(Box::new(used_here((**cause).clone(), failing, at)));
    }
    let mut diagnostic = Diagnostic::error(format!("`{path}` is undefined"));
    if let Some(span) = at.or(range).and_then(|r| failing.place(r)) {
        diagnostic = diagnostic.at(&span);
    }
    TemplateError::Undefined(Box::new(explain_absence(diagnostic, &chosen.what, &path, scope)))
}

/// How a filter begins that speaks of one item of its list.
pub(super) const AN_ITEM: &str = "an item";

/// The missing thing that the error is about: the last one inside its range, else the last one.
fn choose<'m>(
    missing: &'m [Missing],
    failing: &Failing<'_>,
    range: Option<&Range<usize>>,
) -> Option<&'m Missing> {
    let inside = |m: &&Missing| match (&m.what, range) {
        (_, None) => true,
        (Absent::Member { chain, end, .. }, Some(r)) => r.start <= *end && *chain <= r.end,
        (Absent::Name(name), Some(r)) => {
            let known = failing.name_at(name, Some(r));
            known.is_some_and(|k| r.start <= k.start && k.end <= r.end)
        }
    };
    missing.iter().find(inside).or_else(|| missing.first())
}

/// The full path as it is written, and the place of the member that is not there.
fn describe(
    missing: &Missing,
    failing: &Failing<'_>,
    within: Option<&Range<usize>>,
) -> (String, Option<Range<usize>>) {
    match &missing.what {
        Absent::Name(name) => (name.clone(), failing.path_at(name, within)),
        Absent::Member {
            chain,
            start,
            end,
            key,
            ..
        } => {
            let closing = usize::from(failing.text[*end..].trim_start().starts_with(']'));
            let bracket = failing.text.get(..*start).is_some_and(|t| t.ends_with('['));
            let last = if bracket { *end + closing } else { *end };
            let path = failing.text.get(*chain..last).map(str::to_string);
            let path = path.map(|p| tight(&p));
            let path = path.unwrap_or_else(|| python::text(key).unwrap_or_default());
            (path, Some(*start..*end))
        }
    }
}

/// A path on one line, without blanks around its dots.
fn tight(path: &str) -> String {
    let line = path.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace(" .", ".").replace(". ", ".")
}

fn nameless(error: &Error, failing: &Failing<'_>, range: Option<Range<usize>>) -> Diagnostic {
    let shown = range.clone().and_then(|r| failing.text.get(r));
    let message = match shown {
        Some(shown) if !shown.is_empty() && !shown.contains('\n') => {
            format!("`{shown}` is undefined")
        }
        _ => match deepest(error).detail() {
            Some(detail) => format!("undefined value: {detail}"),
            None => "the result is undefined".to_string(),
        },
    };
    let diagnostic = Diagnostic::error(message);
    match range.and_then(|r| failing.place(r)) {
        Some(span) => diagnostic.at(&span),
        None => diagnostic,
    }
}

/// How many names a note lists before it stops.
const LISTED: usize = 12;

/// Where facts come from.
const GATHERED: &str =
    "facts are there when they have been gathered: `gather_facts: true` in the play, or a task `setup`";

fn explain_absence(diagnostic: Diagnostic, what: &Absent, path: &str, scope: &Arc<dyn Scope>) -> Diagnostic {
    match what {
        Absent::Name(name) => {
            let names = scope.names();
            let known = names.iter().map(|n| &**n);
            let candidate = match name.as_str() {
                "null" | "nil" | "undefined" => Some("none"),
                _ => nearest(name, known.chain(global_names().iter().copied())),
            };
            let gathered = names.iter().any(|n| &**n == "ansible_system");
            if candidate.is_none() && name.starts_with("ansible_") && !gathered {
                return diagnostic.help(GATHERED);
            }
            diagnostic.did_you_mean(candidate)
        }
        Absent::Member { container, key, .. } => {
            let key = python::text(key).unwrap_or_default();
            members(diagnostic, container, &key, path)
        }
    }
}

fn members(diagnostic: Diagnostic, container: &Jinja, key: &str, path: &str) -> Diagnostic {
    let owner = path
        .trim_end_matches(']')
        .trim_end_matches(['\'', '"'])
        .strip_suffix(key)
        .map(|p| p.trim_end_matches(['\'', '"']).trim_end_matches(['.', '[']))
        .filter(|p| !p.is_empty())
        .map_or_else(|| "it".to_string(), |p| format!("`{p}`"));
    if container.kind() == ValueKind::Map {
        let keys: Vec<String> = container
            .try_iter()
            .map(|keys| keys.filter_map(|k| python::text(&k).ok()).collect())
            .unwrap_or_default();
        let diagnostic = diagnostic.note(has_keys(&owner, &keys));
        if keys.is_empty() && owner == "`ansible_facts`" {
            return diagnostic.help(GATHERED);
        }
        return diagnostic.did_you_mean(nearest(key, keys.iter().map(String::as_str)));
    }
    let kind = kind_name(container);
    match container.len() {
        Some(length) if container.kind() == ValueKind::Seq => {
            let items = if length == 1 { "item" } else { "items" };
            diagnostic.note(format!("{owner} is a list of {length} {items}"))
        }
        _ => diagnostic.note(format!("{owner} is {kind}")),
    }
}

fn has_keys(owner: &str, keys: &[String]) -> String {
    let shown: Vec<String> = keys.iter().take(LISTED).map(|k| format!("`{k}`")).collect();
    let more = keys.len().saturating_sub(LISTED);
    match (shown.len(), more) {
        (0, _) => format!("{owner} is an empty mapping"),
        (_, 0) => format!("{owner} has {}", shown.join(", ")),
        _ => format!("{owner} has {} and {more} more", shown.join(", ")),
    }
}

/// A value's type as a person says it.
pub(super) fn kind_name(value: &Jinja) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "undefined",
        ValueKind::None => "none",
        ValueKind::Bool => "a boolean",
        ValueKind::Number if value.is_integer() => "an integer",
        ValueKind::Number => "a float",
        ValueKind::String | ValueKind::Bytes => "a string",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a mapping",
        _ => "a function",
    }
}

fn other(error: &Error, failing: &Failing<'_>) -> Diagnostic {
    let range = failing.range(error);
    let shown = range
        .clone()
        .and_then(|r| failing.text.get(r))
        .unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let word = first_quoted(detail).unwrap_or(shown);
    let diagnostic = match error.kind() {
        ErrorKind::UnknownFilter => unknown("filter", word, filter_names()),
        ErrorKind::UnknownTest => unknown("test", word, test_names()),
        ErrorKind::UnknownFunction => unknown("function", word, global_names()),
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            Diagnostic::error(format!("syntax error in a template: {}", or_kind(error)))
        }
        ErrorKind::UnknownMethod => no_method(detail),
        ErrorKind::MissingArgument => Diagnostic::error(format!("`{shown}` lacks an argument")),
        ErrorKind::TooManyArguments => Diagnostic::error(with_detail(
            format!("`{shown}` has an argument that it does not know"),
            detail,
        )),
        ErrorKind::TemplateNotFound => Diagnostic::error(detail.to_string()),
        _ => Diagnostic::error(or_kind(error)),
    };
    let diagnostic = advise(diagnostic, detail);
    let precise = match error.kind() {
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            failing.name_at(word, range.as_ref())
        }
        _ => None,
    };
    match precise.or(range).and_then(|r| failing.place(r)) {
        Some(span) => diagnostic.at(&span),
        None => diagnostic,
    }
}

/// "string has no method named uper", with the nearest that it has.
fn no_method(detail: &str) -> Diagnostic {
    let Some((kind, name)) = detail.split_once(" has no method named ") else {
        return Diagnostic::error(detail.to_string());
    };
    let kind = match kind {
        "sequence" | "iterator" => "list",
        "map" => "mapping",
        other => other,
    };
    Diagnostic::error(format!("a {kind} has no method `{name}`")).did_you_mean(nearest(name, methods::NAMES))
}

fn with_detail(text: String, detail: &str) -> String {
    if detail.is_empty() {
        return text;
    }
    format!("{text}: {detail}")
}

fn or_kind(error: &Error) -> String {
    error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_string)
}

/// The engine puts the names it speaks of in quotes or backticks, or nothing but the name in "x is unknown".
fn first_quoted(detail: &str) -> Option<&str> {
    let words = detail
        .strip_prefix("filter ")
        .or_else(|| detail.strip_prefix("test "));
    let words = words.and_then(|w| w.split_whitespace().next());
    words.or_else(|| detail.strip_suffix(" is unknown"))
}

pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> Diagnostic {
    Diagnostic::error(format!("unknown {what} `{name}`")).did_you_mean(nearest(name, known.iter().copied()))
}

/// Ways out of what the engine cannot do and Python can.
fn advise(diagnostic: Diagnostic, detail: &str) -> Diagnostic {
    if detail.contains("% operator") {
        return diagnostic.help("write `'%s' | format(x)` instead of `'%s' % x`");
    }
    let mutates = ["append", "update", "pop", "extend", "remove", "insert"]
        .iter()
        .any(|m| detail.ends_with(&format!("method named {m}")));
    if mutates {
        return diagnostic
            .help("values do not change in place here; write `list + [x]` or `map | combine({…})`");
    }
    diagnostic
}
