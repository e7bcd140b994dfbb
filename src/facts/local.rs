//! Facts that the host keeps of itself: `/etc/ansible/facts.d/*.fact`, JSON or INI.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Map, Value};

pub(super) const LOCAL: Family = Family {
    name: "local",
    minimal: true,
    // Programs among them are not run: reading facts must not alter a host.
    shell: r#"echo =local
for p in "$FACTS"/*.fact; do
  [ -f "$p" ] || continue
  if [ -x "$p" ]; then
    n "ansible_local: /$p is a program; it was not run"
    continue
  fi
  x=${p##*/}
  printf 'F%s\n' "${x%.fact}"
  while IFS= read -r x || [ -n "$x" ]; do printf ':%s\n' "$x"; done <"$p"
done
"#,
    read,
    ..FAMILY
};

fn read(seen: &Seen, facts: &mut Map) {
    let mut local = Map::new();
    let mut name: Option<&str> = None;
    let mut text = String::new();
    for line in seen
        .section("local")
        .iter()
        .map(String::as_str)
        .chain(std::iter::once("F"))
    {
        if let Some(content) = line.strip_prefix(':') {
            text.push_str(content);
            text.push('\n');
        } else if let Some(next) = line.strip_prefix('F') {
            if let Some(name) = name {
                set(&mut local, name, value(name, &text));
            }
            name = Some(next);
            text.clear();
        }
    }
    // Ansible keeps the prefix of this one.
    set(facts, "ansible_local", local);
}

fn value(name: &str, text: &str) -> Value {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        return Value::from(json);
    }
    match ini(text) {
        Some(sections) => Value::from(sections),
        None => Value::from(format!(
            "error loading facts as JSON or ini - please check content: {name}.fact"
        )),
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
        assert_eq!(value("a", "{\"x\": 1}"), Value::map([("x", Value::Int(1))]));
        let section = Value::map([("key", Value::from("v")), ("other", Value::from("a b"))]);
        assert_eq!(
            value("a", "[s]\nKey = v\n# no\nother: a b\n"),
            Value::map([("s", section)])
        );
        assert!(value("bad", "no section").as_str().unwrap().contains("bad.fact"));
    }
}
