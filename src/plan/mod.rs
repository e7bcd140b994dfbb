//! What runs in which order: the play laid out as steps, and the cursor that walks them.
//!
//! No I/O here. The order of a play (fact gathering, `pre_tasks`, roles, tasks, handlers between them) is made
//! in [`steps`]; how a host goes through blocks, rescues and handlers is the [`Cursor`]'s.

mod cursor;
mod steps;
mod tags;

pub use cursor::{Cursor, Ending, Position, Reached};
pub use steps::{flush_handlers, play_steps};
pub use tags::Tags;
