//! `package`: packages by whatever package manager the host has.
//!
//! ```yaml
//! - package:
//!     name: [curl, jq]
//!     state: present
//! - package:
//!     name: chrony
//!     state: latest
//!     use: dnf
//! ```
//!
//! Which manager it is, `use`, the variable `ansible_package_use` or the fact `pkg_mgr` says, else the host is asked.
//! Further options are those of the module that does the work, `apt` or `dnf`, and so are the return values.
//! Package managers other than apt and dnf are refused by name.

use serde::Deserialize;

use super::apt::Apt;
use super::dnf::Dnf;
use super::{Argument, Arguments, Module};
use crate::host::question::Look;
use crate::host::{Halt, Host, Outcome, fail};
use crate::vars::{Map, Value};

#[derive(Deserialize)]
#[serde(transparent)]
pub struct Package {
    options: Map,
}

impl Module for Package {
    const NAME: &'static str = "package";

    async fn run(mut self, host: &Host) -> Result<Outcome, Halt> {
        self.options.retain(|_, value| *value != Value::Null);
        let asked = self.options.shift_remove("use");
        for option in ["name", "state"] {
            if !self.options.contains_key(option) {
                return Err(fail(format!("`package` needs the option `{option}`")));
            }
        }
        let manager = match asked.as_ref().and_then(Value::as_str) {
            Some(name) if name != "auto" => name.to_string(),
            _ => manager(host).await?,
        };
        let manager = manager.strip_prefix("ansible.builtin.").unwrap_or(&manager);
        match manager {
            "apt" => self.read::<Apt>()?.run(host).await,
            "dnf" | "dnf5" | "yum" => self.read::<Dnf>()?.run(host).await,
            "" => Err(fail(
                "Could not detect a package manager. Try using the \"use\" option.",
            )),
            other => Err(fail(format!(
                "`package` knows apt and dnf; `{other}` is not supported"
            ))),
        }
    }
}

impl Package {
    fn read<M: Module>(self) -> Result<M, Halt> {
        let given = self.options.into_iter().map(|(name, value)| Argument {
            name: name.to_string().into(),
            value,
            name_span: None,
            value_span: None,
        });
        let arguments = Arguments {
            given: given.collect(),
            span: None,
        };
        arguments.read(M::NAME).map_err(|error| {
            let help = error.help.map_or(String::new(), |help| format!("; {help}"));
            fail(format!("{}{help}", error.message))
        })
    }
}

async fn manager(host: &Host) -> Result<String, Halt> {
    let known = "ansible_package_use | default(ansible_facts.pkg_mgr | default(''), true)";
    if let Value::String(name) = host.expression(known.into()).await?
        && !name.is_empty()
    {
        return Ok(name.to_string());
    }
    let look = Look::new(
        "package manager",
        "for p in apt-get dnf5 dnf yum zypper pacman apk; do command -v \"$p\" && exit; done; :",
    );
    let path = host.ask(look).await?.stdout_text();
    let program = path.trim().rsplit('/').next().unwrap_or_default();
    Ok(match program {
        "apt-get" => "apt".to_string(),
        other => other.to_string(),
    })
}
