//! What is pending, unknown or outside decides the result, however a template hides it.

use std::collections::BTreeMap;
use std::sync::Arc;

use vmstation::source::Source;
use vmstation::template::{Controller, Engine, FileOptions, Found, Hosts, Moment, Scope, TemplateError};
use vmstation::vars::{Template, Value};

#[derive(Debug)]
struct Names;

#[derive(Debug)]
struct OtherHosts;

impl Hosts for OtherHosts {
    fn get(&self, host: &str) -> Option<Arc<dyn Scope>> {
        (host == "other").then(|| Arc::new(Names) as Arc<dyn Scope>)
    }

    fn names(&self) -> Vec<Arc<str>> {
        vec!["other".into()]
    }
}

fn template(text: &str) -> Value {
    Value::Template(Arc::new(Template {
        text: text.into(),
        span: None,
    }))
}

fn unknown() -> Value {
    Value::Unknown("`uname -r` did not run".into())
}

impl Scope for Names {
    fn get(&self, name: &str) -> Found {
        Found::Value(match name {
            "late" => return Found::Pending("register of `look`".into()),
            "hostvars" => return Found::Hosts(Arc::new(OtherHosts)),
            "reg" => Value::map([("changed", Value::Bool(true)), ("stdout", unknown())]),
            "results" => Value::map([(
                "results",
                Value::list([
                    Value::map([("rc", Value::Int(0)), ("stdout", unknown())]),
                    Value::map([("rc", Value::Int(1)), ("stdout", unknown())]),
                ]),
            )]),
            "lazy" => template("{{ late }}"),
            "lazy_default" => template("{{ late | default('x') }}"),
            "nested" => Value::map([("a", Value::list([template("x {{ lazy.b }}")]))]),
            "lazy_stdout" => template("{{ reg.stdout | default('') }}"),
            "clock" => template("{{ now() }}"),
            "one" => Value::Int(1),
            "items" => Value::list([Value::Int(1), template("{{ late }}"), Value::Int(3)]),
            "users" => Value::list([
                Value::map([("name", Value::from("a")), ("shell", template("{{ late }}"))]),
                Value::map([("name", Value::from("b")), ("shell", Value::from("sh"))]),
            ]),
            _ => return Found::Undefined,
        })
    }

    fn names(&self) -> Vec<Arc<str>> {
        ["late", "one", "reg"].map(Arc::from).to_vec()
    }
}

fn engine() -> Engine {
    Engine::new(Arc::new(Controller))
}

fn scope() -> Arc<dyn Scope> {
    Arc::new(Names)
}

fn render(text: &str, moment: Moment) -> Result<Value, TemplateError> {
    engine().render(&template(text), &scope(), moment)
}

#[test]
fn a_pending_name_parks_whatever_hides_it() {
    for text in [
        "{{ late }}",
        "x {{ late }}",
        "{{ late | default('x') }}",
        "{{ late.a.b | default('x') }}",
        "{{ late is defined }}",
        "{{ late is not defined }}",
        "{{ 'a' if late is defined else 'b' }}",
        "{{ late or one }}",
        "{{ one and late }}",
        "{{ late is none }}",
        "{% if late is defined %}a{% endif %}",
        "{% for i in late | default([]) %}{{ i }}{% endfor %}",
        "{% for i in [1, 2] %}{{ late | default(i) }}{% endfor %}",
        "{% set x = late | default(1) %}done",
        "{{ lazy }}",
        "{{ lazy | default('x') }}",
        "{{ lazy_default }}",
        "{{ lazy is defined }}",
        "{{ nested.a[0] | default('x') }}",
        "{{ nested }}",
        "{{ nested | to_json }}",
        "{{ nested ~ '' }}",
        "{{ nested == {} or nested == nested | combine({}) }}",
        "{{ hostvars['other'].late | default('x') }}",
        "{{ hostvars.other.lazy is defined }}",
        "{{ hostvars['other'] | default({}) | length and hostvars.other['late'] is defined }}",
        "{{ ['other'] | map('extract', hostvars, 'late') | list }}",
        "{{ vars['late'] | default('x') }}",
        "{{ 'late' in vars }}",
        "{{ lookup('vars', 'late', default='x') }}",
        "{{ lookup('vars', 'late', errors='ignore') }}",
        "{{ items | length > 0 and items | sum > 0 }}",
        "{{ items | map('default', 'x') | list }}",
        "{{ items | select('defined') | list }}",
        "{{ users | map(attribute='shell', default='x') | list }}",
        "{{ users | selectattr('shell', 'defined') | list | length }}",
        "{{ users | rejectattr('shell', 'undefined') | list | length }}",
        "{{ users | sort(attribute='shell') | first }}",
        "{{ users | groupby('shell') | length }}",
        "{{ users | sum(attribute='shell', start='') }}",
        "{{ users | map(attribute='shell') | unique | length }}",
        "{{ users | items2dict(key_name='name', value_name='shell') | length }}",
        "{{ users | to_nice_yaml | length }}",
        "{{ users[0].shell == 'x' or true }}",
        "{{ 1 in items }}{{ 3 in items }}",
        "{{ '%s' | format(items) }}",
        "{{ items | join(',') }}",
        "{{ items | string }}",
        "{{ [late | default('x')] | first }}",
        "{{ {'a': late | default('x')} }}",
    ] {
        let got = render(text, Moment::Turn);
        assert!(matches!(got, Err(TemplateError::Pending(_))), "{text}: {got:?}");
    }
}

