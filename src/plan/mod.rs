//! What runs in which order: the play laid out as steps, and the cursor that walks them.
//!
//! No I/O here. The order of a play (fact gathering, `pre_tasks`, roles, tasks, handlers between them) is made
//! in [`steps`]; how a host goes through blocks, rescues and handlers is the [`Cursor`]'s;
//! [`graph`] shows what waits for what.

mod cursor;
mod graph;
pub mod picture;
mod serial;
mod steps;
mod strategy;
mod tags;
mod ties;
mod web;

pub use cursor::{Cursor, Ending, Inserted, Laid, Position, Reached, lay_out_handlers};
pub use graph::{Graph, Planned, Step, Why, graph};
pub use serial::batches;
pub use steps::{flush_handlers, play_steps};
pub use strategy::{Pace, Strategy};
pub use tags::Tags;
pub use ties::{Standing, Target, Ties};
