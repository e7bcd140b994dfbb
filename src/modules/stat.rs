//! `stat`: says what is at a path.
//!
//! ```yaml
//! - stat:
//!     path: /etc/hosts
//!   register: hosts
//! - stat:
//!     path: /boot/vmlinuz
//!     follow: true
//!     checksum_algorithm: sha256
//! ```
//!
//! Returns `stat`: `exists`, and if so `path`, `mode`, `isdir`, `isreg`, `islnk` and the other kinds, `uid`,
//! `gid`, `pw_name`, `gr_name`, `size`, `inode`, `dev`, `nlink`, `atime`, `mtime`, `ctime`, `rusr` … `xoth`,
//! `isuid`, `isgid`, `blocks`, `block_size`, `device_type`, `readable`, `writeable`, `executable`,
//! `lnk_source` and `lnk_target` of a link, `checksum` of a readable file, `mimetype` and `charset` (`unknown`
//! where the host has no program `file`), `version`, `attributes` and `attr_flags`.

use serde::Deserialize;

use super::Module;
use super::files::object::kind_flags;
use super::files::path::expand;
use crate::host::question::{
    Access, Algorithm, Attributes, Checksum, FileFlags, FileKind, FileStat, Mime, Permitted, Stat as Question,
};
use crate::host::{Batch, Halt, Host, Outcome};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Stat {
    #[serde(alias = "dest", alias = "name")]
    path: String,
    #[serde(default)]
    follow: bool,
    #[serde(default = "yes")]
    get_checksum: bool,
    #[serde(default = "yes", alias = "mime", alias = "mime_type", alias = "mime-type")]
    get_mime: bool,
    #[serde(default = "yes", alias = "attr", alias = "attributes")]
    get_attributes: bool,
    #[serde(default = "sha1", alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Digest,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Digest {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

fn yes() -> bool {
    true
}

fn sha1() -> Digest {
    Digest::Sha1
}

impl From<Digest> for Algorithm {
    fn from(digest: Digest) -> Self {
        match digest {
            Digest::Md5 => Self::Md5,
            Digest::Sha1 => Self::Sha1,
            Digest::Sha224 => Self::Sha224,
            Digest::Sha256 => Self::Sha256,
            Digest::Sha384 => Self::Sha384,
            Digest::Sha512 => Self::Sha512,
        }
    }
}

impl Module for Stat {
    const NAME: &'static str = "stat";

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let path = expand(host, &self.path).await?;
        let mut batch = Batch::default();
        let stat = batch.put(Question {
            path: path.clone(),
            follow: self.follow,
        });
        let access = batch.put(Access { path: path.clone() });
        let mime = self.get_mime.then(|| batch.put(Mime { path: path.clone() }));
        let flags = self
            .get_attributes
            .then(|| batch.put(Attributes { path: path.clone() }));
        let checksum = self.get_checksum.then(|| {
            batch.put(Checksum {
                path: path.clone(),
                algorithm: self.checksum_algorithm.into(),
            })
        });
        let mut answers = batch.ask(host).await?;
        let Some(stat) = answers.take(stat)? else {
            return Ok(Outcome::new().with("stat", Value::map([("exists", Value::Bool(false))])));
        };
        let mut values = described(&path, &stat);
        let permitted = answers.take(access)?;
        let readable = permitted.read;
        add_access(permitted, &stat, &mut values);
        if let Some(slot) = mime {
            add_kind(answers.take(slot)?, &mut values);
        }
        if let Some(slot) = flags {
            add_flags(answers.take(slot)?, &mut values);
        }
        if let Some(slot) = checksum
            && stat.kind == FileKind::File
            && readable
            && let Some(digest) = answers.take(slot)?
        {
            values.insert("checksum".into(), digest.into());
        }
        Ok(Outcome::new().with("stat", values))
    }
}

