//! Variables: the values, and later who wins where several places set the same name.

mod value;

pub use value::{Key, Map, Template, Value};
