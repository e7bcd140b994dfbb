//! `copy`: puts files of the project, or content written in the playbook, on the host.
//!
//! ```yaml
//! - copy:
//!     src: hosts
//!     dest: /etc/hosts
//!     owner: root
//!     group: root
//!     mode: '0644'
//!     backup: true
//! - copy:
//!     content: |
//!       net.ipv4.ip_forward = 1
//!     dest: /etc/sysctl.d/50-forward.conf
//! - copy:
//!     src: site/
//!     dest: /srv/www
//!     directory_mode: '0755'
//! - copy:
//!     src: /etc/app.conf
//!     dest: /etc/app.conf.orig
//!     remote_src: true
//!     mode: preserve
//!     force: false
//! ```
//!
//! A source that is a directory is copied with its name, or, with a `/` at its end, as what is in it.
//!
//! Returns `dest`, `checksum`, what is there (`state`, `owner`, `group`, `uid`, `gid`, `mode`, `size`), and
//! after a change `src`, `md5sum` and `backup_file`. Refused: `attributes`, `seuser`,
//! `serole`, `setype`, `selevel`, `unsafe_writes`.

mod local_tree;
mod remote;
mod remote_tree;

use bytes::Bytes;
use serde::Deserialize;

use super::arguments::any_word;
use super::files::attributes::{Given, given};
use super::files::json;
use super::files::mode::Mode;
use super::files::path::{expand, name};
use super::files::put::Put;
use super::{Module, Rule};
use crate::host::{FileSearch, Halt, Host, Outcome, fail};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Copy {
    src: Option<String>,
    content: Option<Value>,
    dest: String,
    #[serde(default)]
    backup: bool,
    #[serde(default = "yes")]
    force: bool,
    #[serde(default)]
    remote_src: bool,
    #[serde(default)]
    #[serde(deserialize_with = "any_word")]
    follow: bool,
    local_follow: Option<bool>,
    directory_mode: Option<Mode>,
    checksum: Option<String>,
    validate: Option<String>,
    #[serde(default = "yes", deserialize_with = "any_word")]
    decrypt: bool,
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

fn yes() -> bool {
    true
}

impl Module for Copy {
    const NAME: &'static str = "copy";
    const RULES: &'static [Rule] = &[
        Rule::Exclusive(&["src", "content"]),
        Rule::OneOf(&["src", "content"]),
    ];

    fn check(&self) -> Result<(), Halt> {
        given!(self).check()?;
        if self.content.is_some() && self.dest.ends_with('/') {
            return Err(fail(format!(
                "content has no name to give a file in the directory {}",
                self.dest
            )));
        }
        Ok(())
    }

    async fn run(mut self, host: &Host) -> Result<Outcome, Halt> {
        let given = given!(self);
        self.dest = expand(host, &self.dest).await?;
        match (self.src.take(), self.content.take()) {
            (_, Some(content)) => self.content(host, &content, given).await,
            (None, None) => Err(fail("`copy` needs `src` or `content`")),
            (Some(src), None) if self.remote_src => {
                let src = expand(host, &src).await?;
                self.remote(host, src, given).await
            }
            (Some(src), None) => self.local(host, src, given).await,
        }
    }
}

impl Copy {
    async fn content(self, host: &Host, content: &Value, given: Given) -> Result<Outcome, Halt> {
        let text = match content {
            Value::String(text) => text.to_string(),
            Value::List(_) | Value::Map(_) => json::text(content),
            other => json::scalar(other),
        };
        self.put(host, text.into(), None, String::new(), given).await
    }

    async fn local(self, host: &Host, src: String, mut given: Given) -> Result<Outcome, Halt> {
        let file = host.file(FileSearch::Files, &src).await?;
        let Some(bytes) = file.bytes else {
            let mut found = file.path.display().to_string();
            if src.ends_with('/') && !found.ends_with('/') {
                found.push('/');
            }
            return self.local_tree(host, &src, found, given).await;
        };
        if self.decrypt && bytes.starts_with(b"$ANSIBLE_VAULT;") {
            return Err(fail(format!(
                "`{src}` is vault-encrypted, which cannot be read yet; `decrypt: false` copies it as it is"
            )));
        }
        if given.mode == Some(Mode::Preserve) {
            given.mode = Some(Mode::Bits(file.mode & 0o7777));
        }
        let found = file.path.display().to_string();
        self.put(host, bytes, Some(name(&src)), found, given).await
    }

    async fn put(
        self,
        host: &Host,
        content: Bytes,
        name: Option<&str>,
        src: String,
        given: Given,
    ) -> Result<Outcome, Halt> {
        let put = Put {
            content,
            name,
            src,
            dest: self.dest,
            force: self.force,
            follow: self.follow,
            backup: self.backup,
            validate: self.validate.as_deref(),
            checksum: self.checksum.as_deref(),
            directory_mode: self.directory_mode,
            given,
        };
        put.run(host).await
    }
}
