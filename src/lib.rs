//! vmstation runs Ansible playbooks over SSH as a graph of idempotent tasks.
//!
//! The rooms, lower ones below; a room uses lower rooms only (`tests/architecture.rs` reads the imports):
//!
//! ```text
//! 9   cli
//! 8   report
//! 7   run
//! 6   plan
//! 5   modules
//! 4   playbook    inventory   facts
//! 3   template    host        lab
//! 2   yaml        transport   config
//! 1   vars
//! 0   source
//! ```

pub mod cli;
pub mod config;
pub mod facts;
pub mod host;
pub mod inventory;
pub mod lab;
pub mod modules;
pub mod plan;
pub mod playbook;
pub mod report;
pub mod run;
pub mod source;
pub mod template;
pub mod transport;
pub mod vars;
pub mod yaml;
