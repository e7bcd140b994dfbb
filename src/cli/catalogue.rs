//! The modules, as the parser knows them.

use crate::modules::{self, Argument, Arguments, Unrendered};
use crate::playbook::{Catalogue, Signature, WrittenArgument};
use crate::source::{Diagnostic, Span};

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
            ignores: e.ignores,
            once: e.once,
        })
    }

    fn names(&self) -> Vec<&'static str> {
        modules::ALL.iter().map(|e| e.name).collect()
    }

    fn check(&self, module: &str, arguments: &[WrittenArgument], more: bool, span: &Span) -> Vec<Diagnostic> {
        let Some(entry) = modules::find(module) else {
            return Vec::new();
        };
        let given = arguments.iter().map(|a| Argument {
            name: a.name.clone(),
            value: a.value.clone(),
            name_span: Some(a.name_span.clone()),
            value_span: Some(a.value_span.clone()),
        });
        let arguments = Arguments {
            given: given.collect(),
            span: Some(span.clone()),
        };
        let written = Unrendered {
            arguments: &arguments,
            more,
        };
        (entry.check)(&written)
    }
}
