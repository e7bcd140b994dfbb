//! Looking at templates without running them, and values that must come through unharmed.

use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use vmstation::source::{Source, Span};
use vmstation::template::{Controller, Engine, Found, Moment, Scope, omit_placeholder};
use vmstation::vars::{Key, Template, Value};

fn engine() -> Engine {
    Engine::new(Arc::new(Controller))
}

fn template(text: &str) -> Template {
    let source = Source::new("task.yml", text);
    Template {
        text: text.into(),
        span: Some(Span::new(&source, 0, text.len())),
    }
}

#[test]
fn check_finds_what_is_certainly_wrong() {
    for (text, want) in [
        ("{{ x | upper }}", None),
        (
            "{{ x | ansible.builtin.combine(y) is ansible.builtin.defined }}",
            None,
        ),
        ("{{ x | map('upper') | select('match', 'a') | list }}", None),
        ("{{ x.y.z() | d(a[1:]) }} {% if q is in [1] %}{% endif %}", None),
        ("{{ x | uper }}", Some("unknown filter `uper` (task.yml:1:8)")),
        (
            "{{ x | map('uper') }}",
            Some("unknown filter `uper` (task.yml:1:13)"),
        ),
        (
            "{{ x is definde }}",
            Some("unknown test `definde` (task.yml:1:9)"),
        ),
        (
            "{{ x | selectattr('a', 'equalt', 1) }}",
            Some("unknown test `equalt` (task.yml:1:25)"),
        ),
        (
            "{{ x | community.general.json_query('a') }}",
            Some("unknown filter `community.general.json_query` (task.yml:1:8)"),
        ),
        (
            "{% if x %}",
            Some("syntax error in a template: unexpected end of input, expected end of block (task.yml:1:9)"),
        ),
    ] {
        let found = engine().check(&template(text));
        let said = found.first().map(|f| f.diagnostic.one_line());
        assert_eq!(said.as_deref(), want, "{text}");
    }
    let found = engine().check_expression("x is definde and y | uper", None);
    assert_eq!(found.len(), 2);
}

#[test]
fn names_lists_what_a_template_uses() {
    let engine = engine();
    assert_eq!(
        engine.names(&template(
            "{{ a.b.c }}{% for x in l %}{{ x.y }}{{ d['k'] }}{% endfor %}"
        )),
        ["a.b.c", "d", "l"]
    );
    assert_eq!(engine.expression_names("a.b is defined and c"), ["a.b", "c"]);
}

#[test]
fn the_lists_for_the_documentation_are_sorted_and_whole() {
    for (names, some) in [
        (Engine::filters(), "combine"),
        (Engine::tests(), "version"),
        (Engine::lookups(), "file"),
    ] {
        assert!(names.is_sorted());
        assert!(names.contains(&some));
    }
    // What is listed must be there.
    for name in Engine::filters() {
        let found = engine().check_expression(&format!("x | {name}"), None);
        assert!(found.is_empty(), "{name}");
    }
}

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Scope for Counting {
    fn get(&self, name: &str) -> Found {
        match name {
            "one" => {
                self.0.fetch_add(1, Ordering::SeqCst);
                Found::Value(Value::Int(1))
            }
            "keys" => Found::Value(Value::map([
                (Key::Int(80), Value::from("int")),
                (Key::from("80"), Value::from("text")),
                (Key::Bool(true), Value::Null),
            ])),
            _ => Found::Undefined,
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
}

#[test]
fn an_error_asks_no_variable_again() {
    let counting = Arc::new(Counting::default());
    let scope: Arc<dyn Scope> = counting.clone();
    let value = Value::written("{{ one + 'a' }}", None);
    assert!(engine().render(&value, &scope, Moment::Turn).is_err());
    assert_eq!(counting.0.load(Ordering::SeqCst), 1);
}

#[test]
fn keys_keep_their_kinds() {
    let scope: Arc<dyn Scope> = Arc::new(Counting::default());
    let run = |text: &str| engine().render(&Value::written(text, None), &scope, Moment::Turn);
    assert_eq!(run("{{ keys[80] }}"), Ok(Value::from("int")));
    assert_eq!(run("{{ keys['80'] }}"), Ok(Value::from("text")));
    let again = run("{{ keys | combine({}) }}").unwrap();
    let map = again.as_map().unwrap();
    assert_eq!(
        map.keys().collect::<Vec<_>>(),
        [&Key::Int(80), &Key::from("80"), &Key::Bool(true)]
    );
}

#[test]
fn omit_is_recognized() {
    let scope: Arc<dyn Scope> = Arc::new(Counting::default());
    let value = Value::map([
        ("owner", Value::written("{{ owner | default(omit) }}", None)),
        ("mode", Value::written("{{ omit }}", None)),
    ]);
    let made = engine().render(&value, &scope, Moment::Ahead).unwrap();
    assert_eq!(
        made.get("owner").and_then(Value::as_str),
        Some(omit_placeholder())
    );
    assert_eq!(made.get("mode").and_then(Value::as_str), Some(omit_placeholder()));
}
