//! The ground that the modules for files stand on: attributes, what is at a path, atomic replacement.

pub mod attributes;
pub mod digest;
pub mod json;
pub mod mode;
pub mod object;
pub mod path;
pub mod put;
pub mod times;
pub mod tree;
pub mod write;
