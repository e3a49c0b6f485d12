//! A hostile crowd beside people who chat: strangers of several addresses who do what strangers have been seen to do,
//! and what the people, the nodes and Redis have of it.

pub(crate) mod attack;
mod attacker;
mod curve;
mod guest;
pub(crate) mod pace;
mod requests;
pub(crate) mod siege;
mod strangers;
mod tally;
mod watch;
