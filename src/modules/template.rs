//! `template`: renders a template of the project to a file on the host.
//!
//! ```yaml
//! - template:
//!     src: hosts.j2
//!     dest: /etc/hosts
//!     mode: '0644'
//!     backup: true
//! - template:
//!     src: sudoers.j2
//!     dest: /etc/sudoers.d/ops
//!     mode: '0440'
//!     validate: visudo -cf %s
//! ```
//!
//! Returns what `copy` returns. `output_encoding` is refused unless it is utf-8.

use serde::Deserialize;

use super::Module;
use super::arguments::any_word;
use super::files::attributes::given;
use super::files::mode::Mode;
use super::files::object::refused;
use super::files::path::{expand, name};
use super::files::put::Put;
use crate::host::{FileSearch, Halt, Host, Outcome};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Template {
    src: String,
    dest: String,
    #[serde(default)]
    backup: bool,
    #[serde(default = "yes")]
    force: bool,
    #[serde(default, deserialize_with = "any_word")]
    follow: bool,
    validate: Option<String>,
    #[serde(default = "newline")]
    newline_sequence: Newline,
    block_start_string: Option<String>,
    block_end_string: Option<String>,
    variable_start_string: Option<String>,
    variable_end_string: Option<String>,
    comment_start_string: Option<String>,
    comment_end_string: Option<String>,
    #[serde(default = "yes", deserialize_with = "any_word")]
    trim_blocks: bool,
    #[serde(default, deserialize_with = "any_word")]
    lstrip_blocks: bool,
    output_encoding: Option<String>,
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
    // Options of `copy` do nothing here, as in Ansible.
    #[serde(rename = "remote_src")]
    _remote_src: Option<Value>,
    #[serde(rename = "directory_mode")]
    _directory_mode: Option<Value>,
    #[serde(rename = "local_follow")]
    _local_follow: Option<Value>,
    #[serde(rename = "decrypt")]
    _decrypt: Option<Value>,
}

/// Written out, or as the two characters that YAML leaves of it without double quotes.
#[derive(Deserialize, Clone, Copy)]
enum Newline {
    #[serde(rename = "\n", alias = "\\n")]
    Line,
    #[serde(rename = "\r", alias = "\\r")]
    Return,
    #[serde(rename = "\r\n", alias = "\\r\\n")]
    ReturnLine,
}

fn yes() -> bool {
    true
}

fn newline() -> Newline {
    Newline::Line
}

impl Module for Template {
    const NAME: &'static str = "template";

    fn check(&self) -> Result<(), Halt> {
        if let Some(encoding) = &self.output_encoding
            && !matches!(&*encoding.to_ascii_lowercase(), "utf-8" | "utf8" | "ascii" | "")
        {
            return Err(refused("output_encoding", "files are written in utf-8"));
        }
        given!(self).check()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let mut given = given!(self);
        if given.mode == Some(Mode::Preserve) {
            let source = host.file(FileSearch::Templates, &self.src).await?;
            given.mode = Some(Mode::Bits(source.mode & 0o7777));
        }
        let content = host.template(&self.src, self.options()).await?;
        let dest = expand(host, &self.dest).await?;
        let put = Put {
            content: content.into(),
            name: Some(name(&self.src)),
            src: self.src.clone(),
            dest,
            force: self.force,
            follow: self.follow,
            backup: self.backup,
            validate: self.validate.as_deref(),
            checksum: None,
            directory_mode: None,
            given,
        };
        put.run(host).await
    }
}

impl Template {
    /// What concerns the rendering.
    fn options(&self) -> Map {
        let mut options = Map::new();
        let newline = match self.newline_sequence {
            Newline::Line => "\n",
            Newline::Return => "\r",
            Newline::ReturnLine => "\r\n",
        };
        options.insert("dest".into(), self.dest.as_str().into());
        options.insert("newline_sequence".into(), newline.into());
        options.insert("trim_blocks".into(), Value::Bool(self.trim_blocks));
        options.insert("lstrip_blocks".into(), Value::Bool(self.lstrip_blocks));
        let marks = [
            ("block_start_string", &self.block_start_string),
            ("block_end_string", &self.block_end_string),
            ("variable_start_string", &self.variable_start_string),
            ("variable_end_string", &self.variable_end_string),
            ("comment_start_string", &self.comment_start_string),
            ("comment_end_string", &self.comment_end_string),
        ];
        for (name, mark) in marks {
            if let Some(mark) = mark {
                options.insert(name.into(), mark.as_str().into());
            }
        }
        options
    }
}
