//! What a person or a program sees of a run. Each reporter knows [`Event`](crate::run::Event) and nothing else.

mod diff;
mod json;
mod plain;

pub use json::JsonLines;
pub use plain::{Loudness, Plain};