#[test]
fn what_is_not_touched_does_not_park() {
    for (text, want) in [
        ("{{ one or late }}", Value::Int(1)),
        ("{{ one == 2 and late }}", Value::Bool(false)),
        ("{{ one if one else late }}", Value::Int(1)),
        ("{% if one == 2 %}{{ late }}{% endif %}x", Value::from("x")),
        ("{{ items | length }}", Value::Int(3)),
        ("{{ items[0] }}", Value::Int(1)),
        ("{{ users[1].shell }}", Value::from("sh")),
        ("{{ users | map(attribute='name') | join }}", Value::from("ab")),
        ("{{ nested.keys() | list | length }}", Value::Int(1)),
        ("{{ hostvars.other.one }}", Value::Int(1)),
        ("{{ 'other' in hostvars }}", Value::Bool(true)),
    ] {
        assert_eq!(render(text, Moment::Ahead), Ok(want), "{text}");
    }
}

#[test]
fn conditions_and_files_are_sound_too() {
    for text in [
        "late is defined",
        "late | default(true)",
        "not lazy_default",
        "users | selectattr('shell', 'equalto', 'sh') | list",
    ] {
        let got = engine().condition(&Value::from(text), None, &scope(), Moment::Turn);
        assert!(matches!(got, Err(TemplateError::Pending(_))), "{text}: {got:?}");
    }
    let all = Value::list([Value::from("one == 2"), Value::from("late")]);
    assert_eq!(engine().condition(&all, None, &scope(), Moment::Turn), Ok(false));
    let source = Source::new("x.j2", "{% if late is defined %}a{% endif %}\n");
    let got = engine().file(&source, &FileOptions::default(), &scope(), Moment::Turn);
    assert!(matches!(got, Err(TemplateError::Pending(_))), "{got:?}");
}

#[test]
fn what_is_unknown_is_not_guessed() {
    for text in [
        "{{ reg.stdout }}",
        "{{ reg.stdout | default('') }}",
        "{{ reg.stdout | length > 0 or true }}",
        "{{ lazy_stdout }}",
        "{{ 'x' in reg.stdout }}",
        "{{ reg['stdout'] == 'x' }}",
        "{{ reg.get('stdout') }}",
        "{{ reg | to_json }}",
        "{{ reg ~ '' }}",
        "{{ results.results | map(attribute='stdout') | list }}",
        "{{ results.results | selectattr('stdout', 'equalto', 'x') | list }}",
        "{% for r in results.results %}{{ r.stdout | default('x') }}{% endfor %}",
    ] {
        let got = render(text, Moment::Turn);
        assert!(matches!(got, Err(TemplateError::Unknown(_))), "{text}: {got:?}");
    }
    for (text, want) in [
        ("{{ reg.changed }}", Value::Bool(true)),
        ("{{ reg is changed }}", Value::Bool(true)),
        ("{{ results.results | map(attribute='rc') | sum }}", Value::Int(1)),
        ("{{ reg | length }}", Value::Int(2)),
    ] {
        assert_eq!(render(text, Moment::Turn), Ok(want), "{text}");
    }
}

