//! `creates` and `removes`: whether a path, or anything that a pattern matches, is there.

use std::fmt::Write;

use super::environment;
use super::words::expanded;
use crate::host::question::{Answer, Look, Stat};
use crate::host::{Halt, Host, Unanswered};

/// Whether `pattern` matches anything on the host, seen from `chdir`, dangling links included.
pub async fn present(host: &Host, pattern: &str, chdir: Option<&str>) -> Result<bool, Halt> {
    if let Some(path) = plain(pattern, chdir) {
        let answers = host.ask_if_possible(vec![Stat::of(path).into()]).await?;
        return match answers.into_iter().next() {
            // As in Ansible, what nobody may see is not there.
            Some(Err(Unanswered::Denied(_))) | None => Ok(false),
            Some(Err(why)) => Err(why.into()),
            Some(Ok(answer)) => Ok(matches!(answer, Answer::Stat(Some(_)))),
        };
    }
    let mut script = environment(host)?;
    if let Some(chdir) = chdir {
        let _ = writeln!(script, "cd {} || exit 1", expanded(chdir));
    }
    let _ = write!(
        script,
        "for f in {}; do if [ -e \"$f\" ] || [ -L \"$f\" ]; then exit 0; fi; done; exit 1",
        glob_word(pattern)
    );
    Ok(host.ask(Look::new("creates/removes", script)).await?.ok())
}

/// The path, if a plain `stat` will do.
fn plain(pattern: &str, chdir: Option<&str>) -> Option<String> {
    let special = |text: &str| text.starts_with('~') || text.contains(['*', '?', '[', '$']);
    if special(pattern) || chdir.is_some_and(special) {
        return None;
    }
    match chdir {
        Some(directory) if !pattern.starts_with('/') => Some(format!("{directory}/{pattern}")),
        _ => Some(pattern.to_string()),
    }
}

/// A word that `sh` expands as Python's `glob` would: what lies between the wildcards is quoted.
fn glob_word(pattern: &str) -> String {
    let wild = ['*', '?', '['];
    let Some(first) = pattern.find(wild) else {
        return expanded(pattern);
    };
    let (head, tail) = pattern.split_at(first);
    let mut word = if head.is_empty() {
        String::new()
    } else {
        expanded(head)
    };
    for c in tail.chars() {
        let keep = c.is_ascii_alphanumeric() || "*?[]!-^/._".contains(c) || !c.is_ascii();
        if !keep {
            word.push('\\');
        }
        word.push(c);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_needs_no_shell() {
        assert_eq!(plain("/a b", None).as_deref(), Some("/a b"));
        assert_eq!(plain("a", Some("/b")).as_deref(), Some("/b/a"));
        assert_eq!(plain("/a", Some("/b")).as_deref(), Some("/a"));
        assert_eq!(plain("~/a", None), None);
        assert_eq!(plain("/a*", None), None);
        assert_eq!(plain("a", Some("$HOME")), None);
    }

    #[test]
    fn only_wildcards_are_left_to_the_shell() {
        assert_eq!(glob_word("/a b/*.d"), "'/a b/'*.d");
        assert_eq!(glob_word("*;$x"), "*\\;\\$x");
    }
}
