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

    /// Refuses what no package manager takes.
    fn check(&self) -> Result<(), Halt> {
        match self.asked() {
            Some(name) => match Manager::of(name)? {
                Manager::Apt => self.read::<Apt>().map(|_| ()),
                Manager::Dnf => self.read::<Dnf>().map(|_| ()),
            },
            None if self.read::<Dnf>().is_ok() => Ok(()),
            None => self.read::<Apt>().map(|_| ()),
        }
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let manager = match self.asked() {
            Some(name) => Manager::of(name)?,
            None => Manager::of(&manager(host).await?)?,
        };
        match manager {
            Manager::Apt => self.read::<Apt>()?.run(host).await,
            Manager::Dnf => self.read::<Dnf>()?.run(host).await,
        }
    }
}

enum Manager {
    Apt,
    Dnf,
}

impl Manager {
    fn of(name: &str) -> Result<Self, Halt> {
        match name.strip_prefix("ansible.builtin.").unwrap_or(name) {
            "apt" => Ok(Self::Apt),
            "dnf" | "dnf5" | "yum" => Ok(Self::Dnf),
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
    fn asked(&self) -> Option<&str> {
        let name = self.options.get("use").and_then(Value::as_str)?;
        Some(name).filter(|name| *name != "auto")
    }

    fn read<M: Module>(&self) -> Result<M, Halt> {
        let options = self.options.iter();
        let options = options.filter(|(name, value)| name.as_str() != Some("use") && **value != Value::Null);
        let given = options.map(|(name, value)| Argument {
            name: name.to_string().into(),
            value: value.clone(),
            name_span: None,
            value_span: None,
        });
        let arguments = Arguments {
            given: given.collect(),
            span: None,
        };
        let module: M = arguments.read(M::NAME, M::RULES).map_err(|error| {
            let help = error.help.map_or(String::new(), |help| format!("; {help}"));
            fail(format!("{}{help}", error.message))
        })?;
        module.check()?;
        Ok(module)
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
