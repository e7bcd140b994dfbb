//! The host's Python: nothing here needs it, but playbooks name packages after its version.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Map, Value};

pub(super) const PYTHON: Family = Family {
    name: "python",
    ids: &["python_version"],
    minimal: true,
    // The order in which Ansible looks for one.
    shell: r#"echo =python
for p in python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 /usr/bin/python3 python3; do
  command -v "$p" >/dev/null || continue
  command -v "$p"
  "$p" -V 2>&1 </dev/null
  break
done
"#,
    read,
    ..FAMILY
};

fn read(seen: &Seen, facts: &mut Map) {
    let [program, said] = seen.section("python") else {
        return;
    };
    let Some(text) = said.strip_prefix("Python ") else {
        return;
    };
    let numbers: Vec<i64> = text.split('.').map_while(|part| part.parse().ok()).collect();
    let [major, minor, micro] = numbers[..] else {
        return;
    };
    let version = [
        ("major", Value::Int(major)),
        ("minor", Value::Int(minor)),
        ("micro", Value::Int(micro)),
        ("releaselevel", "final".into()),
        ("serial", Value::Int(0)),
    ];
    let info = version.clone().map(|(_, value)| value);
    let python = [
        ("version", Value::map(version)),
        ("version_info", Value::list(info)),
        ("executable", program.as_str().into()),
        ("type", "cpython".into()),
    ];
    set(facts, "python", Value::map(python));
    set(facts, "python_version", text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_or_nothing() {
        let facts = |said: &str| {
            let mut facts = Map::new();
            read(
                &Seen::read(format!("=python\n{said}\n=end\n").as_bytes()),
                &mut facts,
            );
            serde_json::to_value(facts).unwrap()
        };
        let python = facts("/usr/bin/python3.11\nPython 3.11.2");
        assert_eq!(python["python_version"], "3.11.2");
        assert_eq!(python["python"]["version"]["minor"], 11);
        assert_eq!(
            python["python"]["version_info"],
            serde_json::json!([3, 11, 2, "final", 0])
        );
        for nothing in [
            "",
            "/usr/bin/python3\nno such command",
            "/usr/bin/python3\nPython 3.14.0a1",
        ] {
            assert_eq!(facts(nothing), serde_json::json!({}), "{nothing}");
        }
    }
}
