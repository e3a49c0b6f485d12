//! From the bus to the outlets of the transport. One feed a room keeps the order of the room's log for every local
//! outlet.
//!
//! [`Router`] hands what the bus brings to the feeds, [`Hub`] attaches outlets to them, and [`compare_tails`] finds what
//! the bus lost. Neither Socket.IO nor a connection nor a request is known here: the transport implements [`Outlet`] and
//! hands in an [`Encoder`].

mod batching;
mod event;
mod feed;
mod hub;
mod mailbox;
mod outlet;
mod registry;
mod router;
mod shared;
mod tail;

pub use batching::Batching;
pub use event::{Encoder, Event};
pub use hub::Hub;
pub use mailbox::Attached;
pub use outlet::{NotQueued, Outlet};
pub use router::{BusHandler, Router};
pub use shared::Shared;
pub use tail::compare_tails;
