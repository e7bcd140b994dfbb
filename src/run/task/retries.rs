//! `until`, `retries` and `delay`: whether an item is tried once more.

use std::sync::Arc;
use std::time::Duration;

use super::ItemResult;
use super::evaluation::Stop;
use crate::playbook::Task;
use crate::run::attempt::{Parked, State};
use crate::run::batch::Batch;
use crate::run::event::Event;
use crate::run::values::int;

impl Batch<'_> {
    /// Whether the item is to be tried once more, after a while.
    pub(super) fn tries_again(
        &mut self,
        p: usize,
        i: usize,
        k: usize,
        task: &Arc<Task>,
        result: &mut ItemResult,
        turn: bool,
    ) -> Result<bool, Parked> {
        let is_tried_once = task.until.is_empty() && task.retries.is_none();
        if is_tried_once || result.skipped || result.unreachable || result.unknown.is_some() {
            return Ok(false);
        }
        let scope = self.register_scope(p, i, k, task, result, turn);
        let tries = match self.number(p, task.retries.as_ref(), &scope, turn) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count, clamped"
            )]
            Ok(n) => n.map_or(3, |n| n.clamp(0.0, 1e9) as u64) + 1,
            Err(Stop::Failed(d)) => {
                *result = ItemResult::error(&d);
                return Ok(false);
            }
            Err(Stop::Park(why)) if turn => return Err(why),
            Err(_) => return Ok(false),
        };
        // Without another try nothing is asked for.
        if tries == 1 {
            return Ok(false);
        }
        let enough = if task.until.is_empty() {
            Ok(!result.failed)
        } else {
            self.first_false(p, &task.until, &scope, turn)
                .map(|f| f.is_none())
        };
        if let Err(Stop::Park(why)) = &enough
            && turn
        {
            return Err(*why);
        }
        let item = &mut self.players[p].ahead[i].items[k];
        item.tries += 1;
        let tried = item.tries;
        Ok(match enough {
            Ok(true) => {
                result.values.insert("attempts".into(), int(tried));
                false
            }
            Ok(false) if tried < tries => {
                let delay = match self.number(p, task.delay.as_ref(), &scope, turn) {
                    Ok(delay) => delay.unwrap_or(5.0),
                    Err(_) => 5.0,
                };
                let delay = Duration::from_secs_f64(if delay < 0.0 { 1.0 } else { delay.min(1e7) });
                let name = self.exec.rendered_name(task, &scope);
                self.exec.tell(&Event::Retrying {
                    host: self.players[p].name.to_string(),
                    task: name,
                    left: tries - tried,
                });
                let position = self.players[p].ahead[i].position.clone();
                self.end_fence(p, &position);
                let item = &mut self.players[p].ahead[i].items[k];
                item.restart();
                item.state = State::Delay(0);
                let ticket = self.put_timer(p, i, k, delay);
                self.players[p].ahead[i].items[k].state = State::Delay(ticket);
                true
            }
            Ok(false) => {
                let judged = result.values.contains_key("failed_when_result");
                result.ran_out = judged && !result.failed;
                result.failed |= !judged;
                result.values.insert("attempts".into(), int(tried - 1));
                result.note_flags();
                false
            }
            Err(Stop::Failed(d)) => {
                result.fail(&d);
                false
            }
            Err(_) => false,
        })
    }
}
