//! A chat server: Socket.IO in front, a [`broker`] behind.
//!
//! How a message travels: `socket` receives a request and queues it per socket, `room` checks it
//! against `domain`, the [`broker`] stores and publishes it in one step, every node with a member
//! of the room hears it from the bus, and `socket::deliver` hands it to the local sockets in the
//! order of the log.
//!
//! Dependencies point one way: `domain ← broker ← {presence, session, room} ← {socket | http} ←
//! server ← main`. A test holds the sources to that.

pub mod analytics;
pub mod broker;
pub mod config;
pub mod connection;
pub mod domain;
pub mod http;
pub mod lifecycle;
pub mod metered;
pub mod metrics;
pub mod planted;
pub mod presence;
pub mod room;
pub mod server;
pub mod session;
pub mod socket;
pub mod telemetry;
pub mod traces;
