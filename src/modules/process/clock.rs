//! When a command began and ended, by the host's own clock, written as Python writes it.

/// The format that [`Instant::parse`] reads; `%N` stays as it is where `date` does not know it.
pub const DATE: &str = "date '+%s %N %Y-%m-%d %H:%M:%S'";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instant {
    /// Since 1970.
    micros: i64,
    local: String,
}

impl Instant {
    pub fn parse(text: &str) -> Option<Self> {
        let (seconds, rest) = text.trim().split_once(' ')?;
        let (nanos, local) = rest.split_once(' ')?;
        let nanos: i64 = nanos.parse().unwrap_or(0);
        Some(Self {
            micros: seconds.parse::<i64>().ok()?.checked_mul(1_000_000)? + nanos / 1000,
            local: local.to_string(),
        })
    }

    /// `2026-11-22 17:00:00.123456`.
    pub fn text(&self) -> String {
        match self.micros.rem_euclid(1_000_000) {
            0 => self.local.clone(),
            fraction => format!("{}.{fraction:06}", self.local),
        }
    }

    /// `0:00:00.003456`.
    pub fn since(&self, start: &Self) -> String {
        let micros = self.micros.saturating_sub(start.micros);
        let seconds = micros.div_euclid(1_000_000);
        let days = match seconds.div_euclid(86_400) {
            0 => String::new(),
            1 | -1 => format!("{} day, ", seconds.div_euclid(86_400)),
            days => format!("{days} days, "),
        };
        let day = seconds.rem_euclid(86_400);
        let fraction = match micros.rem_euclid(1_000_000) {
            0 => String::new(),
            fraction => format!(".{fraction:06}"),
        };
        format!(
            "{days}{}:{:02}:{:02}{fraction}",
            day / 3600,
            day / 60 % 60,
            day % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_python_writes_it() {
        let start = Instant::parse("1763830800 123456789 2026-11-22 17:00:00").unwrap();
        let end = Instant::parse("1763830801 126912789 2026-11-22 17:00:01").unwrap();
        assert_eq!(start.text(), "2026-11-22 17:00:00.123456");
        assert_eq!(end.since(&start), "0:00:01.003456");
        let next_day = Instant::parse("1763917200 123456000 2026-11-23 17:00:00").unwrap();
        assert_eq!(next_day.since(&start), "1 day, 0:00:00");
        assert_eq!(start.since(&end), "-1 day, 23:59:58.996544");
    }

    #[test]
    fn without_fractions() {
        let start = Instant::parse("5 %N 2026-11-22 17:00:00").unwrap();
        assert_eq!(start.text(), "2026-11-22 17:00:00");
        assert_eq!(start.since(&start), "0:00:00");
        assert_eq!(Instant::parse("x"), None);
    }
}
