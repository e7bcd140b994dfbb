//! Replacing a file with new content, as a whole or not at all.
//!
//! The content goes into a temporary file beside the target, which gets its owner and mode there, is shown to
//! `validate`, and takes the target's place by one rename. Whatever goes wrong, the temporary file is removed, and
//! so is the backup of what was not replaced, and the target is as it was.

use std::fmt::Write as _;

use bytes::Bytes;

use super::attributes::{Present, Wanted};
use super::object::{Said, report_word, said};
use super::path::parent;
use crate::host::question::{FileKind, FileStat};
use crate::host::{Change, Failure, Halt, Host, Output, Script, fail, quote};
use crate::modules::payload::{ARRIVED, Payload};
use crate::modules::process::words;

/// One file to be written.
#[derive(Debug)]
pub struct Write<'a> {
    /// Where: a link on the way there is followed only if `follow` says so.
    pub path: &'a str,
    pub follow: bool,
    pub content: Content<'a>,
    /// What is there now and gives its owner and mode to the new file.
    pub keep: Option<&'a FileStat>,
    pub wanted: &'a Wanted,
    pub backup: bool,
    pub validate: Option<&'a str>,
    /// Directories that are missing are made first.
    pub parents: Option<Parents>,
}

/// Where the content comes from.
#[derive(Debug)]
pub enum Content<'a> {
    Given(Bytes),
    /// Another file of the host, whose times and mode the new one gets, as `remote_src` has it.
    Of {
        path: &'a str,
        mode: u32,
    },
}

/// How missing directories are made.
#[derive(Debug, Clone, Default)]
pub struct Parents {
    pub wanted: Wanted,
}

/// The status by which the script says that `validate` was not content.
const NOT_VALID: i32 = 90;

/// What begins every script that makes a temporary file: it is removed in any case, and with it the backup that was
/// made for it.
pub const BEGIN: &str = "t= b= n=
trap '[ -z \"$t\" ] || rm -f -- \"$t\" ${b:+\"$b\"}' EXIT
trap 'exit 1' HUP INT TERM PIPE
die() { printf '%s\\n' \"$1\" >&2; exit 1; }
";

impl Write<'_> {
    /// Shell text that writes the file; its content goes with the payload.
    pub fn script(&self, payload: &mut Payload) -> Result<String, Halt> {
        let target = if self.path.contains('/') {
            quote(self.path)
        } else {
            quote(&format!("./{}", self.path))
        };
        let mut text = String::new();
        if let Some(parents) = &self.parents {
            text.push_str(&parents.script(parent(self.path)));
        }
        if self.follow {
            let _ = writeln!(text, "d=$(readlink -f -- {target}) || exit 1");
        } else {
            let _ = writeln!(text, "d={target}");
        }
        // Before anything is made, so that the sentence is ours.
        text.push_str("p=${d%/*}; p=${p:-/}\n");
        text.push_str("[ -d \"$p\" ] || die \"the directory $p does not exist\"\n");
        // The backup of a file that has been replaced stays, whatever comes of the next one.
        text.push_str("b=\nt=$(mktemp \"$p/.vmstation.XXXXXXXX\") || exit 1\n");
        match &self.content {
            Content::Given(bytes) => {
                let take = payload.add(bytes);
                let _ = writeln!(text, "{take} >\"$t\" && {ARRIVED} || exit 1");
            }
            Content::Of { path, .. } => {
                let _ = writeln!(text, "cp -- {} \"$t\" || exit 1", quote(path));
            }
        }
        text.push_str(&self.attributes());
        if let Some(validate) = self.validate {
            text.push_str(&validation(validate)?);
        }
        if self.backup {
            text.push_str(BACKUP);
        }
        text.push_str(REPLACE);
        Ok(text)
    }

    fn attributes(&self) -> String {
        let mut text = String::new();
        let (kept, base) = match (&self.content, self.keep) {
            (Content::Given(_), Some(now)) => (Some(now), Some(now.mode)),
            (Content::Of { mode, .. }, Some(_)) => (None, Some(*mode)),
            (_, None) => (None, None),
        };
        if let Some(now) = kept {
            // Who is not root may not give files away: then the file is theirs, as in Ansible.
            let _ = writeln!(
                text,
                "chown {0}:{1} -- \"$t\" 2>/dev/null || chgrp {1} -- \"$t\" 2>/dev/null || :",
                now.uid, now.gid
            );
        }
        if let Content::Of { path, .. } = &self.content {
            let _ = writeln!(text, "touch -r {} -- \"$t\" || exit 1", quote(path));
        }
        let mut setting = self.wanted.setting_of_new(FileKind::File);
        match base {
            Some(mode) => {
                let present = Present::new(FileKind::File, mode);
                setting.mode = Some(self.wanted.bits(present).unwrap_or(mode));
            }
            None if setting.mode.is_none() => {
                text.push_str("chmod \"$(printf %o $((0666 & ~$(umask))))\" -- \"$t\" || exit 1\n");
            }
            None => {}
        }
        text.push_str(&setting.script("\"$t\"", true));
        text
    }
}

