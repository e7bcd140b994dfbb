//! A module's arguments: from the task's values to the module's typed fields, with Ansible's leniency.
//!
//! Ansible takes `yes` or `1` for a boolean, a number for text, text with commas for a list. All of that is
//! here, once; a module says only what type it wants. An option that is `null` counts as not given.
//!
//! ```text
//! Argument ─lenient, or later where only a template is known→ the module's type
//!    └─ its names, aliases resolved ─rule→ what may not stand together, what must be there
//! ```

mod later;
mod lenient;
mod python;
mod rule;
mod wrong;

use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use rule::Rule;

use self::lenient::{Top, Worth};
use self::wrong::{Kind, Wrong};
use crate::source::{Diagnostic, Span, nearest};
use crate::vars::Value;

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

/// The options of a task as they are written: what templates will make of them is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrendered<'a> {
    pub arguments: &'a Arguments,
    /// Whether further options come when the task runs (`args: "{{ mapping }}"`).
    pub more: bool,
}

impl Arguments {
    /// Reads them as `T`; the error points at the option that is wrong.
    pub fn read<T: DeserializeOwned>(&self, module: &str, rules: &[Rule]) -> Result<T, Diagnostic> {
        // Where any name is an option, `null` is a value (`set_fact`).
        let any_name = later::options::<T>().is_none();
        let given: Vec<&Argument> = self
            .given
            .iter()
            .filter(|a| any_name || a.value != Value::Null)
            .collect();
        let given = once::<T>(given);
        let worth = given.iter().map(|a| (*a, Worth::Known(&a.value))).collect();
        let read = T::deserialize(Top::new(worth)).map_err(|wrong| self.diagnostic(module, &wrong))?;
        self.obey::<T>(module, rules, &given, &Certainty::Whole)?;
        Ok(read)
    }

    /// Without options that `T` does not have.
    #[must_use]
    pub fn known<T: DeserializeOwned>(&self) -> Self {
        let Some(names) = later::options::<T>() else {
            return self.clone();
        };
        let mut known = self.clone();
        known.given.retain(|a| names.contains(&&*a.name));
        known
    }

    fn obey<T: DeserializeOwned>(
        &self,
        module: &str,
        rules: &[Rule],
        given: &[&Argument],
        certainty: &Certainty,
    ) -> Result<(), Diagnostic> {
        if rules.is_empty() {
            return Ok(());
        }
        let named = given
            .iter()
            .map(|a| rule::Named {
                name: later::canonical::<T>(&a.name).unwrap_or(&a.name),
                argument: a,
                certain: certainty.of(a),
            })
            .collect();
        let all = rule::All {
            module,
            span: self.span.as_ref(),
            named,
            more: matches!(certainty, Certainty::Written { more: true, .. }),
        };
        rules.iter().try_for_each(|rule| all.obey(rule))
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
            Kind::Twice(option) => Diagnostic::error(format!("`{module}` has `{option}` twice")),
            Kind::Choice { found, known } => Diagnostic::error(format!(
                "option `{name}` of `{module}`: must be one of {}, not `{found}`",
                known.join(", ")
            ))
            .did_you_mean(nearest(found, known.iter().copied())),
            Kind::Value(text) if argument.is_some() => {
                Diagnostic::error(format!("option `{name}` of `{module}`: {text}"))
            }
            Kind::Value(text) => Diagnostic::error(format!("`{module}`: {text}")),
        };
        let place = argument.and_then(|a| match wrong.kind {
            Kind::Unknown { .. } => a.name_span.as_ref(),
            _ => a.value_span.as_ref().or(a.name_span.as_ref()),
        });
        at(error, place.or(self.span.as_ref()))
    }
}

