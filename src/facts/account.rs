//! Who we are on the host, and the environment.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Map, Value};

/// The script prints the environment before anything else, see [`super::script`].
pub(super) const ENV: Family = Family {
    name: "env",
    minimal: true,
    read: |seen, facts| {
        let pairs = seen.environment.iter();
        set(
            facts,
            "env",
            Value::map(pairs.map(|(name, value)| (name.clone(), Value::from(value.as_str())))),
        );
    },
    ..FAMILY
};

pub(super) const USER: Family = Family {
    name: "user",
    ids: &[
        "user_id",
        "user_uid",
        "user_gid",
        "user_gecos",
        "user_dir",
        "user_shell",
        "real_user_id",
        "effective_user_id",
        "effective_group_ids",
    ],
    minimal: true,
    files: &["proc/self/status"],
    shell: r#"echo =user
u=${LOGNAME:-${USER:-${LNAME:-$USERNAME}}}
i=
while read -r x y z; do
  [ "$x" = Uid: ] && i=$y && break
done <proc/self/status
printf '%s\n' "$u"
t=
for k in "$u" "$i"; do
  [ -n "$k" ] && [ -z "$t" ] && [ -f etc/passwd ] && while IFS= read -r x; do
    case $x in
      "$u":*) t=$x ;;
      *:*:"$i":*) [ "$k" = "$i" ] && t=$x ;;
    esac
    [ -n "$t" ] && break
  done <etc/passwd
done
# Accounts of a directory service: the service may be down.
if [ -z "$t" ] && command -v getent >/dev/null; then
  t=$(within getent passwd "${u:-$i}")
  [ $? = 124 ] && n "user_*: looking up the account took longer than $LIMIT s"
fi
printf '%s\n' "$t"
"#,
    read,
    ..FAMILY
};

fn read(seen: &Seen, facts: &mut Map) {
    let section = seen.section("user");
    let account = section.get(1).map(String::as_str).unwrap_or_default();
    let fields: Vec<&str> = account.split(':').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let named = section
        .first()
        .filter(|name| !name.is_empty())
        .map_or(field(0), String::as_str);
    let (real_user, effective_user) = ids(seen, "Uid:");
    let (real_group, _) = ids(seen, "Gid:");
    set(facts, "user_id", named);
    set(facts, "user_uid", field(2).parse::<i64>().unwrap_or(real_user));
    set(facts, "user_gid", field(3).parse::<i64>().unwrap_or(real_group));
    set(facts, "user_gecos", field(4));
    set(facts, "user_dir", field(5));
    set(facts, "user_shell", field(6));
    set(facts, "real_user_id", real_user);
    set(facts, "effective_user_id", effective_user);
    set(facts, "real_group_id", real_group);
    // Ansible gives the real group here, too.
    set(facts, "effective_group_id", real_group);
}

/// The real and the effective id.
fn ids(seen: &Seen, name: &str) -> (i64, i64) {
    let mut lines = seen.lines("proc/self/status").iter();
    let line = lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut numbers = line
        .split_whitespace()
        .map(|word| word.parse().unwrap_or_default());
    (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    )
}

/// Reads what `export -p` printed in any shell, and returns what follows it.
pub(super) fn exports(text: &str) -> (Vec<(String, String)>, &str) {
    let mut variables = Vec::new();
    let mut rest = text;
    loop {
        // busybox and dash say `export`, bash says `declare -x` (or `-rx`).
        let after = rest.strip_prefix("export ").or_else(|| {
            let flags = rest.strip_prefix("declare -")?;
            flags.split_once(' ').map(|(_, after)| after)
        });
        let Some(after) = after else {
            return (variables, rest);
        };
        let (word, remains) = shell_word(after);
        if let Some((name, value)) = word.split_once('=') {
            variables.push((name.to_string(), value.to_string()));
        }
        rest = remains.strip_prefix('\n').unwrap_or(remains);
    }
}

/// One word as the shell reads it: up to a newline outside quotes.
fn shell_word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\n' => return (word, rest),
            '\'' => single(after, &mut word),
            '"' => double(after, &mut word),
            '$' if after.starts_with('\'') => ansi(after.get(1..).unwrap_or_default(), &mut word),
            '\\' => literal(after, &mut word),
            _ => {
                word.push(c);
                after
            }
        };
    }
    (word, rest)
}

fn literal<'a>(text: &'a str, word: &mut String) -> &'a str {
    let Some(c) = text.chars().next() else { return text };
    word.push(c);
    text.get(c.len_utf8()..).unwrap_or_default()
}

fn single<'a>(text: &'a str, word: &mut String) -> &'a str {
    let (inner, after) = text.split_once('\'').unwrap_or((text, ""));
    word.push_str(inner);
    after
}

fn double<'a>(text: &'a str, word: &mut String) -> &'a str {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '"' => return after,
            '\\' if after.starts_with(['$', '`', '"', '\\']) => literal(after, word),
            _ => {
                word.push(c);
                after
            }
        };
    }
    rest
}

/// bash's `$'…'`.
fn ansi<'a>(text: &'a str, word: &mut String) -> &'a str {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\'' => {
                rest = after;
                break;
            }
            '\\' => escape(after, &mut bytes),
            _ => {
                bytes.extend(c.to_string().bytes());
                after
            }
        };
    }
    word.push_str(&String::from_utf8_lossy(&bytes));
    rest
}

fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let octal: String = text
        .chars()
        .take(3)
        .take_while(|c| ('0'..='7').contains(c))
        .collect();
    if !octal.is_empty() {
        bytes.push(u8::from_str_radix(&octal, 8).unwrap_or(b'?'));
        return text.get(octal.len()..).unwrap_or_default();
    }
    let Some(c) = text.chars().next() else { return text };
    match c {
        'n' => bytes.push(b'\n'),
        't' => bytes.push(b'\t'),
        'r' => bytes.push(b'\r'),
        'a' => bytes.push(7),
        'b' => bytes.push(8),
        'f' => bytes.push(12),
        'v' => bytes.push(11),
        'E' | 'e' => bytes.push(27),
        other => bytes.extend(other.to_string().bytes()),
    }
    text.get(c.len_utf8()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_quotes_its_environment_in_its_own_way() {
        let wanted = |text: &str| exports(text).0;
        let pair = |name: &str, value: &str| vec![(name.to_string(), value.to_string())];
        assert_eq!(wanted("export A='it'\"'\"'s'\n"), pair("A", "it's"));
        assert_eq!(wanted("export A='it'\\''s'\n"), pair("A", "it's"));
        assert_eq!(wanted("declare -x A=\"a\\\"b\\$c\"\n"), pair("A", "a\"b$c"));
        assert_eq!(wanted("declare -x A=$'a\\nb\\303\\274'\n"), pair("A", "a\nbü"));
        assert_eq!(wanted("declare -x OLDPWD\ndeclare -rx A=\"1\"\n"), pair("A", "1"));
    }

    #[test]
    fn a_value_cannot_end_the_section() {
        let (variables, rest) = exports("export A='x\n=files\nexport B=1'\n=exists\n");
        assert_eq!(variables.len(), 1);
        assert_eq!(rest, "=exists\n");
    }
}
