//! The machine that a task works on, and how it is reached: `delegate_to`, `connection`, `remote_user`.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use crate::playbook::Task;
use crate::run::batch::Batch;
use crate::run::machines::MachineKey;
use crate::run::values::plain_text;
use crate::source::Diagnostic;
use crate::template::Scope;
use crate::vars::Map;

impl Batch<'_> {
    pub(super) fn machine(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        host: &Arc<str>,
        there: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<MachineKey> {
        let keyword = self.text(p, task.level.nearest(|k| k.connection.as_ref()), there, turn)?;
        let connection = match self.variable(p, there, "ansible_connection", turn)? {
            Some(value) => Some(plain_text(&value)),
            None => keyword,
        };
        let local = match connection
            .as_deref()
            .map(|c| c.strip_prefix("ansible.builtin.").unwrap_or(c))
        {
            Some("local") => true,
            None | Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.netcommon.libssh") => false,
            Some(other) => {
                return Err(Stop::Failed(Box::new(
                    Diagnostic::error(format!("the connection `{other}` is not supported"))
                        .within(&task.span)
                        .help("ssh and local are"),
                )));
            }
        };
        let user = self.text(p, task.level.nearest(|k| k.remote_user.as_ref()), there, turn)?;
        let key = MachineKey {
            host: host.clone(),
            user: user.map(Into::into),
            local,
        };
        if self.exec.machines.known(&key).is_none() {
            let mut variables = Map::new();
            for name in CONNECTION_VARIABLES {
                if let Some(value) = self.variable(p, there, name, turn)? {
                    variables.insert((*name).into(), value);
                }
            }
            self.exec
                .machines
                .make(&key, &variables)
                .map_err(|d| Stop::Failed(Box::new(d.within(&task.span))))?;
        }
        Ok(key)
    }
}

/// The variables that say how to reach a host.
const CONNECTION_VARIABLES: &[&str] = &[
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
    "ansible_ssh_timeout",
    "ansible_timeout",
    "ansible_shell_executable",
    "ansible_executable",
];
