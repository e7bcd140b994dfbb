//! Variables: the values, and the texts among them that nobody is to see.

mod secrets;
mod value;

pub use secrets::{MASK, Secrets};
pub use value::{Key, Map, Template, Value};
