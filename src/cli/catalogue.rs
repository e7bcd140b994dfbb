//! The modules, as the parser knows them.

use crate::modules;
use crate::playbook::{Catalogue, Signature};

/// All modules of this program.
pub struct Modules;

impl Catalogue for Modules {
    fn find(&self, name: &str) -> Option<Signature> {
        modules::find(name).map(|e| Signature {
            name: e.name,
            free_form: e.free_form,
            options: (e.options)(),
            unrendered: e.unrendered,
            fence: e.fence,
            facts: e.facts,
            once: e.once,
        })
    }

    fn names(&self) -> Vec<&'static str> {
        modules::ALL.iter().map(|e| e.name).collect()
    }
}
