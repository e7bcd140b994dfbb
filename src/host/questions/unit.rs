//! systemd units: one `systemctl show` for all of a scope.
//!
//! Showing a unit that is not loaded makes systemd read its file, and forget it again: nothing changes by it.

use std::collections::BTreeMap;

use super::{Answered, Batch, Section, all, impossible, no_program, split_at_lines};
use crate::host::machine::quote;
use crate::host::question::{Answer, UnitScope};

const PROPERTIES: &str = "Id,Names,Description,LoadState,LoadError,ActiveState,SubState,UnitFileState,\
    UnitFilePreset,FragmentPath,SourcePath,DropInPaths,NeedDaemonReload,Type,Result,MainPID,ControlPID,\
    ExecMainPID,ExecMainStatus,ExecMainCode,StatusText,StatusErrno,Restart,NRestarts,User,Group,\
    WorkingDirectory,CanStart,CanStop,CanReload,RefuseManualStart,RefuseManualStop,ActiveEnterTimestamp,\
    InactiveEnterTimestamp,InvocationID,Requires,Wants,WantedBy,RequiredBy,Conflicts,Before,After,TriggeredBy,\
    Triggers,Documentation,Following,JobType,ConditionResult,Transient,Perpetual";

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
        match section.status {
            127 => return no_program("systemctl", self.names.len()),
            NO_SYSTEMD => return all(&impossible("systemd does not run on this host"), self.names.len()),
            _ => {}
        }
        let shown = shown(section, mark);
        let mut shown = shown.iter();
        let mut answer = |name: &String| {
            if !is_plain(name) {
                return impossible(format!("`{name}` is not the name of a unit"));
            }
            match shown.next() {
                Some(properties) if !properties.is_empty() => Ok(Answer::Unit(properties.clone())),
                _ => impossible(format!("systemctl cannot show {name}: {}", reason(section))),
            }
        };
        self.names.iter().map(&mut answer).collect()
    }
}

/// All at once; where systemctl refuses one, one by one, each with a mark behind it.
fn show(scope: &str, names: &str, mark: &str) -> String {
    let show = format!("systemctl {scope}--no-pager show -p {PROPERTIES} --");
    format!(
        "if _o=$({show} {names}); then printf '%s\\n' \"$_o\"; else for _u in {names}; do {show} \"$_u\"; echo {mark}; done; fi"
    )
}

/// The properties of each unit, in order.
fn shown(section: &Section, mark: &str) -> Vec<BTreeMap<String, String>> {
    let one_by_one = split_at_lines(&section.stdout, mark);
    if one_by_one.is_empty() {
        let text = String::from_utf8_lossy(&section.stdout);
        return text.split("\n\n").map(properties).collect();
    }
    one_by_one
        .iter()
        .map(|(block, _)| properties(&String::from_utf8_lossy(block)))
        .collect()
}

fn properties(block: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (key, value) = line.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    block.lines().filter_map(pair).collect()
}

/// A pattern would show any number of units; an empty name stops systemctl.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    !name.is_empty() && name.chars().all(allowed)
}

fn reason(section: &Section) -> String {
    let said = String::from_utf8_lossy(&section.stderr);
    said.lines().next().unwrap_or("it says nothing").to_owned()
}
