//! One task's way from words to a result, and what the result does: everything that has to do with what a task
//! means, and nothing with when it is its turn.
//!
//! In the order in which a task meets them:
//!
//! - [`evaluation`]: written values and conditions, rendered in a scope.
//! - [`prepare`]: what a task consists of: its [`loops`] items, what its [`includes`] bring, another host's
//!   result ([`once`]).
//! - [`keywords`]: the keywords in force, with the machine ([`connection`]) and the [`identity`] that they mean.
//! - [`start`]: conditions and arguments of an item; the module begins.
//! - [`needs`]: whether what an item needs has ended well.
//! - [`controller`]: what a module asks of the machine that we run on.
//! - [`judge`]: `changed_when`, `failed_when`; [`retries`]: `until`.
//! - [`result`]: what an item and a task came to.
//! - [`commit`]: at the task's turn the result takes effect: registers, notified [`handlers`], [`meta`], and
//!   where the host goes from here ([`course`]).
//! - [`tell`]: the events of it.

mod commit;
mod connection;
mod controller;
mod course;
mod evaluation;
mod handlers;
mod identity;
mod includes;
mod judge;
mod keywords;
mod loops;
mod meta;
mod needs;
mod once;
mod prepare;
mod result;
mod retries;
mod start;
mod tell;

pub(super) use keywords::Effective;
pub(super) use result::{ItemResult, TaskResult};
