//! Who a task is on its machine: `become` and its kin.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use crate::host::{Become, BecomeMethod, Identity, Secret};
use crate::playbook::Task;
use crate::run::batch::Batch;
use crate::run::machines::MachineKey;
use crate::run::values::{plain_text, truth};
use crate::source::Diagnostic;
use crate::template::Scope;

impl Batch<'_> {
    pub(super) fn identity(
        &mut self,
        p: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        there: &Arc<dyn Scope>,
        machine: &MachineKey,
        turn: bool,
    ) -> Evaluated<Identity> {
        let level = &task.level;
        let settings = self.exec.settings.clone();
        let wanted = match self.variable(p, there, "ansible_become", turn)? {
            Some(value) => truth(&value),
            None => self.flag(p, level.nearest(|k| k.r#become.as_ref()), scope, turn)?,
        };
        if !wanted.unwrap_or(settings.r#become) {
            return Ok(Identity::Login);
        }
        let setting = |names: &[&str]| -> Evaluated<Option<String>> {
            for name in names {
                if let Some(value) = self.variable(p, there, name, turn)? {
                    return Ok(Some(plain_text(&value)));
                }
            }
            Ok(None)
        };
        let user = match setting(&["ansible_become_user"])? {
            Some(user) => user,
            None => self
                .text(p, level.nearest(|k| k.become_user.as_ref()), scope, turn)?
                .unwrap_or_else(|| settings.become_user.clone()),
        };
        let method = match setting(&["ansible_become_method"])? {
            Some(method) => method,
            None => self
                .text(p, level.nearest(|k| k.become_method.as_ref()), scope, turn)?
                .unwrap_or_else(|| settings.become_method.clone()),
        };
        let method = match method.strip_prefix("ansible.builtin.").unwrap_or(&method) {
            "sudo" => BecomeMethod::Sudo,
            "su" => BecomeMethod::Su,
            other => {
                return Err(Stop::Failed(Box::new(
                    Diagnostic::error(format!("the become method `{other}` is not supported"))
                        .within(&task.span)
                        .help("sudo and su are"),
                )));
            }
        };
        let flags = match setting(&["ansible_become_flags"])? {
            Some(flags) => Some(flags),
            None => self
                .text(p, level.nearest(|k| k.become_flags.as_ref()), scope, turn)?
                .or_else(|| settings.become_flags.clone()),
        };
        let exe = match setting(&["ansible_become_exe"])? {
            Some(exe) => Some(exe),
            None => self
                .text(p, level.nearest(|k| k.become_exe.as_ref()), scope, turn)?
                .or_else(|| settings.become_exe.clone()),
        };
        let password = setting(&[
            "ansible_become_password",
            "ansible_become_pass",
            "ansible_sudo_pass",
        ])?;
        if self.is_login_user(p, machine, there, &user, turn)? {
            return Ok(Identity::Login);
        }
        Ok(Identity::Become(Become {
            user: user.into(),
            method,
            exe: exe.map(|e| split(&e)),
            flags: flags.map(|f| split(&f)),
            password: password
                .map(Secret::new)
                .or_else(|| settings.become_password.clone()),
        }))
    }

    /// Whether to become that user is to stay who one is.
    fn is_login_user(
        &self,
        p: usize,
        machine: &MachineKey,
        there: &Arc<dyn Scope>,
        user: &str,
        turn: bool,
    ) -> Evaluated<bool> {
        if machine.local {
            return Ok(self.exec.settings.own_user == user);
        }
        let login = self.variable(p, there, "ansible_ssh_user", turn)?;
        Ok(login.is_some_and(|value| plain_text(&value) == user))
    }
}

fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToString::to_string).collect()
}
