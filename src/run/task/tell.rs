//! The events of a task: its turn has come, it has ended.

use std::sync::Arc;

use super::{ItemResult, TaskResult};
use crate::playbook::{Action, Task};
use crate::run::attempt::Attempt;
use crate::run::batch::Batch;
use crate::run::event::{Event, Finished, Status, Summary};
use crate::run::values::{millis, plain_text, shown_item};
use crate::vars::Key;

impl Batch<'_> {
    pub(in crate::run) fn announce(&mut self, p: usize, i: usize) {
        let (task, position) = (
            self.players[p].ahead[i].task.clone(),
            self.players[p].ahead[i].position.clone(),
        );
        if self.is_once(p, &task)
            && (self.once.contains_key(&position) || !self.runs_for_all(p, &position, true))
        {
            return;
        }
        let attempt = &self.players[p].ahead[i];
        if matches!(attempt.task.action, Action::Meta(_)) {
            return;
        }
        let scope = self.host_scope(p, &attempt.task.level);
        let event = Event::TaskStarted {
            host: self.players[p].name.to_string(),
            task: self.exec.rendered_name(&attempt.task, &scope),
            role: attempt.task.role().map(|r| r.name.to_string()),
            position: attempt.position.clone(),
        };
        self.exec.tell(&event);
    }

    pub(super) fn tell_result(&mut self, p: usize, attempt: &Attempt, result: &TaskResult, ignored: bool) {
        let task = &attempt.task;
        let hidden = result.hidden;
        let host = self.players[p].name.clone();
        let name = self.exec.rendered_name(task, &self.host_scope(p, &task.level));
        for item in &result.items {
            let shown = item
                .label
                .clone()
                .unwrap_or_else(|| item.item.as_ref().map(shown_item).unwrap_or_default());
            self.exec.tell(&Event::ItemFinished {
                host: host.to_string(),
                task: name.clone(),
                item: if hidden { "(hidden)".to_string() } else { shown },
                what: Box::new(item.finished(false, hidden)),
            });
        }
        let mut what = result.whole.finished(ignored, hidden);
        // As `fail` will count it.
        what.rescued = what.status == Status::Failed && !ignored && self.players[p].cursor.can_be_rescued();
        what.milliseconds = attempt.begun.map_or(0, |b| millis(b.elapsed()));
        if !result.items.is_empty() {
            what.changes.clear();
            what.differences.clear();
        }
        if !result.shared {
            let times = attempt.unfolded.as_ref().map_or(1, |unfolded| unfolded.times);
            self.exec
                .count(&host, |s| count(s, &result.whole, ignored, times));
        }
        self.exec.tell(&Event::TaskFinished {
            host: host.to_string(),
            task: name,
            role: task.role().map(|r| r.name.to_string()),
            action: task.action.name().to_string(),
            position: attempt.position.clone(),
            place: task.span.to_string(),
            delegated_to: result
                .effective
                .as_ref()
                .and_then(|e| e.delegate_to.as_ref().map(ToString::to_string)),
            shared: result.shared,
            what: Box::new(what),
        });
        if result.shared || hidden {
            return;
        }
        for warning in result
            .whole
            .warnings
            .iter()
            .chain(result.items.iter().flat_map(|r| &r.warnings))
        {
            self.exec.tell(&Event::Warning {
                host: Some(host.to_string()),
                text: warning.clone(),
            });
        }
    }

    /// How the items are called in reports: at the task's turn, when every name is known.
    pub(super) fn label_items(&self, p: usize, task: &Arc<Task>, result: &mut TaskResult) {
        let Some(label) = task.looped.as_ref().and_then(|l| l.label.as_ref()) else {
            return;
        };
        // A host that takes another's result has no items of its own.
        let own = self.players[p].ahead.front().map_or(0, |a| a.items.len());
        for (k, item) in result.items.iter_mut().enumerate().take(own) {
            let scope = self.register_scope(p, 0, k, task, item, true);
            if let Ok(value) = self.render(p, label, &scope, true) {
                item.label = Some(plain_text(&value));
            }
        }
    }
}

impl ItemResult {
    fn status(&self) -> Status {
        if self.unreachable {
            return Status::Unreachable;
        }
        if self.failed {
            return Status::Failed;
        }
        if self.unknown.is_some() {
            return Status::Unknown;
        }
        if self.skipped {
            return Status::Skipped;
        }
        if self.changed { Status::Changed } else { Status::Ok }
    }

    fn finished(&self, ignored: bool, hidden: bool) -> Finished {
        let unknown = || self.unknown.as_ref().map(|reason| format!("unknown: {reason}"));
        let mut result = self.values.clone();
        let mut error = self.error.clone().or_else(unknown);
        if hidden {
            result.retain(|k, _| matches!(k, Key::String(s) if matches!(&**s, "changed" | "failed" | "skipped" | "unreachable")));
            result.insert("censored".into(), "the output has been hidden due to the fact that 'no_log: true' was specified for this result".into());
            error = error.map(|_| "(hidden by no_log)".to_string());
        }
        Finished {
            status: self.status(),
            milliseconds: self.milliseconds,
            changes: if hidden {
                Vec::new()
            } else {
                self.changes.iter().map(|c| c.what.clone()).collect()
            },
            differences: if hidden {
                Vec::new()
            } else {
                self.changes.iter().flat_map(|c| c.differences.clone()).collect()
            },
            result,
            error,
            ignored,
            rescued: false,
            hidden,
        }
    }
}

/// What a result is in the summary; what failed is counted where it is known whether a rescue takes it.
fn count(summary: &mut Summary, whole: &ItemResult, ignored: bool, times: u32) {
    match whole.status() {
        Status::Unreachable | Status::Failed if !ignored => {}
        _ if whole.unknown.is_some() => summary.unknown += 1,
        _ if whole.skipped => summary.skipped += 1,
        _ => {
            summary.ok += times;
            summary.changed += u32::from(whole.changed);
            summary.ignored += u32::from(ignored);
        }
    }
}
