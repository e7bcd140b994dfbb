//! The way over SSH, against a real sshd that each test starts for itself on the loopback address.

mod keys;
mod known;
mod programs;
mod routes;
mod server;
mod unreachable;
