//! An object of the task, and what is to be done about it.

use std::collections::BTreeMap;

use crate::host::Change;
use crate::modules::kubernetes::{Id, Json, Manifest, applied, difference};

/// What is to be done about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is as it should be.
    Leave,
    /// It has been applied just so.
    Applied,
    /// The labels say that it is not meant.
    Filtered,
    /// It is to be patched, and is not there.
    Missing,
    Create,
    Patch(&'static str),
    Replace,
    Apply,
}

impl Plan {
    pub(super) fn method(self) -> Option<&'static str> {
        match self {
            Self::Filtered | Self::Missing => None,
            Self::Create => Some("create"),
            Self::Replace => Some("replace"),
            Self::Apply | Self::Applied => Some("apply"),
            Self::Leave | Self::Patch(_) => Some("update"),
        }
    }
}

/// An object of the task under way.
pub(super) struct Item {
    pub manifest: Manifest,
    pub live: Option<Json>,
    /// How it is to be done, whether or not it needs to be.
    pub plan: Plan,
    /// It is not as it should be.
    pub differs: bool,
    /// What the server would make of it, or has made of it.
    pub after: Option<Json>,
    pub warnings: Vec<String>,
    /// Why it could not be done, under `continue_on_error`.
    pub error: Option<String>,
}

impl Item {
    /// Whether this state is another one than before. What controllers say of an object in its status is none of
    /// the task's affair, unless it describes that.
    pub(super) fn differs_from(&self, state: &Json) -> bool {
        let with_status = self.manifest.body.get("status").is_some();
        let same = |live| difference::is_same(live, state, with_status);
        !self.live.as_ref().is_some_and(same)
    }

    pub(super) fn warn(&mut self, field: Option<&str>, what: &str) {
        let text = format!("{}: {what}", self.manifest.named(field));
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Whether other fields would be the manager's than now: the values are the same, but it holds on to them.
    pub(super) fn belongs_otherwise(&self, state: &Json, manager: &str) -> bool {
        let now = self.live.as_ref().map(|live| applied::fields(live, manager));
        now != Some(applied::fields(state, manager))
    }
}

/// Takes the object of this name out of those that were found.
pub(super) fn taken(found: &mut Vec<Json>, id: &Id) -> Option<Json> {
    if id.name.is_empty() {
        return None;
    }
    let at = found.iter().position(|object| id.is_that_of(object))?;
    Some(found.remove(at))
}

/// Whether the kind is one that these manifests define.
pub(super) fn is_defined_in(manifests: &[Manifest], id: &Id) -> bool {
    manifests.iter().any(|manifest| defines(&manifest.body, id))
}

pub(super) fn is_defined_among(items: &[Item], id: &Id) -> bool {
    items.iter().any(|item| defines(&item.manifest.body, id))
}

fn defines(body: &Json, id: &Id) -> bool {
    body["kind"] == "CustomResourceDefinition"
        && body["spec"]["group"] == id.group()
        && body["spec"]["names"]["kind"] == id.kind.as_str()
}

/// The name under which the server has it.
pub(super) fn id_of(item: &Item) -> Id {
    item.after
        .as_ref()
        .or(item.live.as_ref())
        .map_or_else(|| item.manifest.id(), Id::of)
}

/// What is about to happen, for people.
pub(super) fn change(items: &[Item], which: &[usize]) -> Change {
    let verb = |item: &Item| match item.plan {
        Plan::Create => "create",
        Plan::Replace => "replace",
        Plan::Apply => "apply",
        _ => "patch",
    };
    let what = match which {
        [one] => format!("{} {}", verb(&items[*one]), items[*one].manifest.id()),
        many => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for index in many {
                *counts.entry(verb(&items[*index])).or_default() += 1;
            }
            let parts: Vec<String> = counts
                .iter()
                .map(|(verb, count)| format!("{verb} {count} objects"))
                .collect();
            parts.join(", ")
        }
    };
    let mut change = Change::new(what);
    for index in which {
        let item = &items[*index];
        let after = item.after.as_ref().unwrap_or(&item.manifest.body);
        let (before, after) = difference::texts(item.live.as_ref(), Some(after));
        change = change.difference(item.manifest.id().to_string(), before, after);
    }
    change
}