#[test]
fn an_unknown_part_is_handed_on_with_the_whole() {
    let in_part = |value: &Value| engine().render_in_part(value, &scope(), Moment::Turn).unwrap();
    let got = in_part(&template("{{ reg }}"));
    assert_eq!(got.get("stdout"), Some(&unknown()));
    let args = Value::map([
        ("msg", template("{{ one }}")),
        ("var", unknown()),
        ("line", template("is {{ reg.stdout }}")),
    ]);
    let got = in_part(&args);
    assert_eq!(got.get("var"), Some(&unknown()));
    assert_eq!(got.get("msg"), Some(&Value::Int(1)));
    assert_eq!(got.get("line"), Some(&unknown()));
    // Who needs all of it does not get a part.
    for whole in [&args, &template("{{ reg }}")] {
        let got = engine().render(whole, &scope(), Moment::Turn);
        assert!(matches!(got, Err(TemplateError::Unknown(_))), "{got:?}");
    }
}

#[test]
fn the_world_is_not_asked_ahead_of_the_turn() {
    for text in [
        "{{ now() }}",
        "{{ clock | default('x') }}",
        "{{ lookup('file', '/etc/hostname') }}",
        "{{ lookup('file', '/nope', errors='ignore') }}",
        "{{ lookup('pipe', 'true') | default('x') }}",
        "{{ lookup('password', '/dev/null') }}",
        "{{ lookup('url', 'http://127.0.0.1:1/') }}",
        "{{ '/etc' is directory }}",
        "{{ '/nope' is exists or true }}",
        "{{ [1, 2] | random }}",
        "{{ [1, 2] | shuffle }}",
        "{{ '%Y' | strftime }}",
        "{{ '/etc/*' | fileglob }}",
        "{{ ['/etc'] | select('exists') | list }}",
    ] {
        assert_eq!(render(text, Moment::Ahead), Err(TemplateError::AtTurn), "{text}");
    }
    for text in [
        "{{ lookup('env', 'HOME') }}",
        "{{ [1, 2] | random(seed='x') }}",
        "{{ '%Y' | strftime(0) }}",
    ] {
        assert!(render(text, Moment::Ahead).is_ok(), "{text}");
    }
}

#[test]
fn an_error_in_a_variable_is_not_swallowed_but_its_being_undefined_is() {
    #[derive(Debug)]
    struct Broken(BTreeMap<&'static str, Value>);

    impl Scope for Broken {
        fn get(&self, name: &str) -> Found {
            self.0.get(name).cloned().map_or(Found::Undefined, Found::Value)
        }

        fn names(&self) -> Vec<Arc<str>> {
            self.0.keys().map(|k| Arc::from(*k)).collect()
        }
    }

    let scope: Arc<dyn Scope> = Arc::new(Broken(BTreeMap::from([
        ("bad", template("{{ 'a' | combine({}) }}")),
        ("gone", template("{{ nowhere.x }}")),
    ])));
    let run = |text: &str| engine().render(&template(text), &scope, Moment::Turn);
    assert!(matches!(
        run("{{ bad | default('x') }}"),
        Err(TemplateError::Failed(_))
    ));
    assert!(matches!(
        run("{{ bad is defined }}"),
        Err(TemplateError::Failed(_))
    ));
    assert_eq!(run("{{ gone | default('x') }}"), Ok(Value::from("x")));
    assert_eq!(run("{{ gone is defined }}"), Ok(Value::Bool(false)));
    assert!(matches!(run("{{ gone }}"), Err(TemplateError::Undefined(_))));
}

#[test]
fn what_a_host_said_is_never_a_template() {
    #[derive(Debug)]
    struct Said;

    impl Scope for Said {
        fn get(&self, name: &str) -> Found {
            match name {
                "out" => Found::Value(Value::from("{{ lookup('pipe', 'id') }}")),
                "map" => Found::Value(Value::map([("k", Value::from("{{ 1 + 1 }}"))])),
                _ => Found::Undefined,
            }
        }

        fn names(&self) -> Vec<Arc<str>> {
            Vec::new()
        }
    }

    let scope: Arc<dyn Scope> = Arc::new(Said);
    let run = |text: &str| engine().render(&template(text), &scope, Moment::Turn).unwrap();
    assert_eq!(run("{{ out }}"), Value::from("{{ lookup('pipe', 'id') }}"));
    assert_eq!(run("a {{ out }}"), Value::from("a {{ lookup('pipe', 'id') }}"));
    assert_eq!(run("{{ map.k }}"), Value::from("{{ 1 + 1 }}"));
    assert_eq!(run("{{ map }}").get("k"), Some(&Value::from("{{ 1 + 1 }}")));
    let made = engine().condition(&template("{{ out }}"), None, &scope, Moment::Turn);
    assert!(made.is_err());
}
