//! `lineinfile`: sees to it that a line is in a file, or that lines are not.
//!
//! ```yaml
//! - lineinfile:
//!     path: /etc/ssh/sshd_config
//!     regexp: '^#?PermitRootLogin'
//!     line: PermitRootLogin no
//!     validate: sshd -t -f %s
//! - lineinfile:
//!     path: /etc/fstab
//!     regexp: '\sswap\s'
//!     state: absent
//!     backup: true
//! - lineinfile:
//!     path: /etc/hosts
//!     line: 192.0.2.4 master
//!     insertafter: '^127\.0\.0\.1'
//!     create: true
//!     mode: '0644'
//! - lineinfile:
//!     path: /etc/default/grub
//!     regexp: '^(GRUB_CMDLINE_LINUX=")(.*)"$'
//!     line: '\1\2 quiet"'
//!     backrefs: true
//! ```
//!
//! Returns `msg`, `backup` (empty, or the path of the backup), and `found` with `state: absent`. Refused:
//! `attributes`, `seuser`, `serole`, `setype`, `selevel`, `unsafe_writes`.

mod lines;

use serde::Deserialize;

use self::lines::{Absent, Insert, Present, Wanted};
use super::files::attributes::given;
use super::files::edit::{How, message, open};
use super::files::mode::Mode;
use super::files::path::expand;
use super::files::text::Text;
use super::{Module, Rule};
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Lineinfile {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    #[serde(default)]
    state: State,
    #[serde(alias = "regex")]
    regexp: Option<String>,
    search_string: Option<String>,
    #[serde(alias = "value")]
    line: Option<String>,
    insertafter: Option<String>,
    insertbefore: Option<String>,
    #[serde(default)]
    backrefs: bool,
    #[serde(default)]
    create: bool,
    #[serde(default)]
    backup: bool,
    #[serde(default)]
    firstmatch: bool,
    validate: Option<String>,
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

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for Lineinfile {
    const NAME: &'static str = "lineinfile";
    const RULES: &'static [Rule] = &[
        Rule::Exclusive(&["insertbefore", "insertafter"]),
        Rule::Exclusive(&["regexp", "search_string"]),
        Rule::OneOf(&["line", "search_string", "regexp"]),
    ];

    fn check(&self) -> Result<(), Halt> {
        let wrong = if self.backrefs && self.search_string.is_some() {
            "`backrefs` and `search_string` cannot both be given"
        } else if self.state == State::Absent {
            return Ok(());
        } else if self.backrefs && self.regexp.is_none() {
            "`backrefs: true` needs `regexp`"
        } else if self.line.is_none() {
            "`state: present` needs `line`"
        } else {
            return self.places();
        };
        Err(fail(wrong))
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let path = expand(host, &self.path).await?;
        let outcome = match self.state {
            State::Present => self.present(host, path).await?,
            State::Absent => self.absent(host, path).await?,
        };
        Ok(match self.warning() {
            Some(warning) => outcome.warn(warning),
            None => outcome,
        })
    }
}

impl Lineinfile {
    /// Refuses patterns that cannot be read.
    fn places(&self) -> Result<(), Halt> {
        let places = [&self.insertafter, &self.insertbefore];
        let places = places
            .into_iter()
            .flatten()
            .filter(|p| !["EOF", "BOF"].contains(&p.as_str()));
        for regexp in self.regexp.iter().chain(places) {
            Insert::matching(regexp).map_err(fail)?;
        }
        Ok(())
    }

    fn warning(&self) -> Option<String> {
        let option = match (self.regexp.as_deref(), self.search_string.as_deref()) {
            (Some(""), _) => "regexp",
            (_, Some("")) => "search_string",
            _ => return None,
        };
        Some(format!(
            "`{option}` is empty, which every line matches: the last line of the file would be replaced"
        ))
    }

    fn wanted<'a>(&'a self, text: &Text) -> Result<Wanted<'a>, Halt> {
        Wanted::read(
            self.regexp.as_deref().map(|r| text.written(r)),
            self.search_string.as_deref().map(|s| text.written(s)),
            self.line.as_deref().map(|l| text.written(l)),
        )
        .map_err(fail)
    }

    fn how(&self) -> How<'_> {
        How {
            backup: self.backup,
            validate: self.validate.as_deref(),
        }
    }

    async fn present(&self, host: &Host, path: String) -> Result<Outcome, Halt> {
        let file = open(host, path, &given!(self)).await?;
        if file.content.is_none() && !self.create {
            return Err(file.missing());
        }
        let text = Text::decode(file.content.as_deref().unwrap_or_default());
        let place = |regexp: &str| Insert::matching(&text.written(regexp)).map_err(fail);
        let insert = match (self.insertafter.as_deref(), self.insertbefore.as_deref()) {
            (None | Some("EOF"), None) => Insert::AtEnd,
            (Some("BOF"), _) | (_, Some("BOF")) => Insert::AtBeginning,
            (Some(regexp), _) => Insert::After(place(regexp)?),
            (None, Some(regexp)) => Insert::Before(place(regexp)?),
        };
        let present = Present {
            wanted: self.wanted(&text)?,
            insert,
            backrefs: self.backrefs,
            firstmatch: self.firstmatch,
        };
        let edit = present.edit(&text.text).map_err(fail)?;
        let content = edit.text.as_deref().map(|new| text.encode(new));
        let saved = file.save(content, self.how()).await?;
        Ok(Outcome::new()
            .with("msg", message(edit.message, saved.attributes))
            .with("backup", saved.backup.unwrap_or_default()))
    }

    async fn absent(&self, host: &Host, path: String) -> Result<Outcome, Halt> {
        let file = open(host, path, &given!(self)).await?;
        let Some(content) = &file.content else {
            return Ok(Outcome::new().with("msg", "file not present"));
        };
        let text = Text::decode(content);
        let absent = Absent {
            wanted: self.wanted(&text)?,
        };
        let (rest, found) = absent.edit(&text.text).map_err(fail)?;
        let content = (found > 0).then(|| text.encode(&rest));
        let saved = file.save(content, self.how()).await?;
        let removed = match found {
            0 => String::new(),
            found => format!("{found} line(s) removed"),
        };
        Ok(Outcome::new()
            .with("found", Value::Int(found.try_into().unwrap_or(i64::MAX)))
            .with("msg", message(&removed, saved.attributes))
            .with("backup", saved.backup.unwrap_or_default()))
    }
}
