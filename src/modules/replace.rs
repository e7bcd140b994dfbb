//! `replace`: replaces whatever matches a regular expression in a file.
//!
//! ```yaml
//! - replace:
//!     path: /etc/containerd/config.toml
//!     regexp: '(\s+SystemdCgroup = )false'
//!     replace: '\1true'
//! - replace:
//!     path: /etc/apt/sources.list
//!     after: '^# mirrors'
//!     before: '^# end'
//!     regexp: '^deb '
//!     replace: '# deb '
//!     backup: true
//! ```
//!
//! `^` and `$` match at every line; `.` in `after` and `before` matches line ends, too.
//!
//! Returns `msg`, `rc` and `backup_file`. Refused: an `encoding` other than utf-8, ascii and latin-1,
//! `attributes`, `seuser`, `serole`, `setype`, `selevel`, `unsafe_writes`.

use serde::Deserialize;

use super::Module;
use super::files::attributes::given;
use super::files::edit::{How, message, open};
use super::files::mode::Mode;
use super::files::object::refused;
use super::files::path::expand;
use super::files::text::Text;
use crate::host::{Halt, Host, Outcome, fail};
use crate::template::regex::{Pattern, Way};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    regexp: String,
    #[serde(default, rename = "replace")]
    with: String,
    after: Option<String>,
    before: Option<String>,
    #[serde(default)]
    backup: bool,
    validate: Option<String>,
    encoding: Option<String>,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    #[serde(alias = "attr")]
    attributes: Option<String>,
    seuser: Option<String>,
    serole: Option<String>,
    setype: Option<String>,
    selevel: Option<String>,
    #[serde(default)]
    unsafe_writes: bool,
}

impl Module for Replace {
    const NAME: &'static str = "replace";

    fn check(&self) -> Result<(), Halt> {
        self.in_bytes()?;
        let readable = |pattern: &str, way| Pattern::new(pattern, way).map(|_| ()).map_err(fail);
        readable(&self.regexp, Way::Lines)?;
        readable(&self.section(), Way::Across)
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let bytes = self.in_bytes()?;
        let path = expand(host, &self.path).await?;
        let file = open(host, path, &given!(self)).await?;
        let Some(content) = &file.content else {
            return Err(file.missing());
        };
        let text = if bytes {
            Text::bytes(content)
        } else {
            Text::decode(content)
        };
        let Some(replaced) = self.edit(&text).map_err(fail)? else {
            return Ok(Outcome::new().with("rc", Value::Int(0)).with(
                "msg",
                format!(
                    "Pattern for before/after params did not match the given file: {}",
                    self.section()
                ),
            ));
        };
        let count = replaced.1;
        let content = (count > 0 && replaced.0 != text.text).then(|| text.encode(&replaced.0));
        let edit = match content {
            Some(_) => format!("{count} replacements made"),
            None => String::new(),
        };
        let how = How {
            backup: self.backup,
            validate: self.validate.as_deref(),
        };
        let saved = file.save(content, how).await?;
        let outcome = Outcome::new()
            .with("rc", Value::Int(0))
            .with("msg", message(&edit, saved.attributes));
        Ok(match saved.backup {
            Some(backup) => outcome.with("backup_file", backup),
            None => outcome,
        })
    }
}

impl Replace {
    /// Whether each byte is a character.
    fn in_bytes(&self) -> Result<bool, Halt> {
        let encoding = self.encoding.as_deref().unwrap_or("utf-8").to_ascii_lowercase();
        match encoding.replace('_', "-").as_str() {
            "utf-8" | "utf8" | "ascii" | "us-ascii" => Ok(false),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Ok(true),
            _ => Err(refused("encoding", "utf-8, ascii and latin-1 are")),
        }
    }

    /// The pattern of the part of the file that is worked on.
    fn section(&self) -> String {
        let given = |option: &Option<String>| option.clone().filter(|o| !o.is_empty());
        match (given(&self.after), given(&self.before)) {
            (Some(after), Some(before)) => format!("{after}(?P<subsection>.*?){before}"),
            (Some(after), None) => format!("{after}(?P<subsection>.*)"),
            (None, Some(before)) => format!("(?P<subsection>.*){before}"),
            (None, None) => String::new(),
        }
    }

    /// The new text and how often something was replaced; nothing if there is no such part.
    fn edit(&self, text: &Text) -> Result<Option<(String, usize)>, String> {
        let pattern = Pattern::new(&text.written(&self.regexp), Way::Lines)?;
        let with = text.written(&self.with);
        let section = self.section();
        if section.is_empty() {
            return pattern.replace_all(&text.text, &with).map(Some);
        }
        let section = Pattern::new(&text.written(&section), Way::Across)?;
        let captures = section.captures(&text.text)?;
        let Some(part) = captures.as_ref().and_then(|c| c.name("subsection")) else {
            return Ok(None);
        };
        let (replaced, count) = pattern.replace_all(part.as_str(), &with)?;
        let (before, after) = (&text.text[..part.start()], &text.text[part.end()..]);
        Ok(Some((format!("{before}{replaced}{after}"), count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(options: &[(&str, &str)], text: &str) -> Option<(String, usize)> {
        let mut given = serde_json::json!({"path": "/x"});
        for (name, value) in options {
            given[name] = (*value).into();
        }
        let replace: Replace = serde_json::from_value(given).unwrap();
        replace.edit(&Text::decode(text.as_bytes())).unwrap()
    }

    #[test]
    fn replaces_in_every_line() {
        let (text, count) = edit(&[("regexp", "^a(.*)$"), ("replace", r"b\1")], "a1\nx\na2\n").unwrap();
        assert_eq!((text.as_str(), count), ("b1\nx\nb2\n", 2));
        let (text, _) = edit(&[("regexp", r"\s+$")], "a  \nb").unwrap();
        assert_eq!(text, "a\nb");
    }

    #[test]
    fn works_between_after_and_before() {
        let options = [
            ("regexp", "x"),
            ("replace", "y"),
            ("after", "BEGIN"),
            ("before", "END"),
        ];
        let (text, count) = edit(&options, "x\nBEGIN\nx x\nEND\nx\n").unwrap();
        assert_eq!((text.as_str(), count), ("x\nBEGIN\ny y\nEND\nx\n", 2));
        assert_eq!(edit(&options, "x\n"), None);
    }
}
