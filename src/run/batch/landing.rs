//! What comes back goes to whoever asked.

use tokio::task::JoinError;

use super::Batch;
use super::epoch::Asked;
use super::frames::{Flight, Landed, Owner};
use crate::host::question::Answered;
use crate::host::{Halt, LocalAnswer, Lost, Reply, Response};
use crate::run::attempt::{Parked, State, Waiting};
use crate::run::event::Event;

impl Batch<'_> {
    /// Hands out what came back.
    pub(super) fn land(&mut self, landed: Result<(u64, Landed), JoinError>) {
        let Ok((id, landed)) = landed else { return };
        match landed {
            Landed::Here(ticket, owner, answer) => {
                if let LocalAnswer::Typed(typed) = &answer {
                    let answered = typed.is_some();
                    self.exec.tell(&Event::Answered { answered });
                }
                self.answered_here(ticket, owner, answer);
            }
            Landed::Frame(reply) => {
                let Some(flight) = self.frames.landed(id) else {
                    return;
                };
                self.epoch.ends(id);
                match reply {
                    Ok(reply) => {
                        self.exec.machines.note_answer(&flight.machine);
                        self.frame_landed(flight, reply);
                    }
                    Err(lost) => self.frame_lost(flight, &lost),
                }
            }
        }
    }

    fn answered_here(&mut self, ticket: u64, owner: Owner, answer: LocalAnswer) {
        let Some((i, k)) = self.find(owner) else { return };
        let item = &mut self.players[owner.player].ahead[i].items[k];
        match &item.state {
            State::Delay(t) if *t == ticket => item.state = State::New,
            State::Running {
                waiting: Waiting::Ticket(t),
                ..
            } if *t == ticket => self.respond(owner.player, i, k, Response::Local(Ok(answer))),
            _ => {}
        }
    }

    fn frame_landed(&mut self, flight: Flight, reply: Reply) {
        if let (Some(work), Some(done)) = (flight.work, reply.work) {
            self.answer(work.ticket, work.owner, Response::Done(done), None);
        }
        let mut answers = reply.answers.into_iter();
        for sent in flight.questions {
            let its: Vec<Answered> = answers.by_ref().take(sent.count).collect();
            if !sent.at_turn && its.iter().any(Result::is_err) {
                self.ask_again(sent.ticket, sent.owner);
                continue;
            }
            self.answer(sent.ticket, sent.owner, Response::Answers(its), Some(sent.asked));
        }
    }

    fn frame_lost(&mut self, flight: Flight, lost: &Lost) {
        let halt = || Response::Halt(Halt::Lost(lost.clone()));
        if let Some(work) = flight.work {
            self.answer(work.ticket, work.owner, halt(), None);
        }
        for sent in flight.questions {
            if sent.at_turn {
                self.answer(sent.ticket, sent.owner, halt(), Some(sent.asked));
            } else {
                self.ask_again(sent.ticket, sent.owner);
            }
        }
    }

    /// What was asked early and got no answer is asked again when the task's turn comes, which it may have by
    /// now.
    fn ask_again(&mut self, ticket: u64, owner: Owner) {
        let Some((i, k)) = self.find(owner) else { return };
        let item = &mut self.players[owner.player].ahead[i].items[k];
        if !item.waits_for(ticket) {
            return;
        }
        item.restart();
        item.state = State::Parked(Parked::Turn);
    }

    fn answer(&mut self, ticket: u64, owner: Owner, response: Response, asked: Option<Asked>) {
        let Some((i, k)) = self.find(owner) else { return };
        let item = &mut self.players[owner.player].ahead[i].items[k];
        // Late for an attempt that has begun again.
        if !item.waits_for(ticket) {
            return;
        }
        item.asking = None;
        if let Some(asked) = asked {
            item.asked = Some(asked.older(item.asked));
        }
        self.respond(owner.player, i, k, response);
    }

    pub(super) fn find(&self, owner: Owner) -> Option<(usize, usize)> {
        let ahead = &self.players[owner.player].ahead;
        let i = ahead.iter().position(|a| a.id == owner.attempt)?;
        (owner.item < ahead[i].items.len()).then_some((i, owner.item))
    }
}
