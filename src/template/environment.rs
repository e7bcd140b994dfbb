//! The engine's environment with everything Ansible adds: filters, tests, functions, methods, printing.

use std::sync::{LazyLock, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, Output, State, UndefinedBehavior};

use super::call::{add_filter, add_function, add_test};
use super::evaluation::Absent;
use super::owned;
use super::rewrite::{CALL, MINUS, OWN, PERCENT, SLICE, STEP};
use super::variables::root;
use super::{filters, functions, methods, python, tests};

/// What an option whose whole value is `omit` renders to: the option is to be dropped.
///
/// No person writes this text by accident, and it is the same for the whole run, so that it may be stored
/// in a variable first.
pub fn omit_placeholder() -> &'static str {
    "__omit_place_holder__5d1f0a3e9c7b4826"
}

/// The one environment; expressions compiled in it live as long as the program.
pub(super) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(build)
}

fn build() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    // In debug mode an error would look up every variable again, and run their lookups again.
    env.set_debug(false);
    env.set_recursion_limit(300);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_formatter(print);
    env.set_unknown_method_callback(methods::call);
    if let Ok(syntax) = SyntaxConfig::builder()
        .trim_blocks(true)
        .keep_trailing_newline(false)
        .build()
    {
        env.set_syntax(syntax);
    }
    env.add_filter(STEP, step);
    env.add_filter(CALL, call);
    env.add_filter(SLICE, slice);
    env.add_filter(PERCENT, percent);
    env.add_filter(OWN, owned::own);
    env.add_filter(MINUS, minus);
    for (name, filter) in filters::all() {
        add_filter(&mut env, name, filter);
    }
    for (name, test) in tests::all() {
        add_test(&mut env, name, test);
    }
    for (name, function) in functions::ALL {
        add_function(&mut env, name, *function);
    }
    env.remove_global("debug");
    for name in ["chain", "lines", "debug"] {
        env.remove_filter(name);
    }
    for name in ["startingwith", "endingwith"] {
        env.remove_test(name);
    }
    env.add_global("omit", omit_placeholder());
    env
}

/// The filters of the engine itself that Ansible has too, under the same name and with the same meaning.
const ENGINE_FILTERS: [&str; 13] = [
    "abs", "attr", "batch", "count", "first", "format", "groupby", "items", "last", "length", "reverse",
    "safe", "slice",
];

const ENGINE_TESTS: [&str; 39] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
    "safe",
];

/// All filters by name, sorted.
pub(super) fn filter_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let own = filters::all().map(|(name, _)| name);
        sorted(own.chain(ENGINE_FILTERS))
    });
    &NAMES
}

/// All tests by name, sorted.
pub(super) fn test_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let own = tests::all().map(|(name, _)| name);
        sorted(own.chain(ENGINE_TESTS))
    });
    &NAMES
}

/// Names that a template finds although no variable has them.
pub(super) fn global_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let own = functions::ALL.iter().map(|(name, _)| *name);
        sorted(own.chain(["omit", "range", "namespace"]))
    });
    &NAMES
}

fn sorted(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Prints what `{{ }}` gives: nothing for None, Python's text for the rest.
fn print(out: &mut Output, state: &mut State, value: &Jinja) -> Result<(), Error> {
    match value.kind() {
        // The engine refuses what is undefined before; what is left is a missing `else`.
        ValueKind::None | ValueKind::Undefined => Ok(()),
        ValueKind::String => minijinja::escape_formatter(out, state, value),
        _ => Ok(out.write_str(&python::text(value)?)?),
    }
}

/// A step into a member. From something undefined it leads to something undefined.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands the rest of the arguments over by value"
)]
fn step(state: &State, value: &Jinja, key: &Jinja, place: Rest<usize>) -> Result<Jinja, Error> {
    let [chain, start, end] = place[..] else {
        return Err(Error::from(ErrorKind::MissingArgument));
    };
    if key.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let member = if value.is_undefined() {
        Jinja::UNDEFINED
    } else {
        value.get_item(key)?
    };
    if member.is_undefined() {
        let root = root(state)?;
        let known = !root.evaluation.missing(root.evaluation.frame()).is_empty();
        if value.is_undefined() && known {
            // What led here was noted when it was found missing.
            return Ok(member);
        }
        let nested = root.evaluation.missing(root.evaluation.frame());
        let cause = nested.into_iter().next().and_then(|m| m.cause);
        let what = Absent::Member {
            container: value.clone(),
            key: key.clone(),
            chain,
            start,
            end,
        };
        root.evaluation.miss(what, cause);
    }
    Ok(member)
}

/// `value[start:stop:step]`, as the engine does it.
fn slice(of: Jinja, from: Jinja, to: Jinja, by: Option<Jinja>) -> Result<Jinja, Error> {
    static SLICES: OnceLock<Result<Expression<'static, 'static>, String>> = OnceLock::new();
    let slices = SLICES.get_or_init(|| {
        let compiled = environment().compile_expression("of[from:to:by]");
        compiled.map_err(|e| e.to_string())
    });
    let by = by.unwrap_or_else(|| Jinja::from(()));
    let context = Jinja::from_pairs([("of", of), ("from", from), ("to", to), ("by", by)]);
    match slices {
        Ok(slices) => slices.eval(context),
        Err(error) => Err(Error::new(ErrorKind::InvalidOperation, error.clone())),
    }
}

/// `a - b` where one may be a date; of anything else, as the engine does it.
fn minus(a: Jinja, b: Jinja) -> Result<Jinja, Error> {
    static MINUSES: OnceLock<Result<Expression<'static, 'static>, String>> = OnceLock::new();
    if let Some(span) = filters::Span::between(&a, &b) {
        return Ok(span);
    }
    let minuses = MINUSES.get_or_init(|| {
        let compiled = environment().compile_expression("a - b");
        compiled.map_err(|e| e.to_string())
    });
    match minuses {
        Ok(minuses) => minuses.eval(Jinja::from_pairs([("a", a), ("b", b)])),
        Err(error) => Err(Error::new(ErrorKind::InvalidOperation, error.clone())),
    }
}

/// `'%s' % value`.
fn percent(state: &mut State, format: Jinja, value: Jinja) -> Result<Jinja, Error> {
    let mut args = vec![format];
    if value.is_tuple() {
        args.extend(super::call::items(&value)?);
    } else {
        args.push(value);
    }
    state.apply_filter("format", &args)
}

/// A method call, with the same places as a step.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands the rest of the arguments over by value"
)]
fn call(
    state: &mut State,
    value: &Jinja,
    name: &str,
    args: Rest<Jinja>,
    named: Kwargs,
) -> Result<Jinja, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    // The first three are the places that every step carries.
    let mut args: Vec<Jinja> = args.get(3..).unwrap_or_default().to_vec();
    if named.args().next().is_some() {
        args.push(named.into());
    }
    value.call_method(state, name, &args)
}

/// The result ends with as many line ends as the template did, at least.
pub(super) fn with_line_ends(template: &str, mut rendered: String) -> String {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let missing = count(template).saturating_sub(count(&rendered));
    rendered.push_str(&"\n".repeat(missing));
    rendered
}

/// The closest of some names.
pub(super) fn nearest_of<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    crate::source::nearest(word, names.iter().copied())
}
