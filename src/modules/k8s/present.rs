//! `state: present` and `patched`: look, ask the server what would differ, and make that so.

use std::collections::BTreeMap;

use super::item::{Item, Plan, change, id_of, is_defined_in, taken};
use super::step::Step;
use super::{MergeType, State, Work};
use crate::host::{Halt, Outcome, fail};
use crate::modules::kubernetes::{Call, Id, Json, Manifest, Said, contained, selector, words};

impl Work<'_> {
    pub(super) async fn present(mut self, manifests: Vec<Manifest>) -> Result<Outcome, Halt> {
        let live = self.look(&manifests).await?;
        let mut items: Vec<Item> = manifests
            .into_iter()
            .zip(live)
            .map(|(manifest, live)| self.planned(manifest, live))
            .collect();
        self.foresee(&mut items).await?;
        if items.iter().any(|item| item.differs) {
            self.make(&mut items).await?;
        }
        let (mut duration, mut late) = (None, None);
        if self.of.wait && !self.host.check() {
            (duration, late) = self.wait(&mut items).await?;
        }
        self.outcome(items, duration, late)
    }

    /// The objects as they are, in the order of the manifests.
    pub(super) async fn look(&self, manifests: &[Manifest]) -> Result<Vec<Option<Json>>, Halt> {
        let ids: Vec<Id> = manifests.iter().map(Manifest::id).collect();
        // Kinds that the same task brings may not be there yet.
        let (later, now): (Vec<&Id>, Vec<&Id>) = ids
            .iter()
            .filter(|id| !id.name.is_empty())
            .partition(|id| is_defined_in(manifests, id));
        let mut found = Vec::new();
        for (part, comes) in [(now, false), (later, true)] {
            if part.is_empty() {
                continue;
            }
            let said = if self.of.is_server_side() {
                self.client.get_managed(self.host, &part).await?
            } else {
                self.client.get(self.host, &part).await?
            };
            if !(said.ok() || comes && words::is_unknown_kind(&said)) {
                let asked: Vec<&Manifest> = manifests
                    .iter()
                    .filter(|manifest| part.contains(&&manifest.id()))
                    .collect();
                return Err(words::failure("look at the objects", &said, &asked, &[]));
            }
            found.append(&mut said.objects());
        }
        Ok(ids.iter().map(|id| taken(&mut found, id)).collect())
    }

    fn planned(&self, manifest: Manifest, live: Option<Json>) -> Item {
        let of = self.of;
        let id = manifest.id();
        let strategic = match of.merge_type.as_deref().and_then(<[MergeType]>::first) {
            Some(first) => *first == MergeType::StrategicMerge,
            None => id.is_built_in(),
        };
        let plan = match &live {
            _ if !of.selectors().is_empty() && !selector::agree(of.selectors(), &manifest.body) => {
                Plan::Filtered
            }
            Some(live) if of.apply && of.is_applied(live, &manifest.body) => Plan::Applied,
            _ if of.apply => Plan::Apply,
            None if of.state == State::Patched => Plan::Missing,
            None => Plan::Create,
            Some(_) if of.creates_only => Plan::Leave,
            Some(_) if of.force => Plan::Replace,
            Some(live) if contained::holds(live, &manifest.body, strategic) => Plan::Leave,
            Some(_) if strategic => Plan::Patch("strategic"),
            Some(_) => Plan::Patch("merge"),
        };
        let differs = !matches!(plan, Plan::Leave | Plan::Applied | Plan::Filtered | Plan::Missing);
        let is_left = matches!(plan, Plan::Leave | Plan::Applied);
        let after = live.clone().filter(|_| is_left);
        Item {
            manifest,
            live,
            plan,
            differs,
            after,
            warnings: Vec::new(),
            error: None,
        }
    }

    /// Asks the server what it would make of what differs. What is missing is certain to be made: that is asked in
    /// a dry run only, which has nothing else to find out that the server would refuse it.
    async fn foresee(&mut self, items: &mut [Item]) -> Result<(), Halt> {
        let certain = |item: &Item| item.plan == Plan::Create && !self.host.check();
        let asked: Vec<usize> = (0..items.len())
            .filter(|i| items[*i].differs && !certain(&items[*i]))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let steps = self.steps(items, &asked, true);
        let mut calls = vec![self.look_step(items, &asked).call];
        calls.extend(steps.iter().map(|step| step.call.clone()));
        let said = self
            .client
            .ask_now(self.host, "kubectl --dry-run=server", &calls)
            .await?;
        let Some((now, said)) = said.split_first() else {
            return Err(fail("kubectl was not called"));
        };
        // What was seen ahead may be seconds old, and what controllers have done since is no difference.
        let mut now = now.objects();
        for index in asked {
            let item = &mut items[index];
            item.live = taken(&mut now, &item.manifest.id());
        }
        let own = |said: &Said| words::is_conflict_with(self.of.manager(), said);
        if !self.forced && said.iter().any(own) {
            self.forced = true;
            return Box::pin(self.foresee(items)).await;
        }
        for (step, said) in steps.iter().zip(said) {
            let answered = step.answered(items, said);
            step.note_warnings(items, said, &answered);
            if !said.ok() && !self.may_come_to_be(items, step, said) {
                let error = step.failure("foresee what would change", items, said, &answered);
                self.forgive(items, step, &answered, error)?;
            }
            for (index, object) in answered {
                let item = &mut items[index];
                item.differs = item.differs_from(&object)
                    || self.of.is_server_side() && item.belongs_otherwise(&object, self.of.manager());
                item.after = Some(object);
            }
        }
        Ok(())
    }

    /// An object in a namespace that the task brings itself; in a dry run also one in a namespace, or of a kind, that
    /// an earlier task or object would have made.
    fn may_come_to_be(&self, items: &[Item], step: &Step, said: &Said) -> bool {
        let missing = |item: &Item| item.live.is_none();
        let complaints = words::complaints(&said.stderr);
        let brought = |lacked: &String| items.iter().any(|item| is_namespace(&item.manifest.id(), lacked));
        if complaints
            .iter()
            .all(|c| c.lacks_namespace.as_ref().is_some_and(brought))
        {
            return true;
        }
        self.host.check()
            && step.items.iter().all(|index| missing(&items[*index]))
            && complaints.iter().all(words::Complaint::is_of_what_is_missing)
    }

    /// Under `continue_on_error` the failure stays with the items that it is about.
    fn forgive(
        &self,
        items: &mut [Item],
        step: &Step,
        answered: &BTreeMap<usize, Json>,
        error: Halt,
    ) -> Result<(), Halt> {
        let Halt::Failed(failure) = &error else {
            return Err(error);
        };
        if !self.of.continue_on_error {
            return Err(error);
        }
        for index in step.items.iter().filter(|index| !answered.contains_key(index)) {
            items[*index].error = Some(failure.msg.clone());
            items[*index].differs = false;
        }
        Ok(())
    }

    async fn make(&self, items: &mut [Item]) -> Result<(), Halt> {
        let which: Vec<usize> = (0..items.len()).filter(|i| items[*i].differs).collect();
        let steps = self.steps(items, &which, false);
        let calls: Vec<Call> = steps.iter().map(|step| step.call.clone()).collect();
        let said = self
            .client
            .change(self.host, change(items, &which), &calls)
            .await?;
        let mut made = 0;
        for (step, said) in steps.iter().zip(&said) {
            let mut answered = step.answered(items, said);
            step.note_warnings(items, said, &answered);
            if !said.ok() {
                // Of a server that is away nobody need ask more.
                let seen = if words::is_away(said) {
                    None
                } else {
                    self.made(items, step).await
                };
                let now = seen.as_ref().map_or(Step::count(said), BTreeMap::len);
                answered.extend(seen.unwrap_or_default());
                let error = step.failure("change the objects", items, said, &answered);
                let error = so_far(error, made + now, which.len());
                self.forgive(items, step, &answered, error)?;
            }
            made += answered.len();
            for (index, object) in answered {
                items[index].after = Some(object);
            }
        }
        Ok(())
    }

    /// The items of a step that are otherwise than before; `None`: the server does not say.
    async fn made(&self, items: &[Item], step: &Step) -> Option<BTreeMap<usize, Json>> {
        let ids: Vec<Id> = step.items.iter().map(|i| items[*i].manifest.id()).collect();
        let call = self.look_step(items, &step.items).call;
        let said = self
            .client
            .ask_now(self.host, "kubectl get", &[call])
            .await
            .ok()?;
        let said = said.first().filter(|said| said.ok())?;
        let mut found = said.objects();
        let mut made = BTreeMap::new();
        for (index, id) in step.items.iter().zip(&ids) {
            let Some(object) = taken(&mut found, id) else {
                continue;
            };
            if items[*index].differs_from(&object) {
                made.insert(*index, object);
            }
        }
        Some(made)
    }

    /// Waits for all that are there; how long it took, and the first that was not ready in the end.
    async fn wait(&self, items: &mut [Item]) -> Result<(Option<u64>, Option<usize>), Halt> {
        let which: Vec<usize> = (0..items.len())
            .filter(|i| items[*i].plan.method().is_some() && items[*i].error.is_none())
            .collect();
        let ids: Vec<Id> = which.iter().map(|i| id_of(&items[*i])).collect();
        let waited = self.of.patience().present(self.host, &self.client, &ids).await?;
        let mut late = None;
        for ((index, object), ready) in which.iter().zip(waited.objects).zip(&waited.ready) {
            if object.is_some() {
                items[*index].after = object;
            }
            if !ready {
                late = late.or(Some(*index));
            }
        }
        Ok((Some(waited.duration), late))
    }
}

fn is_namespace(id: &Id, name: &str) -> bool {
    id.kind == "Namespace" && id.name == name
}

/// Says how far it had come.
fn so_far(error: Halt, made: usize, of: usize) -> Halt {
    match error {
        Halt::Failed(mut failure) if of > 1 => {
            let note =
                format!("note: {made} of {of} objects have been changed; the next run does the others");
            failure.msg = format!("{}\n{note}", failure.msg);
            Halt::Failed(failure)
        }
        other => other,
    }
}
