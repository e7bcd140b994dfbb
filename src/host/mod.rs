//! A machine as modules see it: doors to ask through and doors to change through.

mod batch;
pub mod direct;
mod door;
mod errand;
mod identity;
mod lease;
mod machine;
mod pool;
pub mod question;
mod questions;
mod remote;
mod request;
mod scanner;
mod session;
mod shell;
#[cfg(test)]
mod stress;

pub use batch::{Answers, Batch, Slot};
pub use door::{
    Change, Difference, Door, Failure, FileSearch, Halt, Host, Local, LocalAnswer, LocalFile, Outcome,
    Request, Response, Task, fail,
};
pub use machine::{
    Become, BecomeMethod, Done, Form, Frame, Identity, Lost, Machine, Output, Reply, Script, Secret, Stdin,
    Trip, Unanswered, quote,
};
pub use remote::{Connector, Remote};
