//! What is certainly wrong in a playbook before anything runs, and what only may be.
//!
//! A task that surely runs and whose failure nothing forgives is refused with the playbook. Where a condition,
//! a loop, a `rescue` or `ignore_errors` stands between, the same is a warning: Ansible would run it.

mod options;
mod play;
mod task;
mod templates;

pub use play::strategy_name;

use super::{Action, Block, Catalogue, Item, Meta, Play, Playbook, Task, each_task, needs};
use crate::source::{Diagnostic, Severity};
use crate::template::Engine;
use crate::vars::Value;

/// What is known of a run before it begins.
pub struct Circumstances<'a> {
    pub catalogue: &'a dyn Catalogue,
    pub engine: &'a Engine,
    /// Whether a play has hosts for certain: those of others may be added on the way, or never.
    pub has_hosts: &'a dyn Fn(&Play) -> bool,
    /// Whether the tags let a task run.
    pub is_selected: &'a dyn Fn(&Task) -> bool,
}

impl Playbook {
    /// The first thing that is certainly wrong; else everything that is merely suspicious.
    pub fn check(&self, circumstances: &Circumstances) -> Result<Vec<Diagnostic>, Diagnostic> {
        let mut warnings = Vec::new();
        for play in &self.plays {
            play::keywords(play)?;
            needs::check(play)?;
            let mut walk = Walk {
                circumstances,
                sure: (circumstances.has_hosts)(play)
                    && play.level.conditions().is_empty()
                    && !may_end(&play.handlers),
                tags_count: true,
                warnings: &mut warnings,
            };
            for list in play.lists() {
                walk.items(list, false)?;
            }
            // A handler may never be notified; tags do not leave it out.
            walk.sure = false;
            walk.tags_count = false;
            walk.items(&play.handlers, false)?;
            play::once_for_each(play, &mut warnings);
        }
        Ok(warnings)
    }
}

struct Walk<'a> {
    circumstances: &'a Circumstances<'a>,
    /// Whether the play comes to this point for certain, unless it fails before.
    sure: bool,
    /// Whether tags leave tasks out.
    tags_count: bool,
    warnings: &'a mut Vec<Diagnostic>,
}

impl Walk<'_> {
    fn items(&mut self, list: &[Item], forgiven: bool) -> Result<(), Diagnostic> {
        for item in list {
            match item {
                Item::Task(task) => self.task(task, forgiven)?,
                Item::Block(block) => self.block(block, forgiven)?,
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, forgiven: bool) -> Result<(), Diagnostic> {
        self.items(&block.body, forgiven || !block.rescue.is_empty())?;
        // It is only reached after a failure.
        self.items(&block.rescue, true)?;
        self.items(&block.always, forgiven)
    }

    fn task(&mut self, task: &Task, forgiven: bool) -> Result<(), Diagnostic> {
        let sure = self.sure;
        self.sure &= !ends(&task.action);
        if self.tags_count && !(self.circumstances.is_selected)(task) {
            return Ok(());
        }
        let level = &task.level;
        let reached = sure && !forgiven && level.nearest(|k| k.ignore_errors.as_ref()).is_none();
        let runs = reached && level.conditions().is_empty() && !may_be_empty(task);
        for finding in task::findings(task, self.circumstances) {
            let certain = match finding.at {
                Stage::Condition => reached && task.looped.is_none(),
                Stage::Loop => reached && level.conditions().is_empty(),
                Stage::Run => runs,
                // What the module says may be forgiven by what the task makes of it.
                Stage::Module => runs && task.failed_when.is_none(),
                Stage::Perhaps => false,
            };
            let mut wrong = finding.diagnostic;
            if certain && wrong.severity == Severity::Error {
                return Err(wrong);
            }
            wrong.severity = Severity::Warning;
            self.warnings.push(wrong);
        }
        Ok(())
    }
}

/// What must come about for a finding to matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The task's first condition is asked.
    Condition,
    /// The list of its loop is made.
    Loop,
    /// It runs for at least one item.
    Run,
    /// The same, and the module itself refuses.
    Module,
    /// Something that looking cannot tell.
    Perhaps,
}

struct Finding {
    at: Stage,
    diagnostic: Diagnostic,
}

/// Whether a play may end here for a host without having failed: what an include brings is not known yet.
fn ends(action: &Action) -> bool {
    match action {
        Action::Meta(meta) => matches!(
            meta,
            Meta::EndPlay | Meta::EndHost | Meta::EndBatch | Meta::EndRole
        ),
        Action::IncludeTasks(_) | Action::IncludeRole(_) => true,
        Action::Module { .. } => false,
    }
}

fn may_end(handlers: &[Item]) -> bool {
    let mut found = false;
    each_task(handlers, &mut |task| found |= ends(&task.action));
    found
}

/// Whether a task may have no item to run for.
fn may_be_empty(task: &Task) -> bool {
    let Some(looped) = &task.looped else {
        return false;
    };
    match (&looped.lookup, &looped.items.value) {
        (None, Value::List(items)) => items.is_empty(),
        _ => true,
    }
}