fn add_access(permitted: Permitted, stat: &FileStat, values: &mut Map) {
    values.insert("readable".into(), permitted.read.into());
    values.insert("writeable".into(), permitted.write.into());
    values.insert("executable".into(), permitted.execute.into());
    if let (FileKind::Link, Some(target)) = (stat.kind, &stat.target) {
        values.insert("lnk_source".into(), permitted.real.unwrap_or_default().into());
        values.insert("lnk_target".into(), target.as_str().into());
    }
}

fn add_kind(mime: Option<(String, String)>, values: &mut Map) {
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    let (kind, charset) = mime.unwrap_or_else(unknown);
    values.insert("mimetype".into(), kind.into());
    values.insert("charset".into(), charset.into());
}

fn add_flags(flags: Option<FileFlags>, values: &mut Map) {
    let version = flags.as_ref().map_or(Value::Null, |f| f.version.as_str().into());
    let flags = flags.map_or_else(String::new, |f| f.flags);
    let names = flags.chars().filter_map(flag).map(Value::from);
    values.insert("version".into(), version);
    values.insert("attributes".into(), Value::list(names));
    values.insert("attr_flags".into(), flags.as_str().into());
}

/// Ansible's word for a letter of `lsattr`.
fn flag(letter: char) -> Option<&'static str> {
    Some(match letter {
        'A' => "noatime",
        'a' => "append",
        'c' => "compressed",
        'C' => "nocow",
        'd' => "nodump",
        'D' => "dirsync",
        'e' => "extents",
        'E' => "encrypted",
        'h' => "blocksize",
        'i' => "immutable",
        'I' => "indexed",
        'j' => "journalled",
        'N' => "inline",
        's' => "zero",
        'S' => "synchronous",
        't' => "notail",
        'T' => "blockroot",
        'u' => "undelete",
        'X' => "compressedraw",
        'Z' => "compresseddirty",
        _ => return None,
    })
}

fn described(path: &str, stat: &FileStat) -> Map {
    let mut values = Map::new();
    values.insert("exists".into(), Value::Bool(true));
    values.insert("path".into(), path.into());
    values.insert("mode".into(), format!("{:04o}", stat.mode).into());
    kind_flags(stat.kind, stat.mode, &mut values);
    let numbers = [
        ("uid", stat.uid.into()),
        ("gid", stat.gid.into()),
        ("size", stat.size),
        ("inode", stat.inode),
        ("dev", stat.device),
        ("nlink", stat.links),
        ("blocks", stat.blocks),
        ("block_size", stat.block_size),
        ("device_type", stat.device_type),
    ];
    for (name, number) in numbers {
        values.insert(name.into(), Value::Int(number.try_into().unwrap_or(i64::MAX)));
    }
    for (name, time) in [
        ("atime", stat.accessed),
        ("mtime", stat.modified),
        ("ctime", stat.changed),
    ] {
        values.insert(name.into(), Value::Float(time));
    }
    // A number without a name has no name, as in Ansible.
    for (key, name, number) in [
        ("pw_name", &stat.owner, stat.uid),
        ("gr_name", &stat.group, stat.gid),
    ] {
        if *name != number.to_string() {
            values.insert(key.into(), name.as_str().into());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_ansibles_names() {
        let mut values = Map::new();
        let flags = FileFlags {
            version: "3512112345".into(),
            flags: "e".into(),
        };
        add_flags(Some(flags), &mut values);
        assert_eq!(values.get("version"), Some(&"3512112345".into()));
        assert_eq!(values.get("attr_flags"), Some(&"e".into()));
        assert_eq!(values.get("attributes"), Some(&Value::list(["extents".into()])));
    }

    #[test]
    fn nothing_is_known_without_lsattr() {
        let mut values = Map::new();
        add_flags(None, &mut values);
        assert_eq!(values.get("version"), Some(&Value::Null));
        assert_eq!(values.get("attr_flags"), Some(&"".into()));
    }
}
