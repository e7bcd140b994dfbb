//! The way over SSH, against a real sshd that each test starts for itself on the loopback address.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what fails in a test's preparations is the test's failure; what errors say is shown"
)]

mod keys;
mod known;
mod login_shells;
mod passphrases;
mod programs;
#[path = "../promised/mod.rs"]
mod promised;
mod routes;
mod server;
mod unreachable;
