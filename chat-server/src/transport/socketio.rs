//! Socket.IO: what a client says is read here, handed on, and answered.

mod answers;
mod arrivals;
mod auth;
mod client;
mod clients;
mod connect;
pub mod connection;
mod context;
mod event;
pub mod handover;
mod handshake;
mod jobs;
mod messages;
mod notices;
pub mod outbox;
#[doc(hidden)]
pub mod parsers;
pub mod polling;
mod protocol;
mod rooms;
mod typing;
pub mod upgrade;
mod worker;

pub use answers::Answers;
pub use arrivals::Arrivals;
pub use clients::Clients;
pub use context::{Context, Limits};
pub use event::encode;
pub use handshake::{PING_INTERVAL, PING_TIMEOUT, build, keep_sessions};
pub use notices::{notify, review_all};
