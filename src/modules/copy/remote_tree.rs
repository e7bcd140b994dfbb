//! `remote_src: true` with a directory: what differs is found on the host, by one walk at the task's turn, and
//! copied by another.

use std::fmt::Write as _;

use super::Copy;
use crate::host::question::{FileKind, FileStat};
use crate::host::{Change, Halt, Host, Outcome, Script, quote};
use crate::modules::files::attributes::{Present, Wanted};
use crate::modules::files::object::{Describe as _, Object, report, said};
use crate::modules::files::path::{join, name};
use crate::vars::Value;

/// Walks through `$s` and prints each path of `$d` that is not the same, NUL after each; with `do=copy` it is
/// made so: a file is copied beside its place, and takes it by a rename. `$o` is `-L` where links are followed.
const WALK: &str = "\
( cd -- \"$s\" && find $o . -mindepth 1 -exec sh -c '
d=$1 do=$2 t=; shift 2
trap \"[ -z \\\"\\$t\\\" ] || rm -f -- \\\"\\$t\\\"\" EXIT; trap \"exit 1\" HUP INT TERM PIPE
for p; do
  to=$d/${p#./}
  if [ -L \"$p\" ] && [ -z \"$o\" ]; then
    [ -L \"$to\" ] && [ \"$(readlink -- \"$p\"; echo x)\" = \"$(readlink -- \"$to\"; echo x)\" ] && continue
    [ \"$do\" = look ] || ln -sfnT -- \"$(readlink -- \"$p\")\" \"$to\" || exit 1
  elif [ -d \"$p\" ]; then
    [ -d \"$to\" ] && continue
    [ \"$do\" = look ] || { mkdir -- \"$to\" && chmod --reference=\"$p\" -- \"$to\"; } || exit 1
  elif [ -f \"$p\" ]; then
    cmp -s -- \"$p\" \"$to\" && continue
    [ \"$do\" = look ] || {
      t=${to%/*}/.vmstation-$$
      cp --preserve=mode,timestamps --remove-destination -- \"$p\" \"$t\" && mv -fT -- \"$t\" \"$to\" && t=
    } || exit 1
  else
    continue
  fi
  printf \"%s\\0\" \"$to\"
done' sh \"$d\" \"$do\" {} + ) || exit 1
";

impl Copy {
    pub(super) async fn remote_tree(
        self,
        host: &Host,
        src: &str,
        stat: Option<&FileStat>,
        there: bool,
        wanted: &Wanted,
    ) -> Result<Outcome, Halt> {
        // As rsync has it: without a `/` at its end the directory itself is copied.
        let into = if src.ends_with('/') {
            self.dest.trim_end_matches('/').to_string()
        } else {
            join(&self.dest, name(src))
        };
        // Ansible's meaning of `dest` depends on whether it is there already.
        let dest = if there {
            join(&self.dest, name(src))
        } else {
            self.dest.clone()
        };
        let dest = dest.as_str();
        let walk = self.walk(src, &into);
        let script = Script::new("compare the trees", format!("do=look\n{walk}{}", others(wanted)));
        let looked = host.ask_now(script).await?;
        let paths = looked.stdout.split(|b| *b == 0).filter(|path| !path.is_empty());
        let paths: Vec<String> = paths
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect();
        let setting = match stat.map(Present::from) {
            Some(present) => wanted.setting(present),
            None => Some(wanted.setting_of_new(FileKind::Directory)),
        };
        let outcome = Outcome::new()
            .with("dest", dest)
            .with("src", src)
            .with("checksum", Value::Null)
            .with("md5sum", Value::Null);
        if paths.is_empty() && (setting.is_none() || stat.is_none()) {
            return Ok(outcome.describing(stat.map(Object::from).as_ref()));
        }
        let what = format!("copy {} paths from {src} to {into}", paths.len());
        let mut change = Change::new(what.as_str());
        for path in paths {
            change = change.difference(path, "", "copied\n");
        }
        let text = format!(
            "{{ do=copy\n{}{walk}{}}} >/dev/null\n{}b=\n{}",
            make(src, &into, there || src.ends_with('/')),
            owners(wanted),
            setting.unwrap_or_default().script(&quote(dest), true),
            report(dest)
        );
        let output = host.change_ok(change, Script::new(what, text)).await?;
        Ok(outcome.describing(said(&output.stdout).object.as_ref()))
    }

    fn walk(&self, src: &str, into: &str) -> String {
        let option = if self.local_follow == Some(true) { "-L" } else { "" };
        format!("s={} d={}\nexport o={option}\n{WALK}", quote(src), quote(into))
    }
}

/// Shell text that makes the directory, with the mode of the source where Ansible gives it that.
fn make(src: &str, into: &str, with_mode: bool) -> String {
    let (src, into) = (quote(src), quote(into));
    let mode = if with_mode {
        format!(" && chmod --reference={src} -- {into}")
    } else {
        String::new()
    };
    format!("[ -d {into} ] || {{ mkdir -p -- {into}{mode}; }} || exit 1\n")
}

/// Owner and group are those of all that is there, also of what was there before.
fn ids(wanted: &Wanted) -> impl Iterator<Item = (&'static str, &'static str, u32)> {
    let uid = wanted.uid.map(|uid| ("-uid", "chown", uid));
    let gid = wanted.gid.map(|gid| ("-gid", "chgrp", gid));
    uid.into_iter().chain(gid)
}

/// Shell text that prints what belongs to others.
fn others(wanted: &Wanted) -> String {
    ids(wanted).fold(String::new(), |mut text, (test, _, id)| {
        let _ = writeln!(text, "[ ! -d \"$d\" ] || find \"$d\" ! {test} {id} -print0");
        text
    })
}

fn owners(wanted: &Wanted) -> String {
    ids(wanted).fold(String::new(), |mut text, (test, program, id)| {
        let _ = writeln!(
            text,
            "find \"$d\" ! {test} {id} -exec {program} -h {id} -- {{}} + || exit 1"
        );
        text
    })
}
