//! The calls of kubectl that make objects what they are to be, or say what they would be.

use std::collections::BTreeMap;

use super::Work;
use super::item::{Item, Plan, is_defined_among, taken};
use crate::host::Halt;
use crate::modules::kubernetes::client::{FIELD_MANAGER, LOOK};
use crate::modules::kubernetes::{Call, Json, Manifest, Said, words};

/// A call, and the items that it is about.
pub(super) struct Step {
    pub call: Call,
    pub items: Vec<usize>,
}

impl Step {
    pub(super) fn nothing() -> Self {
        Self {
            call: Call::new(["version", "--client"]),
            items: Vec::new(),
        }
    }

    /// Waits until the server serves the kinds that were just defined.
    pub(super) fn established(items: &[Item]) -> Self {
        let definitions: Vec<Json> = items
            .iter()
            .filter(|item| item.manifest.id().kind == "CustomResourceDefinition")
            .map(|item| item.manifest.id().stub())
            .collect();
        let call = Call::new(["wait", "--for=condition=Established", "--timeout=60s", "-f", "-"]);
        Self {
            call: call.objects(&definitions),
            items: Vec::new(),
        }
    }

    /// The objects that the call printed, with the items that they are. One whose name the server makes is known
    /// by its place.
    pub(super) fn answered(&self, items: &[Item], said: &Said) -> BTreeMap<usize, Json> {
        let mut objects = said.objects();
        let mut found = BTreeMap::new();
        let (nameless, named): (Vec<usize>, Vec<usize>) = self
            .items
            .iter()
            .partition(|i| items[**i].manifest.id().name.is_empty());
        for index in named {
            if let Some(object) = taken(&mut objects, &items[index].manifest.id()) {
                found.insert(index, object);
            }
        }
        found.extend(nameless.into_iter().zip(objects));
        found
    }

    /// Keeps what the server warns of with the items that it is about.
    pub(super) fn note_warnings(&self, items: &mut [Item], said: &Said) {
        for warning in words::warnings(&said.stderr) {
            let field = words::field_of_warning(&warning);
            let about: Vec<usize> = match field {
                Some(field) => self
                    .items
                    .iter()
                    .copied()
                    .filter(|i| items[*i].manifest.has(field))
                    .collect(),
                None => self.items.first().copied().into_iter().collect(),
            };
            for index in about {
                let item = &mut items[index];
                let text = format!("{}: {warning}", item.manifest.named(field));
                if !item.warnings.contains(&text) {
                    item.warnings.push(text);
                }
            }
        }
    }

    pub(super) fn failure(
        &self,
        doing: &str,
        items: &[Item],
        said: &Said,
        answered: &BTreeMap<usize, Json>,
    ) -> Halt {
        let manifests: Vec<&Manifest> = self.items.iter().map(|i| &items[*i].manifest).collect();
        let done: Vec<bool> = self.items.iter().map(|i| answered.contains_key(i)).collect();
        words::failure(doing, said, &manifests, &done)
    }
}

impl Work<'_> {
    /// The calls that make it so, each with the items that it is about.
    pub(super) fn steps(&self, items: &[Item], which: &[usize], dry: bool) -> Vec<Step> {
        let of_plan = |wanted: fn(Plan) -> bool| -> Vec<usize> {
            which.iter().copied().filter(|i| wanted(items[*i].plan)).collect()
        };
        let mut steps = Vec::new();
        let created = of_plan(|plan| plan == Plan::Create);
        let (first, second): (Vec<usize>, Vec<usize>) = created
            .into_iter()
            .partition(|i| !is_defined_among(items, &items[*i].manifest.id()));
        let has_definitions = !second.is_empty() && !dry;
        for part in [first, second] {
            if !part.is_empty() {
                steps.push(self.many(items, part, &["create"], dry));
            }
            if has_definitions && steps.len() == 1 {
                steps.push(Step::established(items));
            }
        }
        for (plan, verb) in [(Plan::Replace, "replace"), (Plan::Apply, "apply")] {
            let part: Vec<usize> = which.iter().copied().filter(|i| items[*i].plan == plan).collect();
            if !part.is_empty() {
                steps.push(self.many(items, part, &[verb], dry));
            }
        }
        for index in of_plan(|plan| matches!(plan, Plan::Patch(_))) {
            steps.push(Self::patch(items, index, dry));
        }
        if !self.of.continue_on_error && !dry {
            for step in &mut steps {
                step.call.if_well = true;
            }
        }
        steps
    }

    /// A look at the items, as far as they have names.
    pub(super) fn look_step(&self, items: &[Item], which: &[usize]) -> Step {
        let ids = which.iter().map(|i| items[*i].manifest.id());
        let stubs: Vec<Json> = ids.filter(|id| !id.name.is_empty()).map(|id| id.stub()).collect();
        let mut call = Call::new(LOOK);
        if self.of.is_server_side() {
            call = call.word("--show-managed-fields");
        }
        Step {
            call: call.objects(&stubs),
            items: which.to_vec(),
        }
    }

    fn many(&self, items: &[Item], which: Vec<usize>, verb: &[&str], dry: bool) -> Step {
        let mut call = Call::new(verb.iter().copied()).words(["-f", "-", "-o", "json"].map(String::from));
        call = call.word(self.of.validation());
        match &self.of.server_side_apply {
            Some(server_side) if self.of.apply => {
                call = call.word("--show-managed-fields");
                call = call
                    .word("--server-side")
                    .word(format!("--field-manager={}", self.of.manager()));
                if server_side.force_conflicts || self.forced {
                    call = call.word("--force-conflicts");
                }
            }
            _ => call = call.word(format!("--field-manager={FIELD_MANAGER}")),
        }
        if dry {
            call = call.word("--dry-run=server");
        }
        let call = call.objects(which.iter().map(|i| &items[*i].manifest.body));
        Step { call, items: which }
    }

    fn patch(items: &[Item], index: usize, dry: bool) -> Step {
        let item = &items[index];
        let id = item.manifest.id();
        let Plan::Patch(kind) = item.plan else {
            return Step::nothing();
        };
        let mut call = Call::new(["patch", &id.resource(), &id.name])
            .namespace(id.namespace.as_deref())
            .words(["-o", "json", "--type", kind, "--patch-file", "/dev/stdin"].map(String::from))
            .word(format!("--field-manager={FIELD_MANAGER}"));
        if dry {
            call = call.word("--dry-run=server");
        }
        Step {
            call: call.input(item.manifest.body.to_string()),
            items: vec![index],
        }
    }
}
