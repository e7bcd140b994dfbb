//! The time between two dates: `(a - b).days`.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value as Jinja};
use minijinja::{Error, State};

use super::times::Moment;

/// Python's `timedelta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::template) struct Span {
    micros: i64,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Span {
    /// `a - b`, if both are dates.
    pub fn between(a: &Jinja, b: &Jinja) -> Option<Jinja> {
        let (a, b) = (
            a.downcast_object_ref::<Moment>()?,
            b.downcast_object_ref::<Moment>()?,
        );
        let micros = a.micros_since_1970().checked_sub(b.micros_since_1970())?;
        Some(Jinja::from_object(Self { micros }))
    }

    fn days(self) -> i64 {
        self.micros.div_euclid(DAY)
    }

    fn seconds(self) -> i64 {
        self.micros.rem_euclid(DAY) / SECOND
    }

    #[expect(clippy::cast_precision_loss, reason = "as Python's")]
    fn total_seconds(self) -> f64 {
        self.micros as f64 / SECOND as f64
    }
}

impl Object for Span {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        Some(Jinja::from(match key.as_str()? {
            "days" => self.days(),
            "seconds" => self.seconds(),
            "microseconds" => self.micros.rem_euclid(SECOND),
            _ => return None,
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn call_method(self: &Arc<Self>, _: &mut State, method: &str, _: &[Jinja]) -> Result<Jinja, Error> {
        match method {
            "total_seconds" => Ok(Jinja::from(self.total_seconds())),
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some((**self).cmp(other.downcast_ref::<Self>()?))
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, seconds) = (self.days(), self.seconds());
        if days != 0 {
            let s = if days.abs() == 1 { "" } else { "s" };
            write!(f, "{days} day{s}, ")?;
        }
        write!(
            f,
            "{}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )?;
        match self.micros.rem_euclid(SECOND) {
            0 => Ok(()),
            micros => write!(f, ".{micros:06}"),
        }
    }
}