impl Parents {
    /// Shell text that makes the directory and what is missing above it; each new one gets the attributes.
    pub fn script(&self, directory: &str) -> String {
        format!("{}{}", self.define(), Self::call(directory))
    }

    /// The function that does it.
    pub fn define(&self) -> String {
        let setting = self.wanted.setting_of_new(FileKind::Directory);
        format!(
            "parents() {{ case $1 in '' | / | .) return;; esac; [ -d \"$1\" ] && return
case $1 in */*) parents \"${{1%/*}}\" || return;; esac
mkdir -- \"$1\" || return\n{}}}\n",
            setting.script("\"$1\"", true)
        )
    }

    pub fn call(directory: &str) -> String {
        format!("parents {} || exit 1\n", quote(directory.trim_end_matches('/')))
    }
}

/// A name that no earlier backup has: the shell, and so its number, is the same for a whole run.
const BACKUP: &str = "if [ -e \"$d\" ]; then
n=$$; s=$(date '+%Y-%m-%d@%H:%M:%S~')
while p=$d.$n.$s; [ -e \"$p\" ]; do n=$((n + 1)); done
b=$p
cp -p -- \"$d\" \"$b\" || exit 1
fi
";

/// A file keeps its `SELinux` context, a new one gets the policy's.
const REPLACE: &str =
    "[ ! -e /sys/fs/selinux/enforce ] || [ ! -e \"$d\" ] || chcon --reference=\"$d\" -- \"$t\" || exit 1
[ -e \"$d\" ] || n=new
mv -fT -- \"$t\" \"$d\" || exit 1
t=
[ ! -e /sys/fs/selinux/enforce ] || [ \"$n\" != new ] || restorecon -- \"$d\" || :
";

/// The validating command with the temporary file in place of `%s`. It is split into words as a shell would,
/// but no shell runs it.
fn validation(command: &str) -> Result<String, Halt> {
    if !command.contains("%s") {
        return Err(fail(format!(
            "`validate` must hold `%s` where the file to be validated goes, and `{command}` does not"
        )));
    }
    let words = words::split(command).map_err(|why| fail(format!("`validate`: {why}: {command}")))?;
    let line: Vec<String> = words.iter().map(|word| validating_word(word)).collect();
    Ok(format!(
        "{} || {{ printf '\\0%s\\0' \"$?\"; exit {NOT_VALID}; }}\n",
        line.join(" ")
    ))
}

fn validating_word(word: &str) -> String {
    let parts: Vec<String> = word
        .split("%s")
        .map(|part| part.replace("%%", "%"))
        .map(|part| {
            if part.is_empty() {
                part
            } else {
                words::expanded(&part)
            }
        })
        .collect();
    match parts.join("\"$t\"") {
        empty if empty.is_empty() => quote(""),
        word => word,
    }
}

/// How a module words the failure of `validate`.
pub type Invalid = fn(i32, &Output) -> Failure;

/// As `lineinfile`, `blockinfile` and `replace` say it.
pub fn edit_not_valid(rc: i32, output: &Output) -> Failure {
    Failure::new(format!(
        "the file would not be valid: `validate` ended with rc {rc}: {}",
        output.stderr_text()
    ))
}

/// Writes one file; says what is there afterwards.
pub async fn write(host: &Host, what: Change, write: &Write<'_>, invalid: Invalid) -> Result<Said, Halt> {
    let mut payload = Payload::default();
    let text = format!("{BEGIN}{}{}", write.script(&mut payload)?, report_word("\"$d\""));
    let script = Script::new(what.what.clone(), text).stdin(payload.bytes());
    finish(host, what, script, invalid).await
}

/// Runs a script of [`write`]'s making.
pub async fn finish(host: &Host, what: Change, script: Script, invalid: Invalid) -> Result<Said, Halt> {
    let label = script.label.clone();
    let output = host.change(what, script).await?;
    match output.status {
        0 => Ok(said(&output.stdout)),
        NOT_VALID => {
            let mut parts = output.stdout.rsplit(|b| *b == 0).skip(1);
            let rc = parts.next().map(String::from_utf8_lossy);
            let rc = rc.and_then(|rc| rc.parse().ok()).unwrap_or(1);
            Err(invalid(rc, &output).into())
        }
        _ => Err(fail(format!("cannot {label}: {}", output.stderr_text().trim()))),
    }
}

/// A file's content before and after, as far as it can be shown.
pub fn shown(before: Option<&[u8]>, after: &[u8]) -> (String, String) {
    let text = |bytes: &[u8]| {
        if bytes.len() > 1 << 20 {
            return format!("({} bytes, too many to show)\n", bytes.len());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text.to_string(),
            _ => format!("({} bytes that are not text)\n", bytes.len()),
        }
    };
    (before.map_or_else(String::new, text), text(after))
}
