//! Drives plays: who may do what now, what is asked ahead, what is committed, and what is said about it.
//!
//! How a run goes:
//!
//! ```text
//! execute   play after play, batch after batch
//!   batch   one loop: every player advances until nothing moves; then frames go out; then one comes back
//!             player    a host: its cursor in the play, and its attempts, the first at the cursor, the
//!                       others ahead of it
//!             attempt   one task on one host: prepared (items, includes) → items started (conditions,
//!                       keywords, arguments) → modules run from door to door → judged → a result
//!             turn      when no host is behind, the first attempt may change, wait and speak; before that
//!                       it may only ask
//!             epoch     raised by every change anywhere; what was asked before it counts only if nothing
//!                       that stands earlier in the order has altered anything since, else the attempt
//!                       begins anew
//!             commit    at its turn, with its result: registers, facts, events, handlers, and the cursor
//!                       moves on
//! ```
//!
//! A task that looks at a name which an earlier one may still set is parked until it is known. One that has a
//! result ahead of its turn lends it to those behind; if it begins anew, so do they.
//!
//! - [`execute`]: the whole run: plays, batches, the end.
//! - [`batch`]: the hosts of a play, their turns, and the frames that go to them.
//! - [`attempt`]: one task on one host, on its way through its module's doors.
//! - [`task`]: what a task means, from its words to its result.
//! - [`scope`]: one task's view of the variables, which knows what earlier tasks may still set; [`world`]: the
//!   variables of all hosts, as they are at this moment; [`reach`]: how far the names go that tasks set.
//! - [`sightings`]: files of this machine that somebody relies on.
//! - [`machines`]: the machines, [connected](connect) when first needed.
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
mod masked;
mod reach;
mod scope;
mod sightings;
mod task;
mod values;
mod world;

pub use connect::{Connections, Defaults};
pub use event::{Event, Finished, Sink, Status, Summary, VERSION};
pub use execute::{Asker, Executor, Parts, Report, Settings};
pub use journal::{Journal, new_id};
pub use machines::{Connect, MachineKey, Machines};
