//! The one script that reads the facts, put together from what the families ask for.
//!
//! POSIX `sh`, for dash, bash and busybox. It starts a process only where the shell has no means of its own:
//! `grep` shows all files at once, `ls` all links, `ip` all addresses, `stat` the sizes of file systems, `date`
//! the clock. What may hang runs under `timeout`; a file is shown only if it is a regular one.

use std::fmt::Write as _;

use super::{FAMILIES, Family, Subset};
use crate::host::quote;

const HEAD: &str = r#"PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
unset GREP_OPTIONS CDPATH
NL='
'
F= L= N=
# Names files and links to be shown later; paths in /sys need no look first, there are no FIFOs.
f() { for p; do [ -f "$p" ] && F=$F$NL$p; done; }
l() { for p; do [ -L "$p" ] && L=$L$NL$p; done; }
e() { for p; do [ -e "$p" ] && echo "$p"; done; }
n() { N=$N$*$NL; }
# Runs what may hang, for as long as we are ready to wait.
within() {
  command -v timeout >/dev/null || return 125
  timeout "$LIMIT" "$@" 2>/dev/null </dev/null
}
"#;

const SHOW: &str = r#"set -f
IFS=$NL
echo =links
ls -ldi . proc/1/root/. $L 2>/dev/null
echo =files
if command -v grep >/dev/null; then
  grep -as '' $F /dev/null
else
  for p in $F; do
    while IFS= read -r x || [ -n "$x" ]; do printf '%s:%s\n' "$p" "$x"; done <"$p"
  done 2>/dev/null
fi
"#;

/// The script for these facts; [`super::parse`] reads what it prints.
pub fn script(subset: &Subset) -> String {
    script_under("/", subset)
}

/// The same, with another directory in place of `/`: for tests.
pub fn script_under(root: &str, subset: &Subset) -> String {
    let families: Vec<&Family> = FAMILIES.iter().filter(|family| subset.wants(family)).collect();
    let mut text = String::from("echo =vmstation-facts 1\n");
    if families.iter().any(|family| family.name == "env") {
        // First of all, before anything of ours is in it.
        text.push_str("echo =env\nexport -p\n");
    }
    text.push_str(HEAD);
    let _ = writeln!(
        text,
        "LIMIT={}\nPATIENCE={}\nFACTS={}",
        subset.limit(),
        subset.patience(),
        quote(relative(subset.local_facts()))
    );
    let _ = writeln!(text, "cd {} || exit", quote(root));
    call(
        &mut text,
        "echo =exists\ne",
        &gathered(&families, |family| family.exists),
    );
    let programs = gathered(&families, |family| family.programs);
    let _ = writeln!(
        text,
        "echo =programs\nfor p in {}; do command -v \"$p\"; done",
        programs.join(" ")
    );
    call(&mut text, "f", &gathered(&families, |family| family.files));
    call(&mut text, "l", &gathered(&families, |family| family.links));
    for family in &families {
        text.push_str(family.shell);
    }
    text.push_str(SHOW);
    for family in &families {
        text.push_str(family.late);
    }
    text.push_str("echo =notes\nprintf %s \"$N\"\necho =end\n");
    text
}

/// The script runs in the root, so that a test can give it another.
fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn call(text: &mut String, what: &str, words: &[&str]) {
    let _ = writeln!(text, "{what} {}", words.join(" "));
}

/// What all families ask for, each thing once.
fn gathered<'a>(families: &[&'a Family], what: fn(&'a Family) -> &'a [&'static str]) -> Vec<&'static str> {
    let mut words = Vec::new();
    for word in families.iter().flat_map(|family| what(family)) {
        if !words.contains(word) {
            words.push(*word);
        }
    }
    words
}
