//! The use cases of the chat. None of them knows a transport.

pub mod actor;
pub mod analytics;
pub mod identity;
pub mod lives;
pub mod messages;
pub mod presence;
pub mod recovery;
pub mod reserve;
pub mod rooms;
