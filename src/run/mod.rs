//! Drives plays: who may do what now, what is asked ahead, what is committed, and what is said about it.
//!
//! - [`world`]: the variables of all hosts, as they are at this moment.
//! - [`scope`]: one task's view of them, which knows what earlier tasks may still set.
//! - [`machines`]: the machines, connected when first needed.
//! - [`attempt`]: one task on one host, on its way through its module's doors.
//! - [`batch`]: the hosts of a play, their turns, and the frames that go to them.
//! - [`execute`]: the whole run: plays, batches, the end.
//!
//! It prints nothing: what happens is an [`Event`].

mod attempt;
mod batch;
mod connect;
mod event;
mod execute;
mod files;
mod journal;
mod machines;
mod reach;
mod scope;
mod settle;
mod world;

pub use connect::{Connections, Defaults};
pub use event::{Event, Finished, Sink, Status, Summary, VERSION};
pub use execute::{Asker, Executor, Parts, Report, Settings};
pub use journal::Journal;
pub use machines::{Connect, MachineKey, Machines};
