//! One call of a filter, test or function: arguments by place or by name, as Python takes them.

use minijinja::value::{Kwargs, Rest, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::failure::kind_name;
use super::python;

/// What a family's list holds beside the name.
pub(super) type Function = fn(&mut Call) -> Result<Jinja, Error>;
pub(super) type Test = fn(&mut Call) -> Result<bool, Error>;

pub(super) struct Call<'a, 't, 'e> {
    pub state: &'a mut State<'t, 'e>,
    /// Under which name it was called.
    pub name: &'static str,
    values: &'a [Jinja],
    named: Kwargs,
}

pub(super) fn add_filter(env: &mut Environment<'static>, name: &'static str, f: Function) {
    env.add_filter(
        name,
        move |state: &mut State, args: Rest<Jinja>, named: Kwargs| run(state, name, &args, named, f),
    );
}

pub(super) fn add_test(env: &mut Environment<'static>, name: &'static str, f: Test) {
    env.add_test(
        name,
        move |state: &mut State, args: Rest<Jinja>, named: Kwargs| run(state, name, &args, named, f),
    );
}

pub(super) fn add_function(env: &mut Environment<'static>, name: &'static str, f: Function) {
    env.add_function(
        name,
        move |state: &mut State, args: Rest<Jinja>, named: Kwargs| run(state, name, &args, named, f),
    );
}

pub(super) fn run<T>(
    state: &mut State,
    name: &'static str,
    values: &[Jinja],
    named: Kwargs,
    f: fn(&mut Call) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut call = Call {
        state,
        name,
        values,
        named,
    };
    let result = f(&mut call)?;
    call.named
        .assert_all_used()
        .map_err(|e| complaint(format!("`{name}`: {}", e.detail().unwrap_or("unknown argument"))))?;
    Ok(result)
}

/// A sentence of a filter about its input.
pub(super) fn complaint(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

pub(super) fn undefined() -> Error {
    Error::from(ErrorKind::UndefinedError)
}

/// The value, unless it is undefined or an error in disguise.
pub(super) fn defined(value: &Jinja) -> Result<&Jinja, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(undefined()),
        ValueKind::Invalid => value.try_iter().map(|_| value),
        _ => Ok(value),
    }
}

impl Call<'_, '_, '_> {
    /// How many arguments came by place, the filtered value included.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The filtered value, which must be defined.
    pub fn value(&self) -> Result<Jinja, Error> {
        self.at(0)
    }

    /// An argument by place, which must be there and defined.
    pub fn at(&self, place: usize) -> Result<Jinja, Error> {
        let value = self.values.get(place).ok_or_else(|| {
            let which = if place == 0 { "a value" } else { "an argument" };
            complaint(format!("`{}` needs {which}", self.name))
        })?;
        defined(value).cloned()
    }

    /// An argument by place, undefined where it is undefined or not there.
    pub fn any(&self, place: usize) -> Jinja {
        self.values.get(place).cloned().unwrap_or_default()
    }

    /// All arguments by place from this one on.
    pub fn rest(&self, from: usize) -> Result<Vec<Jinja>, Error> {
        let values = self.values.get(from..).unwrap_or_default();
        values.iter().map(|v| defined(v).cloned()).collect()
    }

    /// An argument by place or name, if it was given. Place 0 means by name only.
    pub fn given(&self, place: usize, name: &str) -> Result<Option<Jinja>, Error> {
        let by_name = if self.named.has(name) {
            Some(self.named.get::<Jinja>(name)?)
        } else {
            None
        };
        let by_place = if place == 0 {
            None
        } else {
            self.values.get(place).cloned()
        };
        match by_name.or(by_place) {
            Some(value) => Ok(Some(defined(&value)?.clone())),
            None => Ok(None),
        }
    }

    pub fn needed(&self, place: usize, name: &str) -> Result<Jinja, Error> {
        self.given(place, name)?
            .ok_or_else(|| complaint(format!("`{}` needs the argument `{name}`", self.name)))
    }

    pub fn needed_text(&self, place: usize, name: &str) -> Result<String, Error> {
        python::text(&self.needed(place, name)?)
    }

    pub fn text(&self, place: usize, name: &str) -> Result<Option<String>, Error> {
        let given = self.given(place, name)?.filter(|v| !v.is_none());
        given.map(|v| python::text(&v)).transpose()
    }

    pub fn flag(&self, place: usize, name: &str, default: bool) -> Result<bool, Error> {
        Ok(self.given(place, name)?.map_or(default, |v| v.is_true()))
    }

    pub fn int(&self, place: usize, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.given(place, name)?.filter(|v| !v.is_none()) else {
            return Ok(None);
        };
        let number = match value.as_str() {
            Some(text) => text.trim().parse().ok(),
            None => value.as_i64(),
        };
        number.map(Some).ok_or_else(|| {
            let kind = kind_name(&value);
            complaint(format!(
                "`{name}` of `{}` must be an integer, not {kind}",
                self.name
            ))
        })
    }

    /// A count or width: an integer that is not negative.
    pub fn size(&self, place: usize, name: &str) -> Result<Option<usize>, Error> {
        let number = self.int(place, name)?;
        Ok(number.map(|n| usize::try_from(n).unwrap_or(0)))
    }

    /// The filtered value as text; other kinds are printed.
    pub fn subject(&self) -> Result<String, Error> {
        python::text(&self.value()?)
    }

    /// The filtered value as text; other kinds are refused.
    pub fn string(&self) -> Result<String, Error> {
        let value = self.value()?;
        match value.as_str() {
            Some(text) => Ok(text.to_string()),
            None => Err(self.wants("a string", &value)),
        }
    }

    /// The filtered value as the items of a list.
    pub fn items(&self) -> Result<Vec<Jinja>, Error> {
        self.list(&self.value()?)
    }

    /// The items of a list; text and mappings are refused.
    pub fn list(&self, value: &Jinja) -> Result<Vec<Jinja>, Error> {
        let listed = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
        if !listed {
            return Err(self.wants("a list", value));
        }
        items(value)
    }

    /// The pairs of a mapping; others are refused.
    pub fn pairs(&self, value: &Jinja) -> Result<Vec<(Jinja, Jinja)>, Error> {
        if value.kind() != ValueKind::Map {
            return Err(self.wants("a mapping", value));
        }
        pairs(value)
    }

    pub fn wants(&self, what: &str, value: &Jinja) -> Error {
        complaint(format!("`{}` wants {what}, not {}", self.name, kind_name(value)))
    }

    /// All arguments by name.
    pub fn named(&self) -> Result<Vec<(String, Jinja)>, Error> {
        let names: Vec<String> = self.named.args().map(str::to_string).collect();
        let pair = |name: String| {
            let value = self.named.get::<Jinja>(&name)?;
            Ok((name, defined(&value)?.clone()))
        };
        names.into_iter().map(pair).collect()
    }
}

/// What iterating over the value gives: items, keys or characters.
pub(super) fn items(value: &Jinja) -> Result<Vec<Jinja>, Error> {
    defined(value)?
        .try_iter()?
        .checked()
        .map(|v| v.and_then(|v| defined(&v).cloned()))
        .collect()
}

pub(super) fn pairs(value: &Jinja) -> Result<Vec<(Jinja, Jinja)>, Error> {
    let keys = value.try_iter()?.checked();
    keys.map(|key| {
        let key = key?;
        let member = value.get_item(&key)?;
        Ok((key, defined(&member)?.clone()))
    })
    .collect()
}