impl Unrendered<'_> {
    /// What is certainly wrong, whatever the templates in it become; else the module, if nothing of it waits for
    /// a template.
    pub fn check<T: DeserializeOwned>(
        &self,
        module: &str,
        rules: &[Rule],
        handed_over: &[&str],
    ) -> Result<Option<T>, Diagnostic> {
        let open = |a: &Argument| {
            Value::is_template(&a.name) || has_template(&a.value) && !handed_over.contains(&&*a.name)
        };
        let any_name = later::options::<T>().is_none();
        let given: Vec<&Argument> = self
            .arguments
            .given
            .iter()
            .filter(|a| any_name || a.value != Value::Null)
            .collect();
        let certainty = Certainty::Written {
            open: given.iter().filter(|a| open(a)).map(|a| a.name.clone()).collect(),
            more: self.more,
        };
        let whole = !self.more && !given.iter().any(|a| open(a));
        let given = once::<T>(given);
        let worth = given
            .iter()
            .map(|a| {
                let worth = if open(a) {
                    Worth::Later
                } else {
                    Worth::Known(&a.value)
                };
                (*a, worth)
            })
            .collect();
        let read = match T::deserialize(Top::new(worth)) {
            Ok(module) => Some(module),
            Err(wrong) if self.more && matches!(wrong.kind, Kind::Missing(_)) => None,
            Err(wrong) => return Err(self.arguments.diagnostic(module, &wrong)),
        };
        self.arguments.obey::<T>(module, rules, &given, &certainty)?;
        Ok(read.filter(|_| whole))
    }
}

impl Unrendered<'_> {
    /// What Ansible would warn of.
    pub fn oddities<T: DeserializeOwned>(&self, module: &str) -> Vec<Diagnostic> {
        let given = &self.arguments.given;
        let kept = once::<T>(given.iter().collect());
        let dropped = given
            .iter()
            .filter(|a| !kept.iter().any(|k| std::ptr::eq(*k, *a)));
        let dropped = dropped.map(|a| {
            let text = format!(
                "`{module}` has the option `{}` twice, by two of its names",
                a.name
            );
            let warning = Diagnostic::warning(text).help("the last of its other names counts");
            at(warning, a.name_span.as_ref())
        });
        let no_text = given.iter().filter(|a| is_no_text::<T>(a)).map(|a| {
            let text = format!(
                "option `{}` of `{module}` takes text, but this is a {}",
                a.name,
                a.value.type_name()
            );
            let warning =
                Diagnostic::warning(text).help(format!("it is taken as `{}`", python::repr(&a.value)));
            at(warning, a.value_span.as_ref())
        });
        dropped.chain(no_text).collect()
    }
}

