//! Words: how `command` splits its line, and how a word becomes one of `sh` again.

use std::fmt::Write;

use crate::host::quote;

/// Splits by shell-word rules, without expanding anything. The error is Ansible's sentence.
pub fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => single(&mut rest, word.get_or_insert_default())?,
            '"' => double(&mut rest, word.get_or_insert_default())?,
            '\\' => {
                let next = rest.next().ok_or("No escaped character")?;
                word.get_or_insert_default().push(next);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single(rest: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), &'static str> {
    for c in rest {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err("No closing quotation")
}

fn double(rest: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), &'static str> {
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match rest.next() {
                Some(c @ ('"' | '\\')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err("No escaped character"),
            },
            c => word.push(c),
        }
    }
    Err("No closing quotation")
}

/// Variables that `sh` has although nobody exported them; Ansible would not see them.
const SHELLS_OWN: &[&str] = &[
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_VERSION",
    "COLUMNS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];

/// A word of `sh` that is `word` with a leading `~` and its environment variables expanded on the host, as
/// Ansible expands paths and arguments; a variable that is not set stays as it is written.
pub fn expanded(word: &str) -> String {
    if !word.starts_with('~') && !word.contains('$') {
        return quote(word);
    }
    let (home, mut rest) = home(word);
    let mut out = home.to_string();
    if !home.is_empty() && rest.starts_with('/') {
        // A quote right behind the name would keep the shell from expanding it.
        out.push('/');
        rest = &rest[1..];
    }
    while let Some(at) = rest.find('$') {
        let (plain, from) = rest.split_at(at);
        push_quoted(&mut out, plain);
        match variable(from) {
            Some((name, length)) if !SHELLS_OWN.contains(&name) => {
                let written = escape_in_braces(&from[1..length]);
                let _ = write!(out, "\"${{{name}-\\${written}}}\"");
                rest = &from[length..];
            }
            Some((_, length)) => {
                push_quoted(&mut out, &from[..length]);
                rest = &from[length..];
            }
            None => {
                push_quoted(&mut out, "$");
                rest = &from[1..];
            }
        }
    }
    push_quoted(&mut out, rest);
    if out.is_empty() { "''".to_string() } else { out }
}

fn push_quoted(out: &mut String, plain: &str) {
    if !plain.is_empty() {
        out.push_str(&quote(plain));
    }
}

/// `{NAME}` ends the expansion that it is the default of, so its brace is escaped.
fn escape_in_braces(name: &str) -> String {
    name.replace('}', "\\}")
}

/// `~` or `~name` in front, if it is one.
fn home(word: &str) -> (&str, &str) {
    let Some(name) = word.strip_prefix('~') else {
        return ("", word);
    };
    let length = name.find('/').unwrap_or(name.len());
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name[..length].chars().all(plain) {
        return word.split_at(length + 1);
    }
    ("", word)
}

/// The variable that text beginning with `$` names, and how long the text of it is.
fn variable(text: &str) -> Option<(&str, usize)> {
    let body = text.strip_prefix('$')?;
    if let Some(braced) = body.strip_prefix('{') {
        let end = braced.find('}')?;
        let name = &braced[..end];
        return is_name(name).then_some((name, end + 3));
    }
    let end = body
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(body.len());
    let name = &body[..end];
    is_name(name).then_some((name, end + 1))
}

/// Whether this can be the name of an environment variable in `sh`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Words as one line, as Ansible shows a command line.
pub fn joined(words: &[String]) -> String {
    words
        .iter()
        .map(|word| quoted_as_python(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted_as_python(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r#"'"'"'"#))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn splits_as_a_shell_would() {
        let words = |line| split(line).unwrap();
        assert_eq!(words("a  b\tc\n"), ["a", "b", "c"]);
        assert_eq!(words(r#"echo "a b" 'c d' e\ f"#), ["echo", "a b", "c d", "e f"]);
        assert_eq!(words(r#"a"b"'c' "" ''"#), ["abc", "", ""]);
        assert_eq!(words(r#""\n\"\\" '\n'"#), [r#"\n"\"#, r"\n"]);
        assert_eq!(words("a # b"), ["a", "#", "b"]);
        assert_eq!(words("ä 'ö ü'"), ["ä", "ö ü"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn says_what_is_not_closed() {
        assert_eq!(split("a 'b"), Err("No closing quotation"));
        assert_eq!(split("a \"b"), Err("No closing quotation"));
        assert_eq!(split("a\\"), Err("No escaped character"));
    }

    fn in_shell(word: &str) -> String {
        let script = format!("printf %s {}", expanded(word));
        let output = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("HOME", "/home/x y")
            .env("A", "1 '2'")
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn expands_what_the_environment_has() {
        assert_eq!(in_shell("~/a b"), "/home/x y/a b");
        assert_eq!(in_shell("~"), "/home/x y");
        assert_eq!(in_shell("~root/x"), "/root/x");
        assert_eq!(in_shell("a~"), "a~");
        assert_eq!(in_shell("<$A>${A}$"), "<1 '2'>1 '2'$");
        assert_eq!(
            in_shell("$NOT_SET ${NOT_SET}x $1 $$ ${a b}"),
            "$NOT_SET ${NOT_SET}x $1 $$ ${a b}"
        );
        assert_eq!(in_shell("$PPID $(id) `id`"), "$PPID $(id) `id`");
        assert_eq!(in_shell(""), "");
    }
}
