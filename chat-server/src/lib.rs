//! A chat server: Socket.IO in front, Redis or the process' own memory behind.
//!
//! How a message travels: [`transport`] receives a request and queues it per socket, [`service`]
//! checks it against [`domain`], the [`store`] appends and publishes it in one step, every node with
//! a member of the room receives it from the bus, and [`delivery`] hands it to the local sockets in
//! the order of the log.
//!
//! Dependencies point one way: `domain ← store ← service ← transport`, `domain, store ← delivery ←
//! transport`, all `← node ← main`. A test holds the sources to that. [`observability`] may be named at every
//! step; [`lifecycle`] by the transports, which ask it which sockets to take.

pub mod delivery;
pub mod domain;
pub mod fault_injection;
pub mod lifecycle;
pub mod node;
pub mod observability;
pub mod service;
pub mod store;
pub mod transport;
