//! Events without what nobody is to see: all that is shown or kept is made from these.

use super::event::{Event, Finished};
use crate::vars::{Secrets, Value};

impl Event {
    /// Whether a result holds a secret that no template has looked at yet: a module has found it.
    pub(super) fn returns_secrets(&self) -> bool {
        match self {
            Self::ItemFinished { what, .. } | Self::TaskFinished { what, .. } => {
                what.result.values().any(Value::has_secret)
            }
            _ => false,
        }
    }

    /// Every field is named, so that a new one is not forgotten. Names of hosts, roles, modules and files, and
    /// numbers of places, are no values.
    pub(super) fn mask(&mut self, secrets: &Secrets) {
        match self {
            Self::RunStarted {
                version: _,
                id: _,
                playbooks: _,
                check: _,
                started: _,
            }
            | Self::Connected {
                host: _,
                milliseconds: _,
            }
            | Self::Answered { answered: _ }
            | Self::RunFinished {
                hosts: _,
                milliseconds: _,
                interrupted: _,
                exit: _,
            } => {}
            Self::PlayStarted {
                play: _,
                name,
                hosts: _,
                tasks: _,
            } => secrets.mask_in(name),
            Self::PlaySkipped { name, reason } => {
                secrets.mask_in(name);
                secrets.mask_in(reason);
            }
            Self::TaskStarted {
                host: _,
                task,
                role: _,
                position: _,
            }
            | Self::Retrying {
                host: _,
                task,
                left: _,
            } => secrets.mask_in(task),
            Self::ItemFinished {
                host: _,
                task,
                item,
                what,
            } => {
                secrets.mask_in(task);
                secrets.mask_in(item);
                what.mask(secrets);
            }
            Self::TaskFinished {
                host: _,
                task,
                role: _,
                action: _,
                position: _,
                place: _,
                delegated_to: _,
                shared: _,
                what,
            } => {
                secrets.mask_in(task);
                what.mask(secrets);
            }
            Self::Notified { host: _, handler } => secrets.mask_in(handler),
            Self::Warning { host: _, text } | Self::Asking { text } => secrets.mask_in(text),
            Self::HostLost {
                host: _,
                unreachable: _,
                reason,
            } => secrets.mask_in(reason),
        }
    }
}

impl Finished {
    fn mask(&mut self, secrets: &Secrets) {
        let Self {
            status: _,
            milliseconds: _,
            changes,
            differences,
            result,
            error,
            ignored: _,
            rescued: _,
            hidden: _,
        } = self;
        for text in changes.iter_mut().chain(error) {
            secrets.mask_in(text);
        }
        for difference in differences {
            let crate::host::Difference {
                subject,
                before,
                after,
            } = difference;
            for text in [subject, before, after] {
                secrets.mask_in(text);
            }
        }
        secrets.mask_map(result);
    }
}
