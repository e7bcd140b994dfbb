//! vmstation runs Ansible playbooks over SSH as a graph of idempotent tasks.
//!
//! The rooms, lower ones below; a room uses lower rooms only (`tests/architecture.rs` reads the imports):
//!
//! ```text
//! 8   cli
//! 7   report
//! 6   run
//! 5   plan
//! 4   modules
//! 3   playbook    inventory   facts
//! 2   template    host        lab
//! 1   yaml        vars        transport   config
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
