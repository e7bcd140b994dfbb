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
use crate::host::question::{Algorithm, Checksum, FileKind, FileStat, Look, Stat as Question};
use crate::host::{Batch, Halt, Host, Outcome, quote};
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
        let access = batch.put(Look::new("access", self.access(&path)));
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
        let access = answers.take(access)?;
        let mut values = described(&path, &stat);
        self.add_access(&access.stdout_text(), &stat, &mut values);
        let readable = values.get("readable") == Some(&Value::Bool(true));
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

impl Stat {
    /// What `stat` itself does not know, a line each: may it be read, written, run; where does a link lead;
    /// type and attributes.
    fn access(&self, path: &str) -> String {
        let path = quote(path);
        let mut script = format!(
            "p={path}\n[ -e \"$p\" ] || [ -L \"$p\" ] || exit 0\n\
             for f in r w x; do [ -$f \"$p\" ] && echo yes || echo no; done\n\
             if [ -L \"$p\" ]; then readlink -f -- \"$p\"; else echo; fi\n"
        );
        script.push_str(if self.get_mime {
            "file --mime-type --mime-encoding -- \"$p\" 2>/dev/null | sed 's/.*: *//;q' | grep . || echo\n"
        } else {
            "echo\n"
        });
        if self.get_attributes {
            script.push_str("lsattr -vd -- \"$p\" 2>/dev/null || :\n");
        }
        script
    }

    fn add_access(&self, said: &str, stat: &FileStat, values: &mut Map) {
        let mut lines = said.lines();
        for name in ["readable", "writeable", "executable"] {
            values.insert(name.into(), Value::Bool(lines.next() == Some("yes")));
        }
        let source = lines.next().unwrap_or_default();
        if let (FileKind::Link, Some(target)) = (stat.kind, &stat.target) {
            values.insert("lnk_source".into(), source.into());
            values.insert("lnk_target".into(), target.as_str().into());
        }
        let mime = lines.next().unwrap_or_default();
        if self.get_mime {
            let (kind, charset) = mime.split_once(';').unwrap_or(("unknown", "charset=unknown"));
            let charset = charset.split_once('=').map_or("unknown", |(_, c)| c.trim());
            values.insert("mimetype".into(), kind.trim().into());
            values.insert("charset".into(), charset.into());
        }
        if self.get_attributes {
            add_flags(lines.next().unwrap_or_default(), values);
        }
    }
}

/// `lsattr -vd`: a version, the flags with `-` for those not set, the path.
fn add_flags(line: &str, values: &mut Map) {
    let mut words = line.split_whitespace();
    let version = words.next().map_or(Value::Null, Value::from);
    let flags = words.next().unwrap_or_default().replace('-', "");
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
        add_flags("3512112345 --------------e------- /etc/hosts", &mut values);
        assert_eq!(values.get("version"), Some(&"3512112345".into()));
        assert_eq!(values.get("attr_flags"), Some(&"e".into()));
        assert_eq!(values.get("attributes"), Some(&Value::list(["extents".into()])));
    }

    #[test]
    fn nothing_is_known_without_lsattr() {
        let mut values = Map::new();
        add_flags("", &mut values);
        assert_eq!(values.get("version"), Some(&Value::Null));
        assert_eq!(values.get("attr_flags"), Some(&"".into()));
    }
}
