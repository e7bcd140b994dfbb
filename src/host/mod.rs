//! A machine as modules see it: doors to ask through and doors to change through.

mod machine;
pub mod question;

pub use machine::{
    Become, BecomeMethod, Done, Form, Frame, Identity, Lost, Machine, Output, Reply, Script, Secret, Stdin,
    Trip, Unanswered, quote,
};
