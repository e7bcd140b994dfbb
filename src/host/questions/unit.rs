//! systemd units: one `systemctl show` for all of a scope.
//!
//! Showing a unit that is not loaded makes systemd read its file, and forget it again: nothing changes by it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Answered, Batch, Section, failure, impossible, split_at_lines};
use crate::host::machine::{Unanswered, quote};
use crate::host::question::{Answer, UnitScope};

/// The exit that says that systemd does not run here.
const NO_SYSTEMD: i32 = 126;

pub(super) struct Units {
    pub names: Vec<String>,
    pub scope: UnitScope,
}

impl Batch for Units {
    fn script(&self, mark: &str) -> String {
        let names: Vec<String> = self
            .names
            .iter()
            .filter(|name| is_plain(name))
            .map(|name| quote(name))
            .collect();
        let names = names.join(" ");
        let ask = match self.scope {
            // The global scope has no manager: only the state of unit files is there to be known.
            UnitScope::Global => format!(
                "for _u in {names}; do echo \"UnitFileState=$(systemctl --global is-enabled -- \"$_u\" 2>/dev/null)\"; echo {mark}; done"
            ),
            UnitScope::System => show("", &names, mark),
            UnitScope::User => show("--user ", &names, mark),
        };
        let place = match self.scope {
            UnitScope::User => ": \"${XDG_RUNTIME_DIR:=/run/user/$(id -u)}\"; export XDG_RUNTIME_DIR; ",
            UnitScope::System | UnitScope::Global => "",
        };
        if names.is_empty() {
            return ":".to_owned();
        }
        format!("{place}if [ -d /run/systemd/system ]; then {ask}; else ( exit {NO_SYSTEMD} ); fi")
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        if section.status == NO_SYSTEMD {
            return vec![impossible("systemd does not run on this host"); self.names.len()];
        }
        if let Some(failure) = failure(section, "systemctl", 1, self.names.len()) {
            return failure;
        }
        let asked = self.names.iter().filter(|name| is_plain(name)).count();
        let mut shown = shown(section, mark, asked).into_iter();
        let mut answer = |name: &String| {
            if !is_plain(name) {
                return impossible(format!("`{name}` is not the name of a unit"));
            }
            match shown.next() {
                Some(properties) if !properties.is_empty() => Ok(Answer::Unit(properties)),
                Some(_) => impossible(format!("systemctl cannot show {name}: {}", reason(section, name))),
                // A value with an empty line in it; asked alone, it tells itself apart.
                None => Err(Unanswered::TooSlow),
            }
        };
        self.names.iter().map(&mut answer).collect()
    }
}

/// All at once; where systemctl refuses one, one by one, each with a mark behind it.
fn show(scope: &str, names: &str, mark: &str) -> String {
    let show = format!("systemctl {scope}--no-pager show --");
    format!(
        "if _o=$({show} {names}); then printf '%s\\n' \"$_o\"; else for _u in {names}; do {show} \"$_u\"; echo {mark}; done; fi"
    )
}

/// The properties of each unit, in order; nothing if they cannot be told apart.
fn shown(section: &Section, mark: &str, units: usize) -> Vec<BTreeMap<String, String>> {
    let one_by_one = split_at_lines(&section.stdout, mark);
    if !one_by_one.is_empty() {
        let block = |(block, _): &(Bytes, Bytes)| properties(&String::from_utf8_lossy(block));
        return one_by_one.iter().map(block).collect();
    }
    let text = String::from_utf8_lossy(&section.stdout);
    if units == 1 {
        return vec![properties(&text)];
    }
    let blocks: Vec<_> = text.split("\n\n").map(properties).collect();
    if blocks.len() == units { blocks } else { Vec::new() }
}

/// `Key=value` lines; a line that is none goes on with the value before it.
fn properties(block: &str) -> BTreeMap<String, String> {
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in block.lines() {
        match line.split_once('=') {
            Some((key, value)) if is_property(key) => {
                properties.insert(key.to_owned(), value.to_owned());
                last = Some(key);
            }
            _ => {
                if let Some(value) = last.and_then(|key| properties.get_mut(key)) {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }
    properties
}

fn is_property(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_uppercase()) && key.chars().all(|c| c.is_ascii_alphanumeric())
}

/// A pattern would show any number of units; an empty name stops systemctl.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    !name.is_empty() && name.chars().all(allowed)
}

/// What systemctl said, about this unit.
fn reason(section: &Section, name: &str) -> String {
    let said = String::from_utf8_lossy(&section.stderr);
    let about = said
        .lines()
        .find(|line| line.contains(name))
        .or(said.lines().next());
    about.unwrap_or("it says nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(names: &[&str], stdout: &str) -> Vec<Answered> {
        let units = Units {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            scope: UnitScope::System,
        };
        let section = Section {
            stdout: Bytes::from(stdout.to_owned()),
            ..Section::default()
        };
        units.answers(&section, "@m")
    }

    fn property(answer: &Answered, key: &str) -> String {
        let Ok(Answer::Unit(properties)) = answer else {
            panic!("{answer:?}")
        };
        properties.get(key).cloned().unwrap_or_default()
    }

    #[test]
    fn blocks_belong_to_units_in_order() {
        let answers = units(
            &["a", "b*", "c"],
            "Id=a.service\nExecStart={ x=1\ny=2 }\n\nId=c.service\n",
        );
        assert_eq!(property(answers.first().unwrap(), "ExecStart"), "{ x=1\ny=2 }");
        assert!(matches!(answers.get(1), Some(Err(Unanswered::Impossible(_)))));
        assert_eq!(property(answers.get(2).unwrap(), "Id"), "c.service");
    }

    #[test]
    fn blocks_that_cannot_be_told_apart_are_asked_again() {
        let answers = units(&["a", "c"], "Id=a\nX=1\n\n2\n\nId=c\n");
        assert_eq!(answers, [Err(Unanswered::TooSlow), Err(Unanswered::TooSlow)]);
        let alone = units(&["a"], "Id=a\nX=1\n\n2\n");
        assert_eq!(property(alone.first().unwrap(), "X"), "1\n\n2");
    }
}
