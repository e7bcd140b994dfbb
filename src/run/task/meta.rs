//! `meta:`: what it does to the host, the batch or the play.

use std::sync::Arc;

use super::evaluation::{Evaluated, Stop};
use super::{ItemResult, TaskResult};
use crate::plan::{Ending, Position};
use crate::playbook::{Action, Meta, Task, TaskKind};
use crate::run::attempt::Parked;
use crate::run::batch::{Batch, PlayerState};
use crate::run::event::Event;
use crate::source::Diagnostic;
use crate::template::Scope;

impl Batch<'_> {
    pub(super) fn prepare_meta(
        &mut self,
        p: usize,
        i: usize,
        task: &Arc<Task>,
        scope: &Arc<dyn Scope>,
        turn: bool,
    ) -> Evaluated<()> {
        // Its effect comes at the commit; here only whether it is to have one.
        // Ansible does not look at the conditions of these.
        let unconditional = matches!(
            task.action,
            Action::Meta(Meta::Noop | Meta::RefreshInventory | Meta::ResetConnection)
        );
        let conditions = if unconditional {
            Vec::new()
        } else {
            task.level.conditions()
        };
        if matches!(task.action, Action::Meta(Meta::FlushHandlers)) && task.kind == TaskKind::Handler {
            let error = Diagnostic::error("`flush_handlers` cannot be a handler itself").at(&task.span);
            return Err(if turn {
                Stop::Failed(Box::new(error))
            } else {
                Stop::Park(Parked::Turn)
            });
        }
        let whole = if let Some(condition) = self.first_false(p, conditions, scope, turn)? {
            ItemResult::skipped(condition)
        } else {
            self.has_what_it_needs(p, task, turn)?;
            ItemResult::default()
        };
        self.players[p].ahead[i].result = Some(TaskResult {
            whole,
            ..TaskResult::default()
        });
        Ok(())
    }

    pub(super) fn commit_meta(&mut self, p: usize, meta: Meta, result: &TaskResult, position: &Position) {
        if result.whole.failed {
            self.players[p].cursor.done(Ending::Failed);
            let name = self.players[p].name.clone();
            self.exec.count(&name, |s| s.failed += 1);
            let reason = result.whole.error.clone().unwrap_or_default();
            self.lose(p, PlayerState::Failed, reason);
            return;
        }
        self.players[p].version += 1;
        if let Some(reason) = &result.whole.unknown {
            let text = format!("a `meta` task is not carried out: whether it would be is unknown {reason}");
            let host = Some(self.players[p].name.to_string());
            self.exec.tell(&Event::Warning { host, text });
        }
        if result.whole.skipped || result.whole.unknown.is_some() || result.shared {
            self.players[p].cursor.done(Ending::Ok);
            return;
        }
        match meta {
            Meta::FlushHandlers => {
                self.flush_handlers(p);
                return;
            }
            Meta::EndHost => {
                self.players[p].ends();
                self.leave_hosts(p);
                return;
            }
            Meta::EndPlay | Meta::EndBatch => {
                self.players[p].ends();
                for q in 0..self.players.len() {
                    self.end_behind_this_task(q);
                }
                self.end.play_ended |= meta == Meta::EndPlay;
                return;
            }
            Meta::EndRole => {
                let role = self.players[p].cursor.peek().and_then(|r| r.task.role().cloned());
                self.players[p].cursor.leave_where(|t| match (&role, t.role()) {
                    (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                    _ => false,
                });
                return;
            }
            Meta::ClearFacts => {
                for player in &self.players {
                    self.exec.clear_facts(&player.name);
                }
            }
            Meta::ResetConnection => self.reset_connection(p),
            Meta::RefreshInventory => {
                let text = "`meta: refresh_inventory` reads nothing anew yet".to_string();
                self.exec.tell(&Event::Warning { host: None, text });
            }
            Meta::ClearHostErrors => self.clear_host_errors(),
            Meta::Noop => {}
        }
        self.end_fence(p, position);
        self.players[p].cursor.done(Ending::Ok);
    }

    /// Who has failed comes back with the next play, and who could not be reached with its next task.
    fn clear_host_errors(&mut self) {
        for q in 0..self.players.len() {
            let player = &mut self.players[q];
            match player.state {
                PlayerState::Failed => player.state = PlayerState::Ended,
                PlayerState::Unreachable => {
                    player.cursor.done(Ending::Ok);
                    player.state = PlayerState::Active;
                    self.forget(q);
                    self.note_standing(q);
                }
                PlayerState::Active | PlayerState::Ended => {}
            }
        }
        self.exec.clear_host_errors();
    }

    fn reset_connection(&mut self, p: usize) {
        let name = self.players[p].name.clone();
        for (key, machine) in self.exec.machines.all() {
            if key.host == name {
                machine.reconnect();
            }
        }
    }
}
