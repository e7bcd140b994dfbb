//! What a person or a program sees of a run. Each reporter knows [`Event`](crate::run::Event) and nothing else.
//!
//! [`Plain`] and [`Terminal`] say the same, in the words of [`narration`]; the terminal also shows what runs.

mod board;
mod diff;
mod failure;
mod json;
mod junit;
mod narration;
mod outlook;
mod palette;
mod parked;
mod plain;
pub mod suites;
mod summary;
mod terminal;

pub use json::JsonLines;
pub use junit::Junit;
pub use narration::Loudness;
pub use outlook::Outlook;
pub use palette::Palette;
pub use plain::Plain;
pub use terminal::{BottomLines, Terminal};
