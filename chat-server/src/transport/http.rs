//! What is served over plain HTTP: the page, and the gate in front of the handshake, on the
//! public port; health and metrics on the admin port.

pub mod admin_token;
pub mod analytics;
pub mod api;
pub mod base_path;
pub mod forwarded;
pub mod gate;
pub mod health;
pub mod hosts;
pub mod serve;
pub mod web;
