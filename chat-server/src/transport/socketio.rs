//! Socket.IO: what a client says is read here, handed on, and answered.

mod answers;
mod arrivals;
mod auth;
mod client;
mod clients;
pub mod connection;
mod context;
#[cfg(test)]
mod contract;
pub mod engine_error;
mod event;
mod first_write;
mod guest;
pub mod handover;
mod handshake;
pub mod handshake_check;
mod jobs;
mod membership;
mod notices;
pub mod outbox;
#[doc(hidden)]
pub mod parsers;
pub mod polling;
mod protocol;
mod replay;
mod request;
pub mod requests;
mod restore;
mod revocation;
mod session;
mod strangers;
mod subprotocol;
pub mod upgrade;
mod worker;

pub use answers::Answers;
pub use arrivals::Arrivals;
pub use clients::Clients;
pub use context::{Context, Limits};
pub use event::encode;
pub use handshake::{PING_INTERVAL, PING_TIMEOUT, build, keep_sessions};
pub use notices::{notify, review_all};
pub use restore::{leave_lost_rooms, restore_sessions};
pub use revocation::end_revoked;
pub use strangers::Strangers;
