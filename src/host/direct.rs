//! Drives one module against one machine, each request at once: the plainest reading of what a module means.
//!
//! Cases and tests use it where no playbook is needed.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::door::{Door, Halt, Local, LocalAnswer, Outcome, Request, Response};
use super::machine::{Frame, Identity, Machine};

/// What a module came to, and whether anything changed.
#[derive(Debug)]
pub struct Driven {
    pub outcome: Result<Outcome, Halt>,
    pub changes: Vec<super::Change>,
}

/// Runs a module's future to its end. `local` answers what concerns the controlling machine.
pub async fn drive(
    module: impl Future<Output = Result<Outcome, Halt>>,
    door: &Door,
    machine: &dyn Machine,
    check: bool,
    mut local: impl FnMut(Local) -> Result<LocalAnswer, String>,
) -> Driven {
    let mut module = pin!(module);
    let mut changes = Vec::new();
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = module.as_mut().poll(&mut context) {
            return Driven { outcome, changes };
        }
        let Some(request) = door.take() else {
            // A module waits at doors only.
            let outcome = Err(super::fail("the module waits for something that is no door"));
            return Driven { outcome, changes };
        };
        let response = match request {
            Request::Local(request) => Response::Local(local(request)),
            Request::Ask(questions) => {
                let frame = Frame {
                    questions,
                    ..Frame::default()
                };
                match machine.frame(Identity::Login, frame).await {
                    Ok(reply) => Response::Answers(reply.answers),
                    Err(lost) => Response::Halt(Halt::Lost(lost)),
                }
            }
            Request::Change(change, _) if check && change.opaque => {
                Response::Halt(Halt::NotRun(change.what.into()))
            }
            Request::Change(change, _) if check => Response::Halt(Halt::WouldChange(change)),
            // In a dry run an act is passed over as done.
            Request::Act(_) if check => Response::Done(super::Done::Finished(super::Output::default())),
            Request::Change(change, script) => {
                changes.push(change);
                work(machine, script).await
            }
            Request::Act(script) | Request::AskNow(script) => work(machine, script).await,
        };
        door.respond(response);
    }
}

async fn work(machine: &dyn Machine, script: super::Script) -> Response {
    let frame = Frame {
        work: Some(script),
        ..Frame::default()
    };
    match machine.frame(Identity::Login, frame).await {
        Ok(reply) => match reply.work {
            Some(done) => Response::Done(done),
            None => Response::Halt(super::fail("the machine did not do the work: a bug of vmstation")),
        },
        Err(lost) => Response::Halt(Halt::Lost(lost)),
    }
}
