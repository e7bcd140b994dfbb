//! Facts that the host keeps of itself: `/etc/ansible/facts.d/*.fact`, JSON or INI.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Map, Value};

pub(super) const LOCAL: Family = Family {
    name: "local",
    minimal: true,
    // A program among them is run: its output is the fact. Whatever it prints stands behind a colon, its status last.
    shell: r#"echo =local
for p in "$FACTS"/*.fact; do
  [ -f "$p" ] || continue
  if [ -x "$p" ]; then
    x=$(LIMIT=$PATIENCE; within "${PWD%/}/$p"; printf '\n=%s' "$?")
    printf 'X/%s\n' "$p"
    printf '%s\n' "$x" | while IFS= read -r x; do printf ':%s\n' "$x"; done
    case $x in
    *"$NL=0") ;;
    *"$NL=124") n "ansible_local: /$p did not end in time" ;;
    *"$NL=125") n "ansible_local: /$p was not run, as there is no program \`timeout\` to end it" ;;
    *) n "ansible_local: /$p failed with status ${x##*"$NL="}" ;;
    esac
    continue
  fi
  printf 'F/%s\n' "$p"
  while IFS= read -r x || [ -n "$x" ]; do printf ':%s\n' "$x"; done <"$p"
done
"#,
    read,
    ..FAMILY
};

/// A file of facts, or a program that prints them.
struct Source<'a> {
    program: bool,
    path: &'a str,
    lines: Vec<&'a str>,
}

fn read(seen: &Seen, facts: &mut Map) {
    let mut sources: Vec<Source<'_>> = Vec::new();
    for line in seen.section("local") {
        let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
        match (kind, sources.last_mut()) {
            (":", Some(source)) => source.lines.push(rest),
            ("F" | "X", _) => sources.push(Source {
                program: kind == "X",
                path: rest,
                lines: Vec::new(),
            }),
            _ => {}
        }
    }
    let mut local = Map::new();
    for source in &sources {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        set(&mut local, &name.replace(".fact", ""), source.value());
    }
    // Ansible keeps the prefix of this one.
    set(facts, "ansible_local", local);
}

impl Source<'_> {
    fn value(&self) -> Value {
        let path = self.path;
        let (status, lines) = match self.lines.split_last() {
            Some((last, lines)) if self.program => (last.trim_start_matches('='), lines),
            _ => ("0", &self.lines[..]),
        };
        if status != "0" {
            return format!("Failure executing fact script ({path}), rc: {status}, err: ").into();
        }
        let text = lines.join("\n");
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) {
            return Value::from(json);
        }
        match ini(&text) {
            Some(sections) => Value::from(sections),
            None => format!("error loading facts as JSON or ini - please check content: {path}").into(),
        }
    }
}

/// Sections of `key = value` or `key: value`; keys in lower case, as Python's reader has it.
fn ini(text: &str) -> Option<Map> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push((section.to_string(), Vec::new()));
            continue;
        }
        let (_, entries) = sections.last_mut()?;
        // A line that is set in goes on with the value above it.
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = entries.last_mut()
        {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        let (key, value) = trimmed.split_once(['=', ':'])?;
        entries.push((key.trim().to_lowercase(), value.trim().to_string()));
    }
    let map =
        |entries: Vec<(String, String)>| Value::map(entries.into_iter().map(|(k, v)| (k, Value::from(v))));
    Some(
        sections
            .into_iter()
            .map(|(name, entries)| (name.into(), map(entries)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_ini_and_neither() {
        let value = |text: &'static str| {
            let source = Source {
                program: false,
                path: "/etc/ansible/facts.d/bad.fact",
                lines: text.lines().collect(),
            };
            source.value()
        };
        assert_eq!(value("{\"x\": 1}"), Value::map([("x", Value::Int(1))]));
        let section = Value::map([("key", Value::from("v")), ("other", Value::from("a b"))]);
        assert_eq!(
            value("[s]\nKey = v\n# no\nother: a b\n"),
            Value::map([("s", section)])
        );
        assert!(
            value("no section")
                .as_str()
                .unwrap()
                .ends_with(": /etc/ansible/facts.d/bad.fact")
        );
    }
}
