//! One evaluation: what it has touched, what it is in the middle of, and what was missing.
//!
//! A filter may swallow an undefined value or an error, but it must not swallow that a name is pending, that
//! a value is unknown or that the world was asked too early. So these are written down here at the moment
//! they are touched, and looked at when the evaluation ends, whatever its result.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::Value as Jinja;
use minijinja::{Error, ErrorKind};

use super::engine::Moment;
use super::outside::Outside;
use super::scope::{Scope, TemplateError};
use crate::source::{Diagnostic, Span};

#[derive(Debug)]
pub(super) struct Evaluation {
    pub outside: Arc<dyn Outside>,
    pub moment: Moment,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The result, whatever the template makes of it.
    verdict: Option<TemplateError>,
    frames: Vec<Frame>,
    counter: usize,
    missing: Vec<Missing>,
    lookups_refused: bool,
    /// The variable whose own template failed last.
    culprit: Option<Arc<str>>,
    /// Set while an expression inside a parameter names what is being rendered.
    next_name: Option<Arc<str>>,
}

/// One template that is being rendered inside another.
#[derive(Debug, Clone)]
struct Frame {
    number: usize,
    name: Option<Arc<str>>,
    text: Arc<str>,
    span: Option<Span>,
    scope: usize,
}

/// Something that turned out to be undefined, kept until it is known whether that was an error.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub frame: usize,
    pub what: Absent,
    /// Why, if a variable's own template failed.
    pub cause: Option<Box<Diagnostic>>,
}

#[derive(Debug, Clone)]
pub(super) enum Absent {
    Name(String),
    Member {
        container: Jinja,
        key: Jinja,
        chain: usize,
        start: usize,
        end: usize,
    },
}

/// A finished error that travels through the engine.
#[derive(Debug, Clone)]
pub(super) struct Carried(pub TemplateError);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            TemplateError::Undefined(d) | TemplateError::Failed(d) => f.write_str(&d.message),
            other => write!(f, "{other:?}"),
        }
    }
}

impl std::error::Error for Carried {}

impl Carried {
    pub fn error(cause: TemplateError) -> Error {
        let kind = match cause {
            TemplateError::Undefined(_) => ErrorKind::UndefinedError,
            _ => ErrorKind::InvalidOperation,
        };
        Error::new(kind, "in a variable").with_source(Self(cause))
    }
}

/// Leaves the frame when dropped.
pub(super) struct Entered<'e>(&'e Evaluation);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.state().frames.pop();
    }
}

/// More templates inside one another than anyone writes.
const DEPTH: usize = 100;

impl Evaluation {
    pub fn new(outside: Arc<dyn Outside>, moment: Moment) -> Arc<Self> {
        Arc::new(Self {
            outside,
            moment,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the result is, however the evaluation goes on. The first word counts.
    pub fn decide(&self, verdict: TemplateError) -> Error {
        let mut state = self.state();
        state.verdict.get_or_insert_with(|| verdict.clone());
        drop(state);
        Carried::error(verdict)
    }

    /// Remembers the variable whose template failed, for the place where it is used.
    pub fn blame(&self, name: Option<&Arc<str>>) {
        self.state().culprit = name.cloned();
    }

    pub fn culprit(&self) -> Option<Arc<str>> {
        self.state().culprit.take()
    }

    pub fn verdict(&self) -> Option<TemplateError> {
        self.state().verdict.clone()
    }

    /// The world outside, if it may be asked now.
    pub fn outside(&self) -> Result<&dyn Outside, Error> {
        if self.state().lookups_refused {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "no lookup is run in a condition that was itself made by a template",
            ));
        }
        if self.moment == Moment::Ahead {
            return Err(self.decide(TemplateError::AtTurn));
        }
        Ok(&*self.outside)
    }

    pub fn refuse_lookups(&self) {
        self.state().lookups_refused = true;
    }

    /// Names what is rendered next, for the chain of a recursive variable.
    pub fn naming(&self, name: Option<&Arc<str>>) {
        self.state().next_name = name.cloned();
    }

    /// Goes into a template, unless it is already being rendered in the same scope.
    pub fn enter(
        &self,
        text: &Arc<str>,
        span: Option<&Span>,
        scope: &Arc<dyn Scope>,
    ) -> Result<Entered<'_>, TemplateError> {
        let mut state = self.state();
        let scope = Arc::as_ptr(scope).cast::<()>() as usize;
        let name = state.next_name.take();
        let again = state
            .frames
            .iter()
            .position(|f| f.scope == scope && f.text == *text && f.span.as_ref() == span && f.name.is_some());
        if let Some(first) = again {
            return Err(recursive(&state.frames[first..], name.as_ref()));
        }
        if state.frames.len() >= DEPTH {
            let named = state.frames.len().saturating_sub(8);
            return Err(recursive(&state.frames[named..], name.as_ref()));
        }
        state.counter += 1;
        let number = state.counter;
        state.frames.push(Frame {
            number,
            name,
            text: text.clone(),
            span: span.cloned(),
            scope,
        });
        drop(state);
        Ok(Entered(self))
    }

    pub fn frame(&self) -> usize {
        self.state().frames.last().map_or(0, |f| f.number)
    }

    pub fn miss(&self, what: Absent, cause: Option<Box<Diagnostic>>) {
        let frame = self.frame();
        self.state().missing.push(Missing { frame, what, cause });
    }

    /// Something missing was only asked about, or replaced: it is no error. `later` missing things were
    /// found after it.
    pub fn forgive(&self, later: usize) {
        let mut state = self.state();
        let frame = state.frames.last().map_or(0, |f| f.number);
        let mut mine = (0..state.missing.len())
            .rev()
            .filter(|i| state.missing[*i].frame == frame);
        if let Some(at) = mine.nth(later) {
            state.missing.remove(at);
        }
    }

    /// What was missing while this frame was rendered, the last first.
    pub fn missing(&self, frame: usize) -> Vec<Missing> {
        let state = self.state();
        state
            .missing
            .iter()
            .rev()
            .filter(|m| m.frame == frame)
            .cloned()
            .collect()
    }
}

/// "recursive loop detected", with the chain of names and the places where they are set.
fn recursive(frames: &[Frame], last: Option<&Arc<str>>) -> TemplateError {
    let names: Vec<&str> = frames
        .iter()
        .filter_map(|f| f.name.as_deref())
        .chain(last.map(|l| &**l))
        .collect();
    let mut diagnostic = Diagnostic::error(format!(
        "recursive loop detected in a variable: {}",
        names
            .iter()
            .map(|n| format!("`{n}`"))
            .collect::<Vec<_>>()
            .join(" → ")
    ))
    .help("a variable cannot be made from itself; give one of them another name");
    for frame in frames {
        let (Some(name), Some(span)) = (&frame.name, &frame.span) else {
            continue;
        };
        if diagnostic.span.is_none() {
            diagnostic = diagnostic.at(span);
        } else {
            diagnostic = diagnostic.note_at(format!("`{name}` is set here"), span);
        }
    }
    TemplateError::Failed(Box::new(diagnostic))
}
