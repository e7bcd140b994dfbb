//! What the modules that talk to a Kubernetes cluster share.
//!
//! ```text
//! the task's options ─connection→ how kubectl is called ─client→ one script with as few calls as possible
//! definition, src, template, URL ─manifest→ objects, each with its place ─contained→ does a patch change anything?
//! what kubectl printed ─words→ objects, or what is wrong with which object, and where that stands
//! ```

pub mod applied;
pub mod charts;
pub mod client;
pub mod condition;
pub mod connection;
pub mod contained;
pub mod container;
pub mod difference;
pub mod hidden;
pub mod kinds;
pub mod manifest;
pub mod names;
pub mod node;
pub mod object;
pub mod selector;
pub mod waiting;
pub mod words;

pub use client::{Call, Client, Said};
pub use connection::Connection;
pub(super) use connection::with_connection;
pub use manifest::Manifest;
pub use object::{Id, Json, value};
