//! Jinja as Ansible speaks it, over variables that are looked up when they are touched.
//!
//! ```text
//! text ─lexer, rewrite→ the engine's dialect ─environment→ program
//!   program + variables (Scope, lazily) ─evaluation→ value ─literal→ typed value, or a TemplateError
//!                                                     failure, places → caret in the file
//! ```

mod call;
mod engine;
mod environment;
mod escapes;
mod evaluation;
mod failure;
mod file;
mod filters;
mod functions;
mod inspect;
mod lexer;
mod literal;
mod lookups;
mod methods;
mod outside;
mod owned;
mod places;
mod python;
pub mod regex;
mod rewrite;
mod scope;
mod tests;
mod variables;

pub use engine::{Engine, Moment};
pub use environment::omit_placeholder;
pub use file::FileOptions;
pub use inspect::Finding;
pub use lexer::Delimiters;
pub use outside::{Controller, Entry, Outside};
pub use scope::{Found, Hosts, Scope, TemplateError};
pub use variables::is_password;
