//! How far the names go that tasks set: which ones the tasks of a play may set at all, and which ones on hosts
//! that do not come by those tasks themselves.

use std::sync::Arc;

use super::values::truth;
use super::world::MaySet;
use crate::playbook::{Action, Item, Play, Sets, Task, each_task};

/// What a play may set on its hosts.
pub(super) fn set_by_play(play: &Play) -> MaySet {
    let mut set = MaySet::default();
    let gathers = play.gather_facts.as_ref().and_then(|w| truth(&w.value));
    set.facts = gathers != Some(false);
    // By a failure that is rescued.
    set.names
        .extend(["ansible_failed_task".into(), "ansible_failed_result".into()]);
    for items in play.lists() {
        each_task(items, &mut |task| {
            add(&mut set, task);
            set.anything |= matches!(task.action, Action::IncludeTasks(_));
        });
    }
    set
}

fn add(set: &mut MaySet, task: &Task) {
    set.names.extend(task.register.iter().cloned());
    match task.sets() {
        Sets::Names(names) => set.names.extend(names),
        Sets::Facts => set.facts = true,
        Sets::Anything => set.anything = true,
        Sets::Nothing => {}
    }
}

/// What tasks may set on the hosts that come by them.
pub(super) fn set_by_tasks(items: &[Item]) -> MaySet {
    let mut set = MaySet::default();
    each_task(items, &mut |task| add(&mut set, task));
    set
}

/// What tasks of a play may set on hosts that do not come by them: by `delegate_facts`, or by `run_once` where
/// not every host of the batch goes.
pub(super) fn set_for_others(play: &Play) -> MaySet {
    let mut set = MaySet::default();
    let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks];
    let roles = play.roles.iter().map(|r| &r.tasks);
    for items in sections.into_iter().chain(roles) {
        look(items, false, &mut set);
    }
    look(&play.handlers, true, &mut set);
    set
}

/// The same of what an include brings, which other hosts may not include.
pub(super) fn included_for_others(items: &[Item], handlers: &[Item]) -> MaySet {
    let mut set = MaySet::default();
    look(items, true, &mut set);
    look(handlers, true, &mut set);
    set
}

/// `apart`: hosts go different ways here.
fn look(items: &[Item], apart: bool, set: &mut MaySet) {
    for item in items {
        match item {
            Item::Task(task) => look_at(task, apart, set),
            Item::Block(block) => {
                let apart = apart || !block.rescue.is_empty();
                for items in [&block.body, &block.rescue, &block.always] {
                    look(items, apart, set);
                }
            }
        }
    }
}

fn look_at(task: &Arc<Task>, apart: bool, set: &mut MaySet) {
    let may_be =
        |written: Option<&crate::playbook::Written>| written.is_some_and(|w| truth(&w.value) != Some(false));
    let once = task.action.runs_once() || may_be(task.level.nearest(|k| k.run_once.as_ref()));
    let delegated = may_be(task.level.nearest(|k| k.delegate_facts.as_ref()));
    if delegated || once && apart {
        add(set, task);
    }
}