fn at(diagnostic: Diagnostic, span: Option<&Span>) -> Diagnostic {
    match span {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

/// Whether a list or a mapping is given where text is wanted.
fn is_no_text<T: DeserializeOwned>(argument: &Argument) -> bool {
    if !matches!(argument.value, Value::List(_) | Value::Map(_)) {
        return false;
    }
    let alone = vec![(argument, Worth::Exact(&argument.value))];
    matches!(
        T::deserialize(Top::new(alone)),
        Err(Wrong { kind: Kind::Value(text), .. }) if text.starts_with("must be text")
    )
}

/// Which options are there for certain.
enum Certainty {
    Whole,
    /// A template may come to `omit`.
    Written {
        open: Vec<Arc<str>>,
        more: bool,
    },
}

impl Certainty {
    fn of(&self, argument: &Argument) -> bool {
        match self {
            Self::Whole => true,
            Self::Written { open, .. } => !open.contains(&argument.name),
        }
    }
}

fn has_template(value: &Value) -> bool {
    match value {
        Value::Template(_) => true,
        Value::List(items) => items.iter().any(has_template),
        Value::Map(map) => map.values().any(has_template),
        _ => false,
    }
}

/// Each option once: of one that is given by two of its names the alias counts, as in Ansible.
fn once<T: DeserializeOwned>(given: Vec<&Argument>) -> Vec<&Argument> {
    let worth = given.iter().map(|a| (*a, Worth::Later)).collect();
    let Err(Wrong {
        kind: Kind::Twice(_), ..
    }) = T::deserialize(Top::new(worth))
    else {
        return given;
    };
    let mut kept: Vec<(&str, &Argument)> = Vec::new();
    for argument in given {
        let name = later::canonical::<T>(&argument.name).unwrap_or(&argument.name);
        match kept.iter_mut().find(|(n, _)| *n == name) {
            Some(_) if &*argument.name == name => {}
            Some((_, before)) => *before = argument,
            None => kept.push((name, argument)),
        }
    }
    kept.into_iter().map(|(_, argument)| argument).collect()
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

pub(super) use later::options;
pub(super) use lenient::any_word;

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
        arguments(pairs).read("sample", &[]).map_err(said)
    }

    fn said(error: Diagnostic) -> String {
        error.message + &error.help.map_or(String::new(), |h| format!("; {h}"))
    }

    const RULES: &[Rule] = &[
        Rule::Exclusive(&["count", "path"]),
        Rule::OneOf(&["count", "names"]),
        Rule::Needs("force", "state"),
    ];

    /// As it is written, before any template is rendered.
    fn looked_at(pairs: &[(&str, Value)], more: bool) -> Result<bool, String> {
        let arguments = arguments(pairs);
        let written = Unrendered {
            arguments: &arguments,
            more,
        };
        let read = written
            .check::<Sample>("sample", RULES, &["value"])
            .map_err(said)?;
        Ok(read.is_some())
    }

    fn template() -> Value {
        Value::written("{{ x }}", None)
    }

    #[test]
    fn looks_at_what_no_template_can_change() {
        let path = ("path", Value::from("x"));
        let names = ("names", Value::from("a"));
        assert_eq!(looked_at(&[path.clone(), names.clone()], false), Ok(true));
        // What is handed over unrendered is known; the rest of this waits.
        let unrendered = ("value", template());
        assert_eq!(
            looked_at(&[path.clone(), names.clone(), unrendered], false),
            Ok(true)
        );
        assert_eq!(
            looked_at(&[("dest", template()), names.clone()], false),
            Ok(false)
        );
        assert_eq!(
            looked_at(&[("dest", template()), ("count", "many".into())], false).unwrap_err(),
            "option `count` of `sample`: must be an integer, not `many`"
        );
        assert_eq!(
            looked_at(&[("count", template())], false).unwrap_err(),
            "`sample` needs the option `path`"
        );
        // Further options may bring it.
        assert_eq!(looked_at(&[("count", template())], true), Ok(false));
    }

    #[test]
    fn rules_hold_for_what_is_certain() {
        let (path, count) = (("dest", Value::from("x")), ("count", Value::Int(1)));
        assert_eq!(
            looked_at(&[path.clone(), count.clone()], false).unwrap_err(),
            "`sample` takes `dest` or `count`, not both"
        );
        // It may come to `omit`.
        assert_eq!(
            looked_at(&[path.clone(), ("count", template())], false),
            Ok(false)
        );
        assert_eq!(
            looked_at(std::slice::from_ref(&path), false).unwrap_err(),
            "`sample` needs `count` or `names`"
        );
        assert_eq!(looked_at(std::slice::from_ref(&path), true), Ok(false));
        let names = ("names", template());
        assert_eq!(
            looked_at(&[path.clone(), names.clone(), ("force", true.into())], false).unwrap_err(),
            "`force` of `sample` needs the option `state`"
        );
        let state = ("state", template());
        assert_eq!(
            looked_at(&[path, names, state, ("force", true.into())], false),
            Ok(false)
        );
    }

    #[test]
    fn of_an_option_under_two_names_the_alias_counts() {
        let twice = read(&[("dest", "alias".into()), ("path", "own".into())]);
        assert_eq!(twice.unwrap().path, "alias");
    }

    #[test]
    fn a_list_where_text_is_wanted_is_what_python_prints() {
        let list = Value::list(["a'b".into(), Value::Null, Value::Float(1.0)]);
        let map = Value::map([("k", list)]);
        assert_eq!(
            read(&[("path", map)]).unwrap().path,
            r#"{'k': ["a'b", None, 1.0]}"#
        );
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
