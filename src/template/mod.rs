//! Jinja as Ansible speaks it, over variables that are looked up when they are touched.

mod scope;

pub use scope::{Found, Hosts, Scope, TemplateError};
