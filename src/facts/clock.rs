//! `date_time`, from one line of `date`.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Map, Value};

pub(super) const DATE_TIME: Family = Family {
    name: "date_time",
    minimal: true,
    // The last line of a zone file names its winter and summer time.
    shell: r#"echo =zone
t=
[ -f etc/localtime ] && [ -z "$TZ" ] && while IFS= read -r x; do t=$x; done <etc/localtime
printf '%s\n' "$t"
echo =date
date '+%s %N %z %Z'
"#,
    read,
    ..FAMILY
};

/// A moment, in some zone.
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// 0 is Sunday.
    weekday: i64,
    day_of_year: i64,
    second: i64,
}

fn read(seen: &Seen, facts: &mut Map) {
    let mut words = seen.line("date").split_whitespace();
    let Some(epoch) = words.next().and_then(|word| word.parse::<i64>().ok()) else {
        return;
    };
    let nanoseconds = words
        .next()
        .and_then(|word| word.parse::<u32>().ok())
        .unwrap_or(0);
    let offset = words.next().unwrap_or("+0000");
    let zone = words.next().unwrap_or("UTC");
    let micro = format!("{:06}", nanoseconds / 1000);
    let (local, utc) = (
        Moment::at(epoch.saturating_add(seconds_of(offset))),
        Moment::at(epoch),
    );
    let summer = summer_name(seen.line("zone")).unwrap_or(zone);
    let compact = format!("{}T{}", local.date(""), local.time(""));
    let utc_text = format!("{}T{}", utc.date("-"), utc.time(":"));
    let pairs = [
        ("year", format!("{:04}", local.year)),
        ("month", format!("{:02}", local.month)),
        ("weekday", local.weekday_name().to_string()),
        ("weekday_number", local.weekday.to_string()),
        ("weeknumber", format!("{:02}", local.week())),
        ("day", format!("{:02}", local.day)),
        ("hour", format!("{:02}", local.second / 3600)),
        ("minute", format!("{:02}", local.second / 60 % 60)),
        ("second", format!("{:02}", local.second % 60)),
        ("epoch", epoch.to_string()),
        ("epoch_int", epoch.to_string()),
        ("date", local.date("-")),
        ("time", local.time(":")),
        ("iso8601_micro", format!("{utc_text}.{micro}Z")),
        ("iso8601", format!("{utc_text}Z")),
        ("iso8601_basic", format!("{compact}{micro}")),
        ("iso8601_basic_short", compact),
        ("tz", zone.to_string()),
        ("tz_dst", summer.to_string()),
        ("tz_offset", offset.to_string()),
    ];
    set(
        facts,
        "date_time",
        Value::map(pairs.map(|(name, value)| (name, Value::from(value)))),
    );
}

/// `+0130` → 5400.
fn seconds_of(offset: &str) -> i64 {
    let (sign, digits) = match offset.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some(("+", digits)) => (1, digits),
        _ => return 0,
    };
    let Ok(number) = digits.parse::<i64>() else {
        return 0;
    };
    if digits.len() != 4 {
        return 0;
    }
    sign * (number / 100 * 3600 + number % 100 * 60)
}

/// `CET-1CEST,M3.5.0,M10.5.0/3` → `CEST`.
fn summer_name(rule: &str) -> Option<&str> {
    let names = rule.split(',').next()?;
    let after_first = match names.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?.1,
        None => names.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    };
    let name = after_first.trim_start_matches(|c: char| c.is_ascii_digit() || "+-:".contains(c));
    if let Some(quoted) = name.strip_prefix('<') {
        return quoted.split_once('>').map(|(name, _)| name);
    }
    let end = name
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty())
}

impl Moment {
    fn at(epoch: i64) -> Self {
        let days = epoch.div_euclid(86400);
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days - days_before(year),
            second: epoch.rem_euclid(86400),
        }
    }

    fn date(&self, separator: &str) -> String {
        format!(
            "{:04}{separator}{:02}{separator}{:02}",
            self.year, self.month, self.day
        )
    }

    fn time(&self, separator: &str) -> String {
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        format!("{hour:02}{separator}{minute:02}{separator}{second:02}")
    }

    fn weekday_name(&self) -> &'static str {
        match self.weekday {
            0 => "Sunday",
            1 => "Monday",
            2 => "Tuesday",
            3 => "Wednesday",
            4 => "Thursday",
            5 => "Friday",
            _ => "Saturday",
        }
    }

    /// strftime's `%W`: weeks begin on Monday, days before the first one are in week 0.
    fn week(&self) -> i64 {
        (self.day_of_year + 7 - (self.weekday + 6) % 7) / 7
    }
}

/// Days from 1970 to the first of January.
fn days_before(year: i64) -> i64 {
    let y = year - 1;
    (y - 1969) * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) - 477
}

/// Year, month and day of a day counted from 1970, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while days_before(year + 1) <= days {
        year += 1;
    }
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut rest = days - days_before(year);
    let mut month = 1;
    for length in lengths {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let day = |epoch: i64| Moment::at(epoch).date("-");
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_735_603_200), "2024-12-31");
        assert_eq!(day(4_107_542_400), "2100-03-01");
        assert_eq!(day(-86400), "1969-12-31");
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 2026-11-22 is a Sunday in week 46.
        let moment = Moment::at(1_795_368_668);
        assert_eq!((moment.weekday_name(), moment.week()), ("Sunday", 46));
        assert_eq!(Moment::at(1_735_689_600).week(), 0);
    }

    #[test]
    fn a_zone_rule_names_the_summer_time() {
        assert_eq!(summer_name("CET-1CEST,M3.5.0,M10.5.0/3"), Some("CEST"));
        assert_eq!(summer_name("<-03>3<-02>,M3.5.0,M10.5.0"), Some("-02"));
        assert_eq!(summer_name("UTC0"), None);
        assert_eq!(summer_name(""), None);
    }
}
