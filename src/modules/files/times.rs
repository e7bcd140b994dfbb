//! `access_time` and `modification_time` of the `file` module.

use std::fmt::Write as _;

use super::attributes::Present;
use crate::host::question::Look;
use crate::host::{Answers, Batch, Halt, Slot, fail};

/// What a task wants of one time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    Preserve,
    Now,
    At(Moment),
}

/// A local time on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

/// What a task wants of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    modified: Stamp,
    accessed: Stamp,
}

/// The same in seconds since 1970, where they are not `now`.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    times: Times,
    modified: Option<f64>,
    accessed: Option<f64>,
}

/// Where the answers will be.
#[derive(Debug, Clone, Copy)]
pub struct Seconds {
    modified: Option<Slot<Look>>,
    accessed: Option<Slot<Look>>,
}

/// One option with its format.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    pub name: &'a str,
    pub time: Option<&'a str>,
    pub format: &'a str,
}

impl Times {
    /// `touch` sets what is not given to the present, the other states leave it.
    pub fn read(modified: Written<'_>, accessed: Written<'_>, touch: bool) -> Result<Self, Halt> {
        Ok(Self {
            modified: Stamp::read(modified, touch)?,
            accessed: Stamp::read(accessed, touch)?,
        })
    }

    pub fn ask(&self, batch: &mut Batch) -> Seconds {
        Seconds {
            modified: self.modified.ask(batch),
            accessed: self.accessed.ask(batch),
        }
    }

    pub fn known(self, seconds: Seconds, answers: &mut Answers) -> Result<Known, Halt> {
        let mut taken = |slot: Option<Slot<Look>>| -> Result<Option<f64>, Halt> {
            let Some(slot) = slot else { return Ok(None) };
            let output = answers.take(slot)?;
            match output.stdout_text().trim().parse() {
                Ok(seconds) if output.ok() => Ok(Some(seconds)),
                _ => Err(fail(format!(
                    "the host cannot make sense of the time: {}",
                    output.stderr_text().trim()
                ))),
            }
        };
        Ok(Known {
            modified: taken(seconds.modified)?,
            accessed: taken(seconds.accessed)?,
            times: self,
        })
    }
}

impl Stamp {
    fn read(written: Written<'_>, touch: bool) -> Result<Self, Halt> {
        match written.time {
            None if touch => Ok(Self::Now),
            None | Some("preserve") => Ok(Self::Preserve),
            Some("now") => Ok(Self::Now),
            Some(text) => Moment::parse(text, written.format).map(Self::At).map_err(|why| {
                fail(format!(
                    "option `{}`: `{text}` is not a time: {why}",
                    written.name
                ))
            }),
        }
    }

    fn ask(&self, batch: &mut Batch) -> Option<Slot<Look>> {
        let Self::At(m) = self else { return None };
        let script = format!(
            "date -d '{:04}-{:02}-{:02} {:02}:{:02}:{:02}' +%s",
            m.year, m.month, m.day, m.hour, m.minute, m.second
        );
        Some(batch.put(Look::new("time", script)))
    }

    /// The arguments of `touch` that set it, unless it is so already.
    fn touch(&self, which: &str, now: Option<f64>, wanted: Option<f64>) -> Option<String> {
        match self {
            Self::Preserve => None,
            Self::Now => Some(format!("touch {which}")),
            Self::At(_) if now.is_some() && now == wanted => None,
            Self::At(m) => Some(format!(
                "touch {which} -t {:04}{:02}{:02}{:02}{:02}.{:02}",
                m.year, m.month, m.day, m.hour, m.minute, m.second
            )),
        }
    }
}

impl Known {
    /// Shell text that sets the times that differ; `path` is a shell word. Follows links, as Ansible does.
    pub fn script(&self, now: Option<Present>, path: &str) -> String {
        if self.times.modified == Stamp::Now && self.times.accessed == Stamp::Now {
            return format!("touch -- {path} || exit 1\n");
        }
        let mut text = String::new();
        let parts = [
            self.times
                .modified
                .touch("-m", now.map(|s| s.modified), self.modified),
            self.times
                .accessed
                .touch("-a", now.map(|s| s.accessed), self.accessed),
        ];
        for part in parts.into_iter().flatten() {
            let _ = writeln!(text, "{part} -- {path} || exit 1");
        }
        text
    }

    #[cfg(test)]
    pub fn preserving() -> Self {
        Self {
            times: Times {
                modified: Stamp::Preserve,
                accessed: Stamp::Preserve,
            },
            modified: None,
            accessed: None,
        }
    }

    /// Whether no time is to be set at all.
    pub fn preserve(&self) -> bool {
        self.times.modified == Stamp::Preserve && self.times.accessed == Stamp::Preserve
    }
}

impl Moment {
    /// `strptime`, as far as times of files need it.
    fn parse(text: &str, format: &str) -> Result<Self, String> {
        let mut moment = Self {
            year: 1900,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
        };
        let mut rest = text;
        let mut format_left = format.chars();
        while let Some(c) = format_left.next() {
            if c != '%' {
                rest = rest
                    .strip_prefix(c)
                    .ok_or_else(|| format!("`{c}` was expected before `{rest}`"))?;
                continue;
            }
            let letter = format_left.next().unwrap_or('%');
            rest = moment.field(letter, rest)?;
        }
        if rest.is_empty() {
            return Ok(moment);
        }
        Err(format!("`{rest}` is left over by the format `{format}`"))
    }

    fn field<'t>(&mut self, letter: char, text: &'t str) -> Result<&'t str, String> {
        let (field, digits, least, most) = match letter {
            'Y' => (&mut self.year, 4, 1, 9999),
            'm' => (&mut self.month, 2, 1, 12),
            'd' => (&mut self.day, 2, 1, 31),
            'H' => (&mut self.hour, 2, 0, 23),
            'M' => (&mut self.minute, 2, 0, 59),
            'S' => (&mut self.second, 2, 0, 61),
            '%' => {
                return text
                    .strip_prefix('%')
                    .ok_or_else(|| "`%` was expected".to_string());
            }
            other => return Err(format!("`%{other}` is not supported; use %Y %m %d %H %M %S")),
        };
        let end = text.bytes().take(digits).take_while(u8::is_ascii_digit).count();
        let number: u32 = text[..end]
            .parse()
            .map_err(|_| format!("a number was expected before `{text}`"))?;
        if !(least..=most).contains(&number) {
            return Err(format!("{number} is not from {least} to {most}"));
        }
        *field = number;
        Ok(&text[end..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_by_their_format() {
        let moment = Moment::parse("202403051407.09", "%Y%m%d%H%M.%S").unwrap();
        assert_eq!(
            moment,
            Moment {
                year: 2024,
                month: 3,
                day: 5,
                hour: 14,
                minute: 7,
                second: 9
            }
        );
        assert_eq!(Moment::parse("2024-3-5", "%Y-%m-%d").unwrap().day, 5);
        assert!(Moment::parse("2024", "%Y-%m").unwrap_err().contains('-'));
        assert!(Moment::parse("202413", "%Y%m").unwrap_err().contains("13"));
        assert!(Moment::parse("Mon", "%a").unwrap_err().contains("%a"));
        assert!(Moment::parse("2024x", "%Y").unwrap_err().contains("left over"));
    }
}
