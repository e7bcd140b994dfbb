//! The calls of kubectl that make objects what they are to be, or say what they would be.

use std::collections::BTreeMap;

use super::Work;
use super::item::{Item, Plan, is_defined_among, taken};
use crate::host::Halt;
use crate::modules::kubernetes::client::{FIELD_MANAGER, LOOK};
use crate::modules::kubernetes::{Call, Json, Manifest, Said, contained, words};

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

    /// How many objects the call says it has changed.
    pub(super) fn count(said: &Said) -> usize {
        let is_name = |line: &&str| line.contains('/') && !line.contains(['{', '"', ' ']);
        match said.objects().len() {
            0 => said.stdout.lines().filter(is_name).count(),
            count => count,
        }
    }

    /// Keeps what is doubtful with the items that it is about: what the server warns of, and what it has dropped.
    pub(super) fn note_warnings(&self, items: &mut [Item], said: &Said, answered: &BTreeMap<usize, Json>) {
        for warning in words::warnings(&said.stderr) {
            let field = words::field_of_warning(&warning);
            for (n, index) in self.items.iter().enumerate() {
                let item = &mut items[*index];
                // One that names no field is the first one's.
                if field.map_or(n == 0, |field| item.manifest.has(field)) {
                    item.warn(field, &warning);
                }
            }
        }
        for (index, object) in answered {
            let item = &mut items[*index];
            if matches!(item.plan, Plan::Patch(_)) {
                continue;
            }
            for field in contained::dropped(&item.manifest.body, object) {
                item.warn(Some(&field), &format!("unknown field \"{field}\""));
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
            if part.is_empty() {
                continue;
            }
            let look = self.look_step(items, &part);
            steps.push(self.many(items, part, &[verb], dry));
            if plan == Plan::Apply && !dry {
                steps.push(look);
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
        // Of what it applies kubectl prints objects only when it could apply all, but names one by one.
        let form = if verb == ["apply"] && !dry { "name" } else { "json" };
        let mut call = Call::new(verb.iter().copied()).words(["-f", "-", "-o", form].map(String::from));
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
