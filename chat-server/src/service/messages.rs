//! What is said in rooms, and reading it.

pub mod history;
pub mod send;
