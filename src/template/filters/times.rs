//! Dates and times.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use minijinja::Error;
use minijinja::State;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Jinja, ValueKind};
use std::sync::Arc;

use crate::template::call::{Call, Function, complaint};
use crate::template::python;
use crate::template::variables::root;

pub const FILTERS: &[(&str, Function)] = &[("strftime", strftime), ("to_datetime", to_datetime)];

/// A date with its time, as Python's `datetime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::template) struct Moment {
    /// Seconds since 1970 as a clock there would show them.
    local: i64,
    micros: u32,
    /// East of UTC; `None` where the text said nothing.
    offset: Option<i64>,
}

/// Year, month, day, hour, minute, second.
type Fields = (i64, i64, i64, i64, i64, i64);

fn days_from(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Moment {
    pub fn at(seconds: i64, micros: u32, offset: i64) -> Self {
        Self {
            local: seconds + offset,
            micros,
            offset: Some(offset),
        }
    }

    fn from_fields(fields: Fields, micros: u32, offset: Option<i64>) -> Self {
        let (year, month, day, hour, minute, second) = fields;
        Self {
            local: days_from(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second,
            micros,
            offset,
        }
    }

    fn fields(self) -> Fields {
        let (days, seconds) = (self.local.div_euclid(86_400), self.local.rem_euclid(86_400));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted - era * 146_097;
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year + era * 400 + i64::from(month <= 2);
        (year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn weekday(self) -> i64 {
        (self.local.div_euclid(86_400) + 3).rem_euclid(7)
    }

    fn day_of_year(self) -> i64 {
        let (year, month, day, ..) = self.fields();
        days_from(year, month, day) - days_from(year, 1, 1) + 1
    }

    fn epoch(self) -> i64 {
        self.local - self.offset.unwrap_or(0)
    }

    pub fn micros_since_1970(self) -> i64 {
        self.epoch() * 1_000_000 + i64::from(self.micros)
    }

    /// ISO year and week.
    fn iso_week(self) -> (i64, i64) {
        let (year, ..) = self.fields();
        let week = (self.day_of_year() - self.weekday() + 9) / 7;
        let long = |year: i64| {
            let first = (days_from(year, 1, 1) + 3).rem_euclid(7);
            let leap = days_from(year + 1, 1, 1) - days_from(year, 1, 1) == 366;
            if first == 3 || (first == 2 && leap) {
                53
            } else {
                52
            }
        };
        match week {
            0 => (year - 1, long(year - 1)),
            53 if long(year) == 52 => (year + 1, 1),
            week => (year, week),
        }
    }

    fn offset_text(self, colon: bool) -> String {
        let Some(offset) = self.offset else {
            return String::new();
        };
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.abs() / 60;
        let between = if colon { ":" } else { "" };
        format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
    }

    /// `strftime`.
    pub fn format(self, pattern: &str) -> String {
        let mut out = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('-') => {
                    let code = chars.next().unwrap_or('-');
                    let padded = self.code(code).unwrap_or_default();
                    let bare = padded.trim_start_matches('0');
                    out.push_str(if bare.is_empty() { "0" } else { bare });
                }
                Some(code) => match self.code(code) {
                    Some(text) => out.push_str(&text),
                    None => {
                        let _ = write!(out, "%{code}");
                    }
                },
                None => out.push('%'),
            }
        }
        out
    }

    fn code(self, code: char) -> Option<String> {
        let (year, month, day, hour, minute, second) = self.fields();
        let half = if hour % 12 == 0 { 12 } else { hour % 12 };
        let two = |n: i64| format!("{n:02}");
        Some(match code {
            'Y' => format!("{year:04}"),
            'y' => two(year.rem_euclid(100)),
            'C' => two(year / 100),
            'm' => two(month),
            'd' => two(day),
            'e' => format!("{day:2}"),
            'H' => two(hour),
            'k' => format!("{hour:2}"),
            'I' => two(half),
            'l' => format!("{half:2}"),
            'M' => two(minute),
            'S' => two(second),
            'f' => format!("{:06}", self.micros),
            'p' => if hour < 12 { "AM" } else { "PM" }.into(),
            'P' => if hour < 12 { "am" } else { "pm" }.into(),
            'j' => format!("{:03}", self.day_of_year()),
            'A' => DAYS[index(self.weekday())].into(),
            'a' => DAYS[index(self.weekday())][..3].into(),
            'B' => MONTHS[index(month - 1)].into(),
            'b' | 'h' => MONTHS[index(month - 1)][..3].into(),
            'u' => (self.weekday() + 1).to_string(),
            'w' => ((self.weekday() + 1) % 7).to_string(),
            'U' => two((self.day_of_year() + 6 - (self.weekday() + 1) % 7) / 7),
            'W' => two((self.day_of_year() + 6 - self.weekday()) / 7),
            'V' => two(self.iso_week().1),
            'G' => self.iso_week().0.to_string(),
            's' => self.epoch().to_string(),
            'z' => self.offset_text(false),
            'Z' => {
                if self.offset == Some(0) {
                    "UTC".into()
                } else {
                    self.offset_text(false)
                }
            }
            'F' => self.format("%Y-%m-%d"),
            'T' | 'X' => self.format("%H:%M:%S"),
            'R' => self.format("%H:%M"),
            'D' | 'x' => self.format("%m/%d/%y"),
            'c' => self.format("%a %b %e %H:%M:%S %Y"),
            'r' => self.format("%I:%M:%S %p"),
            'n' => "\n".into(),
            't' => "\t".into(),
            '%' => "%".into(),
            _ => return None,
        })
    }

    fn iso(self, between: char) -> String {
        let micros = if self.micros == 0 {
            String::new()
        } else {
            format!(".{:06}", self.micros)
        };
        let text = self.format(&format!("%Y-%m-%d{between}%H:%M:%S"));
        format!("{text}{micros}{}", self.offset_text(true))
    }
}

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let (year, month, day, hour, minute, second) = self.fields();
        Some(Jinja::from(match key.as_str()? {
            "year" => year,
            "month" => month,
            "day" => day,
            "hour" => hour,
            "minute" => minute,
            "second" => second,
            "microsecond" => i64::from(self.micros),
            _ => return None,
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn call_method(self: &Arc<Self>, _: &mut State, method: &str, args: &[Jinja]) -> Result<Jinja, Error> {
        let text = |i: usize| args.get(i).and_then(|a| a.as_str().map(str::to_string));
        Ok(match method {
            "strftime" => Jinja::from(self.format(&text(0).unwrap_or_default())),
            "isoformat" => {
                let between = text(0).and_then(|t| t.chars().next()).unwrap_or('T');
                Jinja::from(self.iso(between))
            }
            "timestamp" => Jinja::from(exact(self.epoch()) + f64::from(self.micros) / 1e6),
            "weekday" => Jinja::from(self.weekday()),
            "isoweekday" => Jinja::from(self.weekday() + 1),
            "date" => Jinja::from(self.format("%Y-%m-%d")),
            "time" => Jinja::from(self.format("%H:%M:%S")),
            _ => return Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<std::cmp::Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some((self.epoch(), self.micros).cmp(&(other.epoch(), other.micros)))
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.iso(' '))
    }
}

/// Seconds as a float, exact for all dates.
#[expect(clippy::cast_precision_loss, reason = "dates stay far below 2^53 seconds")]
fn exact(seconds: i64) -> f64 {
    seconds as f64
}

fn clock(time: SystemTime) -> (i64, u32) {
    let passed = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (
        i64::try_from(passed.as_secs()).unwrap_or(0),
        passed.subsec_micros(),
    )
}

/// `now(utc, fmt)`.
pub(in crate::template) fn now(call: &mut Call) -> Result<Jinja, Error> {
    let utc = match call.count() {
        0 => call.flag(0, "utc", false)?,
        _ => call.at(0)?.is_true(),
    };
    let format = call.text(1, "fmt")?;
    let root = root(call.state)?;
    let outside = root.evaluation.outside()?;
    let time = outside.now();
    let (seconds, micros) = clock(time);
    let offset = if utc { 0 } else { outside.utc_offset(time) };
    let naive = Moment {
        offset: None,
        ..Moment::at(seconds, micros, offset)
    };
    Ok(match format {
        Some(format) => Jinja::from(naive.format(&format)),
        None => Jinja::from_object(naive),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to lie within the years that have four digits"
)]
fn seconds_of(value: &Jinja) -> Option<(i64, u32)> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse::<f64>().ok()?,
        None => f64::try_from(value.clone()).ok()?,
    };
    if number.abs() > 2.5e11 {
        return None;
    }
    let whole = number.floor();
    Some((whole as i64, ((number - whole) * 1e6).round() as u32))
}

/// `'%Y' | strftime(second, utc)`; without a second, of this moment.
fn strftime(call: &mut Call) -> Result<Jinja, Error> {
    let format = call.string()?;
    let given = call.given(1, "second")?.filter(|s| !s.is_none());
    let utc = call.flag(2, "utc", false)?;
    let root = root(call.state)?;
    let (seconds, micros) = match &given {
        Some(second) => seconds_of(second).ok_or_else(|| call.wants("a number of seconds", second))?,
        None => clock(root.evaluation.outside()?.now()),
    };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let offset = if utc {
        0
    } else {
        root.evaluation.outside.utc_offset(time)
    };
    Ok(Jinja::from(Moment::at(seconds, micros, offset).format(&format)))
}

fn to_datetime(call: &mut Call) -> Result<Jinja, Error> {
    let format = call
        .text(1, "format")?
        .unwrap_or_else(|| "%Y-%m-%d %H:%M:%S".into());
    let value = call.value()?;
    if value.kind() == ValueKind::Plain {
        return Ok(value);
    }
    let text = python::text(&value)?;
    parse(&text, &format)
        .map(Jinja::from_object)
        .ok_or_else(|| complaint(format!("`{text}` does not have the form `{format}`")))
}

/// `strptime` for numbers, names of months and days, and offsets.
fn parse(text: &str, format: &str) -> Option<Moment> {
    let (mut year, mut month, mut day) = (1900, 1, 1);
    let (mut hour, mut minute, mut second) = (0, 0, 0);
    let (mut micros, mut offset, mut afternoon) = (0, None, None);
    let mut rest = text;
    let mut codes = format.chars();
    while let Some(c) = codes.next() {
        if c.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        if c != '%' {
            rest = rest.strip_prefix(c)?;
            continue;
        }
        match codes.next()? {
            'Y' => (year, rest) = digits(rest, 4)?,
            'y' => {
                (year, rest) = digits(rest, 2)?;
                year += if year < 69 { 2000 } else { 1900 };
            }
            'm' => (month, rest) = digits(rest, 2)?,
            'd' => (day, rest) = digits(rest, 2)?,
            'H' | 'I' => (hour, rest) = digits(rest, 2)?,
            'M' => (minute, rest) = digits(rest, 2)?,
            'S' => (second, rest) = digits(rest, 2)?,
            'f' => {
                let length = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
                let padded = format!("{:0<6}", &rest[..length]);
                micros = padded.parse().ok()?;
                rest = &rest[length..];
            }
            'p' => {
                afternoon = Some(rest.get(..2)?.eq_ignore_ascii_case("pm"));
                rest = &rest[2..];
            }
            'B' => (month, rest) = named(rest, &MONTHS, false)?,
            'b' | 'h' => (month, rest) = named(rest, &MONTHS, true)?,
            'A' => (_, rest) = named(rest, &DAYS, false)?,
            'a' => (_, rest) = named(rest, &DAYS, true)?,
            'z' => {
                let (found, after) = zone(rest)?;
                (offset, rest) = (Some(found), after);
            }
            'Z' => {
                let known = ["UTC", "GMT"].into_iter().find(|z| rest.starts_with(z))?;
                rest = &rest[known.len()..];
            }
            '%' => rest = rest.strip_prefix('%')?,
            _ => return None,
        }
    }
    if let Some(afternoon) = afternoon {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let fine =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 62;
    let made = Moment::from_fields((year, month, day, hour, minute, second), micros, offset);
    (rest.is_empty() && fine).then_some(made)
}

fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// Which of the names the text begins with, counted from 1.
fn named<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(i64, &'t str)> {
    let matching = names.iter().enumerate().find_map(|(i, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then_some((i, name.len()))
    });
    let (i, length) = matching?;
    Some((i64::try_from(i).ok()? + 1, &text[length..]))
}

fn zone(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, rest) = digits(&text[1..], 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(':').unwrap_or(rest), 2)?;
    Some((sign * (hours * 3600 + minutes * 60), rest))
}
