//! Connections to Redis: options, URL, TLS, the clients of fred, and one connection.

pub(super) mod client;
pub(super) mod config;
pub(super) mod connection;
mod tls;
pub(super) mod url;

pub use tls::TlsFiles;
