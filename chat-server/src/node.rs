//! One running chat-server: its configuration, how it starts, and how it stops.

pub mod config;
pub mod lifecycle;
pub mod server;
