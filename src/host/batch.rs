//! Several questions of different kinds in one round trip, each answer typed.

use std::marker::PhantomData;

use super::door::{Halt, Host, fail};
use super::question::{Answered, Ask, Question};

/// Questions that wait to be asked together.
#[derive(Debug, Default)]
pub struct Batch {
    questions: Vec<Question>,
}

/// Where the answer to a question will be.
#[derive(Debug)]
pub struct Slot<Q> {
    at: usize,
    kind: PhantomData<fn() -> Q>,
}

impl<Q> Clone for Slot<Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Slot<Q> {}

/// The answers to a [`Batch`]; each can be taken once. That one is missing matters to who takes it.
#[derive(Debug)]
pub struct Answers(Vec<Option<Answered>>);

impl Batch {
    pub fn put<Q: Ask>(&mut self, question: Q) -> Slot<Q> {
        self.questions.push(question.into());
        Slot {
            at: self.questions.len() - 1,
            kind: PhantomData,
        }
    }

    pub async fn ask(self, host: &Host) -> Result<Answers, Halt> {
        let answers = host.ask_if_possible(self.questions).await?;
        Ok(Answers(answers.into_iter().map(Some).collect()))
    }
}

impl Answers {
    pub fn take<Q: Ask>(&mut self, slot: Slot<Q>) -> Result<Q::Answer, Halt> {
        let answer = self.0.get_mut(slot.at).and_then(Option::take).transpose()?;
        answer
            .and_then(Q::answer)
            .ok_or_else(|| fail("the machine answered another question: a bug of vmstation"))
    }
}
