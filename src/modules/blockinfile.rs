//! `blockinfile`: keeps a block of lines, between two marker lines, in a file.
//!
//! ```yaml
//! - blockinfile:
//!     path: /etc/hosts
//!     block: |
//!       192.0.2.4 master
//!       192.0.2.5 storage
//! - blockinfile:
//!     path: /etc/ssh/sshd_config
//!     marker: '# {mark} vmstation'
//!     insertbefore: '^Match '
//!     block: AllowUsers ops
//!     validate: sshd -t -f %s
//!     backup: true
//! - blockinfile:
//!     path: /etc/hosts
//!     marker: '# {mark} old'
//!     state: absent
//! ```
//!
//! Returns `msg` and `backup_file`. Refused: `attributes`, `seuser`, `serole`, `setype`, `selevel`,
//! `unsafe_writes`.

mod block;

use serde::Deserialize;

use self::block::{Block, Insert};
use super::files::attributes::given;
use super::files::edit::{How, message, open};
use super::files::mode::Mode;
use super::files::path::expand;
use super::files::text::Text;
use super::{Module, Rule};
use crate::host::{Halt, Host, Outcome, fail};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Blockinfile {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    #[serde(default)]
    state: State,
    #[serde(default = "marker")]
    marker: String,
    #[serde(default = "begin")]
    marker_begin: String,
    #[serde(default = "end")]
    marker_end: String,
    #[serde(default, alias = "content")]
    block: String,
    insertafter: Option<String>,
    insertbefore: Option<String>,
    #[serde(default)]
    create: bool,
    #[serde(default)]
    backup: bool,
    validate: Option<String>,
    #[serde(default)]
    append_newline: bool,
    #[serde(default)]
    prepend_newline: bool,
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

fn marker() -> String {
    "# {mark} ANSIBLE MANAGED BLOCK".to_string()
}

fn begin() -> String {
    "BEGIN".to_string()
}

fn end() -> String {
    "END".to_string()
}

impl Module for Blockinfile {
    const NAME: &'static str = "blockinfile";
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["insertbefore", "insertafter"])];

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let path = expand(host, &self.path).await?;
        let file = open(host, path, &given!(self)).await?;
        if file.content.is_none() && !self.create {
            return Err(file.missing());
        }
        let present = self.state == State::Present;
        if file.content.is_none() && !present {
            return Ok(Outcome::new().with("msg", format!("File {} not present", file.path)));
        }
        let text = Text::decode(file.content.as_deref().unwrap_or_default());
        let block = self.block(&text)?;
        let new = block.edit(&text.text).map_err(fail)?;
        let edit = match &file.content {
            None => "File created",
            Some(_) if new == text.text => "",
            Some(_) if block.lines.is_empty() => "Block removed",
            Some(_) => "Block inserted",
        };
        let content = (!edit.is_empty()).then(|| text.encode(&new));
        let how = How {
            backup: self.backup,
            validate: self.validate.as_deref(),
        };
        let saved = file.save(content, how).await?;
        let outcome = Outcome::new().with("msg", message(edit, saved.attributes));
        Ok(match saved.backup {
            Some(backup) => outcome.with("backup_file", backup),
            None => outcome,
        })
    }
}

impl Blockinfile {
    fn block(&self, text: &Text) -> Result<Block, Halt> {
        let marker = |word: &str| {
            let line = self.marker.replace("{mark}", word);
            format!("{}\n", text.written(&line))
        };
        let place = |regexp: &str| Insert::pattern(&text.written(regexp)).map_err(fail);
        let insert = match (self.insertafter.as_deref(), self.insertbefore.as_deref()) {
            (None | Some("EOF"), None) => Insert::AtEnd,
            (Some(regexp), _) => Insert::After(place(regexp)?),
            (None, Some("BOF")) => Insert::AtBeginning,
            (None, Some(regexp)) => Insert::Before(place(regexp)?),
        };
        let present = self.state == State::Present;
        Ok(Block::new(
            marker(&self.marker_begin),
            marker(&self.marker_end),
            if present {
                text.written(&self.block)
            } else {
                "".into()
            },
        )
        .insert(insert)
        .blank_lines(present && self.prepend_newline, present && self.append_newline))
    }
}
