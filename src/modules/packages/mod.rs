//! What `apt`, `dnf` and `package` know of packages: names with versions, and what package managers print.

mod aside;
pub mod debian;
pub mod pattern;
pub mod rpm;
mod transaction;

pub use aside::aside;
pub use transaction::{Step, Transaction};
