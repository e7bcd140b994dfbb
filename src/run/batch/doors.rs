//! What modules ask for at their doors: met at once, or put on its way.

use std::sync::Arc;
use std::time::Duration;

use super::Batch;
use super::frames::{OpenQuestions, Owner, Work};
use crate::host::question::Question;
use crate::host::{Change, Done, Failure, Halt, LocalAnswer, Request, Response, Script};
use crate::run::attempt::{Parked, State, Waiting};
use crate::run::event::Event;
use crate::run::task::Effective;
use crate::transport::web::{self, Fetch};
use crate::vars::Value;

impl Batch<'_> {
    /// Meets a request, or puts it on its way. Always moves.
    pub(super) fn meet(&mut self, p: usize, i: usize, k: usize, request: Request, at_turn: bool) -> bool {
        let check = self.effective(p, i, k).is_some_and(|e| e.check);
        if at_turn && self.time_left(p, i, k).is_some_and(|left| left.is_zero()) {
            let halt = self.took_too_long(p, i, k);
            self.respond(p, i, k, Response::Halt(halt));
            return true;
        }
        match request {
            Request::Ask(questions) => self.put_questions(p, i, k, questions, at_turn),
            Request::AskNow(script) => self.put_work(p, i, k, script, false),
            Request::Change(change, _) if check => {
                let halt = if change.opaque {
                    Halt::NotRun(change.what.into())
                } else {
                    Halt::WouldChange(change)
                };
                self.respond(p, i, k, Response::Halt(halt));
            }
            Request::Act(_) if check => {
                let done = Done::Finished(crate::host::Output::default());
                self.respond(p, i, k, Response::Done(done));
            }
            Request::Change(change, script) => {
                self.note_change(p, i, k, change);
                self.put_work(p, i, k, script, true);
            }
            Request::Act(script) => self.put_work(p, i, k, script, true),
            Request::Local(local) => self.meet_local(p, i, k, local, at_turn),
        }
        true
    }

    /// What is left of the task's `timeout`, which begins at its turn.
    pub(in crate::run) fn time_left(&mut self, p: usize, i: usize, k: usize) -> Option<Duration> {
        let limit = self.effective(p, i, k)?.timeout?;
        let now = tokio::time::Instant::now();
        let deadline = *self.players[p].ahead[i].items[k]
            .deadline
            .get_or_insert(now + limit);
        Some(deadline.duration_since(now))
    }

    fn took_too_long(&self, p: usize, i: usize, k: usize) -> Halt {
        let action = self.players[p].ahead[i].task.action.name();
        let limit = self
            .effective(p, i, k)
            .and_then(|e| e.timeout)
            .unwrap_or_default();
        let seconds = limit.as_secs_f64();
        // A whole number, as Ansible takes no other.
        let whole = i64::try_from(limit.as_secs())
            .ok()
            .filter(|_| seconds.fract() == 0.0);
        let period = Value::map([("period", whole.map_or(Value::Float(seconds), Value::Int))]);
        let msg = format!("`{action}` took longer than its `timeout` of {seconds} s and was ended");
        Failure::new(msg).with("timedout", period).into()
    }

    fn note_change(&mut self, p: usize, i: usize, k: usize, change: Change) {
        let player = &mut self.players[p];
        player.ahead[i].items[k].changes.push(change);
        player.narrow();
    }

    pub(in crate::run) fn respond(&mut self, p: usize, i: usize, k: usize, response: Response) {
        let deadline = self.players[p].ahead[i].items[k].deadline;
        let is_over = deadline.is_some_and(|deadline| deadline <= tokio::time::Instant::now());
        let response = match response {
            Response::Done(Done::TimedOut { .. }) | Response::Local(_) if is_over => {
                Response::Halt(self.took_too_long(p, i, k))
            }
            response => response,
        };
        if let State::Running { door, waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            door.respond(response);
            *waiting = Waiting::Nothing;
        }
    }

    /// Leaves a request in the door until a name is known or the turn has come.
    pub(in crate::run) fn park(&mut self, p: usize, i: usize, k: usize, request: Request, why: Parked) {
        if let State::Running { waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            *waiting = Waiting::Parked(Box::new(request), why);
        }
    }

    /// The request in the door is on its way, under this number.
    pub(in crate::run) fn wait_for_ticket(&mut self, p: usize, i: usize, k: usize, ticket: u64) {
        if let State::Running { waiting, .. } = &mut self.players[p].ahead[i].items[k].state {
            *waiting = Waiting::Ticket(ticket);
        }
    }

    fn owner(&self, p: usize, i: usize, k: usize) -> Owner {
        Owner {
            player: p,
            attempt: self.players[p].ahead[i].id,
            item: k,
        }
    }

    pub(super) fn ticket(&mut self, p: usize, i: usize, k: usize) -> u64 {
        let ticket = self.frames.ticket();
        self.wait_for_ticket(p, i, k, ticket);
        ticket
    }

    fn put_questions(&mut self, p: usize, i: usize, k: usize, questions: Vec<Question>, at_turn: bool) {
        let Some(effective) = self.effective(p, i, k) else {
            return;
        };
        let owner = self.owner(p, i, k);
        let ticket = self.ticket(p, i, k);
        self.frames.ask(OpenQuestions {
            ticket,
            owner,
            machine: effective.machine.clone(),
            identity: effective.identity.clone(),
            questions,
            at_turn,
        });
    }

    fn put_work(&mut self, p: usize, i: usize, k: usize, mut script: Script, alters: bool) {
        let Some(effective) = self.effective(p, i, k) else {
            return;
        };
        if effective.no_log {
            // `--trips` lists what each round trip was for.
            script.label = "(hidden by no_log)".into();
        }
        if let Some(left) = self.time_left(p, i, k) {
            script.timeout = Some(script.timeout.map_or(left, |own| own.min(left)));
        }
        let owner = self.owner(p, i, k);
        let attempt = &mut self.players[p].ahead[i];
        attempt.foreseen.remove(&k);
        let position = attempt.position.clone();
        let ticket = self.ticket(p, i, k);
        self.frames.work(Work {
            ticket,
            owner,
            position,
            machine: effective.machine.clone(),
            identity: effective.identity.clone(),
            script,
            alters,
        });
    }

    /// A wait on the controlling machine.
    pub(in crate::run) fn put_timer(&mut self, p: usize, i: usize, k: usize, time: Duration) -> u64 {
        let owner = self.owner(p, i, k);
        self.frames.wait_here(owner, async move {
            tokio::time::sleep(time).await;
            LocalAnswer::Nothing
        })
    }

    /// Asks the person, without holding up what is under way elsewhere.
    pub(in crate::run) fn put_prompt(&mut self, p: usize, i: usize, k: usize, text: &str, echo: bool) -> u64 {
        self.exec.tell(&Event::Asking {
            text: text.to_string(),
        });
        let owner = self.owner(p, i, k);
        let asked = self.exec.ask(text, echo);
        self.frames
            .wait_here(owner, async move { LocalAnswer::Typed(asked.await) })
    }

    /// Fetches what is behind a URL, without holding up what is under way elsewhere.
    pub(in crate::run) fn put_fetch(&mut self, p: usize, i: usize, k: usize, url: String) -> u64 {
        let owner = self.owner(p, i, k);
        self.frames.wait_here(owner, async move {
            let fetched = tokio::task::spawn_blocking(move || web::fetch(&Fetch::new(&url))).await;
            LocalAnswer::Fetched(fetched.unwrap_or_else(|error| Err(error.to_string())))
        })
    }

    pub(super) fn effective(&self, p: usize, i: usize, k: usize) -> Option<Arc<Effective>> {
        self.players[p].ahead[i].items[k].effective.clone()
    }
}
