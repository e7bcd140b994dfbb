//! The variables of the connection that nobody set: a task sees what is in force all the same.

use std::sync::PoisonError;

use super::TaskScope;
use crate::playbook::{Keywords, Written};
use crate::template::Found;
use crate::vars::Value;

/// Two names for one thing; whichever is set gives the other its value.
const TWINS: &[[&str; 2]] = &[
    ["ansible_user", "ansible_ssh_user"],
    ["ansible_host", "ansible_ssh_host"],
    ["ansible_port", "ansible_ssh_port"],
    ["ansible_private_key_file", "ansible_ssh_private_key_file"],
];

impl TaskScope {
    /// Through `hostvars`, where no task is, only what was set can be seen.
    pub(super) fn unset(&self, name: &str) -> Found {
        if self.level.is_none() {
            return Found::Undefined;
        }
        if let Some(twin) = twin(name) {
            match self.set(twin) {
                Found::Undefined => {}
                found => return found,
            }
        }
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let options = &world.options;
        match name {
            "ansible_user" | "ansible_ssh_user" => {
                self.keyword(|k| k.remote_user.as_ref(), options.remote_user.as_deref())
            }
            "ansible_connection" => self.keyword(|k| k.connection.as_ref(), Some(&options.connection)),
            "ansible_port" | "ansible_ssh_port" => self.keyword(|k| k.port.as_ref(), None),
            "ansible_host" | "ansible_ssh_host" => Found::Value(Value::String(self.host.clone())),
            _ => Found::Undefined,
        }
    }

    fn keyword(&self, pick: impl Fn(&Keywords) -> Option<&Written>, option: Option<&str>) -> Found {
        let written = self.levels().find_map(|level| pick(&level.keywords));
        match (written, option) {
            (Some(written), _) => Found::Value(written.value.clone()),
            (None, Some(option)) => Found::Value(option.into()),
            (None, None) => Found::Undefined,
        }
    }
}

fn twin(name: &str) -> Option<&'static str> {
    TWINS.iter().find_map(|[one, other]| match name {
        _ if name == *one => Some(*other),
        _ if name == *other => Some(*one),
        _ => None,
    })
}
