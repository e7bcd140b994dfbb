//! The machine that a task works on, and how it is reached: `delegate_to`, `connection`, `remote_user`.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use crate::playbook::Task;
use crate::run::batch::Batch;
use crate::run::machines::MachineKey;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::template::Scope;
use crate::vars::{Map, Value};

impl Batch<'_> {
    pub(super) fn machine(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        host: &Arc<str>,
        there: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<MachineKey> {
        let connection = self.variable(p, there, "ansible_connection", turn)?;
        let local = is_local(connection.as_ref().map(plain_text).as_deref())
            .map_err(|d| Stop::Failed(Box::new(d.within(&task.span))))?;
        let mut variables = Map::new();
        for name in if local { LOCAL } else { REMOTE } {
            match self.variable(p, there, name, turn)? {
                None | Some(Value::Null) => {}
                Some(value) => {
                    variables.insert((*name).into(), value);
                }
            }
        }
        self.exec
            .machines
            .reach(host, local, variables)
            .map_err(|d| Stop::Failed(Box::new(d.within(&task.span))))
    }
}

fn is_local(connection: Option<&str>) -> Result<bool, Diagnostic> {
    match connection.map(|c| c.strip_prefix("ansible.builtin.").unwrap_or(c)) {
        Some("local") => Ok(true),
        None | Some("" | "ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.netcommon.libssh") => {
            Ok(false)
        }
        Some(other) => Err(
            Diagnostic::error(format!("the connection `{other}` is not supported")).help("ssh and local are"),
        ),
    }
}

/// The variables that say how to start programs here.
const LOCAL: &[&str] = &["ansible_shell_executable", "ansible_executable"];

/// The variables that say how to reach a host.
const REMOTE: &[&str] = &[
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_private_key_passphrase",
    "ansible_private_key_passphrase",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_args",
    "ansible_host_key_checking",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_retries",
    "ansible_ssh_timeout",
    "ansible_timeout",
    "ansible_shell_executable",
    "ansible_executable",
];
